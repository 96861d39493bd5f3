"""The limiter, whatever it is given: under the ceiling always, smooth, and not there where nothing is loud."""

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orpheus_batch.audio.loudness import _HALF_WINDOW, _limiter_gain, leveled

NEAR = 2 * _HALF_WINDOW
"""Samples on either side that may have a say in one: the window of the minimum and that of the mean."""


@st.composite
def signals(draw):
    """Return int16 samples: noise whose level jumps, with single peaks of any height in it."""
    lengths = draw(st.lists(st.integers(1, 700), min_size=1, max_size=6))
    levels = draw(st.lists(st.integers(0, 32_767), min_size=len(lengths), max_size=len(lengths)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = [random.integers(-level, level + 1, n) for n, level in zip(lengths, levels, strict=True)]
    samples = np.concatenate(parts).astype("<i2")
    for at, value in draw(st.lists(st.tuples(st.integers(0, 4199), st.integers(-32_768, 32_767)), max_size=5)):
        samples[at % len(samples)] = value
    return samples


gains_db = st.floats(-20, 30)
ceilings_db = st.floats(-20, 0)


def _ceiling(peak_db):
    return math.floor(min(10 ** (peak_db / 20) * 32_768, 32_767))


@settings(max_examples=150, deadline=None)
@given(signals(), gains_db, ceilings_db)
@example(np.array([-32_768, 32_767] * 400, "<i2"), 30.0, -20.0)
def test_no_sample_is_above_the_ceiling_or_louder_than_asked(samples, gain_db, peak_db):
    """Nothing wraps, nothing changes its sign, and the limiter only ever takes away."""
    out = leveled(samples, 0, len(samples), gain_db, peak_db).astype(int)
    asked = samples * 10 ** (gain_db / 20)
    assert np.abs(out).max(initial=0) <= _ceiling(peak_db)
    assert (np.abs(out) <= np.abs(asked) + 0.5).all()
    assert (out * asked >= 0).all()


@settings(max_examples=150, deadline=None)
@given(signals(), gains_db, ceilings_db)
def test_what_is_far_from_a_peak_is_not_touched(samples, gain_db, peak_db):
    """Every sample with no peak within 20 ms is the rounded product and nothing else."""
    out = leveled(samples, 0, len(samples), gain_db, peak_db)
    asked = samples * 10 ** (gain_db / 20)
    loud = np.abs(asked) > _ceiling(peak_db)
    near = np.convolve(loud, np.ones(2 * NEAR + 1), mode="full")[NEAR : NEAR + len(loud)] > 0
    np.testing.assert_array_equal(out[~near], np.rint(asked[~near]))


@settings(max_examples=150, deadline=None)
@given(signals(), st.integers(1, 32_767))
def test_the_gain_is_smooth_and_sufficient(samples, ceiling):
    """It is never steeper than a hard step averaged over half the look-ahead: no click, no flattened peak."""
    gain = _limiter_gain(samples.astype(np.float64), ceiling)
    assert len(samples) == len(gain)
    assert (gain > 0).all() and (gain <= 1 + 1e-9).all()
    # a mean by running sums errs by the rounding of a sum of ones, whatever the gain's own size
    assert (np.abs(samples.astype(np.int64)) * (gain - 1e-10) <= ceiling).all()
    assert np.abs(np.diff(gain)).max(initial=0) <= 1 / (_HALF_WINDOW // 2) + 1e-9


@settings(max_examples=40, deadline=None)
@given(signals(), gains_db, ceilings_db, st.integers(50, 900))
def test_a_file_can_be_worked_through_in_any_stretches(samples, gain_db, peak_db, size):
    """Each looks at its neighbours' samples, so none shows."""
    whole = leveled(samples, 0, len(samples), gain_db, peak_db, -70.0).astype(int)
    parts = [
        leveled(samples, start, min(start + size, len(samples)), gain_db, peak_db, -70.0)
        for start in range(0, len(samples), size)
    ]
    assert np.abs(np.concatenate(parts) - whole).max() <= 1
