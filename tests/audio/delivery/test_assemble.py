"""From stitched sections to a file's samples: pauses, head and tail, parts, and what is not heard."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.audio.delivery.assemble import Span, assemble, whole
from orpheus_batch.audio.delivery.sections import Section, SpokenPiece, StitchedSection
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.audio.stitch import StitchPiece, stitch_chapter
from orpheus_batch.data import Boundary

RATE = 24_000
PAUSE_S = 0.4


def _stitched(folder, name, num_pieces, *, silent=(), frequency=200):
    """Return a section of tones of 0.5 s, each with 0.3 s of nothing around it; some pieces have no audio."""
    time_s = np.arange(RATE // 2) / RATE
    tone = np.rint(8000 * np.sin(2 * np.pi * frequency * time_s)).astype("<i2")
    room = np.zeros(RATE * 3 // 10, "<i2")
    spoken = tuple(
        SpokenPiece(
            ChapterPiece(f"{name}{i}", i, None if i in silent else 0, PAUSE_S),
            f"{name}{i}",
            i,
            i + 1,
            Boundary.SENTENCE,
        )
        for i in range(num_pieces)
    )
    pieces = [
        StitchPiece(p.text, i, None if i in silent else np.concatenate([room, tone, room]), PAUSE_S)
        for i, p in enumerate(spoken)
    ]
    file = folder / f"{name}.pcm"
    with file.open("wb") as sink:
        audio = stitch_chapter(pieces, sink, lead_in_s=0.0)
    return StitchedSection(Section(name, folder, "codec", spoken), file, audio, 1.0, 0.0)


def _sound(file):
    """Return (start, stop) in samples of every stretch that is not silent for 0.2 s."""
    samples = np.fromfile(file, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 50)
    cuts = np.flatnonzero(np.diff(loud) > RATE // 5)
    return len(samples), list(zip(loud[[0, *(cuts + 1)]], loud[[*cuts, -1]] + 1, strict=True))


def test_one_section_is_what_the_stitcher_would_have_written(tmp_path):
    """Head, pauses and tail to the sample, wherever the margins around speech lie."""
    section = _stitched(tmp_path, "a", 3)
    found = assemble([whole(section)], tmp_path / "out.pcm", head_s=0.75, tail_s=2.5)
    length, sounds = _sound(tmp_path / "out.pcm")
    assert length == found.num_samples
    assert sounds[0][0] == pytest.approx(0.75 * RATE, abs=200)
    assert length - sounds[-1][1] == pytest.approx(2.5 * RATE, abs=200)
    gaps = [b[0] - a[1] for a, b in itertools.pairwise(sounds)]
    assert gaps == pytest.approx([PAUSE_S * RATE] * 2, abs=300)
    assert ["a0", "a1", "a2"] == [segment.segment_id for cue in found.cues for segment in cue.segments]
    for cue, (start, stop) in zip(found.cues, sounds, strict=True):
        assert cue.start_sample <= start and stop <= cue.end_sample


def test_sections_follow_each_other_and_marks_stand_at_their_sound(tmp_path):
    """The pause after a chapter's last piece lies between it and the next chapter."""
    parts = [_stitched(tmp_path, "a", 2), _stitched(tmp_path, "b", 1, frequency=300)]
    found = assemble([whole(p) for p in parts], tmp_path / "out.pcm", head_s=0.5, tail_s=1.0)
    _, sounds = _sound(tmp_path / "out.pcm")
    assert sounds[2][0] - sounds[1][1] == pytest.approx(PAUSE_S * RATE, abs=300)
    assert ["a", "b"] == [mark.title for mark in found.marks]
    assert (0, found.marks[1].start) == (found.marks[0].start, found.marks[0].stop)
    assert found.num_samples == found.marks[1].stop
    assert 0 <= sounds[2][0] - found.marks[1].start <= RATE // 10


def test_what_is_not_heard_at_the_ends_makes_neither_longer(tmp_path):
    """A failed first and last segment would have made the head a second and more; one inside leaves its pause."""
    section = _stitched(tmp_path, "a", 5, silent=(0, 2, 4))
    found = assemble([whole(section)], tmp_path / "out.pcm", head_s=0.75, tail_s=1.0)
    length, sounds = _sound(tmp_path / "out.pcm")
    assert sounds[0][0] == pytest.approx(0.75 * RATE, abs=200)
    assert length - sounds[-1][1] == pytest.approx(1.0 * RATE, abs=200)
    assert sounds[1][0] - sounds[0][1] == pytest.approx(2 * PAUSE_S * RATE, abs=300)
    assert ["a1", "a3"] == [segment.segment_id for cue in found.cues for segment in cue.segments]


def test_nothing_heard_at_all_is_a_tail(tmp_path):
    """A part whose segments all failed is no reason to stop; its level will fail it."""
    section = _stitched(tmp_path, "a", 3, silent=(1,))
    found = assemble([Span(section, 1, 2)], tmp_path / "out.pcm", head_s=0.75, tail_s=1.0)
    assert (RATE, ()) == (found.num_samples, found.cues)
    assert RATE == found.marks[0].stop


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
def test_parts_hold_all_sound_of_a_section_once(tmp_path_factory, sizes, data):
    """However it is cut: the parts' sound, one after the other, is the section's."""
    folder = tmp_path_factory.mktemp("parts")
    total = sum(sizes)
    silent = data.draw(st.sets(st.integers(0, total - 1), max_size=total - 1))
    section = _stitched(folder, "a", total, silent=silent)
    first, heard = 0, []
    for size in sizes:
        found = assemble([Span(section, first, first + size)], folder / "part.pcm", head_s=0.1, tail_s=0.1)
        samples = np.fromfile(folder / "part.pcm", "<i2")
        assert len(samples) == found.num_samples
        segments = [segment for cue in found.cues for segment in cue.segments]
        heard += [(s.segment_id, samples[s.start_sample :][: s.num_samples].tobytes()) for s in segments]
        first += size
    original = np.fromfile(section.file, "<i2")
    assert heard == [
        (c.segment_id, original[c.start_sample :][: c.num_samples].tobytes())
        for c in section.audio.cues
        if c.num_samples
    ]
    assert sum(section.piece_samples) == section.num_samples == len(original)


def test_a_span_is_as_long_as_its_pieces(tmp_path):
    """What files are cut by."""
    section = _stitched(tmp_path, "a", 4)
    assert whole(section).num_samples == section.num_samples
    assert Span(section, 1, 3).num_samples == sum(section.piece_samples[1:3])
    assert dataclasses.replace(whole(section), stop=1).pieces == section.section.pieces[:1]


def _with(section, **changes):
    pieces = tuple(
        dataclasses.replace(piece, **{name: values[i] for name, values in changes.items()})
        for i, piece in enumerate(section.section.pieces)
    )
    return dataclasses.replace(section, section=dataclasses.replace(section.section, pieces=pieces))


def test_cues_are_sentences_in_the_books_own_words(tmp_path):
    """One that was spoken in three goes is one cue; two that were spoken in one go are one too."""
    ends = [Boundary.HEADING, Boundary.CLAUSE, Boundary.CLAUSE, Boundary.SENTENCE, Boundary.CHAPTER]
    written = ["I", "", "", "In 1851, Mr. Melville wrote it.", "“Oh!” Yes."]
    section = _with(_stitched(tmp_path, "a", 5, silent=(1,)), boundary=ends, written=written)
    found = assemble([whole(section)], tmp_path / "out.pcm", head_s=0.5, tail_s=1.0)
    _, sounds = _sound(tmp_path / "out.pcm")
    assert ["I", "In 1851, Mr. Melville wrote it.", "“Oh!” Yes."] == [cue.text for cue in found.cues]
    assert (1, 4) == (found.cues[1].source_start, found.cues[1].source_end)
    assert [["a0"], ["a2", "a3"], ["a4"]] == [[s.segment_id for s in cue.segments] for cue in found.cues]
    assert found.cues[1].start_sample <= sounds[1][0] and sounds[2][1] <= found.cues[1].end_sample
    spoken = _with(section, written=[""] * 5)
    found = assemble([whole(spoken)], tmp_path / "out.pcm", head_s=0.5, tail_s=1.0)
    assert ["a0", "a1 a2 a3", "a4"] == [cue.text for cue in found.cues]
