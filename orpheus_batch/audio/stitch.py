"""Segments to a chapter: trimmed, joined without clicks, with the pauses that the text asks for.

Works on one segment at a time and writes as it goes, so memory holds a segment and not a chapter. Between two
segments lies exactly the pause that the boundary asks for, from the last sound of one to the first of the next:
what is kept around speech counts towards it. It does not know files, codecs, levels or MP3.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from orpheus_batch.audio.pcm import BYTES_PER_SAMPLE
from orpheus_batch.audio.trim import find_speech
from orpheus_batch.data import Cue
from orpheus_batch.units import seconds_to_samples

FADE_IN_S = 0.005
FADE_OUT_S = 0.010
"""Raised-cosine ramps at both ends of a segment. They lie inside the margins that are kept around speech, so
speech itself is untouched wherever the model left room around it."""

_WRITE_SAMPLES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class StitchPiece:
    """One segment's audio and the pause after it."""

    segment_id: str
    segment_index: int
    samples: np.ndarray | None
    """int16 [num_samples], 24 kHz; None for a segment without audio: its pause alone is heard"""
    pause_after_s: float


@dataclass(frozen=True, slots=True)
class StitchedChapter:
    """What was written."""

    num_samples: int
    cues: tuple[Cue, ...]
    """one a piece, in order; of no samples where there was no speech"""
    margins: tuple[tuple[int, int], ...]
    """of each cue's samples, how many lie before the first sound and after the last"""


def stitch_chapter(pieces: Iterable[StitchPiece], sink: BinaryIO, *, lead_in_s: float) -> StitchedChapter:
    """Write a chapter's audio.

    Args:
        pieces: In the order of the text; read one at a time.
        sink: Receives int16 little-endian samples at 24 kHz.
        lead_in_s: Silence before the first sound.

    Returns:
        Its length, and where each segment is.
    """
    cues, margins = [], []
    position = 0
    pause = seconds_to_samples(lead_in_s)
    for piece in pieces:
        bounds = None if piece.samples is None else find_speech(piece.samples)
        tail = 0
        if bounds is None:
            position += _write_silence(sink, pause)
            cues.append(Cue(piece.segment_id, piece.segment_index, position, 0))
            margins.append((0, 0))
            pause = 0
        else:
            position += _write_silence(sink, pause - bounds.head_samples)
            kept = _faded(piece.samples[bounds.start : bounds.end])
            sink.write(kept.tobytes())
            cues.append(Cue(piece.segment_id, piece.segment_index, position, len(kept)))
            margins.append((bounds.head_samples, bounds.tail_samples))
            position += len(kept)
            tail = bounds.tail_samples
        pause = max(0, seconds_to_samples(piece.pause_after_s) - tail)
    position += _write_silence(sink, pause)
    return StitchedChapter(position, tuple(cues), tuple(margins))


def _faded(samples: np.ndarray) -> np.ndarray:
    """Return int16 samples that begin and end near zero."""
    out = samples.astype("<i2")
    fade_in = _ramp(min(seconds_to_samples(FADE_IN_S), len(out)))
    fade_out = _ramp(min(seconds_to_samples(FADE_OUT_S), len(out)))[::-1]
    out[: len(fade_in)] = np.rint(out[: len(fade_in)] * fade_in)
    out[len(out) - len(fade_out) :] = np.rint(out[len(out) - len(fade_out) :] * fade_out)
    return out


def _ramp(length: int) -> np.ndarray:
    """Return a raised cosine from just above 0 to just below 1."""
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))


def _write_silence(sink: BinaryIO, num_samples: int) -> int:
    """Write so many zero samples, none for a negative number, and return how many."""
    num_samples = max(0, num_samples)
    for start in range(0, num_samples, _WRITE_SAMPLES):
        sink.write(bytes(BYTES_PER_SAMPLE * min(_WRITE_SAMPLES, num_samples - start)))
    return num_samples
