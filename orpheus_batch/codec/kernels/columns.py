"""Triton kernels that go over columns of activations, each reading and writing them once.

A *lane* is a walk through time: it takes ``STEPS`` positions that lie a filter's dilation apart and keeps the last
seven snakes in registers, so that a snake is computed once and not once a tap. Loads run ``4`` steps ahead of the
arithmetic, because a compiler may not move them before the stores between.
"""

import os

import triton
import triton.language as tl
from triton.language.extra import libdevice

INTERPRETED: tl.constexpr = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def _sine(x):
    """One instruction, wrong by 2^-21 within a turn or two; ``tl.sin``, right everywhere, takes thirty."""
    return tl.sin(x) if INTERPRETED else libdevice.fast_sinf(x)


@triton.jit
def _snake(x, alpha, inverse):
    wave = _sine(x * alpha)
    return x + wave * wave * inverse


@triton.jit
def _load(start, position, stop, channel, CHANNELS: tl.constexpr):
    """Return values at positions [LANES] and channels [WIDTH]; what lies outside is not read."""
    wanted = ((position >= 0) & (position < stop))[:, None] & (channel < CHANNELS)[None, :]
    rows = start + position.to(tl.int64) * CHANNELS
    return tl.load(rows[:, None] + channel[None, :], mask=wanted, other=0.0)


@triton.jit
def _inside(raw, position, stop, pending, alpha, inverse, SNAKE: tl.constexpr):
    """Return snake(raw + pending), float32; zero outside the stream."""
    x = raw.to(tl.float32) + pending
    if SNAKE:
        x = _snake(x, alpha, inverse)
    return tl.where(((position >= 0) & (position < stop))[:, None], x, 0.0)


@triton.jit
def _row_of(vector, channel, CHANNELS: tl.constexpr):
    return tl.load(vector + channel, mask=channel < CHANNELS, other=0.0)[None, :]


@triton.jit
def _taps(weight, channel, CHANNELS: tl.constexpr):
    """Return the seven rows of a filter's weights [7, C]."""
    w0 = _row_of(weight, channel, CHANNELS)
    w1 = _row_of(weight + CHANNELS, channel, CHANNELS)
    w2 = _row_of(weight + 2 * CHANNELS, channel, CHANNELS)
    w3 = _row_of(weight + 3 * CHANNELS, channel, CHANNELS)
    w4 = _row_of(weight + 4 * CHANNELS, channel, CHANNELS)
    w5 = _row_of(weight + 5 * CHANNELS, channel, CHANNELS)
    w6 = _row_of(weight + 6 * CHANNELS, channel, CHANNELS)
    return w0, w1, w2, w3, w4, w5, w6


@triton.jit
def _window(
    start,
    begin,
    stop,
    channel,
    pending,
    alpha,
    inverse,
    SNAKE: tl.constexpr,
    DILATION: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Return the six snakes before a lane's first step, and the raw values of its next four."""
    r0 = _load(start, begin - 3 * DILATION, stop, channel, CHANNELS)
    r1 = _load(start, begin - 2 * DILATION, stop, channel, CHANNELS)
    r2 = _load(start, begin - DILATION, stop, channel, CHANNELS)
    r3 = _load(start, begin, stop, channel, CHANNELS)
    r4 = _load(start, begin + DILATION, stop, channel, CHANNELS)
    r5 = _load(start, begin + 2 * DILATION, stop, channel, CHANNELS)
    ahead_0 = _load(start, begin + 3 * DILATION, stop, channel, CHANNELS)
    ahead_1 = _load(start, begin + 4 * DILATION, stop, channel, CHANNELS)
    ahead_2 = _load(start, begin + 5 * DILATION, stop, channel, CHANNELS)
    ahead_3 = _load(start, begin + 6 * DILATION, stop, channel, CHANNELS)
    v0 = _inside(r0, begin - 3 * DILATION, stop, pending, alpha, inverse, SNAKE)
    v1 = _inside(r1, begin - 2 * DILATION, stop, pending, alpha, inverse, SNAKE)
    v2 = _inside(r2, begin - DILATION, stop, pending, alpha, inverse, SNAKE)
    v3 = _inside(r3, begin, stop, pending, alpha, inverse, SNAKE)
    v4 = _inside(r4, begin + DILATION, stop, pending, alpha, inverse, SNAKE)
    v5 = _inside(r5, begin + 2 * DILATION, stop, pending, alpha, inverse, SNAKE)
    return v0, v1, v2, v3, v4, v5, ahead_0, ahead_1, ahead_2, ahead_3


@triton.jit(do_not_specialize=["num_rows"])
def filter_kernel(
    x,
    pending,
    first_alpha,
    first_inverse,
    weight,
    bias,
    second_alpha,
    second_inverse,
    stops,
    out,
    num_rows,
    OFFSET: tl.constexpr,
    CHANNELS: tl.constexpr,
    DILATION: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    STEPS: tl.constexpr,
    LANES: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """``LANES`` lanes of ``WIDTH`` channels of a stream a program; see `reference.filtered`."""
    batch = tl.program_id(2)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    begin = (lane // DILATION) * (DILATION * STEPS) + lane % DILATION - OFFSET
    stop = tl.load(stops + batch).to(tl.int32)
    base = (batch.to(tl.int64) * num_rows + OFFSET) * CHANNELS
    source = x + base
    target = out + base
    add = _row_of(pending, channel, CHANNELS)
    alpha = _row_of(first_alpha, channel, CHANNELS)
    inverse = _row_of(first_inverse, channel, CHANNELS)
    alpha_2 = _row_of(second_alpha, channel, CHANNELS)
    inverse_2 = _row_of(second_inverse, channel, CHANNELS)
    b = _row_of(bias, channel, CHANNELS)
    w0, w1, w2, w3, w4, w5, w6 = _taps(weight, channel, CHANNELS)
    v0, v1, v2, v3, v4, v5, ahead_0, ahead_1, ahead_2, ahead_3 = _window(
        source, begin, stop, channel, add, alpha, inverse, FIRST, DILATION, CHANNELS
    )
    for step in tl.static_range(STEPS):
        v6 = _inside(ahead_0, begin + (step + 3) * DILATION, stop, add, alpha, inverse, FIRST)
        ahead_0 = ahead_1
        ahead_1 = ahead_2
        ahead_2 = ahead_3
        if step + 4 < STEPS:
            ahead_3 = _load(source, begin + (step + 7) * DILATION, stop, channel, CHANNELS)
        y = b + w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3 + w4 * v4 + w5 * v5 + w6 * v6
        if SECOND:
            y = _snake(y, alpha_2, inverse_2)
        position = begin + step * DILATION
        real = (position < num_rows - OFFSET)[:, None] & (channel < CHANNELS)[None, :]
        place = (target + position.to(tl.int64) * CHANNELS)[:, None] + channel[None, :]
        tl.store(place, y.to(out.dtype.element_ty), mask=real)
        v0 = v1
        v1 = v2
        v2 = v3
        v3 = v4
        v4 = v5
        v5 = v6


@triton.jit(do_not_specialize=["num_rows", "num_columns"])
def neighbour_kernel(
    x,
    pending,
    alpha,
    inverse,
    stops,
    out,
    num_rows,
    num_columns,
    OFFSET: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """``ROWS`` rows of ``WIDTH`` channels of one neighbour a program; see `reference.with_neighbour`."""
    batch = tl.program_id(2)
    num_parts: tl.constexpr = (CHANNELS + WIDTH - 1) // WIDTH
    side = tl.program_id(1) // num_parts
    channel = (tl.program_id(1) % num_parts) * WIDTH + tl.arange(0, WIDTH)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    position = row - 1 + side
    stop = tl.load(stops + batch).to(tl.int32)
    source = x + (batch.to(tl.int64) * num_rows + OFFSET) * CHANNELS
    raw = _load(source, position, stop, channel, CHANNELS)
    add = _row_of(pending, channel, CHANNELS)
    first = _row_of(alpha, channel, CHANNELS)
    second = _row_of(inverse, channel, CHANNELS)
    y = _inside(raw, position, stop, add, first, second, True)
    target = out + (batch.to(tl.int64) * (num_columns + 1) * 2 + side) * CHANNELS
    place = (target + row.to(tl.int64) * (2 * CHANNELS))[:, None] + channel[None, :]
    real = (row <= num_columns)[:, None] & (channel < CHANNELS)[None, :]
    tl.store(place, y.to(out.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=["num_rows", "num_columns"])
def add_noise_kernel(
    x,
    pending,
    product,
    product_bias,
    noise,
    num_rows,
    num_columns,
    OFFSET: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """``ROWS`` rows of ``WIDTH`` channels a program; see `reference.add_noise`."""
    batch = tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    position = row - OFFSET
    has_noise = (position >= 0) & (position < num_columns)
    n = tl.load(noise + batch * num_columns + position, mask=has_noise, other=0.0)
    real = (row < num_rows)[:, None] & (channel < CHANNELS)[None, :]
    place = ((batch * num_rows + row) * CHANNELS)[:, None] + channel[None, :]
    y = tl.load(x + place, mask=real, other=0.0).to(tl.float32) + _row_of(pending, channel, CHANNELS)
    h = tl.load(product + place, mask=real, other=0.0).to(tl.float32)
    h = h + _row_of(product_bias, channel, CHANNELS)
    tl.store(x + place, (y + n[:, None] * h).to(x.dtype.element_ty), mask=real)


@triton.jit(do_not_specialize=["num_rows", "num_columns"])
def samples_kernel(
    x,
    pending,
    alpha,
    inverse,
    weight,
    bias,
    stops,
    out,
    num_rows,
    num_columns,
    OFFSET: tl.constexpr,
    CHANNELS: tl.constexpr,
    STEPS: tl.constexpr,
    LANES: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """``LANES`` lanes of a stream a program, all channels; see `reference.to_samples`."""
    batch = tl.program_id(1)
    channel = tl.arange(0, WIDTH)
    begin = (tl.program_id(0) * LANES + tl.arange(0, LANES)) * STEPS
    stop = tl.load(stops + batch).to(tl.int32)
    source = x + (batch.to(tl.int64) * num_rows + OFFSET) * CHANNELS
    target = out + batch.to(tl.int64) * num_columns
    add = _row_of(pending, channel, CHANNELS)
    first = _row_of(alpha, channel, CHANNELS)
    second = _row_of(inverse, channel, CHANNELS)
    w0, w1, w2, w3, w4, w5, w6 = _taps(weight, channel, CHANNELS)
    v0, v1, v2, v3, v4, v5, ahead_0, ahead_1, ahead_2, ahead_3 = _window(
        source, begin, stop, channel, add, first, second, True, 1, CHANNELS
    )
    for step in tl.static_range(STEPS):
        v6 = _inside(ahead_0, begin + step + 3, stop, add, first, second, True)
        ahead_0 = ahead_1
        ahead_1 = ahead_2
        ahead_2 = ahead_3
        if step + 4 < STEPS:
            ahead_3 = _load(source, begin + step + 7, stop, channel, CHANNELS)
        y = w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3 + w4 * v4 + w5 * v5 + w6 * v6
        z = tl.sum(y, axis=1) + bias
        # tanh: at either end exp gives 0 or infinity, and the quotient 2 or 0
        z = 1.0 - 2.0 / (tl.exp(2.0 * z) + 1.0)
        position = begin + step
        tl.store(target + position, tl.where(position < stop, z, 0.0), mask=position < num_columns)
        v0 = v1
        v1 = v2
        v2 = v3
        v3 = v4
        v4 = v5
        v5 = v6
