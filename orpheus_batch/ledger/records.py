"""What goes into the ledger and what comes out of it, as plain values.

Nothing here knows SQL. A type that holds an array compares by identity.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from orpheus_batch.data import Boundary, FinishReason, Segment


class SegmentState(str, Enum):
    """How far a segment is."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One token stream of a segment, and what was thought of it."""

    segment_id: str
    attempt: int
    """from 0; never used twice for one segment"""
    seed: int
    token_ids: np.ndarray
    """int32 [num_tokens], as the engine gave them, every id in [0, 2^32)"""
    finish_reason: FinishReason
    engine: str
    """its name: "torch", "trtllm", …"""
    problems: tuple[str, ...]
    """in words with numbers; empty for a clean take"""
    score: float
    """higher is better; orders the takes of a segment"""
    accepted: bool
    num_audio_s: float
    """length of what can be decoded of it, in seconds"""
    measurements: dict[str, Any] = field(default_factory=dict)
    """anything else worth keeping, as JSON"""
    seed_honoured: bool = True
    """whether ``seed`` decided the noise: some engines ignore it"""


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What a new plan changed."""

    num_places: int
    """segments of the book, repeated text counted each time"""
    num_segments: int
    """distinct ones"""
    num_new: int
    """of the distinct ones, never seen by this ledger before"""
    num_kept: int
    """of the distinct ones, known already, with whatever takes they have"""
    num_dropped: int
    """in the plan before and no longer; their takes stay, should the text come back"""


@dataclass(frozen=True, slots=True)
class PendingSegment:
    """A segment that wants a take."""

    segment: Segment
    """at its first place in the book"""
    attempt: int
    """number of the take it wants, which is how many it has"""
    num_tries: int
    """takes since it was first planned or a retake was last asked for; held against ``max_attempts``"""
    position: int
    """of its first place; grows through the book, with gaps between chapters"""


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment at one place of a chapter, ready to be stitched."""

    segment: Segment
    state: SegmentState
    attempt: int | None
    """of the chosen take; None while there is none"""
    problems: tuple[str, ...]
    """of the chosen take, or why there is none"""


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A finished file, as it lay on disk when it was marked."""

    name: str
    """relative to the book's folder"""
    num_bytes: int
    sha256: str
    """hexadecimal"""
    duration_s: float


@dataclass(frozen=True, slots=True)
class EncodedChapter:
    """What a chapter's files were made from."""

    recipe_sha256: str
    files: tuple[EncodedFile, ...]


@dataclass(frozen=True, slots=True)
class ChapterRow:
    """One chapter's standing."""

    index: int
    title: str
    num_segments: int
    """places; repeated text counted each time"""
    num_settled: int
    """of them, accepted or failed"""
    num_failed: int
    num_audio_s: float
    """speech in the chosen takes, pauses left out"""
    encoded: EncodedChapter | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Where a book stands."""

    title: str
    author: str
    num_chapters: int
    num_chapters_encoded: int
    num_places: int
    num_segments: int
    num_accepted: int
    num_failed: int
    num_pending: int
    num_takes: int
    """of segments in the present plan"""
    num_audio_s: float
    """speech in the chosen takes, at every place"""
    num_skipped_chars: int
    """source characters left out on purpose"""


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """A segment at its first place, for people: how good it is, and where to hear it."""

    segment_id: str
    chapter_index: int
    chapter_title: str
    segment_index: int
    boundary: Boundary
    text: str
    state: SegmentState
    attempt: int | None
    """of the chosen take"""
    num_takes: int
    score: float | None
    """of the chosen take; None where there is none"""
    problems: tuple[str, ...]
    start_s: float | None
    """in the chapter's audio; None while it is not encoded"""
