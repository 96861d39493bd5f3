"""Rotary position embeddings: frequencies as a model's configuration has them, and the rotation itself.

Here the two numbers that are rotated together lie side by side, so that a rotation is one complex product.
Hugging Face's weights have them half a head apart; `interleave_halves` reorders the rows of a query or key
matrix once, at loading. A dot product of a query and a key does not notice.

Source: RoFormer, arXiv:2104.09864; "linear" and "llama3" scaling as in `transformers`' ``modeling_rope_utils``.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Rope:
    """How positions turn into angles."""

    head_dim: int
    theta: float
    """base of the frequencies"""
    kind: str = "default"
    """default, linear or llama3"""
    factor: float = 1.0
    """linear, llama3: how many times longer the context was made"""
    low_freq_factor: float = 1.0
    """llama3: wavelengths above original_max_positions / low_freq_factor are stretched"""
    high_freq_factor: float = 4.0
    """llama3: wavelengths below original_max_positions / high_freq_factor are kept"""
    original_max_positions: int = 8192
    """llama3: context before it was made longer"""

    def inverse_frequencies(self) -> torch.Tensor:
        """Return the angle a position adds, float32 [head_dim / 2], radians."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim
        frequencies = 1.0 / (self.theta**exponents)
        if self.kind == "linear":
            return frequencies / self.factor
        if self.kind == "llama3":
            wavelengths = 2 * math.pi / frequencies
            longest, shortest = (
                self.original_max_positions / self.low_freq_factor,
                self.original_max_positions / self.high_freq_factor,
            )
            share = (self.original_max_positions / wavelengths - self.low_freq_factor) / (
                self.high_freq_factor - self.low_freq_factor
            )
            blended = (1 - share) * frequencies / self.factor + share * frequencies
            scaled = torch.where(wavelengths > longest, frequencies / self.factor, frequencies)
            between = (wavelengths >= shortest) & (wavelengths <= longest)
            return torch.where(between, blended, scaled)
        return frequencies


def read_rope(config: dict[str, Any], head_dim: int) -> Rope:
    """Read the rotary settings of a ``config.json``, as transformers 4 or 5 writes them.

    Raises:
        ValueError: A kind of scaling that is not supported.
        KeyError: A setting that the kind needs is missing.
    """
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(scaling.get("rope_theta", config.get("rope_theta", 10_000.0)))
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    partial = scaling.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    if partial != 1.0:
        raise ValueError(f"partial_rotary_factor {partial} is not supported")
    if kind == "default":
        return Rope(head_dim, theta)
    if kind == "linear":
        return Rope(head_dim, theta, kind, factor=float(scaling["factor"]))
    if kind == "llama3":
        return Rope(
            head_dim,
            theta,
            kind,
            factor=float(scaling["factor"]),
            low_freq_factor=float(scaling["low_freq_factor"]),
            high_freq_factor=float(scaling["high_freq_factor"]),
            original_max_positions=int(scaling["original_max_position_embeddings"]),
        )
    raise ValueError(f"rope scaling {kind!r} is not supported; default, linear and llama3 are")


def interleave_halves(rows: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Reorder the rows of each head from (0, d/2, …) half a head apart to side by side.

    Args:
        rows: [heads * head_dim, …], query or key projection, weight or bias.
        head_dim: Rows a head.

    Returns:
        The same rows in the order 0, d/2, 1, d/2 + 1, … within each head.
    """
    halves = rows.reshape(-1, 2, head_dim // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def rotations(positions: torch.Tensor, inverse_frequencies: torch.Tensor) -> torch.Tensor:
    """Return the unit complex numbers for ``positions``.

    Args:
        positions: int64 [n].
        inverse_frequencies: float32 [head_dim / 2].

    Returns:
        complex64 [n, 1, head_dim / 2].
    """
    angles = positions.float()[:, None, None] * inverse_frequencies
    return torch.complex(angles.cos(), angles.sin())


def rotate_(pairs: torch.Tensor, by: torch.Tensor) -> None:
    """Rotate queries or keys in place.

    Args:
        pairs: [n, heads, head_dim / 2, 2], what is rotated together side by side.
        by: complex64 [n, heads or 1, head_dim / 2], see `rotations`.
    """
    if pairs.dtype == torch.float32:
        torch.view_as_complex(pairs).mul_(by)
    else:  # there is no complex bfloat16
        pairs.copy_(torch.view_as_real(torch.view_as_complex(pairs.float()) * by))
