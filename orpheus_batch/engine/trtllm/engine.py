"""The TensorRT-LLM engine: requests in, streams out, whatever happens to the process between.

It keeps a window of requests with a process of its own, watches that they come back, and starts another process
when one dies or hangs; what was in flight is taken again. Ids can't be restricted by position of the frame there,
so a stream may hold anything: it is handed on as it is, cut at the stop id, for the stream checks to judge.

Of the two levels of exactness it gives the first: what is recorded stays, and a run stopped anywhere goes on.
The same seed need not give the same stream twice, since what runs beside it changes a sum's rounding.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.base import token_stream
from orpheus_batch.engine.trtllm.environment import worker_environment
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings
from orpheus_batch.engine.trtllm.process import WorkerProcess
from orpheus_batch.engine.trtllm.window import Flight, Window
from orpheus_batch.errors import EngineError
from orpheus_batch.units import TOKENS_PER_FRAME

logger = logging.getLogger(__name__)

MAX_DEATHS_IN_A_ROW = 6
"""restarts without one stream between them: enough for the window to shrink to one and find a culprit twice"""
MAX_FAILURES_IN_A_ROW = 32
"""requests refused one after the other: then it is the engine that is broken, not they"""
_POLL_S = 0.2
_IDLE_SLEEP_S = 0.005
_STOP_TIMEOUT_S = 10.0
_MAX_TOKEN_ID = (1 << 31) - 1


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
        self._environment = worker_environment(
            os.environ, device=device, tensor_parallel_size=settings.tensor_parallel_size
        )
        self._request_timeout_s = request_timeout_s
        self._start_timeout_s = start_timeout_s
        self._spawn = spawn
        self._window = Window(settings.max_batch_size)
        self._deaths_in_a_row = self._failures_in_a_row = 0
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

        Raises:
            EngineError: The engine is closed or generating already, or it died time and again without one stream.
        """
        if self._worker is None:
            raise EngineError("the engine is closed; make a new one")
        if self._generating:
            raise EngineError("this engine is generating already; end that generator first")
        self._generating = True
        try:
            yield from self._streams(iter(requests))
        finally:
            self._generating = False
            if not self._window.is_idle:
                self._window.clear()
                if self._worker is not None:
                    self._worker.send({"op": "cancel"})

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.stop(_STOP_TIMEOUT_S)
            self._worker = None

    def _streams(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        exhausted = False
        while not (exhausted and self._window.is_idle):
            while self._window.num_again and self._window.num_free:
                self._post(self._window.readmit(time.monotonic()))
            dry = False
            while not exhausted and not dry and not self._window.num_again and self._window.num_free:
                try:
                    request = next(requests)
                except StopIteration:
                    exhausted = True
                    break
                if request is None:
                    dry = True
                    break
                refused = self._submit(request)
                if refused is not None:
                    yield refused
            if self._window.is_idle:
                if dry:
                    time.sleep(_IDLE_SLEEP_S)
                continue
            yield from self._collect()

    def _submit(self, request: TokenRequest) -> TokenStream | None:
        """Send a request; return a stream in its place if it can't run at all."""
        prompt = len(request.prompt_token_ids)
        wanted = request.forced_num_tokens or request.max_new_tokens
        room = self._settings.max_seq_len - prompt
        needed = request.forced_num_tokens or min(request.expected_num_tokens, wanted)
        if prompt == 0:
            return _error_stream(request, "the prompt is empty")
        if min(wanted, room) < max(needed, TOKENS_PER_FRAME):
            return _error_stream(
                request,
                f"the prompt of {prompt} tokens and its speech take about {prompt + needed}; the engine's longest "
                f"sequence is {self._settings.max_seq_len}",
            )
        max_tokens = min(wanted, room) // TOKENS_PER_FRAME * TOKENS_PER_FRAME
        self._post(self._window.admit(request, max_tokens, time.monotonic()))
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
                "seed": _noise_seed(request),
                "ignore_eos": request.forced_num_tokens is not None,
            }
        )

    def _collect(self) -> Iterator[TokenStream]:
        """Yield what has come back; start another process if this one is gone or hangs."""
        messages = self._worker.receive(_POLL_S)
        for message in messages:
            if message["event"] == "fatal":
                raise EngineError(message["error"])
            if message["event"] not in ("result", "failed"):
                continue
            flight = self._window.answered(message["id"])
            if flight is None:
                continue
            self._deaths_in_a_row = 0
            if message["event"] == "failed":
                self._failures_in_a_row += 1
                if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                    raise EngineError(
                        f"TensorRT-LLM refused {self._failures_in_a_row} requests one after the other, the last "
                        f"with: {message['error']}; `orpheus-batch doctor` may tell more"
                    )
                yield self._marked(_error_stream(flight.request, message["error"]))
            else:
                self._failures_in_a_row = 0
                yield self._marked(_stream(flight.request, message, self._settings.stop_id))
        oldest = self._window.oldest_sent_at()
        limit = time.monotonic() - self._request_timeout_s
        if self._worker.ended:
            reason = f"its process ended ({self._worker.exit_description()})"
            yield from self._restart(self._window.died, reason)
        elif not messages and oldest is not None and oldest <= limit:
            reason = f"a request was out for more than {self._request_timeout_s:.0f} s"
            yield from self._restart(lambda: self._window.hung(limit), reason)

    def _restart(self, put_back: Callable[[], list[Flight]], reason: str) -> Iterator[TokenStream]:
        """Kill the process, start another, and yield streams for the requests that are given up."""
        tail = self._worker.log_tail()
        self._worker.kill()
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > MAX_DEATHS_IN_A_ROW:
            raise EngineError(
                f"TensorRT-LLM was started {self._deaths_in_a_row} times without one stream coming back: {reason}. "
                f"What is recorded is safe. Its last words, from {self._worker.log}:\n{tail}"
            )
        given_up = put_back()
        logger.warning("TensorRT-LLM is started again: %s; what was in flight is taken again", reason)
        logger.debug("last words of the engine's process:\n%s", tail)
        self.num_restarts += 1
        self._worker = self._start()
        for flight in given_up:
            yield self._marked(_error_stream(flight.request, f"the engine did not survive it: {reason}"))

    def _start(self) -> Worker:
        """Start a process and wait until its model is loaded."""
        worker = self._spawn(self._environment)
        worker.send({"op": "load", "settings": asdict(self._settings)})
        deadline = time.monotonic() + self._start_timeout_s
        try:
            while not worker.ended and time.monotonic() < deadline:
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
        except BaseException:
            worker.kill()
            raise

    def _marked(self, stream: TokenStream) -> TokenStream:
        return replace(stream, seed_honoured=self.honours_seed)


def _noise_seed(request: TokenRequest) -> int:
    """Return a seed of the request's own: the library's sampler knows no segments, and equal seeds give equal noise."""
    digest = hashlib.sha256(f"{request.segment_id}|{request.seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _stream(request: TokenRequest, message: dict[str, Any], stop_id: int) -> TokenStream:
    """Return a request's stream: cut at the stop id, whether the library left it in or not."""
    ids = np.asarray(message["token_ids"], dtype=np.int64)
    stops = np.flatnonzero(ids == stop_id)
    finish = {"stop": "stop", "length": "length"}.get(message["finish_reason"])
    if len(stops) and request.forced_num_tokens is None:
        ids, finish = ids[: stops[0]], "stop"
    if len(ids) and (ids.min() < 0 or ids.max() > _MAX_TOKEN_ID):
        return _error_stream(request, f"an id outside of any vocabulary: {int(ids.min())} to {int(ids.max())}")
    if finish is None:
        return _error_stream(request, f"it ended with finish_reason {message['finish_reason']!r}")
    return token_stream(request, ids.astype(np.int32), finish)


def _error_stream(request: TokenRequest, error: str) -> TokenStream:
    return token_stream(request, np.empty(0, dtype=np.int32), "error", error)
