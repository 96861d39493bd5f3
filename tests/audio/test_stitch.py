"""Stitching: exact pauses and cues, no clicks, one segment in memory."""

import io
import tracemalloc

import numpy as np
import pytest
from audio_helpers import RATE, int16, utterance, voiced

from orpheus_batch.audio.stitch import StitchPiece, stitch_chapter
from orpheus_batch.audio.trim import find_speech


def _stitch(pieces, lead_in_s=0.5):
    sink = io.BytesIO()
    stitched = stitch_chapter(pieces, sink, lead_in_s=lead_in_s)
    return stitched, np.frombuffer(sink.getvalue(), "<i2")


def _pieces(*utterances, pause_s=0.35):
    return [StitchPiece(f"s{i}", i, None if u is None else int16(u), pause_s) for i, u in enumerate(utterances)]


def test_pauses_run_from_sound_to_sound():
    """What is kept around speech counts towards the pause: asked for 350 ms, heard 350 ms, and not 470."""
    utterances = [utterance(1.0, seed=i) for i in range(4)]
    stitched, audio = _stitch(_pieces(*utterances))
    assert stitched.num_samples == len(audio)
    bounds = [find_speech(int16(u)) for u in utterances]
    first = stitched.cues[0].start_sample + bounds[0].head_samples
    assert 0.5 * RATE == first
    for a, b, left, right in zip(stitched.cues, stitched.cues[1:], bounds, bounds[1:], strict=False):
        sound_ends = a.start_sample + a.num_samples - left.tail_samples
        sound_begins = b.start_sample + right.head_samples
        assert 0.35 * RATE == sound_begins - sound_ends
    last = stitched.cues[-1]
    assert 0.35 * RATE == len(audio) - (last.start_sample + last.num_samples - bounds[-1].tail_samples)


def test_cues_point_at_the_very_samples_and_speech_is_untouched():
    """From 5 ms after a cue to 10 ms before its end the samples are the codec's, bit for bit."""
    utterances = [utterance(0.7 + 0.2 * i, seed=i) for i in range(3)]
    stitched, audio = _stitch(_pieces(*utterances))
    for cue, samples in zip(stitched.cues, utterances, strict=True):
        source, bounds = int16(samples), find_speech(int16(samples))
        assert bounds.end - bounds.start == cue.num_samples
        got = audio[cue.start_sample : cue.start_sample + cue.num_samples]
        kept = source[bounds.start : bounds.end]
        np.testing.assert_array_equal(got[120:-240], kept[120:-240])
        assert bounds.head_samples >= 120
        assert bounds.tail_samples >= 240


def test_between_segments_there_is_nothing():
    """All that is not a cue is silence: no left-over noise of a lead-in."""
    stitched, audio = _stitch(_pieces(*(utterance(seed=i) for i in range(3))))
    outside = np.ones(len(audio), bool)
    for cue in stitched.cues:
        outside[cue.start_sample : cue.start_sample + cue.num_samples] = False
    assert not audio[outside].any()


@pytest.mark.parametrize("pause_s", [0.0, 0.35])
def test_joins_do_not_click(pause_s):
    """Speech that is loud to its very edge, cut without a fade, steps by a third of full scale at the join."""
    loud = voiced(0.5, amplitude=0.9)
    stitched, audio = _stitch(_pieces(loud, loud, loud, pause_s=pause_s), lead_in_s=0.0)
    steps = np.abs(np.diff(np.concatenate([[0], audio.astype(int), [0]])))
    inside = np.abs(np.diff(int16(loud).astype(int))).max()
    for cue in stitched.cues:
        for edge in (cue.start_sample, cue.start_sample + cue.num_samples):
            near = steps[max(0, edge - 3) : edge + 4]
            assert near.max() < 0.02 * inside
    assert steps.max() <= inside


def test_segments_without_sound_are_pauses_with_a_cue():
    """A failed segment, and one in which nothing is said, are cued with no samples and keep their pause."""
    silence = np.zeros(RATE, np.float32)
    stitched, audio = _stitch(_pieces(None, utterance(), None, silence, pause_s=0.2))
    assert [0, 1, 2, 3] == [cue.segment_index for cue in stitched.cues]
    assert [True, False, True, True] == [cue.num_samples == 0 for cue in stitched.cues]
    starts = [cue.start_sample for cue in stitched.cues]
    assert sorted(starts) == starts
    bounds = find_speech(int16(utterance()))
    speech_end = stitched.cues[1].start_sample + stitched.cues[1].num_samples - bounds.tail_samples
    assert round(3 * 0.2 * RATE) == len(audio) - speech_end


def test_no_pieces_leave_the_lead_in():
    """An empty chapter is its lead-in and has no cues."""
    stitched, audio = _stitch([], lead_in_s=0.25)
    assert (0.25 * RATE, ()) == (stitched.num_samples, stitched.cues)
    assert not audio.any()


def test_memory_holds_a_segment_and_not_a_chapter():
    """Twenty minutes go through while at most a few seconds of samples are held."""

    class Nowhere:
        def write(self, data):
            return len(data)

    samples = int16(utterance(5.0))
    pieces = (StitchPiece(str(i), i, samples.copy(), 2.0) for i in range(200))
    tracemalloc.start()
    stitched = stitch_chapter(pieces, Nowhere(), lead_in_s=60.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stitched.num_samples > 1200 * RATE
    assert peak < 12 * samples.nbytes
