"""The operations of a frame between matrix products, twice: in PyTorch, and fused in Triton.

`reference` says what each means; `fused` does it in one launch each, for a GPU. Both modules hold the same
functions with the same arguments, so a caller takes one of them and does not know which. A test holds one to the
other, on a CPU through Triton's interpreter and on a GPU as compiled.

Slots whose position is negative are idle: nothing of theirs is read or written but rows of scratch memory.
"""

from types import ModuleType

import torch

from orpheus_batch.triton_support import runs_kernels


def operations_for(device: torch.device) -> ModuleType:
    """Return `fused` where it runs (a GPU, or Triton's interpreter), else `reference`."""
    if runs_kernels(device):
        from orpheus_batch.engine.torch.kernels import fused

        return fused
    from orpheus_batch.engine.torch.kernels import reference

    return reference
