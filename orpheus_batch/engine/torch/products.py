"""Matrix products, in the fastest form that the machine has.

On a CPU a layer's weight is kept in oneDNN's blocked layout, as ``torch.compile`` would have it: the product is
the same in exact float32, a quarter faster for a batch and twice as fast for a few rows, because nothing is
repacked at each call. The operators are not a documented interface of torch; where they are missing or do not
work, the plain product takes their place.

The many small products of attention are numpy's on a few cores: its OpenBLAS has kernels for small matrices, and
is on one core faster than torch's MKL on two (``docs/engine.md`` has the numbers).
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

_PACKED_FOR_ROWS = 64
"""the layout is chosen for about so many rows; any number may be multiplied, and measured no slower"""

_MAX_THREADS_FOR_NUMPY = 4
"""numpy multiplies small matrices on one core; with more of them torch's own product catches up"""


class Linear:
    """``y = x W^T + b``."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None):
        """Take a weight [out, in] and a bias [out]; the weight may be copied to another layout."""
        self._packed = weight.device.type == "cpu" and can_pack(weight.dtype)
        self._weight = _pack(weight) if self._packed else weight
        self._bias = bias

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return [n, out] for ``x`` [n, in]."""
        if self._packed:
            return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return F.linear(x, self._weight, self._bias)

    @property
    def has_bias(self) -> bool:
        """Whether something is added to the product."""
        return self._bias is not None

    def plain(self) -> torch.Tensor:
        """Return the weight [out, in] as it was given; a copy where it is kept in another layout."""
        return self._weight.to_dense() if self._packed else self._weight

    def plus(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return ``residual`` [n, out] plus the product."""
        if self._packed:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self._weight, self._bias, "add")
        return residual + F.linear(x, self._weight, self._bias)


class PairProduct:
    """The product of each pair of many small matrices, always of the same memory into the same memory."""

    def __init__(self, left: torch.Tensor, right: torch.Tensor, out: torch.Tensor):
        """Take [pairs, rows, inner], [pairs, inner, columns] and where [pairs, rows, columns] goes."""
        self._function, self._operands, self._out = torch.bmm, (left, right), out
        few_cores = left.device.type == "cpu" and torch.get_num_threads() <= _MAX_THREADS_FOR_NUMPY
        if few_cores and left.dtype == torch.float32:
            self._function, self._operands, self._out = np.matmul, (left.numpy(), right.numpy()), out.numpy()

    def __call__(self) -> None:
        """Multiply what the operands hold now."""
        self._function(*self._operands, out=self._out)


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this torch can multiply with packed weights of ``dtype``, by trying."""
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        weight = torch.eye(32, dtype=dtype)
        x = torch.arange(32, dtype=dtype).expand(2, -1).contiguous()
        product = torch.ops.mkldnn._linear_pointwise(x, _pack(weight), None, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(product, x)


def _pack(weight: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _PACKED_FOR_ROWS)
