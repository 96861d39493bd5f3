"""Stitched sections, or parts of them, to the samples of one file: head and tail around, pauses between.

It knows no levels and no formats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from orpheus_batch.audio.delivery.cues import SegmentCue, SentenceCue
from orpheus_batch.audio.delivery.sections import SpokenPiece, StitchedSection
from orpheus_batch.audio.delivery.tags import ChapterMark
from orpheus_batch.audio.pcm import BYTES_PER_SAMPLE
from orpheus_batch.data import Boundary
from orpheus_batch.units import seconds_to_samples


@dataclass(frozen=True, slots=True)
class Span:
    """Pieces of a section that follow each other: all of it, a part, a sample."""

    stitched: StitchedSection
    first: int
    stop: int
    """one past the last"""

    @property
    def pieces(self) -> tuple[SpokenPiece, ...]:
        """What is spoken in it."""
        return self.stitched.section.pieces[self.first : self.stop]

    @property
    def num_samples(self) -> int:
        """Of its pieces with the pauses after them."""
        return sum(self.stitched.piece_samples[self.first : self.stop])


@dataclass(frozen=True, slots=True)
class Assembled:
    """What was written."""

    num_samples: int
    cues: tuple[SentenceCue, ...]
    """of every sentence that is heard"""
    marks: tuple[ChapterMark, ...]
    """of every span: at its first sound, the first one at 0"""


def whole(stitched: StitchedSection) -> Span:
    """Return all of a section."""
    return Span(stitched, 0, len(stitched.section.pieces))


def assemble(spans: Sequence[Span], file: Path, *, head_s: float, tail_s: float) -> Assembled:
    """Write spans one after the other.

    Pieces at a span's ends that are not heard are left out with their pauses, so that head and tail are as long
    as they should be.

    Args:
        spans: In order.
        file: Receives int16 little-endian samples at 24 kHz.
        head_s: Before the first sound.
        tail_s: After the last.

    Raises:
        OSError: The file can't be written.
    """
    cues: list[SentenceCue] = []
    starts = []
    position, pause = 0, seconds_to_samples(head_s)
    tail = seconds_to_samples(tail_s)
    with file.open("wb") as sink:
        for span in spans:
            audio = span.stitched.audio
            heard = [index for index in range(span.first, span.stop) if audio.cues[index].num_samples]
            if not heard:
                starts.append(position)
                continue
            first, last = heard[0], heard[-1]
            begin = audio.cues[first].start_sample
            end = audio.cues[last].start_sample + audio.cues[last].num_samples
            position += _write_silence(sink, pause - audio.margins[first][0])
            starts.append(position)
            cues += _sentence_cues(span, position - begin)
            samples = np.memmap(span.stitched.file, "<i2", "r", shape=(audio.num_samples,))
            sink.write(samples[begin:end].data)
            position += end - begin
            kept = audio.margins[last][1]
            after_s = sum(piece.piece.pause_after_s for piece in span.pieces[last - span.first :])
            pause, tail = seconds_to_samples(after_s) - kept, seconds_to_samples(tail_s) - kept
        position += _write_silence(sink, tail)
    stops = [*starts[1:], position]
    marks = tuple(
        ChapterMark(span.stitched.section.title, start, stop)
        for span, start, stop in zip(spans, [0, *starts[1:]], stops, strict=True)
    )
    return Assembled(position, tuple(cues), marks)


def _sentence_cues(span: Span, shift: int) -> list[SentenceCue]:
    """Return a cue for every sentence of a span that is heard, each beginning with a segment's first sample."""
    section, audio = span.stitched.section, span.stitched.audio
    found, group = [], []
    for index in range(span.first, span.stop):
        group.append(index)
        if section.pieces[index].boundary is Boundary.CLAUSE and index + 1 < span.stop:
            continue
        segments = tuple(
            SegmentCue(cue.segment_id, section.pieces[at].text, cue.start_sample + shift, cue.num_samples)
            for at, cue in ((at, audio.cues[at]) for at in group)
            if cue.num_samples
        )
        if segments:
            pieces = [section.pieces[at] for at in group]
            written = " ".join(piece.written for piece in pieces if piece.written)
            text = written or " ".join(piece.text for piece in pieces)
            found.append(
                SentenceCue(text, section.title, pieces[0].source_start, pieces[-1].source_end, segments)
            )
        group = []
    return found


def _write_silence(sink: BinaryIO, num_samples: int) -> int:
    num_samples = max(0, num_samples)
    sink.write(bytes(BYTES_PER_SAMPLE * num_samples))
    return num_samples
