"""What does a corpus of a million rows cost beside its speech: planning, the line, memory, starting again?

Plans a CSV of N different sentences, sends the first few thousand through the whole line on fake models (streams of
noise in the right shape, tones for sound; FLAC, shards and manifests are real), has the ledger believe that the rest
is finished too (their takes are left out), and starts again. Every step is a process of its own, so that its largest
memory is its own. The last line is JSON.

    python benchmarks/million_rows.py --rows 200000 --made 1000
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from about import about

from orpheus_batch.config import load_config
from orpheus_batch.corpus.corpus import make_corpus
from orpheus_batch.corpus.nights import Night
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.pipeline import Factories
from orpheus_batch.testing import FakeCodec, FakeEngine, make_tiny_pack

SHARD_ITEMS = 1_000


class Enough(Night):
    """A night that is over when ``max_items`` were begun, give or take a block."""

    def __init__(self, max_items: int):
        super().__init__()
        self._left = max_items // 128

    def is_over(self, audio_s: float) -> bool:
        """Count a block."""
        self._left -= 1
        return self._left < 0


WORDS = (
    "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "river", "mountain", "window", "garden", "letter", "stone",
    "bird", "lamp", "road",
)  # fmt: skip


def write_rows(file: Path, num_rows: int) -> None:
    with file.open("w", encoding="utf-8") as sink:
        sink.write("id,text\n")
        for i in range(num_rows):
            picked = " ".join(WORDS[(i * k + i // 7) % len(WORDS)] for k in (3, 5, 7, 11))
            digits = " ".join(WORDS[int(d)] for d in f"{i:07d}")
            sink.write(f'r{i},"The {picked} of them said: {digits}."\n')


def speak(folder: Path, night: Night) -> dict[str, Any]:
    config = load_config(
        None,
        {"model.pack": str(folder / "pack"), "engine.device": "cpu", "corpus.shard_items": SHARD_ITEMS},
    )
    factories = Factories(
        engine=lambda pack, config, device: FakeEngine(pack.layout, 64),
        codec=lambda pack, config, device: FakeCodec(),
        codec_fingerprint=lambda pack, config, device: FakeCodec.fingerprint,
    )
    report = make_corpus([str(folder / "rows.csv")], folder / "out", config, night=night, factories=factories)
    return {"items": report.night_items, "audio_s": report.night_audio_s, "planned": report.num_planned}


def plan(folder: Path, _made: int) -> dict[str, Any]:
    return speak(folder, Night(max_wall_s=-1.0))


def line(folder: Path, made: int) -> dict[str, Any]:
    return speak(folder, Enough(made))


def pretend(folder: Path, _made: int) -> dict[str, Any]:
    """Have the ledger hold every segment as accepted and every item as sealed."""
    with CorpusLedger.open(folder / "out") as ledger:
        database = ledger._database
        with database.transaction():
            database.execute(
                """
                UPDATE segments SET state = 'accepted', num_takes = 1, chosen = 0, score = 0, num_audio_s = 4
                """
            )
            database.execute(
                """
                UPDATE items SET state = 'done', shard = (SELECT min(key) FROM shards), duration_s = 4,
                    loudness_db = -20
                """
            )
    return {}


def restart(folder: Path, _made: int) -> dict[str, Any]:
    return speak(folder, Night())


def run(step: Callable[[Path, int], dict[str, Any]], folder: Path, made: int, answers: Any) -> None:
    started = time.perf_counter()
    found = step(folder, made)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    answers.put(found | {"wall_s": round(time.perf_counter() - started, 2), "peak_mb": round(peak_mb)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--made", type=int, default=3_000, help="rows that go through the whole line")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="million-rows-"))
    processes = multiprocessing.get_context("spawn")
    found: dict[str, Any] = {"benchmark": "million_rows", **about(), "rows": options.rows}
    try:
        make_tiny_pack(folder / "pack")
        write_rows(folder / "rows.csv", options.rows)
        for step in (plan, line, pretend, restart):
            answers = processes.Queue()
            process = processes.Process(target=run, args=(step, folder, options.made, answers))
            process.start()
            found[step.__name__] = answers.get()
            process.join()
            print(step.__name__, found[step.__name__], file=sys.stderr)
        found["ledger_mb"] = round((folder / "out" / "ledger.sqlite").stat().st_size / 1e6)
        found["planned_rows_per_s"] = round(options.rows / found["plan"]["wall_s"])
        found["made_rows_per_s"] = round(found["line"]["items"] / found["line"]["wall_s"], 1)
        print(json.dumps(found))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
