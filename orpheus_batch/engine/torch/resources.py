"""How much of the machine an engine takes: device, precision, lanes, slots and KV blocks.

It decides numbers from the model's shape and what the machine has free; it allocates nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from orpheus_batch.engine.torch.weights import LlamaConfig
from orpheus_batch.errors import EngineError
from orpheus_batch.units import format_bytes

logger = logging.getLogger(__name__)

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_MAX_CPU_LANES = 4
"""more would wait for each other's Python"""
_CPU_LANE_SIZE = 64
"""slots of a lane; the linears of so many rows run at a core's peak"""
_CPU_TOKENS_PER_SLOT = 4_096
"""KV budget a slot; more than a sequence takes, since memory is taken only when used"""
_CPU_MEMORY_SHARE = 0.5
"""most of the free memory that the cache may grow to"""

_FLOAT8_CAPABILITY = (8, 9)
"""the first compute capability with float8"""
_CUDA_MAX_BATCH_SIZE = 1_024
_CUDA_TOKENS_PER_SLOT = 1_024
"""a prompt of 100 tokens and 11 s of speech, at the cap"""
_CUDA_MEMORY_SHARE = 0.8
"""of the memory left by the weights; the rest is for activations"""


@dataclass(frozen=True, slots=True)
class LanePlan:
    """The lanes of an engine."""

    lane_sizes: tuple[int, ...]
    """slots of each"""
    blocks_per_lane: int
    threads_per_lane: int
    """CPU threads; 0 on a GPU, which is driven by the caller's own"""


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``; "auto" is a GPU where there is one.

    Raises:
        EngineError: There is no such device.
    """
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


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype called ``name``; "auto" is float32 on CPU and bfloat16 on a GPU.

    Raises:
        EngineError: It is not supported.
    """
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if name not in _PRECISIONS:
        raise EngineError(f"the precision '{name}' is not supported: give auto, {', '.join(_PRECISIONS)}")
    return _PRECISIONS[name]


def resolve_float8(
    what: str, name: str, precision: torch.dtype, has_frames: bool, device: torch.device
) -> torch.dtype:
    """Return the dtype that ``what`` is kept in; "auto" is the model's own.

    Raises:
        EngineError: It is not supported, or not by the path that runs here.
    """
    if name == "auto":
        return precision
    if name != "float8":
        raise EngineError(f"the precision of {what} '{name}' is not supported: give auto or float8")
    if not has_frames:
        raise EngineError(f"{what} in float8 need a GPU and Triton; leave the setting at auto")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FLOAT8_CAPABILITY:
        raise EngineError(
            f"{what} in float8 need an NVIDIA GPU of the Ada or Hopper generation or later; "
            f"{torch.cuda.get_device_name(device)} has no float8: leave the setting at auto"
        )
    return torch.float8_e4m3fn


def plan_lanes(
    config: LlamaConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    tokens_per_block: int,
    max_batch_size: int | None,
    kv_cache_gb: float | None,
    num_threads: int | None,
) -> LanePlan:
    """Work out lanes, slots and KV blocks; call it when the weights are loaded.

    Args:
        config: The model's shape.
        device: Where it runs.
        dtype: Of keys and values.
        tokens_per_block: Size of a block.
        max_batch_size: Slots in all; None: 64 a lane on CPU; on a GPU as many as the cache holds at 1,024
            tokens each, at most 1,024.
        kv_cache_gb: 10^9 bytes for keys and values; None: on CPU 4,096 tokens a slot but at most half of the
            free memory, on a GPU 80 % of it.
        num_threads: CPU threads; None: as many as torch uses now.

    Raises:
        EngineError: The memory does not hold one block.
    """
    token_bytes = config.kv_bytes_per_token(dtype)
    threads = num_threads or torch.get_num_threads()
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        budget = int(free * _CUDA_MEMORY_SHARE) if kv_cache_gb is None else round(kv_cache_gb * 1e9)
        fitting = max(1, budget // (token_bytes * _CUDA_TOKENS_PER_SLOT))
        batch_size, num_lanes = max_batch_size or min(fitting, _CUDA_MAX_BATCH_SIZE), 1
    else:
        num_lanes = min(threads, _MAX_CPU_LANES)
        batch_size = max_batch_size or _CPU_LANE_SIZE * num_lanes
        wanted = batch_size * token_bytes * _CPU_TOKENS_PER_SLOT
        free = int(_free_ram_bytes() * _CPU_MEMORY_SHARE)
        budget = min(wanted, free) if kv_cache_gb is None else round(kv_cache_gb * 1e9)
        # a small cache is not divided: each lane must hold a long sequence
        num_lanes = max(1, min(num_lanes, batch_size, budget // (token_bytes * _CPU_TOKENS_PER_SLOT)))
    num_blocks = budget // (token_bytes * tokens_per_block)
    if num_blocks < 1:
        raise EngineError(
            f"a KV cache of {format_bytes(budget)} holds no block of {tokens_per_block} tokens "
            f"({format_bytes(token_bytes * tokens_per_block)}); raise engine.kv_cache_gb"
        )
    return LanePlan(
        lane_sizes=tuple((batch_size + i) // num_lanes for i in reversed(range(num_lanes))),
        blocks_per_lane=num_blocks // num_lanes,
        threads_per_lane=0 if device.type == "cuda" else max(1, threads // num_lanes),
    )


@contextmanager
def explained_memory_errors(doing: str) -> Iterator[None]:
    """Turn running out of memory into an error that says what to do; let every other error pass.

    Raises:
        EngineError: Memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # a CPU allocator's failure is a plain RuntimeError
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise EngineError(
            f"out of memory while {doing}; lower engine.max_batch_size or engine.kv_cache_gb, or free memory "
            f"({str(error).splitlines()[0]})"
        ) from error


def _free_ram_bytes() -> int:
    """Return the memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        logger.debug("no /proc/meminfo; taking 8 GB of free memory for granted")
    return 8_000_000_000
