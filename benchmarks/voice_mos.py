"""How natural a predictor finds the voice, beside its teacher reading the same sentences.

    pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0
    python benchmarks/voice_mos.py out/carmilla --speech SPEECH_DIR

DistillMOS (PyPI `distillmos`, MIT, weights included; arXiv:2502.05356) predicts the mean opinion score, 1 to 5, that
listeners would give. Cuts the segments out of the finished MP3s as `voice_wer.py` does, and takes the teacher's from
SPEECH_DIR, which `training/speak.py` made, by their texts. Prints one line of JSON: both means with 95 % bootstrap
intervals over segments, and that of their difference.
"""

import argparse
import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch
from about import about
from scipy.signal import resample_poly
from voice_wer import segments

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))


def load_predictor() -> torch.nn.Module:
    """Return DistillMOS; it imports torchaudio only to read files, which is not needed here."""
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    from distillmos import ConvTransformerSQAModel

    return ConvTransformerSQAModel().eval()


def interval(values: np.ndarray) -> list[float]:
    """Return the mean and its 95 % bootstrap interval."""
    rows = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.percentile(values[rows].mean(axis=1), [2.5, 97.5])
    return [round(float(x), 3) for x in (values.mean(), low, high)]


@torch.inference_mode()
def main() -> None:
    """Measure one rendered book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("book", type=Path, help="a folder that render made: ledger.sqlite and MP3s")
    parser.add_argument("--speech", type=Path, required=True, help="the teacher's, from training/speak.py")
    parser.add_argument("--num", type=int, default=200, help="segments at most")
    args = parser.parse_args()
    from audio_data import load_speech

    started = time.monotonic()
    predict = load_predictor()
    speech = load_speech(args.speech)
    teacher = {u.text: speech.samples[u.start : u.start + u.num_samples].numpy() for u in speech.utterances}
    pairs = []
    for row in segments(args.book):
        if len(pairs) == args.num:
            break
        if row["samples"] is None or row["text"] not in teacher or row["length_s"] < 1.0:
            continue
        ours = row["samples"][: round(row["length_s"] * 16_000)] / np.float32(32768)
        theirs = resample_poly(teacher[row["text"]] / np.float32(32768), 2, 3)
        pairs.append([predict(torch.from_numpy(x.copy())[None]).item() for x in (ours, theirs)])
    scores = np.array(pairs)
    result = {
        "benchmark": "voice_mos",
        "book": args.book.name,
        "segments": len(scores),
        "voice_mos": interval(scores[:, 0]),
        "teacher_mos": interval(scores[:, 1]),
        "difference": interval(scores[:, 0] - scores[:, 1]),
        "predictor": "distillmos 0.9.1",
        **about(),
        "wall_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
