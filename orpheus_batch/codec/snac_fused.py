"""SNAC's decoder for GPUs: half precision, matrix products by the library, everything between them fused.

The same function of codes and seeds as `orpheus_batch.codec.snac_decoder`, whose folded weights it takes, within
half-precision rounding. Memory traffic bounds a decoder whose channels are few and whose columns are many, so
activations [batch, columns, channels] pass through memory as seldom as they can:

- A residual unit is two passes: snake, filter and snake in one kernel, and a product that adds to its input in
  place. Biases of products wait (`Columns.pending`) until the next kernel reads the values anyway.
- A transposed convolution of 2 s taps and stride s is one product: row j holds columns j - 1 and j, and its s * C
  outputs are s columns of the result, which is a view of the product, some columns in (`Columns.offset`).
- Streams of unequal length share a padded batch: kernels that look sideways take what lies outside a stream for
  zero, nobody writes zeros there.

Nothing here waits for the device. It does not know files, streams of a GPU, or what to do about numbers that are
not finite. Source: as for `snac_decoder`.
"""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import torch

from orpheus_batch.codec.kernels import operations_for, reference
from orpheus_batch.codec.kernels.types import Columns, FilterWeights
from orpheus_batch.codec.snac_decoder import Block, Depthwise, Seeds, SnacDecoder, Snake
from orpheus_batch.triton_support import errors_of_triton

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Unit:
    first: Snake
    taps: FilterWeights
    second: Snake
    product: torch.Tensor
    """[C_in, C_out] in half precision"""
    pending: torch.Tensor
    """float32 [C_in], of the level: biases of the products before"""


@dataclass(frozen=True, slots=True)
class _Level:
    index: int
    """which level; part of the noise's counter"""
    snake: Snake
    product: torch.Tensor
    """[2 C_in, stride * C_out] in half precision: of the column before, then of the column itself"""
    bias: torch.Tensor
    stride: int
    noise: torch.Tensor | None
    """[C_out, C_out] in half precision"""
    noise_bias: torch.Tensor | None
    """float32 [C_out], ``noise`` times ``bias``"""
    units: tuple[_Unit, ...]
    pending: torch.Tensor
    """float32 [C_out], biases of all products, left to the next level"""


class FusedSnacDecoder:
    """The decoder half of a SNAC model in half precision.

    Args:
        plain: Whose weights to take, where they are.
        dtype: float16 or bfloat16, of activations and products; sums and all else are float32. (float32 works
            too, for tests.)
        operations: `kernels.fused` or `kernels.reference`; None: what runs on the device.
    """

    def __init__(self, plain: SnacDecoder, dtype: torch.dtype, operations: ModuleType | None = None):
        self.device = plain.device
        self.dtype = dtype
        self.operations = operations or operations_for(plain.device)
        self._latents = plain.latents
        self._first = _taps(plain.first)
        self._project = plain.project.weight.T.to(dtype).contiguous()
        self._project_bias = _bias(plain.project.bias, self._project)
        self._no_bias = torch.zeros(self._project.shape[0], device=self.device)
        self._levels = [self._level(block) for block in plain.blocks]
        self._last_snake = plain.last_snake
        weight, bias = plain.last
        self._last = weight[0].T.contiguous()
        self._last_bias = float(bias)

    @property
    def bytes_per_frame(self) -> int:
        """Memory that one frame of a batch takes at the widest level: input, product's rows and output."""
        columns, most = 4, 0
        for level in self._levels:
            double_in, out = level.product.shape
            most = max(most, columns * (double_in // 2 + double_in + out))
            columns *= level.stride
        return most * self.dtype.itemsize

    def decode(self, levels: Sequence[torch.Tensor], stops: torch.Tensor, seeds: Seeds) -> torch.Tensor:
        """Decode a padded batch.

        Args:
            levels: Codes of each level, integers [B, longest stream], coarse first; what stands past a stream's
                end has no effect, but must be a legal code.
            stops: Length of each stream in codes of the finest level, integers [B].
            seeds: Of each stream's noise.

        Returns:
            float32 [B, samples of the longest stream] in [-1, 1], or not finite where half precision was not
            enough; zeros past a stream's end.
        """
        seeds = torch.as_tensor(seeds, dtype=torch.int64, device=self.device)
        latents = self._latents(levels).to(self.dtype)
        x = Columns(latents, self._no_bias, stops.int(), latents.shape[1], 0)
        y = self.operations.filtered(x, None, self._first, None)
        x = Columns(y @ self._project, self._project_bias, x.stops, x.num_columns, 0)
        for level in self._levels:
            x = self._upsample(level, x, seeds)
        return self.operations.to_samples(x, self._last_snake, self._last, self._last_bias)

    def _upsample(self, level: _Level, x: Columns, seeds: torch.Tensor) -> Columns:
        batch, stride = len(x.values), level.stride
        rows = self.operations.with_neighbour(x, level.snake)
        stops, num_columns = x.stops * stride, x.num_columns * stride
        values = (rows.flatten(0, 1) @ level.product).view(batch, num_columns + stride, -1)
        del rows
        # Row 0 lies half a stride before the stream's beginning: that is the convolution's padding.
        x = Columns(values, level.bias, stops, num_columns, stride // 2)
        if level.noise is not None and level.noise_bias is not None:
            noise = self.operations.normal_noise(seeds, level.index, num_columns)
            self.operations.add_noise(x, values @ level.noise, level.noise_bias, noise)
        flat = values.flatten(0, 1)
        for unit in level.units:
            x = replace(x, pending=unit.pending)
            y = self.operations.filtered(x, unit.first, unit.taps, unit.second)
            flat.addmm_(y.flatten(0, 1), unit.product)
        return replace(x, pending=level.pending)

    def _level(self, block: Block) -> _Level:
        # [C_in, C_out, 2 s] as [2 C_in, s * C_out]: taps s... meet the column before, taps 0... the column itself
        weight = block.weight.squeeze(2)
        halves = (weight[:, :, block.stride :], weight[:, :, : block.stride])
        product = torch.cat([half.permute(0, 2, 1).flatten(1) for half in halves]).to(self.dtype)
        noise = noise_bias = None
        if block.noise is not None:
            noise = block.noise.weight.T.to(self.dtype).contiguous()
            noise_bias = block.noise.weight @ block.bias
        pending = block.bias if noise is None else torch.zeros_like(block.bias)
        units = []
        for unit in block.units:
            matrix = unit.pointwise.weight.T.to(self.dtype).contiguous()
            units.append(_Unit(unit.first, _taps(unit.depthwise), unit.second, matrix, pending))
            pending = pending + _bias(unit.pointwise.bias, matrix)
        return _Level(
            index=block.index,
            snake=block.snake,
            product=product.contiguous(),
            bias=block.bias,
            stride=block.stride,
            noise=noise,
            noise_bias=noise_bias,
            units=tuple(units),
            pending=pending,
        )


def fused_decoder_that_runs(plain: SnacDecoder, dtype: torch.dtype) -> FusedSnacDecoder:
    """Return a decoder that has decoded one frame, with PyTorch's operations where Triton's kernels do not run.

    Triton compiles on the user's machine, with the C compiler and the driver that are there; what it lacks shows
    only then. Kernels that it made stay in its cache.

    Args:
        plain: Whose weights to take.
        dtype: See `FusedSnacDecoder`.
    """
    levels = [torch.zeros((1, num_codes), dtype=torch.int32, device=plain.device) for num_codes in (1, 2, 4)]
    stops = torch.full((1,), 4, device=plain.device)
    on_device = torch.cuda.device(plain.device) if plain.device.type == "cuda" else contextlib.nullcontext()
    try:
        decoder = FusedSnacDecoder(plain, dtype)
        with on_device, torch.inference_mode():  # Triton launches on the current device
            decoder.decode(levels, stops, [0]).cpu()
    except torch.OutOfMemoryError:
        raise
    except errors_of_triton() as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        logger.warning(
            "Triton's kernels do not run here (%s); the codec takes PyTorch's operations, which are slower",
            what,
        )
        decoder = FusedSnacDecoder(plain, dtype, reference)
    return decoder


def _taps(filter_: Depthwise) -> FilterWeights:
    return FilterWeights(filter_.weight[:, 0, 0].T.contiguous(), filter_.bias, filter_.dilation)


def _bias(bias: torch.Tensor | None, product: torch.Tensor) -> torch.Tensor:
    """Return float32 [C_out], zeros where there is no bias."""
    return torch.zeros(product.shape[1], device=product.device) if bias is None else bias
