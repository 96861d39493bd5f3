"""How fast this machine renders a book, from its text file to MP3s, and where the time goes.

It renders for real, into a folder that is thrown away, and watches engine and codec from outside. It says nothing
about how the book sounds.
"""

import os
import tempfile
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
    """of `wall_s`, waited for the engine"""
    codec_share: float
    """likewise, for the codec"""
    rest_share: float
    """text, checks, ledger, and waiting for encoders"""
    tokens_per_s: float
    """of the engine, while it was waited for"""
    num_takes: int
    num_failed: int
    """segments whose best take did not pass the checks, and books that could not be done"""
    cores: int
    load_average: float
    """of one minute, at the end: other work on this machine lowers every figure"""


class TimedEngine:
    """An engine, and how long its caller waited for it."""

    def __init__(self, engine: Engine):
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

    def __init__(self, codec: Codec):
        self._codec = codec
        self.fingerprint = codec.fingerprint
        self.seconds = 0.0

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return the codec's waveforms."""
        started = time.perf_counter()
        waveforms = self._codec.decode(streams, seeds)
        self.seconds += time.perf_counter() - started
        return waveforms


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

    def engine(pack, config, device):
        engines.append(TimedEngine(plain.engine(pack, config, device)))
        return engines[-1]

    def codec(pack, config, device):
        codecs.append(TimedCodec(plain.codec(pack, config, device)))
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
        rest_share=1 - (engine_s + codec_s) / wall_s,
        tokens_per_s=sum(e.num_tokens for e in engines) / max(engine_s, 1e-9),
        num_takes=report.num_takes,
        num_failed=sum(len(book.failures) + bool(book.error) for book in report.books),
        cores=os.cpu_count() or 1,
        load_average=os.getloadavg()[0],
    )
