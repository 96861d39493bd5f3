"""Whether Triton's kernels can run here: it compiles on the user's machine, with the compiler that is there."""

import importlib.util
import subprocess


def has_triton() -> bool:
    """Return whether Triton is installed; whether it can compile shows when it does."""
    return importlib.util.find_spec("triton") is not None


def errors_of_triton() -> tuple[type[Exception], ...]:
    """Return what Triton raises where something that it needs is missing, a C compiler for one.

    Running out of memory is among them, as a RuntimeError: look for `torch.OutOfMemoryError` first.
    """
    errors: tuple[type[Exception], ...] = (RuntimeError, OSError, ImportError, subprocess.SubprocessError)
    if has_triton():
        from triton.errors import TritonError

        errors += (TritonError,)
    return errors
