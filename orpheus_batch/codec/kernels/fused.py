"""The operations in Triton, one launch each. What they mean is said in `reference`, argument by argument."""

import torch
import triton

from orpheus_batch.codec.kernels.columns import (
    add_noise_kernel,
    filter_kernel,
    neighbour_kernel,
    samples_kernel,
)
from orpheus_batch.codec.kernels.noise import noise_kernel
from orpheus_batch.codec.kernels.types import Columns, FilterWeights
from orpheus_batch.codec.snac_decoder import Snake

_WIDEST = 128
"""channels of a tile: a warp then reads whole lines of memory"""
_LANE_TILE = 512
"""numbers of a tile whose window stays in registers: four a thread"""
_TILE = 1024
"""numbers of a tile that is read once: eight a thread"""
_STEPS = 16
"""positions of a lane; six more are read"""
_PAIRS = 256
_WARPS = 4


def normal_noise(seeds: torch.Tensor, block: int, num_columns: int) -> torch.Tensor:
    """See `reference.normal_noise`."""
    num_rows = len(seeds)
    noise = torch.empty((num_rows, num_columns), dtype=torch.float32, device=seeds.device)
    grid = (triton.cdiv(num_columns, 2 * _PAIRS), num_rows)
    noise_kernel[grid](seeds, noise, block, num_columns, PAIRS=_PAIRS, num_warps=_WARPS)
    return noise


def filtered(x: Columns, first: Snake | None, taps: FilterWeights, second: Snake | None) -> torch.Tensor:
    """See `reference.filtered`."""
    batch, num_rows, channels = x.values.shape
    out = torch.empty_like(x.values)
    width = _width(channels)
    lanes = _LANE_TILE // width
    num_lanes = taps.dilation * triton.cdiv(num_rows, taps.dilation * _STEPS)
    filter_kernel[(triton.cdiv(num_lanes, lanes), triton.cdiv(channels, width), batch)](
        x.values,
        x.pending,
        x.pending if first is None else first.alpha,
        x.pending if first is None else first.inverse,
        taps.weight,
        taps.bias,
        x.pending if second is None else second.alpha,
        x.pending if second is None else second.inverse,
        x.stops,
        out,
        num_rows,
        OFFSET=x.offset,
        CHANNELS=channels,
        DILATION=taps.dilation,
        FIRST=first is not None,
        SECOND=second is not None,
        STEPS=_STEPS,
        LANES=lanes,
        WIDTH=width,
        num_warps=_WARPS,
    )
    return out


def with_neighbour(x: Columns, snake: Snake) -> torch.Tensor:
    """See `reference.with_neighbour`."""
    batch, num_rows, channels = x.values.shape
    out = x.values.new_empty((batch, x.num_columns + 1, 2 * channels))
    width = _width(channels)
    rows = _TILE // width
    neighbour_kernel[(triton.cdiv(x.num_columns + 1, rows), 2 * triton.cdiv(channels, width), batch)](
        x.values,
        x.pending,
        snake.alpha,
        snake.inverse,
        x.stops,
        out,
        num_rows,
        x.num_columns,
        OFFSET=x.offset,
        CHANNELS=channels,
        ROWS=rows,
        WIDTH=width,
        num_warps=_WARPS,
    )
    return out


def add_noise(x: Columns, product: torch.Tensor, product_bias: torch.Tensor, noise: torch.Tensor) -> None:
    """See `reference.add_noise`."""
    batch, num_rows, channels = x.values.shape
    width = _width(channels)
    rows = _TILE // width
    add_noise_kernel[(triton.cdiv(num_rows, rows), triton.cdiv(channels, width), batch)](
        x.values,
        x.pending,
        product,
        product_bias,
        noise,
        num_rows,
        noise.shape[1],
        OFFSET=x.offset,
        CHANNELS=channels,
        ROWS=rows,
        WIDTH=width,
        num_warps=_WARPS,
    )


def to_samples(x: Columns, snake: Snake, weight: torch.Tensor, bias: float) -> torch.Tensor:
    """See `reference.to_samples`."""
    batch, num_rows, channels = x.values.shape
    samples = torch.empty((batch, x.num_columns), dtype=torch.float32, device=x.values.device)
    width = triton.next_power_of_2(channels)
    lanes = max(_LANE_TILE // width, 1)
    samples_kernel[(triton.cdiv(x.num_columns, lanes * _STEPS), batch)](
        x.values,
        x.pending,
        snake.alpha,
        snake.inverse,
        weight,
        bias,
        x.stops,
        samples,
        num_rows,
        x.num_columns,
        OFFSET=x.offset,
        CHANNELS=channels,
        STEPS=_STEPS,
        LANES=lanes,
        WIDTH=width,
        num_warps=_WARPS,
    )
    return samples


def _width(channels: int) -> int:
    """Return the channels of a tile, a power of two."""
    return min(triton.next_power_of_2(channels), _WIDEST)
