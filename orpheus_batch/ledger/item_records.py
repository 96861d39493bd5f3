"""What goes into the ledger of items and what comes out of it, as plain values. Nothing here knows SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class MadeItem:
    """What was made of an item."""

    number: int
    failed: bool
    num_bytes: int | None
    sha256: str | None
    duration_s: float
    loudness_db: float | None


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
