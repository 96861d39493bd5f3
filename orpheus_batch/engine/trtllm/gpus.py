"""What GPUs this machine has, as the driver says. It loads neither torch nor CUDA and touches no GPU."""

import csv
import io
import os
import shutil
import subprocess
from dataclasses import dataclass

from orpheus_batch.errors import EngineError

FP8_CAPABILITY = (8, 9)
"""Ada and Hopper; on older GPUs TensorRT-LLM leaves fp8 attention out with no more than a warning"""
_FIELDS = ("index", "name", "memory.total", "memory.free", "driver_version", "compute_cap", "uuid")
_MIB = 1 << 20
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    index: int
    """as ``nvidia-smi`` counts"""
    name: str
    total_bytes: int
    free_bytes: int
    driver: str
    compute_capability: str
    """"9.0" is an H100 or H200"""
    uuid: str
    """"GPU-…" """


def query_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use, in the order in which CUDA would count them.

    ``CUDA_VISIBLE_DEVICES`` is heeded, numbers and names; for a part of a GPU (MIG) all are returned, since the
    driver's table has no parts. No driver, or one that answers nonsense, is no GPU.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        gpus = [_parse(row) for row in csv.reader(io.StringIO(done.stdout), skipinitialspace=True) if row]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return _visible(gpus)


def require_fp8(gpus: list[Gpu]) -> None:
    """See that the first GPU multiplies in fp8; no GPU is no objection.

    Raises:
        EngineError: It is too old.
    """
    for gpu in gpus[:1]:
        if tuple(int(part) for part in gpu.compute_capability.split(".")) < FP8_CAPABILITY:
            raise EngineError(
                f"fp8 wants a GPU of compute capability 8.9 (L4, L40S, RTX 4090) or 9.0 (H100, H200), and this is a "
                f"{gpu.name} ({gpu.compute_capability}): take bfloat16"
            )


def _parse(row: list[str]) -> Gpu:
    index, name, total, free, driver, capability, uuid = (value.strip() for value in row)
    _ = [int(part) for part in capability.split(".")]  # or ValueError
    return Gpu(int(index), name, int(total) * _MIB, int(free) * _MIB, driver, capability, uuid)


def _visible(gpus: list[Gpu]) -> list[Gpu]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return gpus
    found = []
    for name in map(str.strip, chosen.split(",")):
        if name.startswith("MIG-"):
            return gpus
        gpu = next(
            (g for g in gpus if name == str(g.index) or (name[:4] == "GPU-" and g.uuid.startswith(name))), None
        )
        if gpu is None:  # CUDA too ends at a name that it does not know
            break
        found.append(gpu)
    return found


def device_index(device: str) -> int | None:
    """Return N of "cuda:N", None where the device leaves it open."""
    _, _, number = device.partition(":")
    return int(number) if number.isdigit() else None
