"""Products in float8: half the bytes of bfloat16 and twice its rate on the tensor cores of a GPU that has them.

Weights have a factor an output channel, activations one a row, each such that the largest number is the largest finite
float8_e4m3fn. The product is taken without them; whoever reads it multiplies (`Product`), which costs nothing there.

Unproven on Orpheus's own weights: what it costs in sound there is not known.

Source: float8 formats for deep learning, Micikevicius et al., arXiv:2209.05433.
"""

import dataclasses

import torch

from orpheus_batch.engine.torch.kernels.reference import FLOAT8, FLOAT8_MAX
from orpheus_batch.engine.torch.kernels.types import Product, Rows
from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.engine.torch.weights import LlamaWeights
from orpheus_batch.errors import EngineError

_MULTIPLE = 16
"""sides of a float8 product must be multiples of it"""


class Float8Linear:
    """``y = x W^T`` of float8 rows and a float8 weight."""

    def __init__(self, weight: torch.Tensor, dtype: torch.dtype):
        """Round a weight [out, in] to float8; products come out in ``dtype``, unscaled."""
        scale = weight.float().abs().amax(dim=1).clamp_min(1e-12) / FLOAT8_MAX
        self._values = (weight.float() / scale[:, None]).to(FLOAT8)
        self._column_scale = scale
        self._one = torch.ones((), device=weight.device)
        self._dtype = dtype

    def __call__(self, rows: Rows) -> Product:
        """Return the product [n, out] of float8 rows [n, in]; its reader scales it."""
        if rows.values.device.type == "cuda":
            values = torch._scaled_mm(
                rows.values,
                self._values.t(),
                scale_a=self._one,
                scale_b=self._one,
                out_dtype=self._dtype,
                use_fast_accum=True,
            )
        else:
            values = (rows.values.float() @ self._values.float().t()).to(self._dtype)
        return Product(values, rows.row_scale, self._column_scale)


def as_float8(weights: LlamaWeights) -> LlamaWeights:
    """Return weights whose layers multiply in float8; embedding, norms and heads stay as they are.

    Raises:
        EngineError: The model's matrices don't allow it.
    """
    dtype = weights.embedding.dtype
    layers = []
    for layer in weights.layers:
        linears = {name: getattr(layer, name) for name in ("qkv", "out", "gate_up", "down")}
        layers.append(
            dataclasses.replace(layer, **{name: _rounded(linear, dtype) for name, linear in linears.items()})
        )
    return dataclasses.replace(weights, layers=tuple(layers))


def _rounded(linear: Linear, dtype: torch.dtype) -> Float8Linear:
    weight = linear.plain()
    if linear.has_bias or any(size % _MULTIPLE for size in weight.shape):
        raise EngineError(
            f"float8 weights need matrices without bias whose sides are multiples of {_MULTIPLE}; this model has "
            f"{tuple(weight.shape)}{' with a bias' if linear.has_bias else ''}: set model.precision to bfloat16"
        )
    return Float8Linear(weight, dtype)
