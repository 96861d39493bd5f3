"""The embedded engine: continuous batching over a paged cache, a frame at a time.

One frame is seven equal steps for all running slots. The host looks once a frame: at the start it pulls and
admits requests and writes their prompts into the cache, at the end it takes the frame's tokens, ends the
sequences that stopped and lets others move into their slots. Between, everything is tensors.

A prompt's last token is not part of its prefill: it is the first token that decoding takes, so a sequence's
first step is like every other. See ``docs/engine.md``.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.model import Llama
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.sampler import apply_repetition_penalty_, sample
from orpheus_batch.engine.torch.scheduler import Scheduler
from orpheus_batch.engine.torch.state import SlotState
from orpheus_batch.engine.torch.weights import LlamaConfig, load_weights, read_config
from orpheus_batch.errors import EngineError
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME, format_bytes

logger = logging.getLogger(__name__)

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CPU_MAX_BATCH_SIZE = 64
_CUDA_MAX_BATCH_SIZE = 1024
_CPU_TOKENS_PER_SLOT = 4_096
"""KV budget a slot; more than a sequence takes, since memory is taken only when used"""
_CUDA_TOKENS_PER_SLOT = 1_024
"""a prompt of 100 tokens and 11 s of speech, at the cap"""
_LOOK_AHEAD_BATCHES = 4
_MAX_PREFILL_TOKENS = 8_192
"""prompts written in one go; bounds the memory of their activations"""
_IDLE_SLEEP_S = 0.005


@dataclass(slots=True)
class EngineStats:
    """What an engine has done since it was made."""

    num_streams: int = 0
    """finished, errors included"""
    num_generated_tokens: int = 0
    """audio tokens in finished frames, of running sequences too"""
    num_prefill_tokens: int = 0
    num_frames: int = 0
    """frames of the whole batch; each is seven steps"""
    num_slot_frames: int = 0
    """frames summed over slots; over ``num_frames`` it is the mean batch size"""
    peak_num_blocks: int = 0
    """most KV blocks ever in use"""
    prefill_s: float = 0.0
    decode_s: float = 0.0


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
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self._device = _resolve_device(device)
        self._dtype = _resolve_precision(precision, self._device)
        self._layout = layout
        self._config = read_config(model_dir)
        weights = load_weights(model_dir, self._config, layout, self._device, self._dtype)
        self._num_parameters = _num_parameters(self._config)
        self._model: Llama | None = Llama(self._config, weights)
        self._tokens_per_block = tokens_per_block
        self._max_batch_size, self._num_blocks = self._budget(max_batch_size, kv_cache_gb)
        self._cache: PagedCache | None = self._make_cache()
        self._stats = EngineStats()
        self._generating = False
        logger.info("%s", self.describe())

    def describe(self) -> str:
        """Return one line for people: device, precision, batch and KV budget."""
        where = f"{self._device} ({torch.get_num_threads()} threads)"
        if self._device.type == "cuda":
            where = f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        tokens = self._num_blocks * self._tokens_per_block
        dtype = str(self._dtype).removeprefix("torch.")
        return (
            f"Llama of {self._num_parameters / 1e6:.0f} M parameters, {dtype} on {where}, up to "
            f"{self._max_batch_size} sequences together, KV cache of {tokens:,} tokens "
            f"({format_bytes(tokens * self._config.kv_bytes_per_token(self._dtype))})"
        )

    def stats(self) -> EngineStats:
        """Return a copy of the counters so far."""
        return replace(self._stats)

    def close(self) -> None:
        """Free model and cache."""
        self._model = self._cache = None

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
            yield from _Run(self).streams(iter(requests))
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

    def _make_cache(self) -> PagedCache:
        config = self._config
        return PagedCache(
            num_layers=config.num_layers,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            num_blocks=self._num_blocks,
            tokens_per_block=self._tokens_per_block,
            device=self._device,
            dtype=self._dtype,
        )


class _Run:
    """One call of `TorchEngine.generate`: empty slots at its start, nothing left at its end."""

    def __init__(self, engine: TorchEngine):
        self._device = engine._device
        self._layout = engine._layout
        self._model = engine._model
        self._cache = engine._cache
        self._stats = engine._stats
        self._tables = BlockTables(engine._max_batch_size, engine._num_blocks, engine._tokens_per_block)
        self._state = SlotState(engine._max_batch_size, engine._layout, engine._device)
        self._scheduler = Scheduler(
            max_batch_size=engine._max_batch_size,
            num_blocks=engine._num_blocks,
            tokens_per_block=engine._tokens_per_block,
            max_positions=engine._config.max_position_embeddings,
            look_ahead=_LOOK_AHEAD_BATCHES * engine._max_batch_size,
        )

    def streams(self, requests: Iterator[TokenRequest | None]) -> Iterator[TokenStream]:
        """Run until the requests have ended and all are answered."""
        scheduler = self._scheduler
        while True:
            for stream in scheduler.pull(requests):
                self._stats.num_streams += 1
                yield stream
            self._admit()
            if scheduler.running:
                self._decode_frame()
                for stream in self._collect():
                    self._stats.num_streams += 1
                    yield stream
            elif scheduler.exhausted:
                return
            else:
                time.sleep(_IDLE_SLEEP_S)

    def _admit(self) -> None:
        """Fill free slots and write the prompts of the newcomers into the cache."""
        start = len(self._scheduler.running)
        admitted = self._scheduler.admit()
        if not admitted:
            return
        began = time.perf_counter()
        self._grow(start)
        self._state.fill(start, [sequence.request for sequence in admitted])
        group, num_tokens = [], 0
        for slot, sequence in enumerate(admitted, start):
            if group and num_tokens + sequence.num_cached_tokens > _MAX_PREFILL_TOKENS:
                self._prefill(group)
                group, num_tokens = [], 0
            if sequence.num_cached_tokens > 0:
                group.append((slot, sequence.request.prompt_token_ids[:-1]))
                num_tokens += sequence.num_cached_tokens
        if group:
            self._prefill(group)
        self._stats.prefill_s += time.perf_counter() - began

    def _grow(self, start: int) -> None:
        """Give slots from ``start`` on the blocks that they need up to the end of the next frame."""
        for slot in range(start, len(self._scheduler.running)):
            needed = self._scheduler.running[slot].num_cached_tokens + TOKENS_PER_FRAME
            self._tables.grow(slot, needed)
        self._cache.use_blocks(self._tables.allocator.high_water)

    @torch.inference_mode()
    def _prefill(self, prompts: list[tuple[int, tuple[int, ...]]]) -> None:
        """Write prompts, each less its last token, into the blocks of their slots."""
        size = self._tables.tokens_per_block
        lengths = [len(prompt) for _, prompt in prompts]
        token_ids = np.concatenate([prompt for _, prompt in prompts])
        positions = np.concatenate([np.arange(length) for length in lengths])
        blocks = self._tables.table[np.repeat([slot for slot, _ in prompts], lengths), positions // size]
        self._model.prefill(
            torch.from_numpy(token_ids).to(self._device),
            lengths,
            torch.from_numpy(blocks).to(self._device),
            torch.from_numpy(positions % size).to(self._device),
            self._cache,
        )
        self._stats.num_prefill_tokens += len(token_ids)

    @torch.inference_mode()
    def _decode_frame(self) -> None:
        """Give every running slot one frame."""
        began = time.perf_counter()
        running, state = self._scheduler.running, self._state
        num_slots = len(running)
        self._grow(0)
        self._cache.move_blocks(*self._tables.compact())
        plan = self._cache.plan_frame(self._tables, num_slots)

        settings = [sequence.request.sampling for sequence in running]
        penalized = any(s.repetition_penalty != 1.0 for s in settings)
        sampled = any(s.temperature != 0.0 for s in settings)
        top_p = state.top_p[:num_slots] if any(s.top_p < 1.0 for s in settings) else None
        stop_illegal = state.num_frames[:num_slots] < state.stop_from_frame[:num_slots]
        noise = state.noise(num_slots) if sampled else None

        for position in range(TOKENS_PER_FRAME):
            positions = state.position[:num_slots]
            step = self._cache.plan_step(plan, positions)
            hidden = self._model.decode(state.last_token[:num_slots], positions, self._cache, plan, step)
            logits = self._model.logits(hidden, position)
            if penalized:
                codes = logits[:, 1:] if position == 0 else logits
                seen, penalty = state.seen[:num_slots, position], state.repetition_penalty[:num_slots]
                apply_repetition_penalty_(codes, seen, penalty)
            if position == 0:
                logits[:, 0].masked_fill_(stop_illegal, -torch.inf)
            if sampled:
                choice = sample(logits, state.temperature[:num_slots], top_p, noise[:, position])
            else:
                choice = logits.argmax(-1)
            state.accept(position, choice)
        state.num_frames[:num_slots] += 1

        self._stats.num_frames += 1
        self._stats.num_slot_frames += num_slots
        self._stats.peak_num_blocks = max(self._stats.peak_num_blocks, self._tables.allocator.peak_num_used)
        self._stats.decode_s += time.perf_counter() - began

    @torch.inference_mode()
    def _collect(self) -> list[TokenStream]:
        """Take the frame's tokens to the host and end the sequences that are done."""
        running = self._scheduler.running
        frames = self._state.frame[: len(running)].cpu().numpy()
        finished, streams = [], []
        for slot, (sequence, frame) in enumerate(zip(running, frames, strict=True)):
            if frame[0] == self._layout.stop_id:
                streams.append(sequence.stream("stop"))
                finished.append(slot)
                continue
            sequence.append(frame)
            self._stats.num_generated_tokens += TOKENS_PER_FRAME
            if sequence.num_frames == sequence.max_frames:
                streams.append(sequence.stream("length"))
                finished.append(slot)
        for slot in reversed(finished):
            self._tables.release(slot)
            last = self._scheduler.remove(slot)
            if last != slot:
                self._tables.move(last, slot)
                self._state.move(last, slot)
        return streams


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
