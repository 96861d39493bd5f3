"""Three sentences through the whole line, with the time of each stage; and what a recogniser hears of them."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.codec.base import Codec
from orpheus_batch.config import Config
from orpheus_batch.data import SnacCodes, TokenRequest, TokenStream, Waveform
from orpheus_batch.engine.base import Engine
from orpheus_batch.pipeline import Factories, render_books
from orpheus_batch.pipeline.models import chosen_engine, snac_codec
from orpheus_batch.quality.recogniser import RATE_HZ, Recogniser
from orpheus_batch.quality.words import compare_words

LANGUAGE = "en"
SENTENCES = (
    "The old clock in the hall had stopped again, and nobody could remember when.",
    "Then the wind turned, and from far below they heard the sound of the sea.",
    "She put the letter back into its envelope and looked out of the window.",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    text: str
    error: str
    """why there is no audio; empty where there is"""
    audio_s: float
    num_tokens: int
    num_takes: int
    failures: tuple[str, ...]
    """reasons of segments that passed no check"""
    load_s: float
    generate_s: float
    decode_s: float
    encode_s: float
    """everything else: reading, checking, stitching, MP3"""
    word_error_rate: float | None
    """None where no recogniser is installed"""
    recogniser: str


class _TimedEngine:
    """An engine and the time that it takes; what happens while it pulls requests (judging, decoding) is not its."""

    def __init__(self, engine: Engine, clock: "_Clock"):
        self._engine = engine
        self._clock = clock
        self.name = engine.name
        self.max_batch_size = engine.max_batch_size

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        streams = iter(self._engine.generate(self._pulled(iter(requests))))
        while True:
            started = time.monotonic()
            stream = next(streams, None)
            self._clock.generate_s += time.monotonic() - started
            if stream is None:
                return
            self._clock.num_tokens += len(stream.token_ids)
            yield stream

    def close(self) -> None:
        self._engine.close()

    def _pulled(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenRequest | None]:
        while True:
            started = time.monotonic()
            try:
                request = next(requests)
            except StopIteration:
                return
            finally:
                self._clock.generate_s -= time.monotonic() - started
            yield request


class _TimedCodec:
    """A codec and the time that it takes."""

    def __init__(self, codec: Codec, clock: "_Clock"):
        self._codec = codec
        self._clock = clock
        self.fingerprint = codec.fingerprint

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        started = time.monotonic()
        waveforms = self._codec.decode(streams, seeds)
        self._clock.decode_s += time.monotonic() - started
        return waveforms

    def warm_up(self) -> None:
        self._codec.warm_up()


@dataclass(slots=True)
class _Clock:
    generate_s: float = 0.0
    decode_s: float = 0.0
    num_tokens: int = 0


def run_trial(config: Config, recogniser: Recogniser | None) -> Trial:
    """Render `SENTENCES` into a folder that is thrown away.

    Args:
        config: Model, engine and everything else.
        recogniser: Hears the finished file; None: nobody does.

    Raises:
        OrpheusBatchError: Nothing can be rendered at all; says why.
    """
    clock = _Clock()
    factories = Factories(
        engine=lambda pack, settings, device: _TimedEngine(chosen_engine(pack, settings, device), clock),
        codec=lambda pack, settings, device: _TimedCodec(snac_codec(pack, settings, device), clock),
    )
    text = " ".join(SENTENCES)
    with tempfile.TemporaryDirectory(prefix="orpheus-doctor-") as folder:
        source = Path(folder) / "trial.txt"
        source.write_text(text, encoding="utf-8")
        report = render_books([source], Path(folder) / "out", config, factories=factories)
        (book,) = report.books
        heard = None
        if recogniser is not None and book.chapters:
            (heard,) = recogniser.transcribe([_samples(Path(book.chapters[0].path))])
    return Trial(
        text=text,
        error=book.error,
        audio_s=report.audio_s,
        num_tokens=clock.num_tokens,
        num_takes=report.num_takes,
        failures=tuple(failure.reason for failure in book.failures),
        load_s=report.load_s,
        generate_s=clock.generate_s,
        decode_s=clock.decode_s,
        encode_s=max(0.0, report.wall_s - clock.generate_s - clock.decode_s),
        word_error_rate=None if heard is None else compare_words(text, heard, LANGUAGE).rate,
        recogniser=recogniser.name if recogniser is not None else "",
    )


def _samples(file: Path) -> np.ndarray:
    """Return a file as int16 [num_samples], mono, as a recogniser takes it."""
    args = ["-i", file, "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"]
    return np.frombuffer(run_ffmpeg(args, what=f"reading {file.name}"), "<i2")
