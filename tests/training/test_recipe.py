"""The voice's recipe, every command after the teacher, on a setting so small that it speaks noise."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orpheus_batch.units import SAMPLES_PER_FRAME
from orpheus_batch.voices import load_pack

TRAINING = Path(__file__).parents[2] / "training"


def run(script: str, *arguments) -> str:
    """Run a training command as a user does; return what it prints."""
    command = [sys.executable, str(TRAINING / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Twelve hums of different lengths in the form that `speak.py` writes."""
    folder = tmp_path_factory.mktemp("speech")
    noise, offset, parts = np.random.default_rng(0), 0, []
    with (folder / "index-00.jsonl").open("w", encoding="utf-8") as index:
        for number in range(12):
            num_samples = int(noise.integers(10_000, 30_000))
            tone = np.sin(np.arange(num_samples) * noise.uniform(0.02, 0.1)) * 3000 + noise.normal(
                0, 50, num_samples
            )
            parts.append(tone.astype("<i2"))
            row = {
                "id": str(number),
                "offset": offset,
                "num_samples": num_samples,
                "text": "Hum, hum. " * (number + 1),
            }
            index.write(json.dumps(row) + "\n")
            offset += num_samples
    np.concatenate(parts).tofile(folder / "audio-00.s16")
    return folder


@pytest.fixture(scope="module")
def codec(speech, tmp_path_factory):
    """A codec after fourteen steps: unquantised, quantised, and with the discriminators in."""
    folder = tmp_path_factory.mktemp("codec")
    sizes = ("--encoder-dim", 4, "--decoder-dim", 32, "--codebook-size", 16)
    run("codec.py", speech, "-o", folder, "--steps", 14, "--batch", 2, "--crop-frames", 1, *sizes)
    return folder


@pytest.fixture(scope="module")
def codes(speech, codec, tmp_path_factory):
    """The speech as codes."""
    folder = tmp_path_factory.mktemp("codes")
    run("encode.py", speech, codec, "-o", folder)
    return folder


@pytest.fixture(scope="module")
def model(codes, tmp_path_factory):
    """A language model after four steps."""
    folder = tmp_path_factory.mktemp("model")
    sizes = ("--codebook-size", 16, "--hidden", 32, "--layers", 1, "--heads", 2, "--kv-heads", 1, "--ffn", 32)
    run("language_model.py", codes, "-o", folder, "--steps", 4, "--budget", 2048, "--held-out", 2, *sizes)
    return folder


def test_codes_are_whole_frames_of_what_was_spoken(speech, codes):
    """Every utterance is there once, rounded up to whole frames, each code within the codebook."""
    spoken = [json.loads(line) for line in (speech / "index-00.jsonl").read_text().splitlines()]
    encoded = {row["id"]: row for row in map(json.loads, (codes / "codes.jsonl").read_text().splitlines())}
    expected = {row["id"]: -(-row["num_samples"] // SAMPLES_PER_FRAME) for row in spoken}
    assert expected == {key: row["num_frames"] for key, row in encoded.items()}
    frames = np.load(codes / "codes.npy")
    assert (sum(expected.values()), 7) == frames.shape
    assert frames.max() < 16


def test_order_of_codes_in_a_frame_is_the_token_layout_s(codec, codes, speech):
    """Read back by the package's own layout, a stored utterance holds the very codes that `snac` gives it.

    Comparing lengths alone would miss a swap of two positions of the same level. The longest utterance is taken:
    it is the one that its batch does not pad.
    """
    import torch
    from snac import SNAC

    sys.path.insert(0, str(TRAINING))
    from encode import load_codec

    from orpheus_batch.pack_writer import character_layout

    rows = map(json.loads, (codes / "codes.jsonl").read_text().splitlines())
    row = max(rows, key=lambda r: r["num_frames"])
    frames = np.load(codes / "codes.npy")[row["start"] : row["start"] + row["num_frames"]].astype(int)
    layout = character_layout("a", 16)
    ids = frames + [layout.position_start(p) for p in range(7)]
    ours = layout.to_codes(ids.reshape(-1))
    source = next(
        r for r in map(json.loads, (speech / "index-00.jsonl").read_text().splitlines()) if r["id"] == row["id"]
    )
    samples = np.fromfile(speech / "audio-00.s16", "<i2")[source["offset"] :][: source["num_samples"]] / 32768
    padded = np.zeros(row["num_frames"] * SAMPLES_PER_FRAME, np.float32)
    padded[: len(samples)] = samples
    model: SNAC = load_codec(codec, torch.device("cpu"))
    with torch.inference_mode():
        levels = model.encode(torch.from_numpy(padded)[None, None])
    for level, own in zip(levels, (ours.coarse, ours.mid, ours.fine), strict=True):
        assert level[0].tolist() == own.tolist()


def test_codec_goes_on_from_its_checkpoint(speech, codec):
    """Run again with more steps, it starts where it stopped: the log's steps go on, and nothing is trained twice."""
    sizes = ("--encoder-dim", 4, "--decoder-dim", 32, "--codebook-size", 16)
    before = (codec / "log.jsonl").read_text().splitlines()
    run("codec.py", speech, "-o", codec, "--steps", 16, "--batch", 2, "--crop-frames", 1, *sizes)
    after = (codec / "log.jsonl").read_text().splitlines()
    assert before == after[: len(before)]
    assert 16 == json.loads(after[-1])["step"]


def test_pack_can_be_spoken_with(model, codec, codes, tmp_path):
    """The pack that comes out loads, and the line's own engine and codec make sound of it."""
    from orpheus_batch.codec.snac import SnacCodec
    from orpheus_batch.data import Boundary, Segment
    from orpheus_batch.engine.torch.engine import TorchEngine
    from orpheus_batch.prompt import PromptBuilder

    run("make_pack.py", model, codec, "-o", tmp_path / "pack", "--codes", codes, "--temperature", 1)
    pack = load_pack(str(tmp_path / "pack"))
    segment = Segment("0" * 64, 0, 0, "Hum, hum.", "heart", Boundary.SENTENCE, 0.0, 0, 9, 0)
    engine = TorchEngine(pack.language_model_dir, pack.layout, device="cpu")
    (stream,) = engine.generate([PromptBuilder(pack).request(segment)])
    spoken = pack.layout.to_codes(stream.token_ids)
    (waveform,) = SnacCodec(pack.codec_dir, device="cpu").decode([spoken], [0])
    assert spoken.num_frames * SAMPLES_PER_FRAME == len(waveform.samples)
    assert np.isfinite(waveform.samples).all()
