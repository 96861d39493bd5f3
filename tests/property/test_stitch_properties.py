"""Whatever the segments are like: nothing overlaps, nothing is lost, speech is untouched, peaks stay under."""

import io
import unicodedata

import numpy as np
from audio_helpers import RATE, int16, noise, voiced
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.audio.loudness import leveled
from orpheus_batch.audio.naming import chapter_filename
from orpheus_batch.audio.stitch import StitchPiece, stitch_chapter
from orpheus_batch.audio.trim import find_speech
from orpheus_batch.units import seconds_to_samples

seconds = st.floats(0.0, 0.6)
pauses = st.floats(0.0, 2.0)


@st.composite
def spoken(draw):
    """A segment of speech with noise before and after, and where its speech lies."""
    head, tail = draw(seconds), draw(seconds)
    speech = voiced(draw(st.floats(0.2, 0.8)), amplitude=draw(st.floats(0.05, 0.9)))
    quiet = np.concatenate([np.zeros(round(head * RATE)), speech, np.zeros(round(tail * RATE))])
    samples = int16(quiet + noise(len(quiet) / RATE, draw(st.floats(-90.0, -60.0)), draw(st.integers(0, 9))))
    return samples, round(head * RATE), round(head * RATE) + len(speech)


arbitrary = st.binary(max_size=6000).map(lambda data: np.frombuffer(data[: len(data) // 2 * 2], "<i2"))


def _stitch(audio, after, lead_in_s):
    pieces = [StitchPiece(str(i), i, a, p) for i, (a, p) in enumerate(zip(audio, after, strict=True))]
    sink = io.BytesIO()
    stitched = stitch_chapter(pieces, sink, lead_in_s=lead_in_s)
    return stitched, np.frombuffer(sink.getvalue(), "<i2")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | arbitrary | spoken().map(lambda s: s[0]), pauses), max_size=6), pauses)
def test_cues_tile_a_chapter_without_overlap(segments, lead_in_s):
    """Lengths add up to the sample; cues are in order, inside, apart, one a segment; the rest is silence.

    Segments are speech, failures, silence and arbitrary bytes, down to none at all.
    """
    stitched, audio = _stitch([a for a, _ in segments], [p for _, p in segments], lead_in_s)
    assert stitched.num_samples == len(audio)
    assert list(range(len(segments))) == [cue.segment_index for cue in stitched.cues]
    position = 0
    silence = 0
    for cue in stitched.cues:
        assert cue.start_sample >= position
        assert not audio[position : cue.start_sample].any()
        silence += cue.start_sample - position
        position = cue.start_sample + cue.num_samples
    assert not audio[position:].any()
    silence += len(audio) - position
    assert len(audio) == silence + sum(cue.num_samples for cue in stitched.cues)
    asked = seconds_to_samples(lead_in_s) + sum(seconds_to_samples(p) for _, p in segments)
    assert silence <= asked
    heard = [a for (a, _), cue in zip(segments, stitched.cues, strict=True) if cue.num_samples]
    kept_around = sum(b.head_samples + b.tail_samples for b in map(find_speech, heard))
    assert silence >= asked - kept_around


@settings(max_examples=60, deadline=None)
@given(spoken(), st.floats(0.0, 1.0))
def test_speech_is_bit_exact_inside_the_margins(segment, pause_s):
    """Every sample of speech is in the chapter unchanged, but for fades of 5 and 10 ms where the model left no
    room around it.
    """
    samples, start, end = segment
    stitched, audio = _stitch([samples], [pause_s], 0.0)
    (cue,) = stitched.cues
    bounds = find_speech(samples)
    slack = round(0.02 * RATE)
    assert bounds.start <= start + slack
    assert bounds.end >= end - slack
    heard = audio[cue.start_sample : cue.start_sample + cue.num_samples]
    np.testing.assert_array_equal(heard[120:-240], samples[bounds.start : bounds.end][120:-240])
    assert np.abs(heard[:2].astype(int)).max() <= 33
    assert np.abs(heard[-2:].astype(int)).max() <= 33


@settings(max_examples=200, deadline=None)
@given(arbitrary)
def test_bounds_are_always_in_order(samples):
    """No input, however odd, gives bounds that would cut outside it or backwards."""
    bounds = find_speech(samples)
    if bounds is not None:
        assert 0 <= bounds.start <= bounds.speech_start <= bounds.speech_end <= bounds.end <= len(samples)


@settings(max_examples=100, deadline=None)
@given(arbitrary, st.floats(-40.0, 40.0), st.floats(-20.0, 0.0), st.integers(1, 4000))
def test_the_limiter_holds_the_ceiling_and_never_adds(samples, gain_db, peak_db, stretch):
    """No sample above the ceiling, none louder than its gain makes it, no sign turned, in stretches or
    whole."""
    pieces = [
        leveled(samples, start, min(start + stretch, len(samples)), gain_db, peak_db)
        for start in range(0, len(samples), stretch)
    ]
    out = np.concatenate([np.zeros(0, "<i2"), *pieces]).astype(np.float64)
    raised = samples * 10 ** (gain_db / 20)
    assert np.abs(out).max(initial=0.0) <= 10 ** (peak_db / 20) * 32768
    assert (np.abs(out) <= np.abs(raised) + 0.5 + 1e-6).all()
    assert (out * raised >= 0).all()
    whole = leveled(samples, 0, len(samples), gain_db, peak_db)
    np.testing.assert_array_equal(out, whole)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 998), st.text(max_size=200))
def test_file_names_are_safe_for_any_title(index, title):
    """Legal on Windows, macOS and Linux, one line, bounded, and sorted by number."""
    name = chapter_filename(index, 999, title)
    assert name.startswith(f"{index + 1:03d} - ") and name.endswith(".mp3")
    assert len(name.encode("utf-8")) <= 120
    assert not set(name) & set('/\\:*?"<>|')
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
    stem = name.removesuffix(".mp3")
    assert stem == stem.strip(" .")
    assert len(stem) > len("001 - ")
