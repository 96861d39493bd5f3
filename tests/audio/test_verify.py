"""The last look at a finished file: it fails where the sound is not what it should be."""

import dataclasses

import numpy as np
import pytest
from audio_helpers import RATE, fill_cache, make_job, utterance

from orpheus_batch.audio.encode import render_chapter_file
from orpheus_batch.audio.verify import LevelMeter, check_levels, measure_file
from orpheus_batch.data import Cue
from orpheus_batch.errors import DeliveryError


def _levels(samples, block=10_007):
    meter = LevelMeter(RATE)
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block].astype(np.float32))
    return meter.levels()


CUES = (Cue("a", 0, 12_000, 24_000), Cue("b", 1, 48_000, 24_000))
SAMPLES = np.concatenate(
    [np.zeros(12_000), utterance(1.0, head_s=0, tail_s=0), np.zeros(12_000), utterance(1.0, head_s=0, tail_s=0)]
)


def test_levels_do_not_depend_on_how_audio_comes_in():
    """Blocks of any size, a window across their borders: the same numbers."""
    expected, got = _levels(SAMPLES, len(SAMPLES)), _levels(SAMPLES, 333)
    np.testing.assert_allclose(got.rms_db, expected.rms_db)
    assert (expected.duration_s, expected.peak_db) == (got.duration_s, got.peak_db)
    assert expected.duration_s == len(SAMPLES) / RATE
    assert 20 * np.log10(np.abs(SAMPLES.astype(np.float32)).max()) == pytest.approx(expected.peak_db)


def test_the_same_audio_passes_and_a_little_quieter_too(tmp_path):
    """An encoder changes levels by a decibel or so; that is no fault."""
    check_levels(tmp_path, _levels(SAMPLES * 0.8), _levels(SAMPLES), CUES)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s[:-6_000], r"plays 2\.750 s, but 3\.000 s were encoded"),
        (lambda s: np.concatenate([s, np.zeros(6_000)]), r"plays 3\.250 s"),
        (lambda s: s * 5, "above full scale"),
        (lambda s: np.where(np.arange(len(s)) < 48_000, s, 0.0), "speech is missing at 0:02"),
        (lambda s: s * 0.1, "speech is missing at 0:00"),
        (lambda s: np.concatenate([np.zeros(30_000), s[12_000:-18_000]]), "speech is missing"),
    ],
    ids=["short", "long", "clipped", "second half silent", "all too quiet", "shifted"],
)
def test_damage_is_found(tmp_path, damage, message):
    """Length, clipping and lost or misplaced speech, each by itself."""
    with pytest.raises(DeliveryError, match=message):
        check_levels(tmp_path, _levels(damage(SAMPLES)), _levels(SAMPLES), CUES)


def test_a_damaged_file_can_not_be_measured(tmp_path):
    """Not audio at all, or gone: an error that names the file."""
    file = tmp_path / "bad.mp3"
    file.write_bytes(b"no audio here")
    with pytest.raises(DeliveryError, match=r"bad\.mp3 can't be decoded"):
        measure_file(file, RATE)
    with pytest.raises(DeliveryError, match=r"none\.mp3 can't be decoded"):
        measure_file(tmp_path / "none.mp3", RATE)


def test_a_bad_encoding_is_never_renamed_into_place(tmp_path, monkeypatch):
    """An encoder that loses half the audio and exits 0: the old file stays, the new one goes, the error says
    it."""
    from orpheus_batch.audio import encode

    fill_cache(tmp_path / "cache", [utterance(1.0, seed=i) for i in range(2)])
    job = make_job(tmp_path, 2)
    before = render_chapter_file(job)[0].path.read_bytes()
    write = encode.write_mp3

    def lossy(file, samples, *args, **kwargs):
        write(file, samples[: len(samples) // 4 * 2], *args, **kwargs)

    monkeypatch.setattr(encode, "write_mp3", lossy)
    with pytest.raises(DeliveryError, match=r"01 - Title\.mp3 plays"):
        render_chapter_file(dataclasses.replace(job))
    assert before == job.output_path.read_bytes()
    assert ["01 - Title.mp3", "cache"] == sorted(p.name for p in tmp_path.iterdir())
