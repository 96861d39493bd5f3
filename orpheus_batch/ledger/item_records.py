"""What goes into the ledger of items and what comes out of it, as plain values. Nothing here knows SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orpheus_batch.data import Segment
from orpheus_batch.ledger.records import SegmentState


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What the ledger knows of an id."""

    number: int
    row_sha256: bytes
    epoch: int
    source: int
    on_line: bool
    """False once its row has gone; it must be planned again if it comes back"""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item to be planned."""

    number: int
    item_id: str
    row_sha256: bytes
    text: str
    voice: str
    seed: int
    temperature: float | None
    format: str
    file: str | None
    split: str
    extra: str
    """JSON object"""
    line: int | None
    """None: it is another process' to make, and has no segments here"""
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class ItemPiece:
    """A segment of a settled item."""

    segment: Segment
    state: SegmentState
    attempt: int | None
    num_takes: int
    problems: tuple[str, ...]
    score: float | None
    num_audio_s: float
    measurements: Mapping[str, Any] = field(default_factory=dict)
    """of the chosen take"""
    seed_honoured: bool = True
    """likewise: whether its seed decided its noise"""


@dataclass(frozen=True, slots=True)
class SettledItem:
    """An item whose segments all are settled."""

    number: int
    item_id: str
    text: str
    voice: str
    seed: int
    format: str
    file: str | None
    split: str
    extra: str
    pieces: tuple[ItemPiece, ...]

    @property
    def failed(self) -> bool:
        """Whether any segment has no accepted take."""
        return any(piece.state is SegmentState.FAILED for piece in self.pieces)

    @property
    def num_words(self) -> int | None:
        """Words that a recogniser compared; None where it did not hear all of the item."""
        return self._sum("num_words")

    @property
    def num_wrong_words(self) -> int | None:
        """Of these, those that it heard otherwise."""
        return self._sum("num_wrong_words")

    def _sum(self, name: str) -> int | None:
        found = [piece.measurements.get(name) for piece in self.pieces]
        return None if None in found else sum(found)


@dataclass(frozen=True, slots=True)
class MadeItem:
    """What was made of an item."""

    number: int
    failed: bool
    num_bytes: int | None
    sha256: str | None
    duration_s: float
    loudness_db: float | None
    num_words: int | None = None
    """None: nobody listened"""
    num_wrong_words: int | None = None


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """An item or a bad row, for a manifest."""

    line: int
    item_id: str
    text: str
    status: str
    """done, failed, planned or bad"""
    reason: str = ""
    file: str | None = None
    voice: str = ""
    seed: int | None = None
    temperature: float | None = None
    duration_s: float | None = None
    num_tokens: int | None = None
    attempts: int | None = None
    loudness_db: float | None = None
    word_error_rate: float | None = None
    """wrong words for each word; None where nobody listened"""


@dataclass(frozen=True, slots=True)
class ItemReport:
    """An item, for people: how good it is, why, and where it lies."""

    line: int
    source: str
    item_id: str
    text: str
    voice: str
    attempts: int
    problems: tuple[str, ...]
    """of the takes that were chosen"""
    score: float | None
    """of the worst segment"""
    word_error_rate: float | None
    file: str | None
    """relative to the folder; None where it has none of its own, or none yet"""
    shard: str | None
    """in which it was sealed"""


def word_error_rate(num_words: int | None, num_wrong_words: int | None) -> float | None:
    """Return the wrong words for each word, rounded; None where nobody listened."""
    if num_words is None or num_wrong_words is None:
        return None
    return round(num_wrong_words / max(1, num_words), 4)
