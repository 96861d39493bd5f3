"""From cached segments to chapter MP3s: the same bytes each time, right tags, and proof that the sound is
there."""

import concurrent.futures
import dataclasses
import io
import itertools
import math
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from audio_helpers import (
    CODEC,
    RATE,
    decode,
    fill_cache,
    int16,
    make_job,
    mpeg_frame_bitrates,
    read_id3,
    utterance,
)

from orpheus_batch.audio import encode as encode_module
from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.encode import (
    ChapterPiece,
    ChapterTags,
    check_audio_config,
    read_cover,
    render_chapter_file,
    split_parts,
)
from orpheus_batch.audio.stitch import StitchedChapter, StitchPiece, stitch_chapter
from orpheus_batch.config import AudioConfig
from orpheus_batch.data import Cue, Waveform
from orpheus_batch.errors import ConfigError, EncodeError

UTTERANCES = [utterance(1.0 + 0.3 * i, amplitude=0.08 * (i + 1), seed=i) for i in range(4)]

# 8 x 6 pixels, written by hand: PNG chunks of one grey picture, and the smallest JPEG header that ffmpeg
# copies.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)


@pytest.fixture
def filled(tmp_path):
    fill_cache(tmp_path / "cache", UTTERANCES)
    return tmp_path


def _only(files):
    (file,) = files
    return file


def _listing(folder):
    return sorted(path.name for path in folder.iterdir())


def _expected_audio(job, utterances):
    """What is to be heard, by the stitcher alone, from the codec's own floats."""
    sink = io.BytesIO()
    pieces = [
        StitchPiece(p.segment_id, p.segment_index, int16(u), p.pause_after_s)
        for p, u in zip(job.pieces, utterances, strict=True)
    ]
    stitch_chapter(pieces, sink, lead_in_s=job.audio.lead_in_s)
    return np.frombuffer(sink.getvalue(), "<i2") / 32768


def test_the_mp3_plays_what_was_stitched(filled):
    """Same length to the sample, and the decoded waveform follows the stitched one closely where it is aligned.

    Right length alone would pass with every segment in the wrong place.
    """
    job = make_job(filled, 4)
    file = _only(render_chapter_file(job))
    expected = _expected_audio(job, UTTERANCES)
    got = decode(file.path)
    assert len(expected) == len(got) == round(file.duration_s * RATE)
    leveled = 10 ** (file.gain_db / 20) * expected
    assert 10 * math.log10(((got - leveled) ** 2).mean() / (leveled**2).mean()) < -30
    assert ["s0", "s1", "s2", "s3"] == [cue.segment_id for cue in file.cues]
    assert ["01 - Title.mp3", "cache"] == _listing(filled)
    assert file.num_bytes == file.path.stat().st_size


def test_speech_is_brought_to_one_level_and_under_the_ceiling(filled):
    """Measured on the decoded MP3 by plain numpy over the cues: within 0.1 dB of the target; peaks as reported.

    LAME takes off 0.45 dB; measuring what it was given would not notice.
    """
    for target in (-20.0, -26.0):
        job = make_job(filled, 4, audio=AudioConfig(target_rms_db=target))
        file = _only(render_chapter_file(job))
        got = decode(file.path)
        power = []
        for cue in file.cues:
            speech = got[cue.start_sample : cue.start_sample + cue.num_samples].astype(np.float64)
            power += [(block**2).mean() for block in np.array_split(speech, len(speech) // 1200)]
        level = 10 * math.log10(np.mean([p for p in power if p > np.mean(power) / 100]))
        assert level == pytest.approx(target, abs=0.1)
        assert file.speech_rms_db == pytest.approx(target, abs=0.1)
        assert file.peak_db == pytest.approx(20 * math.log10(np.abs(got).max()), abs=1e-4)
        assert file.peak_db <= -3.0 + 1.0


def test_same_job_same_bytes(filled, tmp_path):
    """Twice, in another folder, and in another process: no date, version or random number may get in."""
    job = make_job(filled, 4)
    first = _only(render_chapter_file(job))
    content = first.path.read_bytes()
    again = _only(render_chapter_file(job))
    assert (content, first) == (again.path.read_bytes(), again)
    moved = dataclasses.replace(job, output_path=tmp_path / "elsewhere" / job.output_path.name)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        other = _only(pool.submit(render_chapter_file, moved).result())
    assert (content, first.sha256) == (other.path.read_bytes(), other.sha256)


def test_same_bytes_whatever_the_cache_has_been_through(filled, tmp_path):
    """Written in one batch or many, in another order, under another chapter, beside other takes: one file.

    This is the promise that the cache may be deleted and made again.
    """
    expected = _only(render_chapter_file(make_job(filled, 4))).sha256
    cache = AudioCache(tmp_path / "second", CODEC)
    cache.put(7, [("s2", 1, Waveform(UTTERANCES[0], RATE)), ("s3", 0, Waveform(UTTERANCES[3], RATE))])
    cache.put(0, [("s2", 0, Waveform(UTTERANCES[2], RATE))])
    for i in (1, 0):
        cache.put(0, [(f"s{i}", 0, Waveform(UTTERANCES[i], RATE))])
    job = make_job(filled, 4, cache_dir=tmp_path / "second", output_path=tmp_path / "b" / "01 - Title.mp3")
    assert expected == _only(render_chapter_file(job)).sha256


def test_audio_read_back_stitches_like_audio_fresh_from_the_codec(filled):
    """Stitching is given 16-bit samples in both cases, so the cache's presence changes no sample."""
    job = make_job(filled, 4)
    cache = AudioCache(filled / "cache", CODEC, read_only=True)
    read_back = [cache.get(f"s{i}", 0).samples for i in range(4)]
    np.testing.assert_array_equal(_expected_audio(job, read_back), _expected_audio(job, UTTERANCES))


def test_tags_read_back_by_another_reader(filled):
    """ID3v2.3 with every field, in any script; nothing in a title can become an option or another tag."""
    tags = ChapterTags(
        title='Ch. 1: "Ünïcode" 門\n-metadata evil=1',
        album="The Book = a test",
        artist="Zoë Author",
        track_number=2,
        num_tracks=12,
        genre="Audiobook",
        year="1898",
        language="en-GB",
    )
    file = _only(render_chapter_file(make_job(filled, 4, tags=tags)))
    frames = read_id3(file.path)
    assert {
        "TIT2": 'Ch. 1: "Ünïcode" 門 -metadata evil=1',
        "TALB": "The Book = a test",
        "TPE1": "Zoë Author",
        "TRCK": "2/12",
        "TCON": "Audiobook",
        "TYER": "1898",
        "TLAN": "eng",
        "TXXX:SYNTHETIC_SPEECH": "1",
        "COMM": ("eng", "Synthetic speech: this voice was generated by a computer."),
    } == frames


@pytest.mark.parametrize("bitrate", [64, 96, 160])
def test_the_bit_rate_is_constant(filled, bitrate):
    """Every frame's header is read: one rate, the one asked for."""
    file = _only(render_chapter_file(make_job(filled, 2, audio=AudioConfig(bitrate_kbps=bitrate))))
    assert {bitrate} == mpeg_frame_bitrates(file.path)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_other_sample_rates(filled, rate):
    """ffmpeg resamples; length, level and cues (in seconds) stay."""
    file = _only(
        render_chapter_file(make_job(filled, 4, audio=AudioConfig(sample_rate_hz=rate, bitrate_kbps=64)))
    )
    got = decode(file.path, rate)
    assert len(got) / rate == pytest.approx(file.duration_s, abs=0.01)
    cue = file.cues[2]
    start, stop = (round(s / RATE * rate) for s in (cue.start_sample, cue.start_sample + cue.num_samples))
    assert np.abs(got[start:stop]).max() > 0.1
    assert np.abs(got[: round(0.4 * rate)]).max() < 0.01


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_cover_is_embedded_as_it_is(filled, kind):
    """Front cover, byte for byte: pydub alone would turn a PNG into a JPEG and encode a JPEG again."""
    picture = PNG if kind == "png" else _jpeg()
    file = _only(render_chapter_file(make_job(filled, 2, cover=picture)))
    expected = (3, f"image/{kind}", picture)
    assert expected == read_id3(file.path)["APIC"]
    assert len(decode(file.path)) == round(file.duration_s * RATE)


def _jpeg():
    from orpheus_batch.audio.ffmpeg import run_ffmpeg

    return run_ffmpeg(
        ["-f", "lavfi", "-i", "color=c=red:s=16x16", "-frames:v", "1", "-f", "mjpeg", "pipe:1"], what="a cover"
    )


def test_a_cover_that_is_no_picture_is_refused(filled):
    """By its first bytes, whatever its name says, before anything is encoded."""
    path = filled / "cover.jpg"
    path.write_bytes(b"GIF89a" + bytes(20))
    with pytest.raises(EncodeError, match=r"cover\.jpg is neither JPEG nor PNG"):
        read_cover(path)
    with pytest.raises(EncodeError, match="can't read the cover"):
        read_cover(filled / "none.png")
    path.write_bytes(PNG)
    assert PNG == read_cover(path)
    with pytest.raises(EncodeError, match="neither JPEG nor PNG"):
        render_chapter_file(make_job(filled, 2, cover=b"%PDF-1.4"))


def test_long_chapter_becomes_parts_at_segment_boundaries(filled):
    """Parts of about one length, none too long, each segment in one part at the place that its cue says."""
    job = make_job(filled, 4, max_part_s=5.0)
    whole = _only(render_chapter_file(dataclasses.replace(job, max_part_s=7200.0)))
    files = render_chapter_file(job)
    assert ["01 - Title (part 1).mp3", "01 - Title (part 2).mp3"] == [f.path.name for f in files]
    assert [("Title (part 1)", 1, 2), ("Title (part 2)", 2, 2)] == [
        (read_id3(f.path)["TIT2"], f.part, f.num_parts) for f in files
    ]
    assert ["s0", "s1", "s2", "s3"] == [cue.segment_id for f in files for cue in f.cues]
    original = decode(whole.path)
    for file in files:
        assert file.duration_s <= 5.0
        got = decode(file.path)
        assert len(got) == round(file.duration_s * RATE)
        assert np.abs(got[: round(0.4 * RATE)]).max() < 0.01
        for cue in file.cues:
            there = next(c for c in whole.cues if c.segment_id == cue.segment_id)
            a = got[cue.start_sample : cue.start_sample + cue.num_samples]
            b = original[there.start_sample : there.start_sample + there.num_samples]
            assert np.corrcoef(a, b)[0, 1] > 0.98
    assert {whole.gain_db} == {f.gain_db for f in files}


def test_parts_never_exceed_the_limit_and_lose_nothing():
    """By arithmetic on many shapes: parts tile the chapter, hold every cue, and respect the limit unless one
    segment alone is longer.
    """
    random = np.random.default_rng(0)
    for _ in range(200):
        lengths = random.integers(0, 1000, random.integers(1, 40))
        gaps = random.integers(0, 200, len(lengths) + 1)
        starts = np.cumsum(gaps[:-1] + np.concatenate([[0], lengths[:-1]]))
        total = int(starts[-1] + lengths[-1] + gaps[-1])
        cues = tuple(
            Cue(str(i), i, int(s), int(n)) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))
        )
        limit, lead_in = int(random.integers(200, 6000)), int(random.integers(0, 100))
        parts = split_parts(StitchedChapter(total, cues, ()), limit, lead_in)
        assert [c.segment_id for c in cues] == [c.segment_id for part in parts for c in part.cues]
        assert (0, total) == (parts[0].start, parts[-1].stop)
        assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
        for part in parts:
            assert len(part.cues) <= 1 or part.num_samples <= limit
            for cue in part.cues:
                assert 0 <= cue.start_sample and cue.start_sample + cue.num_samples <= part.num_samples


def test_failed_segments_are_pauses(filled):
    """A segment without a take is cued with no samples; the chapter is made all the same."""
    pieces = (
        ChapterPiece("s0", 0, 0, 0.3),
        ChapterPiece("gone", 1, None, 0.3),
        ChapterPiece("s1", 2, 0, 0.3),
    )
    file = _only(render_chapter_file(make_job(filled, 0, pieces=pieces)))
    assert [False, True, False] == [cue.num_samples == 0 for cue in file.cues]


def test_a_chapter_of_failures_is_silence_and_says_so(filled):
    """No speech at all: the file exists, with an infinite level below and no gain."""
    pieces = tuple(ChapterPiece(f"x{i}", i, None, 1.0) for i in range(3))
    silent = AudioConfig(room_tone_db=None)
    file = _only(render_chapter_file(make_job(filled, 0, pieces=pieces, audio=silent)))
    assert (-math.inf, -math.inf, 0.0) == (file.speech_rms_db, file.peak_db, file.gain_db)
    assert file.duration_s == pytest.approx(3.5)


def test_nothing_to_encode_is_an_error(filled):
    """A chapter without segments and lead-in can't become a file that plays."""
    with pytest.raises(EncodeError, match="nothing to encode"):
        render_chapter_file(make_job(filled, 0, audio=AudioConfig(lead_in_s=0.0)))


def test_missing_audio_is_an_error_and_leaves_the_old_file(filled):
    """The file of an earlier run stays until a whole one can take its place."""
    job = make_job(filled, 4)
    before = _only(render_chapter_file(job)).path.read_bytes()
    bad = dataclasses.replace(job, pieces=(*job.pieces, ChapterPiece("s9", 4, 0, 0.1)))
    with pytest.raises(EncodeError, match="audio of 1 of 5 segments is missing"):
        render_chapter_file(bad)
    assert before == job.output_path.read_bytes()
    assert ["01 - Title.mp3", "cache"] == _listing(filled)


@pytest.mark.parametrize("where", ["stitched.pcm", "leveled.pcm", "pydub"])
def test_a_full_disk_says_so_and_leaves_nothing(filled, monkeypatch, where):
    """Whichever file hits the end of the disk: one clear error that names the output, no debris."""

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    target = {
        "stitched.pcm": (encode_module, "stitch_chapter"),
        "leveled.pcm": (encode_module, "_write_leveled"),
        "pydub": (encode_module, "write_mp3"),
    }[where]
    monkeypatch.setattr(*target, full)
    with pytest.raises(EncodeError, match=r"can't write .*01 - Title\.mp3: No space left on device"):
        render_chapter_file(make_job(filled, 4))
    assert ["cache"] == _listing(filled)


def test_ffmpeg_failing_leaves_nothing_and_says_why(filled, monkeypatch):
    """pydub leaves its temporary files behind when ffmpeg fails; they lie where they are removed."""
    import pydub

    broken = filled / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("orpheus_batch.audio.mp3.find_ffmpeg", lambda: str(broken))
    with pytest.raises(EncodeError, match=r"encoding .*01 - Title\.mp3 failed: No space left on device"):
        render_chapter_file(make_job(filled, 2))
    assert ["cache", "ffmpeg"] == _listing(filled)
    assert str(broken) == pydub.AudioSegment.converter


def test_an_unwritable_folder_is_named(filled):
    """A file stands where the folder should be (the tests may run as root, whom permissions do not stop)."""
    (filled / "blocked").write_text("")
    job = make_job(filled, 2, output_path=filled / "blocked" / "01 - Title.mp3")
    with pytest.raises(EncodeError, match=r"can't write .*blocked/01 - Title\.mp3"):
        render_chapter_file(job)


def test_what_a_killed_run_left_is_removed(filled):
    """The hidden folder of a run that was killed does not hinder, or outlive, the next one."""
    left = filled / ".chapter-0000.part"
    left.mkdir()
    (left / "stitched.pcm").write_bytes(b"old")
    render_chapter_file(make_job(filled, 2))
    assert ["01 - Title.mp3", "cache"] == _listing(filled)


def test_peaks_above_full_scale_are_encoded_again_lower(tmp_path):
    """At a ceiling of 0 dB the MP3's own overshoot would clip: the ceiling comes down until it does not.

    The first encoding is measured too, or the test would pass where there is no overshoot to begin with.
    """
    sine = np.sin(2 * np.pi * 100 * np.arange(2 * RATE) / RATE)
    pulses = 0.3 * np.sign(sine) * (np.abs(sine) > 0.9)
    fill_cache(tmp_path / "cache", [pulses.astype(np.float32)])
    audio = AudioConfig(bitrate_kbps=32, peak_db=0.0, target_rms_db=-6.0)
    seen = []
    measure = encode_module.measure_file

    def recorded(*args, **kwargs):
        levels = measure(*args, **kwargs)
        seen.append(levels.peak_db)
        return levels

    encode_module.measure_file = recorded
    try:
        file = _only(render_chapter_file(make_job(tmp_path, 1, audio=audio)))
    finally:
        encode_module.measure_file = measure
    assert seen[0] > 0.0
    assert len(seen) > 1
    assert file.peak_db <= 0.0


def test_bit_rates_that_do_not_exist_are_refused_before_work(filled):
    """LAME would silently take another one: 192 kbps at 24 kHz becomes 160."""
    with pytest.raises(ConfigError, match="an MP3 at 24000 Hz can't have 192; it can have 8, 16"):
        check_audio_config(AudioConfig(bitrate_kbps=192))
    with pytest.raises(ConfigError, match="144"):
        render_chapter_file(make_job(filled, 2, audio=AudioConfig(bitrate_kbps=144, sample_rate_hz=44_100)))
    check_audio_config(AudioConfig(bitrate_kbps=192, sample_rate_hz=44_100))


def test_encoder_processes_import_no_torch():
    """An encoder is a light process: torch alone would cost it seconds and hundreds of megabytes."""
    code = "import sys, orpheus_batch.audio.encode; sys.exit('torch' in sys.modules or 'snac' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_pydub_does_not_warn_without_an_ffmpeg_on_the_path(filled):
    """It warns at import where the PATH has none, though the packaged one is found."""
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "from orpheus_batch.audio.mp3 import _pydub\n"
        "print(_pydub().converter)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": str(filled)}, capture_output=True, text=True, check=False
    )
    assert "" == done.stderr
    assert Path(done.stdout.strip()).is_file()
