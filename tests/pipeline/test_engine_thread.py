"""An engine in its own thread: what goes in comes out, nothing piles up, and nobody waits for ever."""

import threading
import time

import pytest
from line_helpers import LAYOUT, Line

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.errors import EngineError
from orpheus_batch.pipeline import Factories, render_books
from orpheus_batch.pipeline.engine_thread import EngineThread
from orpheus_batch.testing import FakeCodec, FakeEngine

PATIENCE_S = 30.0


def request(number: int) -> TokenRequest:
    return TokenRequest(
        segment_id=f"s{number}",
        prompt_token_ids=(1,),
        max_new_tokens=70,
        expected_num_tokens=14,
        sampling=Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.0),
        seed=0,
    )


def taken(thread: EngineThread) -> list[str]:
    """Take everything until the engine has ended."""
    names = []
    while thread.is_alive:
        stream = thread.take(0.05)
        if stream is not None:
            names.append(stream.segment_id)
    return names


def wait_until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_every_request_is_answered():
    """The engine ends when its requests do."""
    with EngineThread(FakeEngine(LAYOUT)) as thread:
        for number in range(20):
            thread.push(request(number))
        thread.end()
        assert {f"s{number}" for number in range(20)} == set(taken(thread))


def test_streams_that_nobody_takes_hold_the_engine_back(monkeypatch):
    """Otherwise a slow codec would let a whole library's streams pile up, and a kill would lose them all."""
    monkeypatch.setattr("orpheus_batch.pipeline.engine_thread.MAX_HANDED_OVER", 4)
    engine = FakeEngine(LAYOUT)
    with EngineThread(engine) as thread:
        for number in range(20):
            thread.push(request(number))
        assert not thread.has_room
        thread.end()
        assert wait_until(lambda: engine.num_generated == 5)
        time.sleep(0.2)
        assert 5 == engine.num_generated
        assert 20 == len(taken(thread))


def test_an_engine_that_looks_far_ahead_is_held_back():
    """It has no more in flight than it may, so that chapters end one after another; and it answers everything."""
    most = 0

    class Watched(FakeEngine):
        def generate(self, requests):
            return super().generate(self._counted(requests))

        def _counted(self, requests):
            nonlocal most
            num_pulled = 0
            for found in requests:
                num_pulled += found is not None
                most = max(most, num_pulled - self.num_generated)
                yield found

    with EngineThread(Watched(LAYOUT, max_batch_size=64), max_in_flight=3) as thread:
        for number in range(20):
            thread.push(request(number))
        thread.end()
        assert 20 == len(taken(thread))
    assert 3 == most


def test_an_engines_error_is_the_callers():
    """It is raised where the streams are taken, after those that came before it."""

    class Failing(FakeEngine):
        def stream(self, request):
            if request.segment_id == "s1":
                raise EngineError("the GPU is gone")
            return super().stream(request)

    with EngineThread(Failing(LAYOUT, max_batch_size=1)) as thread:
        thread.push(request(0))
        thread.push(request(1))
        assert "s0" == thread.take(PATIENCE_S).segment_id
        with pytest.raises(EngineError, match="the GPU is gone"):
            thread.take(PATIENCE_S)


def test_leaving_ends_the_generator_in_its_own_thread():
    """An engine frees what it holds for a run when its generator is closed, be there requests left or not."""
    closed_in = []

    class Watched(FakeEngine):
        def generate(self, requests):
            try:
                yield from super().generate(requests)
            finally:
                closed_in.append(threading.current_thread())

    with EngineThread(Watched(LAYOUT, max_batch_size=1)) as thread:
        thread.push(request(0))
        assert thread.take(PATIENCE_S) is not None
    assert ["engine"] == [thread.name for thread in closed_in]


def test_an_idle_engine_is_not_asked_again_and_again():
    """With nothing in flight its pull waits: it would else spin until the other side is done."""
    nothings = []

    class Counting(FakeEngine):
        def generate(self, requests):
            return super().generate(self._counted(requests))

        def _counted(self, requests):
            for found in requests:
                nothings.extend([None] if found is None else [])
                yield found

    with EngineThread(Counting(LAYOUT, max_batch_size=1)) as thread:
        thread.push(request(0))
        assert thread.take(PATIENCE_S) is not None
        time.sleep(0.2)
        assert len(nothings) <= 1


@pytest.mark.parametrize("is_queue", [True, False])
def test_the_codec_is_warmed_up_where_an_engine_runs_beside_it(tmp_path, is_queue):
    """Before that begins; in blocks, one of which ends before it is decoded, it would be for nothing."""
    happened = []

    class Noted(FakeCodec):
        def warm_up(self):
            happened.append("warmed up")

    class Watched(FakeEngine):
        def generate(self, requests):
            happened.append("engine")
            return super().generate(requests)

    line, codec = Line(tmp_path), Noted()
    factories = Factories(
        engine=lambda *_: Watched(LAYOUT),
        codec=lambda *_: codec,
        codec_fingerprint=lambda *_: codec.fingerprint,
    )
    config = line.config(engine__deterministic=not is_queue)
    assert 15 == render_books([line.book], line.out, config, factories=factories).num_takes
    assert (["warmed up", "engine"] if is_queue else ["engine"] * 4) == happened


def test_the_engine_goes_on_while_streams_are_decoded(tmp_path, monkeypatch):
    """A codec that waits for later streams gets them; in one thread it would wait in vain."""
    monkeypatch.setattr("orpheus_batch.pipeline.generate.SETTLE_STREAMS", 2)
    line = Line(tmp_path)
    engine = FakeEngine(LAYOUT, max_batch_size=2)
    waited = []

    class Patient(FakeCodec):
        def decode(self, streams, seeds):
            if not waited:
                waited.append(wait_until(lambda: engine.num_generated == 15))
            return super().decode(streams, seeds)

    codec = Patient()
    factories = Factories(
        engine=lambda *_: engine, codec=lambda *_: codec, codec_fingerprint=lambda *_: codec.fingerprint
    )
    config = line.config(engine__deterministic=False)
    report = render_books([line.book], line.out, config, factories=factories)
    assert [True] == waited
    assert 15 == report.num_takes
