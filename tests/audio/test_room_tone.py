"""Room tone: one level, no seams, and in every pause of the decoded file."""

import numpy as np
import pytest
from audio_helpers import decode, fill_cache, make_job, utterance

from orpheus_batch.audio.encode import render_chapter_file
from orpheus_batch.audio.loudness import leveled
from orpheus_batch.audio.room_tone import room_tone
from orpheus_batch.config import AudioConfig


def _db(samples):
    return 10 * np.log10(np.mean(np.asarray(samples, np.float64) ** 2))


def test_level_and_colour():
    """The RMS asked for, within every second; most of it below 2 kHz, so it does not hiss."""
    tone = room_tone(0, 48_000 * 20, -70.0) / 32768
    for second in tone.reshape(-1, 24_000):
        assert _db(second) == pytest.approx(-70.0, abs=0.7)
    power = np.abs(np.fft.rfft(tone[:480_000])) ** 2
    assert power[: 2000 * 20].sum() > 0.99 * power.sum()


def test_a_function_of_position_alone():
    """Any stretch is a piece of the whole, also across the loop's end, where it does not jump."""
    whole = room_tone(0, 1_200_000, -60.0)
    for start, stop in ((0, 1), (7, 1007), (1_048_000, 1_049_999), (1_100_000, 1_200_000)):
        np.testing.assert_array_equal(room_tone(start, stop, -60.0), whole[start:stop])
    steps = np.abs(np.diff(whole))
    assert steps[1_048_570:1_048_580].max() <= steps[:1_000_000].max()


def test_stretches_join_and_the_ceiling_holds():
    """Leveled in pieces or whole the samples agree, and the tone never lifts a peak over the ceiling."""
    samples = np.full(5000, 20_000, "<i2")
    whole = leveled(samples, 0, 5000, 3.0, -6.0, -50.0)
    pieces = [leveled(samples, i, min(i + 700, 5000), 3.0, -6.0, -50.0) for i in range(0, 5000, 700)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))
    assert 10 ** (-6 / 20) * 32768 >= np.abs(whole.astype(int)).max()


def test_pauses_of_the_decoded_file_carry_it(tmp_path):
    """Head, pauses and tail are within 3 dB of the tone after MP3; with none asked for, they are silence."""
    fill_cache(tmp_path / "cache", [utterance(1.0, noise_db=-80.0, seed=i) for i in range(2)])
    found = {}
    for tone_db in (-70.0, None):
        audio = AudioConfig(bitrate_kbps=128, room_tone_db=tone_db)
        (file,) = render_chapter_file(make_job(tmp_path, 2, pause_s=0.8, audio=audio))
        got = decode(file.path)
        ends = file.cues[0].start_sample + file.cues[0].num_samples
        found[tone_db] = [got[2400:9600], got[ends + 2400 : ends + 7200], got[-9600:-2400]]
    for pause, silence in zip(found[-70.0], found[None], strict=True):
        assert _db(pause) == pytest.approx(-70.0, abs=3.0)
        assert _db(silence + 1e-9) < -96.0
