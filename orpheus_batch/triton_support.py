"""Whether Triton's kernels can run here: it compiles on the user's machine, with the compiler that is there."""

import importlib.util
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def has_triton() -> bool:
    """Return whether Triton is installed; whether it can compile shows when it does."""
    return importlib.util.find_spec("triton") is not None


def runs_kernels(device: "torch.device") -> bool:
    """Return whether Triton's kernels are for this device: a GPU, or any where Triton interprets."""
    return has_triton() and (device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")


def errors_of_triton() -> tuple[type[Exception], ...]:
    """Return what Triton raises where something that it needs is missing, a C compiler for one.

    Running out of memory is among them, as a RuntimeError: look for `torch.OutOfMemoryError` first.
    """
    errors: tuple[type[Exception], ...] = (RuntimeError, OSError, ImportError, subprocess.SubprocessError)
    if has_triton():
        from triton.errors import TritonError

        errors += (TritonError,)
    return errors
