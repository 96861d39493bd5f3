"""What `verify` measures, held against ffmpeg's filters, pyloudnorm and plain numpy."""

import re

import numpy as np
import pyloudnorm
import pytest
from delivery_helpers import RATE, ebur128, ffmpeg, narration, pcm, volumedetect, write_wav

from orpheus_batch.audio.delivery.measure import measure
from orpheus_batch.audio.delivery.mpeg import read_mp3_frames
from orpheus_batch.errors import DeliveryError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One narration in several formats."""
    folder = tmp_path_factory.mktemp("measured")
    wav = write_wav(folder / "a.wav", narration(10, level_db=-20, tone_db=-66))
    tags = ["-metadata", "title=A = b; c#\\d", "-metadata", "artist=Zoë", "-id3v2_version", "3"]
    ffmpeg("-i", wav, "-b:a", "192k", *tags, folder / "cbr.mp3")
    ffmpeg("-i", wav, "-q:a", "4", folder / "vbr.mp3")
    ffmpeg("-i", wav, "-c:a", "flac", folder / "a.flac")
    ffmpeg("-i", wav, "-ac", "2", "-b:a", "128k", "-f", "ipod", folder / "a.m4b")
    ffmpeg("-i", wav, "-c:a", "libopus", "-b:a", "48k", folder / "a.opus")
    return folder


@pytest.mark.parametrize("name", ["a.wav", "cbr.mp3", "vbr.mp3", "a.flac", "a.m4b", "a.opus"])
def test_levels_agree_with_other_tools(folder, name):
    """RMS and peak by `volumedetect`, loudness by pyloudnorm, true peak by `ebur128` run apart."""
    file = folder / name
    found = measure(file)
    mean_db, max_db = volumedetect(file)
    assert found.rms_db == pytest.approx(mean_db, abs=0.11)
    assert found.peak_db == pytest.approx(max_db, abs=0.11)
    assert found.true_peak_db == ebur128(file)[1]
    samples = pcm(file, found.stream.sample_rate_hz).astype(np.float64)
    samples = samples.reshape(-1, found.stream.channels)
    expected = pyloudnorm.Meter(found.stream.sample_rate_hz).integrated_loudness(samples)
    assert found.lufs == pytest.approx(expected, abs=0.15)
    assert found.duration_s == pytest.approx(len(samples) / found.stream.sample_rate_hz, abs=1e-9)


def test_head_tail_and_floor_are_where_they_were_put(folder):
    """0.75 s before the first burst, 2 s after the last; the pauses' own level, not that of a quiet moment."""
    found = measure(folder / "cbr.mp3")
    assert found.head_s == pytest.approx(0.75, abs=0.03)
    assert found.tail_s == pytest.approx(2.0, abs=0.03)
    assert found.noise_floor_db == pytest.approx(-66, abs=1.0)
    assert found.digital_silence_s == 0


def test_the_loudest_pause_counts(tmp_path):
    """One pause of nine is noisy: the quietest half second would not notice."""
    samples = narration(10, level_db=-20, tone_db=-70)
    start, stop = round((0.75 + 4.62) * RATE), round((0.75 + 4.98) * RATE)
    samples[start:stop] += np.random.default_rng(2).standard_normal(stop - start) * 10 ** (-54 / 20)
    found = measure(write_wav(tmp_path / "a.wav", samples))
    assert found.noise_floor_db == pytest.approx(-54, abs=1.0)
    assert found.noisiest_at_s == pytest.approx(0.75 + 4.6, abs=0.1)


def test_noise_above_the_usual_limit_is_still_a_floor(tmp_path):
    """Room noise of -45 dB is told as -45, and not taken for speech."""
    found = measure(write_wav(tmp_path / "a.wav", narration(10, level_db=-20, tone_db=-45)))
    assert found.noise_floor_db == pytest.approx(-45, abs=1.0)


@pytest.mark.parametrize("name", ["z.wav", "z.mp3"])
def test_digital_silence_is_found(tmp_path, name):
    """Pauses of zeros add up, and survive an encoder, which makes them no less dead."""
    wav = write_wav(tmp_path / "z.wav", narration(6, level_db=-20, tone_db=None))
    if name == "z.mp3":
        ffmpeg("-i", wav, "-b:a", "192k", tmp_path / name)
    assert measure(tmp_path / name).digital_silence_s == pytest.approx(0.75 + 5 * 0.4 + 2, abs=0.5)


def test_silence_has_no_levels(tmp_path):
    """Nothing to hear: minus infinity, and a head as long as the file."""
    found = measure(write_wav(tmp_path / "a.wav", np.zeros(RATE * 2)))
    assert (-np.inf, -np.inf) == (found.rms_db, found.peak_db)
    assert found.head_s == pytest.approx(2.0)
    assert None is found.to_dict()["rms_db"]


def test_constant_and_variable_bit_rate(folder):
    """By every frame's header; LAME's table frame, whose rate is its own, does not count."""
    assert (True, 192) == (measure(folder / "cbr.mp3").is_constant_bitrate, 192)
    assert {192} == read_mp3_frames(folder / "cbr.mp3").bit_rates_kbps
    assert measure(folder / "cbr.mp3").stream.bitrate_kbps == 192
    assert False is measure(folder / "vbr.mp3").is_constant_bitrate
    assert None is measure(folder / "a.flac").is_constant_bitrate
    assert (2, "aac") == (measure(folder / "a.m4b").stream.channels, measure(folder / "a.m4b").stream.codec)


def test_tags_with_signs_that_mean_something(folder):
    """Equals signs, semicolons, hashes and backslashes come back as they are."""
    tags = measure(folder / "cbr.mp3").stream.tags
    assert ("A = b; c#\\d", "Zoë") == (tags["title"], tags["artist"])


def test_damage_is_found(folder, tmp_path):
    """A file that was cut short, and one with foreign bytes in it, both of which decoders play without a word."""
    whole = (folder / "cbr.mp3").read_bytes()
    assert () == measure(folder / "cbr.mp3").damage
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    (said,) = measure(cut).damage
    assert re.fullmatch(r"it plays 8\.\d s, and its header says 12\.\d s", said)
    mixed = tmp_path / "mixed.mp3"
    foreign = np.random.default_rng(0).bytes(20_000)
    mixed.write_bytes(whole[: len(whole) // 2] + foreign + whole[len(whole) // 2 :])
    assert any("bytes in it are not sound" in said for said in measure(mixed).damage)
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(whole + b"TAG" + bytes(125))
    assert () == measure(tagged).damage
    for name in ("vbr.mp3", "a.flac", "a.m4b", "a.opus", "a.wav"):
        assert () == measure(folder / name).damage
    flac = tmp_path / "cut.flac"
    flac.write_bytes((folder / "a.flac").read_bytes()[:200_000])
    assert "header says" in measure(flac).damage[0]


@pytest.mark.parametrize(("layout", "num_channels"), [("stereo", 2), ("3.0", 3), ("5.1", 6)])
def test_channels_are_counted(folder, tmp_path, layout, num_channels):
    """Levels are of all channels, and the length is that of one."""
    ffmpeg("-i", folder / "a.wav", "-af", f"aformat=channel_layouts={layout}", tmp_path / "a.flac")
    found = measure(tmp_path / "a.flac")
    assert num_channels == found.stream.channels
    assert found.duration_s == pytest.approx(measure(folder / "a.wav").duration_s)


@pytest.mark.parametrize("content", [b"", b"not sound at all" * 100, b"ID3\x03\x00\x00\x00\x00\x00\x00"])
def test_what_is_no_sound_is_refused(tmp_path, content):
    """With a message, not a traceback of ffmpeg's."""
    file = tmp_path / "a.mp3"
    file.write_bytes(content)
    with pytest.raises(DeliveryError, match=r"a\.mp3"):
        measure(file)
    with pytest.raises(DeliveryError, match="there is no file"):
        measure(tmp_path / "gone.mp3")
