"""Finding speech: the model's noise goes, nothing that is spoken does."""

import numpy as np
import pytest
from audio_helpers import RATE, int16, noise, voiced

from orpheus_batch.audio.trim import HEAD_MARGIN_S, TAIL_MARGIN_S, find_speech

MS = RATE // 1000


def _quiet(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def _add(*parts):
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("amplitude", "noise_db"),
    [(0.05, -120), (0.05, -80), (0.05, -60)]
    + [(amplitude, level) for amplitude in (0.3, 0.9) for level in (-120, -80, -60, -50, -45)],
)
def test_lead_in_and_tail_noise_go_and_speech_stays(noise_db, amplitude):
    """Orpheus's half second of noise, at several levels, before quiet and loud speech.

    A fixed threshold would fail at one end of this table or the other.
    """
    speech = voiced(1.2, amplitude=amplitude)
    samples = _add(_quiet(0.5), speech, _quiet(0.4)) + noise(2.1, noise_db)
    bounds = find_speech(int16(samples))
    start, end = len(_quiet(0.5)), len(_quiet(0.5)) + len(speech)
    assert abs(bounds.speech_start - start) <= 15 * MS
    assert abs(bounds.speech_end - end) <= 15 * MS
    assert round(HEAD_MARGIN_S * RATE) == bounds.head_samples
    assert round(TAIL_MARGIN_S * RATE) == bounds.tail_samples


@pytest.mark.parametrize("fricative_db", [-25.0, -30.0, -35.0])
def test_soft_consonants_at_the_edges_are_kept(fricative_db):
    """An "f" 25-35 dB under the vowels, 120 ms long, at both ends. A threshold at -25 dB would cut both, and a
    recogniser would still understand the word.
    """
    vowel = voiced(0.8)
    level = 20 * np.log10(np.sqrt((vowel**2).mean())) + fricative_db
    consonant = noise(0.12, level, seed=5)
    samples = _add(_quiet(0.5), consonant, vowel, consonant, _quiet(0.5)) + noise(2.04, -75)
    bounds = find_speech(int16(samples))
    assert bounds.speech_start <= 0.5 * RATE + 5 * MS
    assert bounds.speech_end >= (0.5 + 0.12 + 0.8 + 0.12) * RATE - 5 * MS


def test_the_release_of_a_final_stop_is_kept():
    """ "act": 100 ms of silence, then a burst of 15 ms. It belongs to the word."""
    burst = noise(0.015, -45.0, seed=2)
    samples = _add(_quiet(0.3), voiced(0.6), _quiet(0.1), burst, _quiet(0.5)) + noise(1.515, -80)
    bounds = find_speech(int16(samples))
    assert bounds.speech_end >= round((0.3 + 0.6 + 0.1 + 0.015) * RATE) - 5 * MS


def test_a_quiet_last_word_after_a_pause_is_kept():
    """Voices sink at the end of a sentence: 24 dB down after a pause of 400 ms is still a word."""
    word = voiced(0.3) * 10 ** (-24 / 20)
    samples = _add(_quiet(0.3), voiced(1.0), _quiet(0.4), word, _quiet(0.4)) + noise(2.4, -70)
    bounds = find_speech(int16(samples))
    assert bounds.speech_end >= round(2.0 * RATE) - 10 * MS


def test_a_click_before_speech_is_not_its_beginning():
    """Three loud milliseconds in the lead-in, far from speech, go with it."""
    samples = _add(_quiet(0.6), voiced(1.0), _quiet(0.4))
    samples[2000 : 2000 + 3 * MS] = 0.5
    bounds = find_speech(int16(samples))
    assert abs(bounds.speech_start - 0.6 * RATE) <= 10 * MS


def test_a_constant_offset_is_not_sound():
    """Some decoders add one; it has a level, but nothing is heard."""
    samples = _add(_quiet(0.5), voiced(1.0, amplitude=0.1), _quiet(0.5)) + 0.05
    bounds = find_speech(int16(samples))
    assert abs(bounds.speech_start - 0.5 * RATE) <= 10 * MS
    assert abs(bounds.speech_end - 1.5 * RATE) <= 15 * MS


def test_speech_that_fills_the_segment_is_kept_whole():
    """A model that begins at once leaves nothing to trim; short edges that might be consonants stay too."""
    samples = int16(voiced(1.0))
    bounds = find_speech(samples)
    assert (0, len(samples)) == (bounds.start, bounds.end)
    samples = int16(_add(_quiet(0.1), voiced(1.0), _quiet(0.1)))
    bounds = find_speech(samples)
    assert (0, len(samples)) == (bounds.start, bounds.end)


def test_a_short_word_in_a_long_silence_is_found():
    """ "No." in six seconds: the speech level is that of the word, not of what surrounds it."""
    samples = int16(_add(_quiet(3.0), voiced(0.25), _quiet(3.0)) + noise(6.25, -65))
    bounds = find_speech(samples)
    assert abs(bounds.speech_start - 3.0 * RATE) <= 15 * MS
    assert abs(bounds.speech_end - 3.25 * RATE) <= 20 * MS


@pytest.mark.parametrize(
    "samples",
    [_quiet(2.0), noise(2.0, -60.0), _quiet(0.0), _quiet(0.001)],
    ids=["zeros", "noise", "empty", "1ms"],
)
def test_no_speech_is_said_to_be_none(samples):
    """Silence, noise alone, and too little to measure have no bounds; nobody must index into them."""
    assert find_speech(int16(samples)) is None
