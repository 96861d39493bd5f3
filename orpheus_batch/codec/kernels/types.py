"""What the operations work on."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Columns:
    """Activations of a padded batch of streams, channels last.

    Row ``offset + t`` of a stream is its position ``t``. Rows before position 0 and from the stream's stop on
    hold anything: whoever looks sideways takes them for zero.
    """

    values: torch.Tensor
    """[B, rows, C], contiguous"""
    pending: torch.Tensor
    """float32 [C], still to be added to every value: a bias that waits for the next reader"""
    stops: torch.Tensor
    """int32 [B], positions of each stream"""
    num_columns: int
    """positions of the longest stream; ``offset + num_columns <= rows``"""
    offset: int


@dataclass(frozen=True, slots=True)
class FilterWeights:
    """A filter of seven taps a channel, zeros beyond the stream's ends."""

    weight: torch.Tensor
    """float32 [7, C]"""
    bias: torch.Tensor
    """float32 [C]"""
    dilation: int
