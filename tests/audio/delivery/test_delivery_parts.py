"""Splitting, quieting, tags, cues and covers, each by itself."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.audio.delivery.cover import MAX_PIXELS, prepare_cover
from orpheus_batch.audio.delivery.cues import SegmentCue, SentenceCue, format_cues
from orpheus_batch.audio.delivery.quiet import pause_gains_db, quieted
from orpheus_batch.audio.delivery.split import split_at_sentences
from orpheus_batch.audio.delivery.tags import ChapterMark, Tags, ffmetadata
from orpheus_batch.audio.ffmpeg import run_ffmpeg
from orpheus_batch.errors import EncodeError

RATE = 24_000
pieces = st.lists(st.tuples(st.integers(0, 1000), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(pieces, st.integers(1, 6000))
def test_parts_tile_a_chapter_and_end_with_sentences(chapter, limit):
    """Nothing is lost or doubled; only a sentence that is too long itself makes a part too long."""
    lengths, ends = [p[0] for p in chapter], [p[1] for p in chapter]
    parts = split_at_sentences(lengths, ends, limit)
    assert [i for first, stop in parts for i in range(first, stop)] == list(range(len(chapter)))
    for first, stop in parts:
        assert ends[stop - 1] or stop == len(chapter)
        if sum(lengths[first:stop]) > limit:
            assert not any(ends[first : stop - 1])
    assert len(split_at_sentences(lengths, ends, sum(lengths))) == 1


def test_parts_are_even():
    """An hour over the limit is not cut into two hours and a minute."""
    parts = split_at_sentences([60] * 130, [True] * 130, 7200)
    assert [65, 65] == [stop - first for first, stop in parts] or max(b - a for a, b in parts) <= 67


def _speech_with_breath(breath_db):
    random = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE) * 0.2
    breath = random.standard_normal(RATE // 2) * 10 ** (breath_db / 20)
    return np.rint(np.concatenate([tone, breath, tone]) * 32768).astype("<i2")


def test_noise_in_a_pause_is_lowered_and_speech_is_untouched():
    """-52 dB of breath comes to the level asked for; every sample of speech keeps its value."""
    samples = _speech_with_breath(-52)
    gains = pause_gains_db(samples, -65.0)
    out = np.concatenate(
        [quieted(samples, gains, a, min(a + 7001, len(samples))) for a in range(0, len(samples), 7001)]
    )
    pause = out[RATE + 2400 : RATE + RATE // 2 - 2400] / 32768
    assert 10 * np.log10(np.mean(pause**2)) == pytest.approx(-65, abs=1.5)
    np.testing.assert_array_equal(out[: RATE - 240], samples[: RATE - 240])
    np.testing.assert_array_equal(out[-RATE + 240 :], samples[-RATE + 240 :])
    assert np.abs(np.diff(out.astype(int))).max() <= np.abs(np.diff(samples.astype(int))).max()


def test_what_may_be_speech_or_is_quiet_enough_stays():
    """20 dB under speech may be a fricative; what is below the level already is not changed."""
    for level_db in (-38, -70):
        assert not pause_gains_db(_speech_with_breath(level_db), -65.0).any()
    assert not pause_gains_db(np.zeros(0, "<i2"), -65.0).any()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=4000), st.floats(-90, -40))
def test_quieting_never_adds(data, level_db):
    """Whatever the samples: none gets louder, none changes its sign."""
    samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    out = quieted(samples, pause_gains_db(samples, level_db), 0, len(samples))
    assert (np.abs(out.astype(int)) <= np.abs(samples.astype(int))).all()
    assert (out.astype(int) * samples >= 0).all()


def _cue(*segments, text="Words, “quoted”."):
    spoken = tuple(SegmentCue(f"ab{start}", "words quoted.", start, length) for start, length in segments)
    return SentenceCue(text, "One", 10, 26, spoken)


def test_cues_are_exact_in_json_and_to_the_millisecond_in_srt():
    """Over an hour in; a sentence lasts from the first sample of its first segment to the last of its last."""
    cues = [_cue((24_000 * 3661 + 7, 12_000)), _cue((24_000 * 3663, 9_000), (24_000 * 3664 - 1_000, 1_001))]
    found = json.loads(format_cues(cues, "json"))
    assert 24_000 == found["sample_rate_hz"]
    assert [(24_000 * 3661 + 7, 12_000), (24_000 * 3663, 24_001)] == [
        (cue["start_sample"], cue["num_samples"]) for cue in found["cues"]
    ]
    assert [10, 26] == found["cues"][0]["source"]
    first, second = "01:01:01,000 --> 01:01:01,500", "01:01:03,000 --> 01:01:04,000"
    expected = f"1\n{first}\nWords, “quoted”.\n\n2\n{second}\nWords, “quoted”.\n"
    assert expected == format_cues(cues, "srt")


def test_metadata_can_not_be_broken_out_of():
    """A title with signs of the format stays one value."""
    tags = Tags("A=b\n[CHAPTER]", "#x;\\", "", "", 1, 1)
    lines = ffmetadata(tags, [ChapterMark("=1\n", 0, 5)], has_free_tags=True).splitlines()
    assert "title=A\\=b [CHAPTER]" in lines and "album=\\#x\\;\\\\" in lines and "title=\\=1" in lines
    assert 1 == lines.count("[CHAPTER]")
    assert not [line for line in lines if line.startswith("artist")]


def _picture(width, height):
    return run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            f"testsrc=s={width}x{height}",
            "-frames:v",
            "1",
            "-c:v",
            "png",
            "-f",
            "image2pipe",
            "-",
        ],
        what="a picture",
    )


def test_covers_are_scaled_down_and_never_up():
    """By the size in the JPEG's own header."""

    def size(jpeg):
        at = jpeg.index(b"\xff\xc0")
        return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")

    assert (MAX_PIXELS, MAX_PIXELS // 2) == size(prepare_cover(_picture(2800, 1400), "c.png"))
    small = prepare_cover(_picture(300, 400), "c.png")
    assert (300, 400) == size(small)
    assert small == prepare_cover(_picture(300, 400), "c.png")


@pytest.mark.parametrize(
    "cover", [b"", b"<html>", b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"\xff\xd8\xff" + b"y" * 100]
)
def test_a_cover_that_is_no_picture_is_refused(cover):
    """By its content: the first bytes of a picture are not enough."""
    with pytest.raises(EncodeError, match=r"the cover mine\.png"):
        prepare_cover(cover, "mine.png")
