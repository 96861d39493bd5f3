"""Sound that is wrong, and speech-like sound that is right."""

import numpy as np
import pytest

from orpheus_batch.config import QualityConfig
from orpheus_batch.data import Waveform
from orpheus_batch.quality.audio_checks import check_audio

RATE = 24_000
CONFIG = QualityConfig()


def speech(seconds, level_db=-20.0, seed=0):
    """Noise in syllables of 0.2 s, each rising and falling by 40 dB: the level of speech, without its words."""
    num_samples = round(seconds * RATE)
    noise = np.random.default_rng(seed).uniform(-1.0, 1.0, num_samples)
    phase = np.arange(num_samples) / RATE % 0.2 / 0.2
    syllables = noise * (0.01 + np.sin(np.pi * phase) ** 4)
    return syllables * 10 ** (level_db / 20) / np.sqrt(np.mean(syllables**2))


def silence(seconds, level_db=-70.0):
    return np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 10 ** (level_db / 20)


def check(*parts):
    samples = np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32)
    return check_audio(Waveform(samples, RATE), CONFIG)


@pytest.mark.parametrize("level_db", [-40.0, -30.0, -20.0, -12.0])
def test_speech_passes_at_any_level_a_voice_has(level_db):
    """With its lead-in, a pause inside and a tail; without a tail too, if it fades."""
    for tail in (silence(0.3), silence(0.0)):
        verdict = check(silence(0.4), speech(2.0, level_db), silence(0.8), speech(1.0, level_db), tail)
        assert (True, (), 0.0) == (verdict.ok, verdict.problems, verdict.score)


def test_noise_before_the_first_word_is_no_fault():
    """Orpheus begins with half a second of low noise; the stitcher trims it."""
    assert check(silence(0.6, level_db=-48.0), speech(2.0), silence(0.2)).ok


@pytest.mark.parametrize("level_db", [-200.0, -55.0])
def test_a_silent_take_is_named(level_db):
    """Digital silence and a faint hiss alike; the logarithm of nothing must not warn."""
    verdict = check(silence(2.0, level_db))
    assert verdict.problems[0].startswith("silent: nothing above")


def test_long_silence_inside_is_found_with_its_place():
    """Its length is that of the gap between words, wherever else there is silence."""
    verdict = check(silence(3.0), speech(1.0), silence(1.8), speech(1.0), silence(3.0))
    assert 1 == len(verdict.problems)
    assert verdict.problems[0].startswith("1.8") and "of silence after 3.9" in verdict.problems[0]


def test_silence_is_relative_to_the_speech_around_it():
    """A hiss at -48 dB behind a loud voice is a pause, though it would be no silence by itself."""
    verdict = check(speech(1.0, -12.0), silence(2.0, -48.5), speech(1.0, -12.0), silence(0.2))
    assert "of silence" in verdict.problems[0]


def test_a_cut_off_last_syllable_is_heard():
    """The same speech, cut at a syllable's peak instead of at its end: no recogniser would notice."""
    whole, cut = speech(2.0), speech(1.9)
    assert check(whole).ok
    verdict = check(cut)
    assert 1 == len(verdict.problems)
    assert "it ends in mid-speech" in verdict.problems[0]


@pytest.mark.parametrize(("tail_db", "ok"), [(-18.0, False), (-22.0, True)])
def test_an_end_is_a_fall_of_twenty_decibels(tail_db, ok):
    """Relative to the speech before it, whatever the level."""
    for level_db in (-25.0, -15.0):
        tail = silence(0.05, level_db + tail_db)
        assert ok == check(speech(2.0, level_db), tail).ok


@pytest.mark.parametrize("extra", [0, 1, 479])
def test_the_very_last_samples_count(extra):
    """Windows are counted from the end: from the start, the last few milliseconds would be left over."""
    burst = 0.3 * np.ones(400)
    assert check(speech(2.0), silence(0.2), np.zeros(extra)).ok
    assert not check(np.zeros(extra), speech(2.0), silence(0.2), burst).ok


def test_a_quiet_and_a_loud_take_are_implausible():
    """Nobody speaks at -47 dB into this model, and -4 dB RMS is distortion."""
    assert "speech at -4" in check(speech(2.0, -52.0) + silence(2.0, -90.0)).problems[0]
    loud = np.sign(speech(2.0)) * np.abs(speech(2.0, -1.0)).clip(0.5, 0.99)
    assert any("speech at -" in problem for problem in check(loud, silence(0.2)).problems)


def test_clipping_is_measured():
    """A few samples at full scale happen; one in a hundred is heard."""
    clean = speech(2.0, -20.0)
    few, many = clean.copy(), clean.copy()
    few[::5000], many[::100] = 1.0, -1.0
    assert check(few).ok
    assert "clipped: 1.0% of the samples" in check(many).problems[0]


@pytest.mark.parametrize(
    "samples", [np.zeros(0), np.zeros(100), np.full(RATE, np.nan)], ids=["none", "few", "nan"]
)
def test_what_is_no_audio_is_judged_not_raised(samples):
    """A broken codec must cost the segment, not the run; and no real take can score below it."""
    verdict = check_audio(Waveform(samples.astype(np.float32), RATE), CONFIG)
    assert not verdict.ok
    assert check(silence(1.0)).score > verdict.score


def test_the_rate_is_the_waveforms_own():
    """Seconds, not samples, are what the limits are in."""
    samples = np.concatenate([speech(1.0), silence(0.9), speech(1.0), silence(0.2)]).astype(np.float32)
    assert check_audio(Waveform(samples, RATE), CONFIG).ok
    assert not check_audio(Waveform(samples, RATE // 2), CONFIG).ok
