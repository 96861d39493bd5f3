"""SNAC's decoder, as arithmetic on folded weights: codes of whole streams to samples.

Same numbers as the `snac` package's ``SNAC.decode`` within float32 rounding, laid out so that it is fast on a
CPU and exact in a batch:

- Weight norm is folded, and codebook and output projection are one table a level.
- Activations are [batch, time, channels]: every convolution of this decoder is then a matrix product, or a
  depthwise filter whose channels fill a vector register.
- A level is worked through in tiles that fit the second-level cache. A tile brings the few columns to either
  side that its convolutions reach, so tiles join without a seam.
- Outside a stream, a convolution must see zeros, layer by layer. Biases and neighbours leak into whatever lies
  there, so columns before its start and past its end are set to zero before every layer that looks sideways.
  Streams of unequal length can therefore share a padded batch.
- The noise of SNAC's noise blocks is a function of (seed, block, position), not of a generator's state: tile,
  batch and device do not change it.

It does not know files, tokens or books. Source: SNAC (Siuzdak et al., arXiv:2410.14411), snac 1.2.1
``layers.py`` and ``vq.py`` (MIT) for the architecture; "snake" is x + sin^2(alpha x) / alpha
(arXiv:2006.08195).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from snac import SNAC

_TILE_BYTES = 512 * 1024
"""Of one float32 tile at its output rate; a residual unit touches about three of them. Measured on a core with
1 MiB of second-level cache: 256 kB to 1 MB are within 10 % of each other, whole streams are 10-15 % slower."""

_EPSILON = 1e-9
"""Keeps 1 / alpha finite, as in snac."""

_MASK_32 = 0xFFFFFFFF

Stops = int | torch.Tensor
"""Where streams end, in columns: a number for a batch of one, else int64 [B]."""

Seeds = Sequence[int] | torch.Tensor
"""One a stream, each in [0, 2^63); a tensor is int64 [B]."""


@dataclass(frozen=True, slots=True)
class Snake:
    """The activation, with a period for each channel."""

    alpha: torch.Tensor
    """[C]"""
    inverse: torch.Tensor
    """[C], 1 / (alpha + 1e-9)"""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + sin^2(alpha x) / alpha; ``x`` is left as it is."""
        wave = (x * self.alpha).sin_()
        wave.mul_(wave)
        return torch.addcmul(x, wave, self.inverse, out=wave)


@dataclass(frozen=True, slots=True)
class Depthwise:
    """A filter of seven taps a channel, without padding: the output is ``6 * dilation`` columns shorter."""

    weight: torch.Tensor
    """[C, 1, 1, 7], channels last"""
    bias: torch.Tensor
    dilation: int

    @property
    def reach(self) -> int:
        """Columns it looks to either side."""
        return 3 * self.dilation

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return [B, T - 6 * dilation, C]."""
        rows = x.transpose(1, 2).unsqueeze(2)
        rows = functional.conv2d(
            rows, self.weight, self.bias, dilation=(1, self.dilation), groups=self.weight.shape[0]
        )
        return rows.squeeze(2).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Linear:
    """A convolution of one tap: a matrix product."""

    weight: torch.Tensor
    """[C_out, C_in]"""
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return [B, T, C_out]."""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class ResidualUnit:
    """x + pointwise(snake(filter(snake(x))))."""

    first: Snake
    depthwise: Depthwise
    second: Snake
    pointwise: Linear

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return [B, T - 6 * dilation, C]."""
        reach = self.depthwise.reach
        y = self.pointwise(self.second(self.depthwise(self.first(x))))
        return y.add_(x[:, reach : x.shape[1] - reach])


@dataclass(frozen=True, slots=True)
class Block:
    """One upsampling level: snake, transposed convolution, noise, three residual units."""

    index: int
    """which level; part of the noise's counter"""
    snake: Snake
    weight: torch.Tensor
    """of the transposed convolution, [C_in, C_out, 1, 2 * stride], channels last"""
    bias: torch.Tensor
    stride: int
    noise: Linear | None
    units: tuple[ResidualUnit, ...]

    @property
    def num_channels(self) -> int:
        """Of the output."""
        return self.weight.shape[1]

    @property
    def context(self) -> int:
        """Input columns that a tile needs to either side: the units' reach, and what the upsampling crops."""
        reach = sum(unit.depthwise.reach for unit in self.units)
        return -(-reach // self.stride) + 1

    def __call__(
        self, x: torch.Tensor, start: int, stops: Stops, noise: torch.Tensor | None
    ) -> tuple[torch.Tensor, int]:
        """Return output columns for input columns ``start``…, and the position of the first of them.

        Args:
            x: [B, n, C_in]; zero outside each stream.
            start: Position of column 0 in the stream; negative before its start.
            stops: Where the streams end, in input columns.
            noise: [B, stride * longest stream], standard normal.
        """
        y = functional.conv_transpose2d(
            self.snake(x).transpose(1, 2).unsqueeze(2), self.weight, self.bias, stride=(1, self.stride)
        )
        # The first and last ``stride`` columns lack the neighbour outside this tile.
        y = y.squeeze(2).transpose(1, 2)[:, self.stride : -self.stride]
        start = self.stride * start + self.stride - self.stride // 2
        stops = stops * self.stride
        _zero_outside(y, start, stops)
        if self.noise is not None and noise is not None:
            low, high = max(start, 0), min(start + y.shape[1], noise.shape[1])
            inside = y[:, low - start : high - start]
            inside.addcmul_(self.noise(inside), noise[:, low:high, None])
        for unit in self.units:
            y = unit(y)
            start += unit.depthwise.reach
            _zero_outside(y, start, stops)
        return y, start


class SnacDecoder:
    """The decoder half of a SNAC model, for inference."""

    def __init__(self, model: "SNAC", device: torch.device):
        """Take the weights of ``model``, which may lack its encoder; weight norm is folded here.

        Args:
            model: Depthwise, without local attention, even rates; see `orpheus_batch.codec.snac.load_model`.
            device: Where to decode.
        """

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().to(device=device, dtype=torch.float32)

        def flat(weight: torch.Tensor) -> torch.Tensor:
            return moved(weight.unsqueeze(2)).contiguous(memory_format=torch.channels_last)

        def snake(module: torch.nn.Module) -> Snake:
            alpha = moved(module.alpha).reshape(-1)
            return Snake(alpha, (alpha + _EPSILON).reciprocal())

        def depthwise(conv: torch.nn.Conv1d) -> Depthwise:
            return Depthwise(flat(conv.weight), moved(conv.bias), conv.dilation[0])

        def linear(conv: torch.nn.Conv1d) -> Linear:
            bias = None if conv.bias is None else moved(conv.bias)
            return Linear(moved(conv.weight[:, :, 0]).contiguous(), bias)

        def block(index: int, layers: torch.nn.Sequential) -> Block:
            noise = [layer for layer in layers if hasattr(layer, "linear")]
            return Block(
                index=index,
                snake=snake(layers[0]),
                weight=flat(layers[1].weight),
                bias=moved(layers[1].bias),
                stride=layers[1].stride[0],
                noise=linear(noise[0].linear) if noise else None,
                units=tuple(
                    ResidualUnit(snake(u[0]), depthwise(u[1]), snake(u[2]), linear(u[3]))
                    for u in (unit.block for unit in layers[-3:])
                ),
            )

        self.device = device
        # Public for `orpheus_batch.codec.snac_fused`, which computes with the same weights.
        self.tables = [
            moved(q.codebook.weight) @ moved(q.out_proj.weight)[:, :, 0].T + moved(q.out_proj.bias)
            for q in model.quantizer.quantizers
        ]
        layers = list(model.decoder.model)
        self.first = depthwise(layers[0])
        self.project = linear(layers[1])
        self.blocks = [block(index, layer.block) for index, layer in enumerate(layers[2:-3])]
        self.last_snake = snake(layers[-3])
        self.last = (moved(layers[-2].weight), moved(layers[-2].bias))

    def decode(
        self, levels: Sequence[torch.Tensor], stops: Stops, seeds: Seeds, *, tiled: bool
    ) -> torch.Tensor:
        """Decode a padded batch.

        Args:
            levels: Codes of each level, int64 [B, longest stream], coarse first; what stands past a stream's
                end has no effect.
            stops: Length in codes of the finest level: a number for one stream, int64 [B] for several.
            seeds: Of each stream's noise.
            tiled: Work in tiles that fit a CPU's cache, instead of whole levels at once.

        Returns:
            float32 [B, samples of the longest stream] in [-1, 1]; zeros past a stream's end.
        """
        x = self.latents(levels)
        _zero_outside(x, 0, stops)
        x = self.project(self.first(_widen(x, self.first.reach)))
        _zero_outside(x, 0, stops)
        for block in self.blocks:
            x = self._upsample(block, x, stops, seeds, tiled)
            stops = stops * block.stride
        samples = self._to_samples(x, tiled)
        _zero_outside(samples[:, :, None], 0, stops)
        return samples

    def latents(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the sum of the levels' vectors, [B, columns of the finest level, latent channels]."""
        total = None
        for codes, table in zip(levels, self.tables, strict=True):
            vectors = functional.embedding(codes, table)
            if total is not None:
                # a vector of a coarser level holds for several of this one
                finer = vectors.unflatten(1, (-1, vectors.shape[1] // total.shape[1]))
                vectors = finer.add_(total.unsqueeze(2)).flatten(1, 2)
            total = vectors
        return total

    def _upsample(self, block: Block, x: torch.Tensor, stops: Stops, seeds: Seeds, tiled: bool) -> torch.Tensor:
        num_rows, num_columns, _ = x.shape
        stride, context = block.stride, block.context
        out = x.new_empty((num_rows, num_columns * stride, block.num_channels))
        noise = None
        if block.noise is not None:
            noise = normal_noise(seeds, block.index, num_columns * stride, x.device)
        x = _widen(x, context)
        tile = _tile_length(block.num_channels * stride) if tiled else num_columns
        for begin in range(0, num_columns, tile):
            end = min(begin + tile, num_columns)
            y, start = block(x[:, begin : end + 2 * context], begin - context, stops, noise)
            out[:, begin * stride : end * stride] = y[:, begin * stride - start : end * stride - start]
        return out

    def _to_samples(self, x: torch.Tensor, tiled: bool) -> torch.Tensor:
        num_rows, num_columns, num_channels = x.shape
        weight, bias = self.last
        reach = weight.shape[2] // 2
        out = x.new_empty((num_rows, num_columns))
        x = _widen(x, reach)
        tile = _tile_length(num_channels) if tiled else num_columns
        for begin in range(0, num_columns, tile):
            end = min(begin + tile, num_columns)
            y = self.last_snake(x[:, begin : end + 2 * reach])
            out[:, begin:end] = functional.conv1d(y.transpose(1, 2), weight, bias)[:, 0]
        return out.tanh_()


def normal_noise(seeds: Seeds, block: int, num_columns: int, device: torch.device) -> torch.Tensor:
    """Return standard normal noise that depends on (seed, block, position) alone.

    A pair of 32-bit hashes a pair of positions, through Box and Muller's transform.

    Source: the hash is "lowbias32" in C. Wellons' hash-prospector (public domain), constants 0x21f0aaad and
    0x735a2d97; both are below 2^31, so that products of 32-bit values fit signed 64-bit integers.

    Args:
        seeds: One a row.
        block: Which noise block.
        num_columns: Length of a row.
        device: Where.

    Returns:
        float32 [len(seeds), num_columns].
    """
    num_pairs = (num_columns + 1) // 2
    seed = torch.as_tensor(seeds, dtype=torch.int64, device=device)[:, None]
    key = _hash(_hash(_hash(seed & _MASK_32) ^ (seed >> 32)) + block)
    pair = torch.arange(num_pairs, dtype=torch.int64, device=device)[None]
    first = _hash(_hash(pair) ^ key)
    second = _hash(first + 0x5BD1E995)
    # (n + 0.5) / 2^32 is never 0; in float32 it may round to 1, whose logarithm is a harmless 0.
    radius = ((first.float() + 0.5) * 2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = second.float() * (2.0 * torch.pi / 2.0**32)
    pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), dim=2)
    return pairs.flatten(1)[:, :num_columns]


def _hash(x: torch.Tensor) -> torch.Tensor:
    """Mix the low 32 bits of each int64, well enough for noise."""
    x = x & _MASK_32
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _MASK_32
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _MASK_32
    return x ^ (x >> 15)


def _tile_length(floats_per_column: int) -> int:
    return max(16, _TILE_BYTES // (4 * floats_per_column))


def _widen(x: torch.Tensor, columns: int) -> torch.Tensor:
    """Add zero columns on both sides."""
    return functional.pad(x, (0, 0, columns, columns))


def _zero_outside(x: torch.Tensor, start: int, stops: Stops) -> None:
    """Zero in place the columns of [B, n, C] that lie outside each stream; column 0 stands at ``start``."""
    if start < 0:
        x[:, :-start] = 0.0
    if isinstance(stops, torch.Tensor):
        positions = torch.arange(start, start + x.shape[1], device=x.device)
        x.mul_((positions < stops[:, None])[:, :, None])
    elif stops - start < x.shape[1]:
        x[:, stops - start :] = 0.0
