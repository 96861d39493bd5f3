"""The TensorRT-LLM engine: requests in, streams out, whatever happens to the process between.

It keeps a window of requests with a process of its own, watches that each comes back in its own time, and starts
another process when one dies, hangs or answers everything with errors; what was in flight is taken again. A segment
is charged with a failure only once the engine was seen to work after it. Ids can't be restricted by position of the
frame there, so a stream may hold anything: it is handed on as it is, cut at the stop id, for the stream checks to
judge.

Of the two levels of exactness it gives the first: what is recorded stays, and a run stopped anywhere goes on.
The same seed need not give the same stream twice, since what runs beside it changes a sum's rounding.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.trtllm.environment import worker_environment
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings
from orpheus_batch.engine.trtllm.process import WorkerProcess
from orpheus_batch.engine.trtllm.streams import error_stream, noise_seed, stream_of
from orpheus_batch.engine.trtllm.window import Flight, Window
from orpheus_batch.errors import EngineError
from orpheus_batch.units import TOKENS_PER_FRAME

logger = logging.getLogger(__name__)

MAX_DEATHS_IN_A_ROW = 6
"""restarts without one stream between them: enough for the window to shrink to one and find a culprit twice"""
RESTART_PAUSES_S = (5.0, 30.0, 60.0)
"""before each further try of a restart: the driver frees a killed process's memory when it gets to it"""
_POLL_S = 0.2
_IDLE_SLEEP_S = 0.005
_STOP_TIMEOUT_S = 10.0
_END = object()


class _Interrupted(Exception):
    """Whoever runs the generator wants no more of it."""


class Worker(Protocol):
    """What `TrtllmEngine` asks of a process; `WorkerProcess` is one."""

    log: Any
    ended: bool

    def send(self, message: dict[str, Any]) -> None: ...  # noqa: D102
    def receive(self, timeout_s: float) -> list[dict[str, Any]]: ...  # noqa: D102
    def log_tail(self) -> str: ...  # noqa: D102
    def exit_description(self) -> str: ...  # noqa: D102
    def stop(self, timeout_s: float) -> None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    def forget(self) -> None: ...  # noqa: D102


class TrtllmEngine:
    """TensorRT-LLM in a process of its own. Implements `orpheus_batch.engine.base.Engine`.

    Args:
        settings: What to load.
        device: "auto", "cuda", "cuda:1".
        request_timeout_s: A request that is out longer has hung; so has the engine.
        start_timeout_s: Longest time to load.
        spawn: Makes a process of an environment.

    Raises:
        EngineError: The model can't be loaded; says what the library said.
    """

    name = "trtllm"

    def __init__(
        self,
        settings: LlmSettings,
        *,
        device: str = "auto",
        request_timeout_s: float = 300.0,
        start_timeout_s: float = 1800.0,
        spawn: Callable[[dict[str, str]], Worker] = WorkerProcess,
    ):
        self._settings = settings
        self.max_batch_size = settings.max_batch_size
        self._environment = worker_environment(
            os.environ, device=device, tensor_parallel_size=settings.tensor_parallel_size
        )
        self._request_timeout_s = request_timeout_s
        self._start_timeout_s = start_timeout_s
        self._spawn = spawn
        self._window = Window(settings.max_batch_size)
        self._deaths_in_a_row = 0
        self._known_good: TokenRequest | None = None
        """the last request that came through; sent again for a frame, it tells whether the engine works"""
        self._lethal: dict[str, str] = {}
        """segments that the engine did not survive, with the error: their retakes are not tried"""
        self._away_s = self._answered_at = 0.0
        self._interrupted = threading.Event()
        self.num_restarts = 0
        self.facts: dict[str, Any] = {}
        """what the process said when it was ready: version, backend, sampler, arguments"""
        self._worker: Worker | None = self._start()
        self._generating = False
        if not self.honours_seed:
            logger.warning(
                "the %s of tensorrt_llm %s does not honour a request's seed: another run speaks these segments "
                "differently; takes are marked so in the ledger",
                self.facts["sampler"],
                self.facts["version"],
            )

    @property
    def honours_seed(self) -> bool:
        """Whether a stream's noise is decided by its seed."""
        return bool(self.facts["honours_seed"])

    @property
    def worker(self) -> Worker | None:
        """The process that runs now."""
        return self._worker

    def describe(self) -> str:
        """Return one line for people."""
        return (
            f"TensorRT-LLM {self.facts['version']}, {self.facts['backend']} backend, {self.facts['sampler']}, up to "
            f"{self._settings.max_batch_size} sequences of {self._settings.max_seq_len} tokens together"
        )

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Generate one stream for each request; see `orpheus_batch.engine.base.Engine`.

        After `interrupt` it ends without the streams that are missing.

        Raises:
            EngineError: The engine is closed or generating already, or it died time and again without one stream.
        """
        if self._worker is None:
            raise EngineError("the engine is closed; make a new one")
        if self._generating:
            raise EngineError("this engine is generating already; end that generator first")
        self._generating = True
        self._interrupted.clear()
        try:
            for stream in self._streams(iter(requests)):
                with self._away():
                    yield stream
        except _Interrupted:
            logger.debug("interrupted; the streams that are missing are left")
        finally:
            self._generating = False
            if not self._window.is_idle:
                self._window.clear()
                if self._worker is not None:
                    self._worker.send({"op": "cancel"})

    def interrupt(self) -> None:
        """Have the generator end soon, from any thread: it would else wait for a hang or a restart to be over."""
        self._interrupted.set()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.stop(_STOP_TIMEOUT_S)
            self._worker = None

    def _streams(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        exhausted = False
        while not (exhausted and self._window.is_idle):
            self._check_not_interrupted()
            if self._window.wants_probe and self._known_good is not None:
                self._post(self._window.probe(self._known_good, TOKENS_PER_FRAME, self._now()))
            while self._window.num_again and self._window.num_free:
                self._post(self._window.readmit(self._now()))
            dry = False
            while not exhausted and not dry and not self._window.num_again and self._window.num_free:
                with self._away():
                    request = next(requests, _END)
                if request is _END:
                    exhausted = True
                elif request is None:
                    dry = True
                else:
                    refused = self._submit(request)
                    if refused is not None:
                        yield refused
            if self._window.is_waiting:
                yield from self._collect()
            elif self._window.held:
                self._give_in_or_restart()
            elif dry:
                time.sleep(_IDLE_SLEEP_S)

    def _submit(self, request: TokenRequest) -> TokenStream | None:
        """Send a request; return a stream in its place if it can't run at all."""
        prompt = len(request.prompt_token_ids)
        wanted = request.forced_num_tokens or request.max_new_tokens
        room = self._settings.max_seq_len - prompt
        needed = request.forced_num_tokens or min(request.expected_num_tokens, wanted)
        if prompt == 0:
            return error_stream(request, "the prompt is empty")
        if request.segment_id in self._lethal:
            return error_stream(
                request, f"{self._lethal[request.segment_id]}; it is not tried again in this run"
            )
        if min(wanted, room) < max(needed, TOKENS_PER_FRAME):
            return error_stream(
                request,
                f"the prompt of {prompt} tokens and its speech take about {prompt + needed}; the engine's longest "
                f"sequence is {self._settings.max_seq_len}",
            )
        max_tokens = min(wanted, room) // TOKENS_PER_FRAME * TOKENS_PER_FRAME
        self._post(self._window.admit(request, max_tokens, self._now()))
        return None

    def _post(self, flight: Flight) -> None:
        request = flight.request
        self._worker.send(
            {
                "op": "generate",
                "id": flight.number,
                "prompt": list(map(int, request.prompt_token_ids)),
                "max_tokens": flight.max_tokens,
                "sampling": asdict(request.sampling),
                "seed": noise_seed(request),
                "ignore_eos": request.forced_num_tokens is not None,
            }
        )

    def _collect(self) -> Iterator[TokenStream]:
        """Yield what has come back; start another process if this one is gone, broken or hangs."""
        broken = ""
        try:
            messages = self._worker.receive(_POLL_S)
        except EngineError as error:
            messages, broken = [], str(error)
        for message in messages:
            if message["event"] == "fatal":
                broken = message["error"]
            elif message["event"] in ("result", "failed"):
                flight = self._window.answered(message["id"])
                if flight is None:
                    continue
                self._answered_at = self._now()
                stream = stream_of(flight.request, message, self._settings.stop_id)
                if not flight.is_probe:
                    yield from self._settled(flight, stream, is_refused=message.get("refused", False))
                elif stream.finish_reason == "error":
                    broken = f"it answers with errors what it spoke before, the last: {stream.error}"
                else:
                    yield from self._released()
        sent_at = self._window.overdue_since()
        limit = self._now() - self._request_timeout_s
        if broken:
            self._restart(broken, self._window.died)
        elif self._worker.ended:
            self._restart(f"its process ended ({self._worker.exit_description()})", self._window.died)
        elif sent_at is not None and sent_at <= limit:
            stands_still = self._answered_at <= self._now() - self._request_timeout_s / 2
            self._restart(
                f"a request was out for more than {self._request_timeout_s:.0f} s",
                lambda reason: self._window.hung(limit, reason, stands_still=stands_still),
            )

    def _give_in_or_restart(self) -> None:
        """Do what is left when all has failed and nothing is known that would work.

        Raises:
            EngineError: Another process would not help.
        """
        held = self._window.held
        if all(flight.is_refused for flight in held):
            raise EngineError(
                f"TensorRT-LLM {self.facts['version']} refuses every request, {len(held)} so far, the last with: "
                f"{held[-1].error}; `orpheus-batch doctor` may tell more"
            )
        if all(flight.is_culprit for flight in held):
            raise EngineError(
                f"TensorRT-LLM has spoken nothing in {self._deaths_in_a_row + 1} processes; {held[-1].error}; "
                "`orpheus-batch doctor` may tell more"
            )
        self._restart(f"it has spoken nothing yet, the last error was: {held[-1].error}", self._window.died)

    def _settled(self, flight: Flight, stream: TokenStream, *, is_refused: bool) -> Iterator[TokenStream]:
        """Yield a stream that was spoken; hold back one that failed until it is known whose fault it was."""
        if stream.finish_reason == "error":
            self._window.hold(flight, stream.error, is_refused=is_refused)
            return
        self._window.came_through(flight)
        self._deaths_in_a_row = 0
        self._known_good = flight.request
        yield self._marked(stream)

    def _released(self) -> Iterator[TokenStream]:
        """Yield the streams of requests that failed while the engine worked."""
        for flight in self._window.release():
            if flight.is_culprit:
                self._lethal[flight.request.segment_id] = flight.error
            yield self._marked(error_stream(flight.request, flight.error))

    def _restart(self, reason: str, put_back: Callable[[str], None]) -> None:
        """Kill the process, put back what was in flight, and start another.

        Raises:
            EngineError: It was started time and again to no avail.
        """
        tail = self._worker.log_tail()
        self._worker.kill()
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > MAX_DEATHS_IN_A_ROW:
            raise EngineError(
                f"TensorRT-LLM was started {self._deaths_in_a_row} times without one stream coming back: {reason}. "
                f"What is recorded is safe. Its last words, from {self._worker.log}:\n{tail}"
            )
        put_back(reason)
        logger.warning("TensorRT-LLM is started again: %s; what was in flight is taken again", reason)
        logger.debug("last words of the engine's process:\n%s", tail)
        self._worker.forget()
        self._worker = self._start_again()
        self.num_restarts += 1
        self._answered_at = self._now()

    def _start_again(self) -> Worker:
        """Start a process with the patience that one needs whose predecessor was killed."""
        for pause_s in RESTART_PAUSES_S:
            try:
                return self._start()
            except EngineError as error:
                first_line = str(error).partition("\n")[0]
                logger.warning("it did not start (%s); another try in %.0f s", first_line, pause_s)
                self._interrupted.wait(pause_s)
                self._check_not_interrupted()
        try:
            return self._start()
        except EngineError as error:
            raise EngineError(
                f"TensorRT-LLM could not be started again in {len(RESTART_PAUSES_S) + 1} tries; what is recorded is "
                f"safe, and the same command goes on with it. The last try said: {error}"
            ) from error

    def _start(self) -> Worker:
        """Start a process and wait until its model is loaded."""
        worker = self._spawn(self._environment)
        worker.send({"op": "load", "settings": asdict(self._settings)})
        deadline = time.monotonic() + self._start_timeout_s
        try:
            while not worker.ended and time.monotonic() < deadline:
                self._check_not_interrupted()
                for message in worker.receive(_POLL_S):
                    if message["event"] == "fatal":
                        raise EngineError(f"{message['error']}\n(the library's own words are in {worker.log})")
                    if message["event"] == "ready":
                        self.facts = message
                        logger.info("%s", self.describe())
                        return worker
            what = "ended" if worker.ended else f"was not ready after {self._start_timeout_s:.0f} s"
            raise EngineError(
                f"TensorRT-LLM's process {what} while it loaded {self._settings.model}; its last words, from "
                f"{worker.log}:\n{worker.log_tail()}"
            )
        except BaseException as error:
            worker.kill()
            if not isinstance(error, EngineError):  # which names its log
                worker.forget()
            raise

    def _check_not_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise _Interrupted

    def _now(self) -> float:
        """Return the time, in seconds, in which this engine was listened to.

        While the caller decodes or judges, answers lie in the pipe unread and sent requests may wait to be written:
        that is nobody's hang.
        """
        return time.monotonic() - self._away_s

    @contextmanager
    def _away(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._away_s += time.monotonic() - started

    def _marked(self, stream: TokenStream) -> TokenStream:
        return replace(stream, seed_honoured=self.honours_seed)
