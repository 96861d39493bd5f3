"""How fast this machine renders a book, from its text file to MP3s, and where the time goes.

It renders for real, into a folder that is thrown away, and watches engine and codec from outside. It says nothing
about how the book sounds.
"""

import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orpheus_batch.codec.base import Codec
from orpheus_batch.config import Config
from orpheus_batch.data import SnacCodes, TokenRequest, TokenStream, Waveform
from orpheus_batch.engine.base import Engine
from orpheus_batch.pipeline import Factories, render_books


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a rendering took."""

    audio_s: float
    """speech made"""
    wall_s: float
    """from the first book opened to the last file written, loading apart"""
    load_s: float
    """loading of the models"""
    speedup: float
    """seconds of speech a second of `wall_s`; 0 where nothing was spoken"""
    engine_share: float
    """of `wall_s`, with the engine running"""
    codec_share: float
    """likewise, the codec; on a GPU both may run at once"""
    rest_share: float
    """with neither: text, checks, ledger, and waiting for encoders"""
    tokens_per_s: float
    """of the engine, while it ran"""
    num_takes: int
    num_failed: int
    """segments whose best take did not pass the checks, and books that could not be done"""
    cores: int
    load_average: float
    """of one minute, at the end: other work on this machine lowers every figure"""


class Stopwatch:
    """Seconds in which at least one of several things was running, in any threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._num_running = 0
        self._started = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._num_running:
                self._started = time.perf_counter()
            self._num_running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_running -= 1
            if not self._num_running:
                self.seconds += time.perf_counter() - self._started


class TimedEngine:
    """An engine, and how long it ran."""

    def __init__(self, engine: Engine, either: Stopwatch):
        self._engine = engine
        self._either = either
        self._own = Stopwatch()
        self.name = engine.name
        self.max_batch_size = engine.max_batch_size
        self.num_tokens = 0

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self._own.seconds

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield the engine's streams."""
        streams = iter(self._engine.generate(requests))
        while True:
            with self._either, self._own:
                stream = next(streams, None)
            if stream is None:
                return
            self.num_tokens += len(stream.token_ids)
            yield stream

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class TimedCodec:
    """A codec, and how long it ran."""

    def __init__(self, codec: Codec, either: Stopwatch):
        self._codec = codec
        self._either = either
        self._own = Stopwatch()
        self.fingerprint = codec.fingerprint

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self._own.seconds

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return the codec's waveforms."""
        with self._either, self._own:
            return self._codec.decode(streams, seeds)

    def warm_up(self) -> None:
        """Warm the codec up; part of loading."""
        self._codec.warm_up()


def bench_books(books: Sequence[Path], config: Config, factories: Factories | None = None) -> BenchReport:
    """Render books into a folder that is thrown away.

    Args:
        books: Files or folders, as `orpheus_batch.pipeline.render_books` takes them.
        config: As for any rendering.
        factories: How engine and codec are made; None: as for any rendering.

    Raises:
        OrpheusBatchError: What `orpheus_batch.pipeline.render_books` raises.
    """
    plain = factories or Factories()
    engines: list[TimedEngine] = []
    codecs: list[TimedCodec] = []
    either = Stopwatch()

    def engine(pack, config, device):
        engines.append(TimedEngine(plain.engine(pack, config, device), either))
        return engines[-1]

    def codec(pack, config, device):
        codecs.append(TimedCodec(plain.codec(pack, config, device), either))
        return codecs[-1]

    watched = Factories(engine=engine, codec=codec, codec_fingerprint=plain.codec_fingerprint)
    with tempfile.TemporaryDirectory() as out:
        report = render_books(list(books), Path(out), config, factories=watched)
    wall_s = max(report.wall_s, 1e-9)
    engine_s, codec_s = sum(e.seconds for e in engines), sum(c.seconds for c in codecs)
    return BenchReport(
        audio_s=report.audio_s,
        wall_s=report.wall_s,
        load_s=report.load_s,
        speedup=report.speedup or 0.0,
        engine_share=engine_s / wall_s,
        codec_share=codec_s / wall_s,
        rest_share=1 - either.seconds / wall_s,
        tokens_per_s=sum(e.num_tokens for e in engines) / max(engine_s, 1e-9),
        num_takes=report.num_takes,
        num_failed=sum(len(book.failures) + bool(book.error) for book in report.books),
        cores=os.cpu_count() or 1,
        load_average=os.getloadavg()[0],
    )
