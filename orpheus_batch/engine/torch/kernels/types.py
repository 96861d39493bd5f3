"""What the operations pass to each other."""

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Rows(NamedTuple):
    """A matrix [n, columns] ready to be multiplied: as it is, or as float8 with a factor a row."""

    values: torch.Tensor
    """[n, columns], the model's dtype or float8_e4m3fn"""
    row_scale: torch.Tensor | None = None
    """float32 [n], what float8 values are to be multiplied with"""


class Product(NamedTuple):
    """A product [n, columns] that its reader still has to scale, for a factor costs nothing there."""

    values: torch.Tensor
    """[n, columns], the model's dtype"""
    row_scale: torch.Tensor | None = None
    """float32 [n]"""
    column_scale: torch.Tensor | None = None
    """float32 [columns]; both or neither"""


@dataclass(frozen=True, slots=True, eq=False)
class LayerCache:
    """Keys and values of one layer in blocks."""

    keys: torch.Tensor
    """[blocks, kv_heads, tokens_per_block, head_dim], the model's dtype or float8_e4m3fn"""
    values: torch.Tensor
    """likewise"""


@dataclass(frozen=True, slots=True, eq=False)
class SamplingState:
    """One row a slot: all that drawing a token reads and changes. See `FrameState`."""

    token: torch.Tensor
    """int32 [slots], the newest token, not yet in the cache"""
    position: torch.Tensor
    """int32 [slots], of ``token`` in its sequence, negative in an idle slot"""
    step: torch.Tensor
    """int32 [slots], tokens generated"""
    stop_from_step: torch.Tensor
    """int32 [slots], from which step on the stop id is legal"""
    end_step: torch.Tensor
    """int32 [slots], the slot falls idle when it has generated so many"""
    seed: torch.Tensor
    """int64 [slots], 64 bits"""
    segment: torch.Tensor
    """int64 [slots, 3], 32 bits each"""
    temperature: torch.Tensor
    """float32 [slots], 0 takes the likeliest"""
    top_p: torch.Tensor
    """float32 [slots] in (0, 1]"""
    repetition_penalty: torch.Tensor
    """float32 [slots]"""
    seen: torch.Tensor
    """uint8 [slots, 7, codebook_size], 1 for codes that the sequence holds at a position of the frame"""
    frame: torch.Tensor
    """int32 [slots, 7], token ids of the present frame"""
