"""The embedded engine: continuous batching over a paged cache, a frame at a time.

Once a frame requests are pulled and admitted, the lanes run, and what ended is yielded.

A prompt's last token is not part of its prefill: it is the first token that decoding takes, so a sequence's
first step is like every other. See ``docs/engine.md``.
"""

import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import torch

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.torch.float8 import as_float8
from orpheus_batch.engine.torch.frame_engine import FrameEngine
from orpheus_batch.engine.torch.lane import Lane, LaneStats
from orpheus_batch.engine.torch.model import Llama
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.resources import (
    explained_memory_errors,
    plan_lanes,
    resolve_device,
    resolve_float8,
    resolve_precision,
)
from orpheus_batch.engine.torch.scheduler import Scheduler, Sequence
from orpheus_batch.engine.torch.weights import load_weights, read_config
from orpheus_batch.errors import EngineError
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.triton_support import errors_of_triton, has_triton
from orpheus_batch.units import format_bytes

logger = logging.getLogger(__name__)

_LOOK_AHEAD_BATCHES = 4
_IDLE_SLEEP_S = 0.005


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine has done since it was made."""

    num_streams: int
    """ended, errors included"""
    num_generated_tokens: int
    """audio tokens of all streams that ended"""
    num_prefill_tokens: int
    mean_batch_size: float
    """slots in use, averaged over frames"""
    peak_num_blocks: int
    """most KV blocks ever in use in one lane"""
    busy_s: float
    """time in the engine; the caller's own between streams is not in it"""
    prefill_share: float
    """of the lanes' time, spent on prompts"""


class TorchEngine:
    """A Llama in PyTorch. Implements `orpheus_batch.engine.base.Engine`."""

    name = "torch"

    def __init__(
        self,
        model_dir: Path,
        layout: TokenLayout,
        *,
        device: str = "auto",
        precision: str = "auto",
        max_batch_size: int | None = None,
        tokens_per_block: int = 32,
        kv_cache_gb: float | None = None,
        num_threads: int | None = None,
        frames: bool | None = None,
        weight_precision: str = "auto",
        kv_precision: str = "auto",
    ):
        """Load a model and set its cache aside.

        Args:
            model_dir: Hugging Face Llama directory.
            layout: Which ids are audio codes, which stops.
            device: "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1".
            precision: "float32", "bfloat16", or "auto": float32 on CPU, bfloat16 on a GPU.
            max_batch_size: Sequences that run together; None: `plan_lanes` says.
            tokens_per_block: Size of a KV cache block.
            kv_cache_gb: Memory for keys and values, in 10^9 bytes; None: `plan_lanes` says.
            num_threads: CPU threads; None: as many as torch uses now. The caller's own torch is left as it is.
            frames: Run whole frames ahead of the host (see `FrameEngine`); None: on a GPU where Triton is.
            weight_precision: "auto": as ``precision``; "float8": the layers' products in float8, for ``frames``
                alone.
            kv_precision: "auto": as ``precision``; "float8": keys and values in half of bfloat16's memory, for
                ``frames`` alone.

        Raises:
            EngineError: The model can't be loaded, there is no such device, or there is no room for it.
        """
        self._device = resolve_device(device)
        self._dtype = resolve_precision(precision, self._device)
        self._layout = layout
        self._config = read_config(model_dir)
        self._frames: FrameEngine | None = None
        is_asked_for = frames is not None
        if frames is None:
            frames = self._device.type == "cuda" and has_triton()
        kv_dtype = resolve_float8("keys and values", kv_precision, self._dtype, frames, self._device)
        weight_dtype = resolve_float8("weights", weight_precision, self._dtype, frames, self._device)
        is_asked_for |= self._dtype != kv_dtype or self._dtype != weight_dtype
        self._closed = False
        with explained_memory_errors(f"loading {model_dir}"):
            weights = load_weights(model_dir, self._config, layout, self._device, self._dtype)
            if weight_dtype != self._dtype:
                weights = as_float8(weights)
            plan = functools.partial(
                plan_lanes,
                self._config,
                self._device,
                kv_dtype,
                tokens_per_block=tokens_per_block,
                max_batch_size=max_batch_size,
                kv_cache_gb=kv_cache_gb,
            )
            self._caches: list[PagedCache] = []
            self._model: Llama | None = None
            if frames:
                make = functools.partial(FrameEngine, self._config, weights, layout)
                self._frames = _frames_that_run(
                    functools.partial(make, plan(num_threads=1), tokens_per_block, kv_dtype), is_asked_for
                )
            if self._frames is not None:
                self._lanes = self._frames.plan
            else:
                self._model = Llama(self._config, weights)
                self._lanes = plan(num_threads=num_threads)
                self._caches = [self._make_cache(tokens_per_block) for _ in self._lanes.lane_sizes]
        self.max_batch_size = sum(self._lanes.lane_sizes)
        self._lane_stats = [LaneStats() for _ in self._lanes.lane_sizes]
        self._kv_dtype, self._weight_dtype = kv_dtype, weight_dtype
        self._workers = None
        if self._lanes.threads_per_lane and self._frames is None:
            self._workers = _workers(len(self._caches), self._lanes.threads_per_lane)
        self._tokens_per_block = tokens_per_block
        self._num_streams = self._num_generated_tokens = 0
        self._busy_s = 0.0
        self._generating = False
        logger.info("%s", self.describe())

    def describe(self) -> str:
        """Return one line for people: device, precision, batch and KV budget."""
        num_lanes = len(self._lanes.lane_sizes)
        where = f"{self._device} ({num_lanes} lanes, {num_lanes * self._lanes.threads_per_lane} threads)"
        if self._device.type == "cuda":
            where = f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        tokens = num_lanes * self._lanes.blocks_per_lane * self._tokens_per_block
        dtypes = [self._weight_dtype, self._kv_dtype] if self._frames is not None else [self._dtype]
        dtype = " and ".join(dict.fromkeys(str(dtype).removeprefix("torch.").split("_")[0] for dtype in dtypes))
        return (
            f"Llama of {self._config.num_parameters / 1e6:.1f} M parameters, {dtype} on {where}, up to "
            f"{self.max_batch_size} sequences together, KV cache of {tokens:,} tokens "
            f"({format_bytes(tokens * self._config.kv_bytes_per_token(self._kv_dtype))})"
        )

    def stats(self) -> EngineStats:
        """Return the counters so far."""
        lanes = self._lane_stats
        num_frames = max(lane.num_frames for lane in lanes)
        lane_s = sum(lane.prefill_s + lane.decode_s for lane in lanes)
        return EngineStats(
            num_streams=self._num_streams,
            num_generated_tokens=self._num_generated_tokens,
            num_prefill_tokens=sum(lane.num_prefill_tokens for lane in lanes),
            mean_batch_size=sum(lane.num_slot_frames for lane in lanes) / max(1, num_frames),
            peak_num_blocks=max(lane.peak_num_blocks for lane in lanes),
            busy_s=self._busy_s,
            prefill_share=sum(lane.prefill_s for lane in lanes) / max(lane_s, 1e-9),
        )

    def close(self) -> None:
        """Free model, cache and threads."""
        self._closed = True
        self._model = None
        self._frames = None
        self._caches = []
        if self._workers is not None:
            self._workers.shutdown()

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Generate one stream for each request; see `orpheus_batch.engine.base.Engine`.

        Lengths are whole frames: ``max_new_tokens`` is rounded down, ``forced_num_tokens`` up. A cap that goes
        beyond the model's longest sequence or the whole KV cache is lowered to it.

        Raises:
            EngineError: The engine is closed, another of its generators is still running, or memory ran out.
        """
        if self._closed:
            raise EngineError("the engine is closed; make a new one")
        if self._generating:
            raise EngineError("this engine is generating already; end that generator first")
        self._generating = True
        try:
            # inference mode is entered in each step, not here: it would leak to whoever pulls the streams
            yield from self._streams(iter(requests))
        finally:
            self._generating = False

    def _make_cache(self, tokens_per_block: int) -> PagedCache:
        config = self._config
        return PagedCache(
            num_layers=config.num_layers,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            num_blocks=self._lanes.blocks_per_lane,
            tokens_per_block=tokens_per_block,
            device=self._device,
            dtype=self._dtype,
        )

    def _streams(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        """Run from empty slots until the requests have ended and all are answered."""
        scheduler = Scheduler(
            lane_sizes=self._lanes.lane_sizes,
            num_blocks=self._lanes.blocks_per_lane,
            tokens_per_block=self._tokens_per_block,
            max_positions=self._config.max_position_embeddings,
            look_ahead=_LOOK_AHEAD_BATCHES * self.max_batch_size,
        )
        if self._frames is not None:
            yield from self._frame_streams(self._frames, scheduler, requests)
            return
        lanes = [
            Lane(self._model, cache, self._layout, size, stats)
            for cache, size, stats in zip(self._caches, self._lanes.lane_sizes, self._lane_stats, strict=True)
        ]
        while True:
            for stream in scheduler.pull(requests):
                self._num_streams += 1
                yield stream
            began = time.perf_counter()
            joining = scheduler.admit([lane.running for lane in lanes])
            busy = [(lane, new) for lane, new in zip(lanes, joining, strict=True) if lane.running or new]
            if not busy:
                if scheduler.exhausted:
                    return
                time.sleep(_IDLE_SLEEP_S)
                continue
            with explained_memory_errors("generating"):
                self._run_frame(busy)
            streams = [stream for lane, _ in busy for stream in lane.collect()]
            self._busy_s += time.perf_counter() - began
            for stream in streams:
                self._num_streams += 1
                self._num_generated_tokens += len(stream.token_ids)
                yield stream

    def _frame_streams(
        self, frames: FrameEngine, scheduler: Scheduler, requests: Iterator[TokenRequest | None]
    ) -> Iterator[TokenStream]:
        """As `_streams`, with the device a frame ahead."""
        lane = frames.start(self._lane_stats[0])
        while True:
            for stream in scheduler.pull(requests):
                self._num_streams += 1
                yield stream
            began = time.perf_counter()
            joining = scheduler.admit([lane.running])[0]
            if not (joining or lane.running or lane.is_waiting):
                if scheduler.exhausted:
                    return
                time.sleep(_IDLE_SLEEP_S)
                continue
            with explained_memory_errors("generating"), frames.stream():
                streams = lane.run_frame(joining)
            self._busy_s += time.perf_counter() - began
            for stream in streams:
                self._num_streams += 1
                self._num_generated_tokens += len(stream.token_ids)
                yield stream

    def _run_frame(self, busy: list[tuple[Lane, list[Sequence]]]) -> None:
        """Let each lane go through a frame, all at once, and wait for them."""
        if self._workers is None:
            for lane, joining in busy:
                lane.run_frame(joining)
            return
        frames = [self._workers.submit(lane.run_frame, joining) for lane, joining in busy]
        try:
            for frame in frames:
                frame.result()
        finally:
            # whatever ended the wait, Ctrl-C for one: no lane may go on behind the back of the next run
            wait(frames)


def _frames_that_run(make: Callable[[], FrameEngine], is_asked_for: bool) -> FrameEngine | None:
    """Return the frames' engine, or None where its kernels can't be compiled and nobody has asked for it.

    Raises:
        EngineError: Somebody has.
        torch.OutOfMemoryError: Memory does not hold a single slot.
    """
    try:
        return make()
    except torch.OutOfMemoryError:
        raise
    except errors_of_triton() as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        if is_asked_for:
            raise EngineError(
                f"Triton's kernels do not run here ({what}); install a C compiler, or leave the precisions at auto"
            ) from error
    logger.warning("Triton's kernels do not run here (%s); the engine goes on without them, slower", what)
    torch.cuda.empty_cache()
    return None


def _workers(num_lanes: int, threads_per_lane: int) -> ThreadPoolExecutor:
    """Return one worker a lane, each with threads of its own.

    torch keeps the number for each thread that calls it, but setting it also sets what other threads start
    from; so it is put back once all workers have theirs.
    """
    before = torch.get_num_threads()
    workers = ThreadPoolExecutor(num_lanes, "lane", initializer=_use_threads, initargs=(threads_per_lane,))
    started = Barrier(num_lanes + 1)
    for _ in range(num_lanes):
        workers.submit(started.wait)
    started.wait()
    torch.set_num_threads(before)
    return workers


def _use_threads(num_threads: int) -> None:
    """Let the calling thread's operations use so many threads."""
    torch.set_num_threads(num_threads)
    torch.get_num_threads()  # the first call in a thread takes over the number of the process: have it now
