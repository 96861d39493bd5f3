"""One level, and peaks that are held without clipping."""

import math

import numpy as np
import pytest
from audio_helpers import RATE, int16, noise, voiced

from orpheus_batch.audio.loudness import MAX_GAIN_DB, SpeechMeter, gain_db, leveled


def _level(*parts):
    meter = SpeechMeter()
    for part in parts:
        meter.add(int16(part))
    return meter.rms_db()


def _plain_rms_db(samples):
    return 20 * math.log10(np.sqrt((samples.astype(np.float64) ** 2).mean()))


def test_pauses_do_not_count():
    """Ten seconds of silence beside one of speech: its level is still that of the speech."""
    speech = voiced(2.0)
    expected = _plain_rms_db(speech)
    assert _level(speech) == pytest.approx(expected, abs=0.3)
    assert _level(speech, np.zeros(10 * RATE, np.float32)) == pytest.approx(_level(speech), abs=1e-9)
    assert _level(np.concatenate([speech, noise(10, -58)])) == pytest.approx(_level(speech), abs=0.05)


def test_level_of_known_signals():
    """A sine of amplitude 0.5 is at -9.03 dB, by definition of the RMS."""
    sine = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    assert _level(sine) == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert -math.inf == _level(np.zeros(RATE))
    assert -math.inf == SpeechMeter().rms_db()


def test_gain_is_what_is_lacking_within_reason():
    """Exact in the usual case; silence is not raised, and near-silence not without end."""
    assert gain_db(-26.5, -20.0) == pytest.approx(6.5)
    assert gain_db(-12.0, -20.0) == pytest.approx(-8.0)
    assert 0.0 == gain_db(-math.inf, -20.0)
    assert MAX_GAIN_DB == gain_db(-59.0, -20.0)


def test_gain_alone_where_no_peak_is_near():
    """Below the ceiling the limiter does nothing at all: every sample is the rounded product."""
    samples = int16(voiced(1.0, amplitude=0.2))
    got = leveled(samples, 0, len(samples), 6.0, -3.0)
    np.testing.assert_array_equal(got, np.rint(samples * 10 ** (6 / 20)).astype(int))


def test_peaks_are_held_smoothly_and_not_clipped():
    """One burst 9 dB over: it comes down to the ceiling, its surroundings with it, the rest not at all.

    Clipping would hold the ceiling too; it would flatten the peak instead of scaling it.
    """
    samples = np.full(RATE, 3_000, "<i2")
    burst = slice(12_000, 12_240)
    samples[burst] = (np.sin(2 * np.pi * 500 * np.arange(240) / RATE) * 32_000).astype("<i2")
    got = leveled(samples, 0, len(samples), 0.0, -9.0)
    ceiling = 10 ** (-9 / 20) * 32_768
    assert ceiling - 2 <= np.abs(got).max() <= ceiling
    np.testing.assert_array_equal(got[:11_700], samples[:11_700])
    np.testing.assert_array_equal(got[12_540:], samples[12_540:])
    ratio = got[burst][np.abs(samples[burst]) > 8000] / samples[burst][np.abs(samples[burst]) > 8000]
    assert np.ptp(ratio) < 0.02
    around = np.abs(samples) > 2_000
    gain = np.interp(np.arange(RATE), np.flatnonzero(around), (got[around] / samples[around]))
    assert np.abs(np.diff(gain)).max() < 0.01


def test_stretches_join_without_a_seam():
    """A long chapter is worked through in stretches; the limiter sees across their borders."""
    random = np.random.default_rng(0)
    samples = np.clip(random.standard_normal(60_000) * 9_000, -32_768, 32_767).astype("<i2")
    whole = leveled(samples, 0, len(samples), 3.0, -6.0)
    pieces = [leveled(samples, i, min(i + 777, len(samples)), 3.0, -6.0) for i in range(0, len(samples), 777)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_full_scale_ceiling_never_wraps():
    """At 0 dB the ceiling is the largest 16-bit number, for both signs; the larger sample sets the gain."""
    samples = np.array([32_767, -32_768] * 1000, "<i2")
    got = leveled(samples, 0, len(samples), 12.0, 0.0)
    assert (32_766, -32_767) == (got.max(), got.min())
