"""What does the ledger cost, and how long does a restart take, on a library of a million segments?

Records a plan and one take for each segment (70 frames, 5.97 s of speech, of random Orpheus codes: the worst
case for compression), reopens it, and asks what a resumed run and `status` ask. No model is involved. The last
line is JSON.

    python benchmarks/ledger_size.py --segments 200000
"""

import argparse
import dataclasses
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.testing import make_plan
from orpheus_batch.units import num_frames_to_seconds

SEGMENTS_PER_CHAPTER = 2_000
NUM_FRAMES = 70
BLOCK = 1_024


def measure(folder: Path, num_segments: int) -> dict[str, Any]:
    """Return seconds, bytes and megabytes, by what was measured."""
    found: dict[str, Any] = {"num_segments": num_segments}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        result = action()
        found[f"{name}_s"] = round(time.perf_counter() - wall_s, 3)
        found[f"{name}_cpu_s"] = round(time.process_time() - cpu_s, 3)
        print(f"{name:24} {found[f'{name}_s']:9.2f} s", file=sys.stderr)
        return result

    words = "the quick brown fox jumps over a lazy dog and then some more of it all"
    num_chapters = -(-num_segments // SEGMENTS_PER_CHAPTER)
    texts = [f"{words}, {i}" for i in range(num_segments)]
    book, plans = make_plan(
        *(texts[c * SEGMENTS_PER_CHAPTER :][:SEGMENTS_PER_CHAPTER] for c in range(num_chapters))
    )
    before_mb = _peak_mb()
    noise = np.random.default_rng(0).integers(0, 4096, (16, NUM_FRAMES, 7))
    streams = (noise + 128_266 + 4096 * np.arange(7)).reshape(16, -1).astype(np.int32)

    def record_all(ledger: Ledger) -> None:
        while block := ledger.pending(attempt=0, limit=BLOCK):
            ledger.record_takes(
                [
                    Take(
                        segment_id=wanted.segment.segment_id,
                        attempt=0,
                        seed=0,
                        token_ids=streams[i % len(streams)],
                        finish_reason="stop",
                        engine="none",
                        problems=(),
                        score=-0.1,
                        accepted=True,
                        num_audio_s=num_frames_to_seconds(NUM_FRAMES),
                    )
                    for i, wanted in enumerate(block)
                ],
                max_attempts=4,
            )

    with Ledger.open(folder) as ledger:
        timed("plan", lambda: ledger.record_plan(book, plans, {}, {}))
        timed("takes", lambda: record_all(ledger))
    found["bytes_per_segment"] = round((folder / LEDGER_NAME).stat().st_size / num_segments)
    with timed("open", lambda: Ledger.open(folder)) as ledger:
        timed("same_plan", lambda: ledger.record_plan(book, plans, {}, {}))
        timed("next_block", lambda: ledger.pending(limit=BLOCK))
        timed("chapters", ledger.chapters)
        timed("summary", ledger.summary)
        timed("suspects", ledger.suspects)
        timed("pieces", lambda: ledger.chapter_pieces(0))
        first, *rest = plans[0].segments
        edited = dataclasses.replace(
            plans[0], segments=(dataclasses.replace(first, segment_id="0" * 64), *rest)
        )
        timed("edited_plan", lambda: ledger.record_plan(book, [edited, *plans[1:]], {}, {}))
    found["memory_mb"] = round(_peak_mb() - before_mb)
    return found


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=1_000_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ledger-size-"))
    try:
        print(json.dumps(measure(folder, options.segments)))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
