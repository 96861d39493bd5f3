"""How much of the words the codec alone costs: the teacher's speech, as it is and encoded and decoded.

    python benchmarks/codec_wer.py SPEECH_DIR training/weights/codec --num 200

SPEECH_DIR is what `training/speak.py` made of a held-out book. The codec's folder must hold its encoder. Recogniser
and normaliser are those of `voice_wer.py`. Prints one line of JSON: the word error rate of both, each with its 95 %
bootstrap interval over utterances.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample_poly
from voice_wer import bootstrap, errors, transcribe

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))


@torch.inference_mode()
def through_codec(codec: torch.nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return float32 [num_samples] at 24 kHz, encoded, quantised and decoded."""
    whole = np.pad(samples, (0, -len(samples) % 2048))
    return codec(torch.from_numpy(whole)[None, None])[0][0, 0, : len(samples)].numpy()


def main() -> None:
    """Measure the teacher and the codec on the same utterances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech", type=Path, help="a folder that training/speak.py made")
    parser.add_argument("codec", type=Path, help="config.json and model.safetensors, encoder included")
    parser.add_argument("--num", type=int, default=200, help="utterances, in the order of the index")
    args = parser.parse_args()
    from audio_data import load_speech
    from encode import load_codec
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    started = time.monotonic()
    torch.manual_seed(0)  # SNAC's decoder adds noise
    normalize = EnglishTextNormalizer({})
    codec = load_codec(args.codec, torch.device("cpu"))
    speech = load_speech(args.speech)
    utterances = speech.utterances[: args.num]
    audio: dict[str, list[np.ndarray]] = {"teacher": [], "codec": []}
    for u in utterances:
        samples = speech.samples[u.start : u.start + u.num_samples].numpy().astype(np.float32) / 32768
        for name, version in (("teacher", samples), ("codec", through_codec(codec, samples))):
            audio[name].append((resample_poly(version, 2, 3).clip(-1, 1) * 32767).astype(np.int16))
    counts = {
        name: [
            errors(normalize(u.text), normalize(heard))
            for u, heard in zip(utterances, transcribe(versions), strict=True)
        ]
        for name, versions in audio.items()
    }
    result = {"benchmark": "codec_wer", "speech": args.speech.name, "utterances": len(utterances)}
    for name, pairs in counts.items():
        wrong, words = np.array(pairs).T
        low, high = bootstrap(wrong, words)
        result[f"{name}_wer"] = round(float(wrong.sum() / words.sum()), 4)
        result[f"{name}_wer_95"] = [round(low, 4), round(high, 4)]
        result["words"] = int(words.sum())
    result |= {
        "recogniser": "moonshine-cpp 0.1.4, base-en",
        "normaliser": "Whisper English (transformers)",
        "hardware": platform.processor() or platform.machine(),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "wall_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
