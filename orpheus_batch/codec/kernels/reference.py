"""The operations in PyTorch: what `fused` is held to, and what runs where there is no Triton.

Values come in half precision or float32; everything is computed in float32 and rounded once, on the way out.
"""

import torch
from torch.nn import functional

from orpheus_batch.codec.kernels.types import Columns, FilterWeights
from orpheus_batch.codec.snac_decoder import Snake
from orpheus_batch.codec.snac_decoder import normal_noise as seeded_noise

TAPS = 7


def normal_noise(seeds: torch.Tensor, block: int, num_columns: int) -> torch.Tensor:
    """Return `orpheus_batch.codec.snac_decoder.normal_noise`, float32 [B, num_columns], of int64 [B] seeds."""
    return seeded_noise(seeds, block, num_columns, seeds.device)


def filtered(x: Columns, first: Snake | None, taps: FilterWeights, second: Snake | None) -> torch.Tensor:
    """Return snake(filter(snake(x))), [B, rows, C] in the type of ``x``; rows outside a stream hold anything.

    Args:
        x: Read once.
        first: Before the filter, None for none; its output is zero outside the stream.
        taps: The filter.
        second: After the filter, None for none.
    """
    y = _inside(x, first)
    reach = 3 * taps.dilation
    y = functional.pad(y, (0, 0, reach, reach)).transpose(1, 2)
    y = functional.conv1d(
        y, taps.weight.T[:, None], taps.bias, dilation=taps.dilation, groups=taps.weight.shape[1]
    ).transpose(1, 2)
    if second is not None:
        y = second(y)
    return y.to(x.values.dtype).contiguous()


def with_neighbour(x: Columns, snake: Snake) -> torch.Tensor:
    """Return each position's column behind the one before it: the rows of a transposed convolution's product.

    Args:
        x: Read.
        snake: Applied to every column.

    Returns:
        [B, num_columns + 1, 2 C] in the type of ``x``: in row j, snake(x) at positions j - 1 and j; zero where
        that lies outside the stream.
    """
    y = _inside(x, snake)[:, x.offset : x.offset + x.num_columns]
    return torch.cat([functional.pad(y, (0, 0, 1, 0)), functional.pad(y, (0, 0, 0, 1))], dim=2).to(
        x.values.dtype
    )


def add_noise(x: Columns, product: torch.Tensor, product_bias: torch.Tensor, noise: torch.Tensor) -> None:
    """Add the pending bias and noise * (product + product_bias) to the values, in place.

    Args:
        x: Changed; nothing is pending on it afterwards, whatever ``pending`` says.
        product: [B, rows, C], the noise block's matrix times the values.
        product_bias: float32 [C], the same matrix times the pending bias.
        noise: float32 [B, num_columns]; rows that are no position have none.
    """
    rest = x.values.shape[1] - x.offset - noise.shape[1]
    n = functional.pad(noise, (x.offset, rest))[:, :, None]
    x.values.copy_(x.values.float() + x.pending + n * (product.float() + product_bias))


def to_samples(x: Columns, snake: Snake, weight: torch.Tensor, bias: float) -> torch.Tensor:
    """Return tanh(convolution(snake(x))), float32 [B, num_columns]; zero past a stream's stop.

    Args:
        x: Read.
        snake: Before the convolution.
        weight: float32 [7, C], to one channel.
        bias: Of the convolution.
    """
    y = _inside(x, snake)[:, x.offset : x.offset + x.num_columns].transpose(1, 2)
    samples = functional.conv1d(y, weight.T[None], padding=TAPS // 2)[:, 0].add_(bias).tanh_()
    positions = torch.arange(x.num_columns, device=samples.device)
    return torch.where(positions < x.stops[:, None], samples, 0.0)


def _inside(x: Columns, snake: Snake | None) -> torch.Tensor:
    """Return the values with what is pending, through the snake, float32; zero outside each stream."""
    y = x.values.float() + x.pending
    if snake is not None:
        y = snake(y)
    positions = torch.arange(y.shape[1], device=y.device) - x.offset
    is_inside = (positions >= 0) & (positions < x.stops[:, None])
    return torch.where(is_inside[:, :, None], y, 0.0)
