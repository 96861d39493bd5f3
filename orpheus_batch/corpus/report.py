"""What a run over items did, for people and machines. Plain data."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from orpheus_batch.pipeline.report import EXIT_DONE, EXIT_WITH_FAILURES

MAX_NAMED = 20
"""bad or failed rows that are named; the manifest has them all"""


@dataclass(frozen=True, slots=True)
class PromptsReport:
    """A run over a table of prompts."""

    folder: str
    manifest: str
    num_done: int
    """rows with a file that passed the checks, of this run and earlier ones"""
    num_failed: int
    """rows of which no take passed; their best take is in the file"""
    num_planned: int
    """rows that are still to be done: the run was stopped"""
    num_bad: int
    """rows that can't be rendered"""
    bad_rows: tuple[tuple[int, str], ...]
    """line and reason of the first ones"""
    failed_rows: tuple[tuple[int, str], ...]
    """likewise"""
    num_made: int
    """files made by this run"""
    made_audio_s: float
    """in those"""
    num_takes: int
    """token streams that this run recorded"""
    audio_s: float
    """speech kept of these"""
    wall_s: float
    load_s: float
    """of models"""
    word_error_rate: float | None = None
    """of rows that a recogniser heard, finished ones; None where it heard none"""

    @property
    def speedup(self) -> float | None:
        """Seconds of speech made a second of `wall_s`; None where the run made none."""
        return self.audio_s / self.wall_s if self.audio_s > 0 and self.wall_s > 0 else None

    @property
    def exit_code(self) -> int:
        """0 done, 3 with rows that are bad or failed."""
        return EXIT_WITH_FAILURES if self.num_bad or self.num_failed else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, derived numbers included."""
        return dataclasses.asdict(self) | {"speedup": self.speedup, "exit_code": self.exit_code}
