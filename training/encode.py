"""Turn speech into codes: what the language model learns to write.

    python training/encode.py SPEECH_DIR CODEC_DIR -o CODES_DIR

Writes ``codes.npy`` (uint16 [num_frames, 7], the seven codes of each frame in the order of the token layout) and
``codes.jsonl`` (id, text, first frame and number of frames of each utterance). Utterances of about the same length
go through the encoder together; each ends in silence up to a whole frame.
"""

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from audio_data import load_speech
from codec_start import read_codec

SAMPLES_PER_FRAME = 2048


def load_codec(codec_dir: Path, device: torch.device) -> torch.nn.Module:
    """Load a trained codec with its encoder."""
    from snac import SNAC

    model = SNAC(**json.loads((codec_dir / "config.json").read_text(encoding="utf-8")))
    model.load_state_dict({name: value.float() for name, value in read_codec(codec_dir).items()})
    return model.eval().to(device)


@torch.inference_mode()
def encode_batch(codec: torch.nn.Module, audio: torch.Tensor) -> np.ndarray:
    """Return uint16 [batch, num_frames, 7] for float32 [batch, num_frames * 2048]."""
    coarse, mid, fine = codec.encode(audio[:, None])
    batch, num_frames = coarse.shape
    mid, fine = mid.reshape(batch, num_frames, 2), fine.reshape(batch, num_frames, 4)
    order = [coarse, mid[..., 0], fine[..., 0], fine[..., 1], mid[..., 1], fine[..., 2], fine[..., 3]]
    return torch.stack(order, dim=-1).cpu().numpy().astype(np.uint16)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("speech_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("codec_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--part", default="0/1", show_default=True, help="i/n: only every n-th file, from the i-th on.")
@click.option("--batch-seconds", type=float, default=600.0, show_default=True)
def main(speech_dir: Path, codec_dir: Path, out: Path, part: str, batch_seconds: float) -> None:
    """Encode all of SPEECH_DIR with the codec in CODEC_DIR."""
    start = time.monotonic()
    torch.set_num_threads(2)  # several parts at a time would otherwise wait for each other's threads
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    codec = load_codec(codec_dir, device)
    i, n = (int(x) for x in part.split("/"))
    speech = load_speech(speech_dir, part=(i, n))
    utterances = sorted(speech.utterances, key=lambda u: u.num_samples)
    rows, parts, total = [], [], 0
    first = 0
    while first < len(utterances):
        last, longest = first, 0
        while last < len(utterances):
            longest = -(-utterances[last].num_samples // SAMPLES_PER_FRAME)
            if last > first and (last - first + 1) * longest * SAMPLES_PER_FRAME > batch_seconds * 24_000:
                break
            last += 1
        group = utterances[first:last]
        longest = -(-group[-1].num_samples // SAMPLES_PER_FRAME)
        audio = torch.zeros(len(group), longest * SAMPLES_PER_FRAME)
        for row, u in zip(audio, group, strict=True):
            row[: u.num_samples] = speech.samples[u.start : u.start + u.num_samples].float() / 32768.0
        for u, frames in zip(group, encode_batch(codec, audio.to(device)), strict=True):
            num_frames = -(-u.num_samples // SAMPLES_PER_FRAME)
            rows.append({"id": u.utterance_id, "text": u.text, "start": total, "num_frames": num_frames})
            parts.append(frames[:num_frames])
            total += num_frames
        first = last
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "codes.npy", np.concatenate(parts))
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (out / "codes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    hours = total * SAMPLES_PER_FRAME / 24_000 / 3600
    report = {"utterances": len(rows), "hours": round(hours, 2), "wall_s": round(time.monotonic() - start, 1)}
    click.echo(json.dumps(report))


if __name__ == "__main__":
    main()
