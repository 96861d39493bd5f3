"""Does a voice say numbers, dates and abbreviations as clearly as plain words?

    python benchmarks/number_wer.py                      # the built-in voice
    python benchmarks/number_wer.py --model PACK --takes 2

`number_sentences.tsv` holds 120 pairs written for this: a sentence with a number, date, time, sum, title, roman
number or abbreviation, and the same sentence with plain words in its place. Both are rendered (`render_prompts`,
one file a sentence) and heard by Moonshine base-en. What was to be said is the sentence as this package's text
normalisation speaks it, read through by hand; what was heard goes through the same normalisation first, because
the recogniser writes digits again ("1876", "£3.50"), and then both through Whisper's English normaliser, as in
`voice_wer.py`. The rate without the first step is given too. Prints a line of JSON: word error rates with 95 %
intervals, and their difference with one, pairs drawn with replacement.
"""

import argparse
import csv
import json
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from about import about
from hearing import HEARD_WITH, count_errors, to_recogniser, transcribe, word_error_rate

from orpheus_batch.config import load_config
from orpheus_batch.corpus.prompts import render_prompts
from orpheus_batch.testing import BUILTIN_ALPHABET
from orpheus_batch.text.normalize import normalize

SENTENCES = Path(__file__).parent / "number_sentences.tsv"


def spoken(text: str) -> str:
    """Return a text in words, whatever the voice's alphabet."""
    return normalize(" ".join(text.split()), alphabet=BUILTIN_ALPHABET, tags=())


def render(texts: list[str], folder: Path, overrides: dict) -> list[np.ndarray]:
    """Return the speech of each text, int16 at 16 kHz."""
    table = folder / "prompts.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["id", "text"])
        sheet.writerows([f"s{number:04d}", text] for number, text in enumerate(texts))
    report = render_prompts(str(table), folder / "out", load_config(None, overrides))
    if report.num_bad:
        raise SystemExit(f"rows refused: {report.bad_rows}")
    return [read_wav(folder / "out" / f"s{number:04d}.wav") for number in range(len(texts))]


def read_wav(file: Path) -> np.ndarray:
    if not file.is_file():
        return np.zeros(0, np.int16)  # failed: nothing is heard
    with wave.open(str(file)) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")
    return to_recogniser(samples.astype(np.float32) / 32768)


def difference(wrong: np.ndarray, words: np.ndarray, num_draws: int = 10_000) -> list[float]:
    """Return the 95 % interval of the first rate less the second; rows [2, num_pairs], pairs drawn together."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, wrong.shape[1], (num_draws, wrong.shape[1]))
    rates = wrong[:, drawn].sum(axis=2) / words[:, drawn].sum(axis=2)
    return [round(float(x), 4) for x in np.percentile(rates[0] - rates[1], [2.5, 97.5])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin", help="a pack")
    parser.add_argument("--voice", help="of the pack")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--takes", type=int, default=1, help="of each sentence, each with a seed of its own")
    parser.add_argument("--show", type=int, default=0, help="print this many of the worst sentences")
    args = parser.parse_args()
    started = time.monotonic()
    rows = [
        line.split("\t")
        for line in SENTENCES.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    texts = [row[1] for row in rows] + [row[2] for row in rows]
    heard: list[str] = []
    for seed in range(args.takes):
        overrides = {
            "model.pack": args.model,
            "voice": args.voice,
            "engine.device": args.device,
            "seed": seed,
        }
        with tempfile.TemporaryDirectory() as folder:
            heard += transcribe(render(texts, Path(folder), overrides))
    said = [spoken(text) for text in texts] * args.takes
    shape = (args.takes, 2, len(rows))
    result: dict = {}
    for name, transcripts in (("", [spoken(text) for text in heard]), ("_digits_as_heard", heard)):
        wrong, words = (counts.reshape(shape) for counts in count_errors(said, transcripts))
        wrong, words = (np.concatenate(list(counts), axis=1) for counts in (wrong, words))
        for side, kind in enumerate(("numbers", "plain")):
            wer, interval = word_error_rate(wrong[side], words[side])
            result |= {f"wer_{kind}{name}": wer, f"wer_{kind}{name}_95": interval}
        result[f"difference{name}"] = round(result[f"wer_numbers{name}"] - result[f"wer_plain{name}"], 4)
        result[f"difference{name}_95"] = difference(wrong, words)
        if not name:
            result["words"] = words.sum(axis=1).tolist()
            kinds = np.array([row[0] for row in rows] * args.takes)
            result["wer_by_kind"] = {
                kind: round(float(wrong[0, kinds == kind].sum() / words[0, kinds == kind].sum()), 4)
                for kind in dict.fromkeys(row[0] for row in rows)
            }
            order = np.argsort(-wrong[0], kind="stable")[: args.show]
            for index in order:
                take, row = divmod(int(index), len(rows))
                place = take * len(texts) + row
                print(f"{wrong[0, index]:3d}  {said[place]}\n     {heard[place]}")
    pairs = {"benchmark": "number_wer", "model": args.model, "pairs": len(rows), "takes": args.takes}
    closing = {**HEARD_WITH, **about(args.device), "wall_s": round(time.monotonic() - started, 1)}
    print(json.dumps(pairs | result | closing))


if __name__ == "__main__":
    main()
