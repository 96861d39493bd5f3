"""The noise of SNAC's noise blocks in one Triton kernel.

Source: `orpheus_batch.codec.snac_decoder.normal_noise`, in the same 64-bit integers.
"""

import triton
import triton.language as tl

TURN: tl.constexpr = tl.constexpr(1.4629180792671596e-9)
"""2 pi / 2^32"""


@triton.jit
def _hash(x):
    x = x & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


@triton.jit(do_not_specialize=["block", "num_columns"])
def noise_kernel(seeds, out, block, num_columns, PAIRS: tl.constexpr):
    """``PAIRS`` pairs of positions of a row a program."""
    row = tl.program_id(1).to(tl.int64)
    pair = (tl.program_id(0) * PAIRS + tl.arange(0, PAIRS)).to(tl.int64)
    seed = tl.load(seeds + row + 0 * pair)  # of vectors alone, so that no scalar overflows in the interpreter
    key = _hash(_hash(_hash(seed) ^ (seed >> 32)) + block)
    first = _hash(_hash(pair) ^ key)
    second = _hash(first + 0x5BD1E995)
    # a fast logarithm may be a little above 0 just below 1
    squared = tl.maximum(-2.0 * tl.log((first.to(tl.float32) + 0.5) * 2.0**-32), 0.0)
    radius = tl.sqrt(squared)
    angle = second.to(tl.float32) * TURN
    place = out + row * num_columns + 2 * pair
    tl.store(place, radius * tl.cos(angle), mask=2 * pair < num_columns)
    tl.store(place + 1, radius * tl.sin(angle), mask=2 * pair + 1 < num_columns)
