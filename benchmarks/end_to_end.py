"""A book from text file to MP3s, and where the time goes.

    python benchmarks/end_to_end.py samples/buster-bear-goes-fishing.txt

Renders into a fresh folder with the real engine, codec and encoder and prints one line of JSON: seconds of speech a
second of wall time (loading apart), the share of each stage in that wall time, and the longest time without either of
the models (text, checks, ledger, waiting for encoders). Encoding runs beside the rest; its share is its tail.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orpheus_batch.config import load_config
from orpheus_batch.data import SnacCodes, TokenRequest, TokenStream, Waveform
from orpheus_batch.pipeline import Factories, render_books
from orpheus_batch.pipeline.models import snac_codec, torch_engine


class TimedEngine:
    """An engine, and how long its caller waited for it."""

    def __init__(self, engine):
        self._engine = engine
        self.name = engine.name
        self.seconds = 0.0
        self.num_tokens = 0

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield the engine's streams."""
        streams = iter(self._engine.generate(requests))
        while True:
            started = time.perf_counter()
            stream = next(streams, None)
            self.seconds += time.perf_counter() - started
            if stream is None:
                return
            self.num_tokens += len(stream.token_ids)
            yield stream

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class TimedCodec:
    """A codec, and how long its caller waited for it."""

    def __init__(self, codec):
        self._codec = codec
        self.fingerprint = codec.fingerprint
        self.seconds = 0.0

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return the codec's waveforms."""
        started = time.perf_counter()
        waveforms = self._codec.decode(streams, seeds)
        self.seconds += time.perf_counter() - started
        return waveforms


def main() -> None:
    """Render the books once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("books", type=Path, nargs="+")
    parser.add_argument("--config", type=Path)
    args = parser.parse_args()
    made: dict[str, TimedEngine | TimedCodec] = {}

    def engine(pack, config, device):
        made["engine"] = TimedEngine(torch_engine(pack, config, device))
        return made["engine"]

    def codec(pack, device):
        made["codec"] = TimedCodec(snac_codec(pack, device))
        return made["codec"]

    with tempfile.TemporaryDirectory() as out:
        report = render_books(
            args.books, Path(out), load_config(args.config), factories=Factories(engine=engine, codec=codec)
        )
    seconds = {name: stage.seconds for name, stage in made.items()}
    seconds["rest"] = report.wall_s - sum(seconds.values())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    result = {
        "benchmark": "end_to_end",
        "books": [book.name for book in args.books],
        "audio_s": round(report.audio_s, 1),
        "wall_s": round(report.wall_s, 1),
        "load_s": round(report.load_s, 1),
        "speedup": round(report.speedup, 2),
        "share": {name: round(value / report.wall_s, 3) for name, value in seconds.items()},
        "tokens_per_s_of_engine": round(made["engine"].num_tokens / made["engine"].seconds),
        "takes": report.num_takes,
        "failed": sum(len(book.failures) for book in report.books),
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "hardware": platform.processor() or platform.machine(),
        "commit": commit.stdout.strip(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
