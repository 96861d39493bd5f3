"""The randomness of sampling: one uniform number for (seed, segment, step), and no state.

Because nothing is carried from one draw to the next, a segment's noise is the same whatever runs beside it, in
whichever slot, on whichever device, before or after a crash. All arithmetic is on integers below 2^64, which
wraps alike everywhere.

Source: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11; its constants, and
the known answers the tests hold it to, from the authors' Random123 library.
"""

import hashlib

import torch

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10
_LOW_32 = 0xFFFFFFFF


def segment_words(segment_id: str) -> tuple[int, int, int]:
    """Return the 96 bits that stand for a segment: the start of its id's sha256, little-endian words."""
    digest = hashlib.sha256(segment_id.encode()).digest()
    return tuple(int.from_bytes(digest[i : i + 4], "little") for i in (0, 4, 8))


def seed_words(seed: int) -> tuple[int, int]:
    """Return the low and high 32 bits of a seed."""
    return seed & _LOW_32, (seed >> 32) & _LOW_32


def philox(counter: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Return Philox4x32-10 of each counter under its key.

    Args:
        counter: int64 [..., 4], each in [0, 2^32).
        key: int64 [..., 2], each in [0, 2^32); broadcast against ``counter``.

    Returns:
        int64 [..., 4], each in [0, 2^32).
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key.unbind(-1)
    for _ in range(_NUM_ROUNDS):
        # a product of two 32-bit words wraps into int64's sign bit; shift and mask read its halves right anyway
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        high0, low0 = (product0 >> 32) & _LOW_32, product0 & _LOW_32
        high1, low1 = (product1 >> 32) & _LOW_32, product1 & _LOW_32
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _LOW_32, (k1 + _WEYL[1]) & _LOW_32
    return torch.stack([c0, c1, c2, c3], dim=-1)


def uniforms(seeds: torch.Tensor, segments: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return the noise of some steps of some sequences.

    Args:
        seeds: int64 [n, 2], see `seed_words`; Philox's key.
        segments: int64 [n, 3], see `segment_words`; the upper three words of its counter.
        steps: int64 [n, k], index of the token in its sequence, from 0; the lowest word.

    Returns:
        float32 [n, k], multiples of 2^-24 in [0, 1), exact in float32.
    """
    words = segments[:, None, :].expand(-1, steps.shape[1], -1)
    random = philox(torch.cat([steps[..., None], words], dim=-1), seeds[:, None, :])[..., 0]
    return (random >> 8).float() * 2.0**-24
