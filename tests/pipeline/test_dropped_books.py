"""A book that can't go on, its disk full, while the engine still has requests of it: nobody waits for those."""

import threading
import time

import pytest
from line_helpers import BOOK, LAYOUT, Line

from orpheus_batch.errors import EngineError, LedgerError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories, render_books
from orpheus_batch.testing import FakeCodec, FakeEngine

PATIENCE_S = 10.0
OTHER = """# The Sea

Grey water lay before them, as far as anybody could see. The boat was small. It had two oars and no sail.

Towards noon the wind came up, and a little later the rain came too. They rowed on without a word.
"""


class Holding(FakeEngine):
    """Answers two requests and holds the others; ``and_then`` says what it does after ``dropped``.

    "hold" them, and answer new ones; "end" at once; "answer" all once it is asked for more. It fails if nobody ends
    it, or if it is asked for what it holds.
    """

    def __init__(self, dropped: threading.Event, and_then: str):
        super().__init__(LAYOUT)
        self.is_ended = False
        self._dropped = dropped
        self._and_then = and_then

    def generate(self, requests):
        held, num_answered, has_news, deadline = {}, 0, False, time.monotonic() + PATIENCE_S
        try:
            for request in requests:
                if request is None:
                    if self._dropped.is_set() and self._and_then == "end":
                        return
                    if has_news and self._and_then == "answer" and held:
                        yield self.stream(held.pop(next(iter(held))))
                    if time.monotonic() > deadline:
                        raise EngineError("nobody has ended this")
                    time.sleep(0.002)
                elif (key := (request.segment_id, request.attempt)) in held:
                    raise EngineError("asked twice for what is under way")
                elif num_answered < 2 or (self._dropped.is_set() and self._and_then == "hold"):
                    num_answered += 1
                    yield self.stream(request)
                else:
                    held[key] = request
                    has_news = self._dropped.is_set()
        finally:
            self.is_ended = True


@pytest.fixture
def line(tmp_path, monkeypatch) -> Line:
    """A line whose queue settles two streams at a time and opens a book when the last one waits for nothing."""
    monkeypatch.setattr("orpheus_batch.pipeline.generate.SETTLE_STREAMS", 2)
    monkeypatch.setattr("orpheus_batch.pipeline.generate.MAX_OPEN_BOOKS", 1)
    return Line(tmp_path)


@pytest.fixture
def dropped(monkeypatch) -> threading.Event:
    """Set once the book "broken" was told that its disk is full."""
    event, record_takes = threading.Event(), Ledger.record_takes

    def fail_in_broken(self, takes, *, max_attempts):
        if self.folder.name == "broken":
            event.set()
            raise LedgerError("the disk is full")
        return record_takes(self, takes, max_attempts=max_attempts)

    monkeypatch.setattr(Ledger, "record_takes", fail_in_broken)
    return event


def render(line: Line, engine: FakeEngine, *paths, **overrides):
    codec = FakeCodec()
    factories = Factories(
        engine=lambda *_: engine, codec=lambda *_: codec, codec_fingerprint=lambda *_: codec.fingerprint
    )
    config = line.config(engine__deterministic=False, **overrides)
    return render_books(paths, line.out, config, factories=factories)


def broken_book(line: Line, text: str):
    path = line.folder / "broken.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("and_then", ["hold", "end"])
def test_streams_of_a_dropped_book_are_neither_awaited_nor_missed(line, dropped, and_then):
    """With nothing else to come the engine is ended, and if it has ended by itself that is no error."""
    engine = Holding(dropped, and_then)
    report = render(line, engine, broken_book(line, OTHER))
    assert ["the disk is full"] == [book.error for book in report.books]
    assert engine.is_ended


def test_requests_of_a_dropped_book_that_the_engine_has_no_room_for_hold_nobody_up(line, dropped, monkeypatch):
    """It has as much as it may; whether anything is to come is seen all the same."""
    monkeypatch.setattr("orpheus_batch.pipeline.engine_thread.MAX_HANDED_OVER", 2)
    engine = Holding(dropped, "hold")
    report = render(line, engine, broken_book(line, BOOK), engine__max_batch_size=1)
    assert ["the disk is full"] == [book.error for book in report.books]
    assert engine.is_ended


def test_a_dropped_book_is_not_counted_as_open(line, dropped):
    """The next one begins at once, whatever the engine still has of the first."""
    report = render(line, Holding(dropped, "hold"), broken_book(line, OTHER), line.book)
    assert ["the disk is full", ""] == [book.error for book in report.books]
    assert 3 == len(line.files())


def test_what_the_engine_has_of_a_dropped_book_serves_another(line, dropped):
    """A segment of both that is under way is not asked for again, and its stream goes to the one that goes on."""
    engine = Holding(dropped, "answer")
    report = render(line, engine, broken_book(line, BOOK.replace("She", "Nobody")), line.book)
    assert ["the disk is full", ""] == [book.error for book in report.books]
    assert 3 == len(line.files())
