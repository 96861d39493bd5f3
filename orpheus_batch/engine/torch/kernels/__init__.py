"""The operations of a frame between matrix products, twice: in PyTorch, and fused in Triton.

`reference` says what each means; `fused` does it in one launch each, for a GPU. Both modules hold the same
functions with the same arguments, so a caller takes one of them and does not know which. A test holds one to the
other, on a CPU through Triton's interpreter and on a GPU as compiled.

Slots whose position is negative are idle: nothing of theirs is read or written but rows of scratch memory.
"""

import os
from types import ModuleType

import torch

from orpheus_batch.triton_support import has_triton


def operations_for(device: torch.device) -> ModuleType:
    """Return `fused` where it runs (a GPU, or Triton's interpreter), else `reference`."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if has_triton() and (device.type == "cuda" or interpreted):
        from orpheus_batch.engine.torch.kernels import fused

        return fused
    from orpheus_batch.engine.torch.kernels import reference

    return reference
