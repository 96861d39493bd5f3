"""The cache of decoded segments: exact, self-contained, and never wrong audio whatever befalls its files."""

import tempfile

import numpy as np
import pytest
from audio_helpers import CODEC, RATE, int16, noise, utterance

from orpheus_batch.audio import cache as cache_module
from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.data import Waveform
from orpheus_batch.errors import EncodeError

AUDIO = [utterance(0.3 + 0.1 * i, seed=i) for i in range(5)]


def _entries(*numbers, attempt=0):
    return [(f"s{i}", attempt, Waveform(AUDIO[i], RATE)) for i in numbers]


def _held(cache, number, attempt=0):
    waveform = cache.get(f"s{number}", attempt)
    return None if waveform is None else int16(waveform.samples)


def _flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def test_gives_back_the_samples_at_16_bits(folder):
    """Lossless from then on: what is read is what rounding gave, whoever opens the folder."""
    writer = AudioCache(folder, CODEC)
    writer.put(3, _entries(0, 1, 2))
    writer.put(3, _entries(3))
    writer.put(0, _entries(4, attempt=2))
    for reader in (writer, AudioCache(folder, CODEC, read_only=True), AudioCache(folder, CODEC)):
        for number in range(4):
            np.testing.assert_array_equal(_held(reader, number), int16(AUDIO[number]))
        np.testing.assert_array_equal(_held(reader, 4, attempt=2), int16(AUDIO[4]))
        assert reader.get("s4", 0) is None
        assert [("s4", 0), ("x", 1)] == reader.missing([("s0", 0), ("s4", 0), ("x", 1), ("s4", 0)])


def test_full_scale_and_silence_survive(folder):
    """Extremes of 16 bits, and a segment of no samples at all."""
    cache = AudioCache(folder, CODEC)
    extremes = np.array([1.0, -1.0, 2.0, -2.0, 0.0] * 100, np.float32)
    empty = np.zeros(0, np.float32)
    cache.put(0, [("a", 0, Waveform(extremes, RATE)), ("b", 0, Waveform(empty, RATE))])
    cache.put(0, [("c", 0, Waveform(empty, RATE))])
    np.testing.assert_array_equal(int16(cache.get("a", 0).samples), int16(extremes))
    assert 0 == len(cache.get("b", 0).samples)
    assert 0 == len(AudioCache(folder, CODEC).get("c", 0).samples)


def test_samples_that_look_like_a_frame_of_flac_survive(folder):
    """Bare FLAC is cut at what looks like a header: ffmpeg 4.2 then leaves out one of these frames."""
    frame_samples, number = 4608, 3
    loud = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, 8 * frame_samples).astype("<i2")
    header = bytes([0xFF, 0xF8, 0x27, 0x08, number + 1])  # 24 kHz, mono, 16 bits, the next frame's number
    header += bytes([_crc8(header)])
    at = number * frame_samples + 600
    loud[at : at + 3] = np.frombuffer(header, ">i2")
    cache = AudioCache(folder, CODEC)
    cache.put(0, [("a", 0, Waveform((loud / 32768).astype(np.float32), RATE))])
    # noise is not compressed: it stands there as it is
    assert header in (folder / "chapter-0000.audio").read_bytes()
    np.testing.assert_array_equal(int16(cache.get("a", 0).samples), loud)


def _crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def test_another_codecs_audio_is_not_seen(folder):
    """The same segment and take sound otherwise through another codec; both can lie in one file."""
    AudioCache(folder, CODEC).put(0, _entries(0))
    other = AudioCache(folder, "another codec")
    assert other.get("s0", 0) is None
    other.put(0, [("s0", 0, Waveform(AUDIO[1], RATE))])
    np.testing.assert_array_equal(_held(AudioCache(folder, CODEC), 0), int16(AUDIO[0]))
    np.testing.assert_array_equal(_held(AudioCache(folder, "another codec"), 0), int16(AUDIO[1]))


def test_a_long_batch_is_cut_into_records(folder, monkeypatch):
    """Reading one segment must not decode an hour; a segment above the limit is still kept."""
    monkeypatch.setattr(cache_module, "MAX_RECORD_SAMPLES", 40_000)
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0, 1, 2, 3, 4))
    records = {id(cache._index[f"s{i}", 0]) for i in range(5)}
    assert len(records) > 1
    for number in range(5):
        np.testing.assert_array_equal(_held(cache, number), int16(AUDIO[number]))


@pytest.mark.parametrize("cut", [1, 20, 200, "header"])
def test_a_torn_tail_is_ignored_by_readers_and_cut_by_the_writer(folder, cut):
    """Killed while appending: what is whole stays, and the next record lies where it can be found again."""
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0))
    path = folder / "chapter-0000.audio"
    whole = path.stat().st_size
    cache.put(0, _entries(1))
    keep = whole + 10 if cut == "header" else path.stat().st_size - cut
    path.write_bytes(path.read_bytes()[:keep])
    reader = AudioCache(folder, CODEC, read_only=True)
    assert [("s1", 0)] == reader.missing([("s0", 0), ("s1", 0)])
    assert keep == path.stat().st_size
    writer = AudioCache(folder, CODEC)
    assert whole == path.stat().st_size
    writer.put(0, _entries(1, 2))
    reopened = AudioCache(folder, CODEC)
    for number in range(3):
        np.testing.assert_array_equal(_held(reopened, number), int16(AUDIO[number]))


def test_every_flipped_byte_is_missing_audio_and_never_wrong_audio(folder):
    """A bit turned anywhere (prefix, header, FLAC): the answer is the right samples or none. FLAC's own
    checksums would miss the header, where a changed length shifts every segment after it.
    """
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0, 1))
    path = folder / "chapter-0000.audio"
    good = path.read_bytes()
    for offset in [*range(0, 240, 7), *range(240, len(good), 4001)]:
        path.write_bytes(good)
        _flip(path, offset)
        damaged = AudioCache(folder, CODEC, read_only=True)
        assert [("s0", 0), ("s1", 0)] == damaged.missing([("s0", 0), ("s1", 0)])
        assert damaged.get("s1", 0) is None
    path.write_bytes(good)
    np.testing.assert_array_equal(_held(AudioCache(folder, CODEC), 1), int16(AUDIO[1]))


def test_damage_behind_an_open_cache_is_noticed_and_mended(folder):
    """The index was built before the byte was lost; a second copy then takes the first one's place."""
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0))
    _flip(folder / "chapter-0000.audio", (folder / "chapter-0000.audio").stat().st_size - 50)
    assert [("s0", 0)] == cache.missing([("s0", 0)])
    cache.put(0, _entries(0))
    assert [] == cache.missing([("s0", 0)])
    np.testing.assert_array_equal(_held(AudioCache(folder, CODEC), 0), int16(AUDIO[0]))


def test_files_may_be_deleted_at_any_time(folder):
    """Under an open writer too: what is gone is missing, and what is written afterwards is found."""
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0))
    cache.put(1, _entries(1))
    assert [] == cache.missing([("s0", 0)])
    (folder / "chapter-0000.audio").unlink()
    assert [("s0", 0)] == cache.missing([("s0", 0), ("s1", 0)])
    assert cache.get("s0", 0) is None
    cache.put(0, _entries(2))
    assert [("s0", 0)] == cache.missing([("s0", 0), ("s1", 0), ("s2", 0)])
    np.testing.assert_array_equal(_held(cache, 2), int16(AUDIO[2]))


def test_reads_a_chapter_in_order_however_it_was_written(folder, tmp_path, monkeypatch):
    """Longest-first generation writes segments out of order, and equal text is written once for two chapters.

    Each record is decoded once, or a chapter would cost the square of its length.
    """
    cache = AudioCache(folder, CODEC)
    cache.put(1, _entries(3, 0))
    cache.put(0, _entries(4, 1))
    cache.put(1, _entries(2))
    runs = []
    run = cache_module.run_ffmpeg
    monkeypatch.setattr(cache_module, "run_ffmpeg", lambda *a, **k: runs.append(1) or run(*a, **k))
    reader = AudioCache(folder, CODEC, read_only=True)
    order = [0, 1, 2, 3, 0, 4, 1]
    with tempfile.TemporaryFile() as scratch:
        got = list(reader.read_in_order([(f"s{i}", 0) for i in order], scratch))
    for number, samples in zip(order, got, strict=True):
        np.testing.assert_array_equal(samples, int16(AUDIO[number]))
    assert 3 == len(runs)


def test_missing_audio_is_named_when_reading_in_order(folder, tmp_path):
    """The error says which segment, and that the same command mends it."""
    AudioCache(folder, CODEC).put(0, _entries(0))
    reader = AudioCache(folder, CODEC, read_only=True)
    with (
        tempfile.TemporaryFile() as scratch,
        pytest.raises(EncodeError, match=r"audio of 2 of 3 segments is missing.*segment s7, attempt 1"),
    ):
        list(reader.read_in_order([("s0", 0), ("s7", 1), ("s8", 0)], scratch))


def test_bad_use_and_bad_folders_are_refused(folder, tmp_path):
    """Another sample rate would play at another pitch; a file in the folder's place can't hold a cache."""
    cache = AudioCache(folder, CODEC)
    with pytest.raises(EncodeError, match="audio at 16000 Hz"):
        cache.put(0, [("s0", 0, Waveform(noise(0.1, -20), 16_000))])
    with pytest.raises(EncodeError, match="open for reading only"):
        AudioCache(folder, CODEC, read_only=True).put(0, _entries(0))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(EncodeError, match=r"can't write the audio cache .*chapter-0000\.audio"):
        AudioCache(blocked, CODEC).put(0, _entries(0))


def test_a_full_disk_leaves_the_file_as_it_was(folder, monkeypatch):
    """Half a record is cut off again at once, so that later records are found."""
    cache = AudioCache(folder, CODEC)
    cache.put(0, _entries(0))
    before = (folder / "chapter-0000.audio").read_bytes()

    def full(file, data):
        file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "_write_all", full)
        with pytest.raises(EncodeError, match="No space left on device"):
            cache.put(0, _entries(1))
    assert before == (folder / "chapter-0000.audio").read_bytes()
    cache.put(0, _entries(1))
    np.testing.assert_array_equal(_held(AudioCache(folder, CODEC), 1), int16(AUDIO[1]))
