"""The embedded engine: continuous batching over a paged cache, a frame at a time.

Once a frame requests are pulled and admitted, the lanes run, and what ended is yielded.

A prompt's last token is not part of its prefill: it is the first token that decoding takes, so a sequence's
first step is like every other. See ``docs/engine.md``.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import torch

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.torch.lane import Lane, LaneStats
from orpheus_batch.engine.torch.model import Llama
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.scheduler import Scheduler, Sequence
from orpheus_batch.engine.torch.weights import LlamaConfig, load_weights, read_config
from orpheus_batch.errors import EngineError
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import format_bytes

logger = logging.getLogger(__name__)

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CPU_MAX_BATCH_SIZE = 64
_CUDA_MAX_BATCH_SIZE = 1024
_CPU_TOKENS_PER_SLOT = 4_096
"""KV budget a slot; more than a sequence takes, since memory is taken only when used"""
_CUDA_TOKENS_PER_SLOT = 1_024
"""a prompt of 100 tokens and 11 s of speech, at the cap"""
_LOOK_AHEAD_BATCHES = 4
_MAX_CPU_LANES = 4
"""more would wait for each other's Python"""
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
    ):
        """Load a model and set its cache aside.

        Args:
            model_dir: Hugging Face Llama directory.
            layout: Which ids are audio codes, which stops.
            device: "auto" takes a GPU where there is one; else "cpu", "cuda", "cuda:1".
            precision: "float32", "bfloat16", or "auto": float32 on CPU, bfloat16 on a GPU.
            max_batch_size: Sequences that run together; None: see ``docs/engine.md``.
            tokens_per_block: Size of a KV cache block.
            kv_cache_gb: Memory for keys and values, in 10^9 bytes; None: see ``docs/engine.md``.
            num_threads: CPU threads of this process's torch; None leaves them as they are.

        Raises:
            EngineError: The model can't be loaded, or there is no such device, or no room for the cache.
        """
        self._device = _resolve_device(device)
        self._dtype = _resolve_precision(precision, self._device)
        self._layout = layout
        self._config = read_config(model_dir)
        weights = load_weights(model_dir, self._config, layout, self._device, self._dtype)
        self._num_parameters = _num_parameters(self._config)
        self._model: Llama | None = Llama(self._config, weights)
        self._num_threads = num_threads or torch.get_num_threads()
        self._tokens_per_block = tokens_per_block
        self._max_batch_size, num_blocks = self._budget(max_batch_size, kv_cache_gb)
        num_lanes = 1
        if self._device.type == "cpu":
            num_lanes = min(self._num_threads, _MAX_CPU_LANES, self._max_batch_size, num_blocks)
        self._lane_sizes = [(self._max_batch_size + i) // num_lanes for i in reversed(range(num_lanes))]
        self._caches = [self._make_cache(num_blocks // num_lanes) for _ in range(num_lanes)]
        self._lane_stats = [LaneStats() for _ in range(num_lanes)]
        self._workers = _workers(num_lanes, self._num_threads) if self._device.type == "cpu" else None
        self._num_streams = self._num_generated_tokens = 0
        self._busy_s = 0.0
        self._generating = False
        logger.info("%s", self.describe())

    def describe(self) -> str:
        """Return one line for people: device, precision, batch and KV budget."""
        where = f"{self._device} ({self._num_threads} threads, {len(self._lane_sizes)} lanes)"
        if self._device.type == "cuda":
            where = f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        tokens = sum(cache.num_blocks for cache in self._caches) * self._tokens_per_block
        dtype = str(self._dtype).removeprefix("torch.")
        return (
            f"Llama of {self._num_parameters / 1e6:.1f} M parameters, {dtype} on {where}, up to "
            f"{self._max_batch_size} sequences together, KV cache of {tokens:,} tokens "
            f"({format_bytes(tokens * self._config.kv_bytes_per_token(self._dtype))})"
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
        self._model = None
        self._caches = []
        if self._workers is not None:
            self._workers.shutdown()

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Generate one stream for each request; see `orpheus_batch.engine.base.Engine`.

        Lengths are whole frames: ``max_new_tokens`` is rounded down, ``forced_num_tokens`` up. A cap that goes
        beyond the model's longest sequence or the whole KV cache is lowered to it.

        Raises:
            EngineError: The engine is closed, or another of its generators is still running.
        """
        if self._model is None:
            raise EngineError("the engine is closed; make a new one")
        if self._generating:
            raise EngineError("this engine is generating already; end that generator first")
        self._generating = True
        try:
            # inference mode is entered in each step, not here: it would leak to whoever pulls the streams
            yield from self._streams(iter(requests))
        finally:
            self._generating = False

    def _budget(self, max_batch_size: int | None, kv_cache_gb: float | None) -> tuple[int, int]:
        """Return the batch size and the number of KV blocks."""
        block_bytes = self._config.kv_bytes_per_token(self._dtype) * self._tokens_per_block
        on_cuda = self._device.type == "cuda"
        if kv_cache_gb is not None:
            budget = int(kv_cache_gb * 1e9)
            batch_size = max_batch_size or (_CUDA_MAX_BATCH_SIZE if on_cuda else _CPU_MAX_BATCH_SIZE)
        elif on_cuda:
            free, _ = torch.cuda.mem_get_info(self._device)
            budget = int(free * 0.8)
            slot_bytes = self._config.kv_bytes_per_token(self._dtype) * _CUDA_TOKENS_PER_SLOT
            batch_size = max_batch_size or max(1, min(_CUDA_MAX_BATCH_SIZE, budget // slot_bytes))
        else:
            batch_size = max_batch_size or _CPU_MAX_BATCH_SIZE
            wanted = batch_size * self._config.kv_bytes_per_token(self._dtype) * _CPU_TOKENS_PER_SLOT
            budget = min(wanted, _available_ram_bytes() // 2)
        num_blocks = budget // block_bytes
        if num_blocks < 1:
            raise EngineError(
                f"a KV cache of {format_bytes(budget)} holds no block of {self._tokens_per_block} tokens "
                f"({format_bytes(block_bytes)}); raise engine.kv_cache_gb"
            )
        return batch_size, num_blocks

    def _make_cache(self, num_blocks: int) -> PagedCache:
        config = self._config
        return PagedCache(
            num_layers=config.num_layers,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            num_blocks=num_blocks,
            tokens_per_block=self._tokens_per_block,
            device=self._device,
            dtype=self._dtype,
        )

    def _streams(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        """Run from empty slots until the requests have ended and all are answered."""
        scheduler = Scheduler(
            lane_sizes=self._lane_sizes,
            num_blocks=self._caches[0].num_blocks,
            tokens_per_block=self._tokens_per_block,
            max_positions=self._config.max_position_embeddings,
            look_ahead=_LOOK_AHEAD_BATCHES * self._max_batch_size,
        )
        lanes = [
            Lane(self._model, cache, self._layout, size, stats)
            for cache, size, stats in zip(self._caches, self._lane_sizes, self._lane_stats, strict=True)
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
            self._run_frame(busy)
            streams = [stream for lane, _ in busy for stream in lane.collect()]
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


def _workers(num_lanes: int, num_threads: int) -> ThreadPoolExecutor:
    """Return one worker a lane, each with its share of the threads.

    torch keeps the number for each thread that calls it, but setting it also sets what other threads start
    from; so it is put back once all workers have theirs.
    """
    before = torch.get_num_threads()
    workers = ThreadPoolExecutor(
        num_lanes, "lane", initializer=_use_threads, initargs=(max(1, num_threads // num_lanes),)
    )
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


def _resolve_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"there is no device '{name}': give auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"the device '{name}' is not supported: give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(f"there is no device '{name}' here; {torch.cuda.device_count()} GPUs were found")
    return device


def _resolve_precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in _PRECISIONS:
        raise EngineError(f"the precision '{name}' is not supported: give auto, {', '.join(_PRECISIONS)}")
    return _PRECISIONS[name]


def _num_parameters(config: LlamaConfig) -> int:
    """Return how many numbers the model is made of, embeddings once."""
    heads = (2 * config.num_heads + 2 * config.num_kv_heads) * config.head_dim
    layer = config.hidden_size * (heads + 3 * config.intermediate_size)
    return config.num_layers * layer + config.vocab_size * config.hidden_size


def _available_ram_bytes() -> int:
    """Return the memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        logger.debug("no /proc/meminfo; taking 8 GB of memory for granted")
    return 8_000_000_000
