"""What a run did: the numbers and names that the command line shows and `--json` prints.

Plain data; it does not know where it is shown.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

EXIT_DONE = 0
EXIT_ERROR = 1
EXIT_WITH_FAILURES = 3
"""finished, but some segment is not as it should be"""


@dataclass(frozen=True, slots=True)
class FailedSegment:
    """A segment of which no take passed the checks; its best take, if any, is in the chapter's file."""

    segment_id: str
    chapter_title: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChapterResult:
    """One finished chapter file."""

    title: str
    path: str
    duration_s: float
    encoded_now: bool
    """False where an earlier run made it and nothing about it has changed"""


@dataclass(frozen=True, slots=True)
class BookResult:
    """One book of a run."""

    source: str
    title: str = ""
    folder: str = ""
    num_segments: int = 0
    chapters: tuple[ChapterResult, ...] = ()
    failures: tuple[FailedSegment, ...] = ()
    error: str = ""
    """why the book could not be done; empty where it was"""

    @property
    def duration_s(self) -> float:
        """How long the finished files play, in seconds."""
        return sum(chapter.duration_s for chapter in self.chapters)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A whole run."""

    books: tuple[BookResult, ...]
    num_takes: int
    """token streams recorded, retakes included"""
    audio_s: float
    """speech kept from these streams; a take that was taken again does not count"""
    wall_s: float
    """from the first book opened to the last file written, loading of models left out"""
    load_s: float
    """loading of language model and codec, and hashing weights that were never seen before"""

    @property
    def speedup(self) -> float | None:
        """Seconds of speech made a second of `wall_s`; None where the run made none."""
        return self.audio_s / self.wall_s if self.audio_s > 0 and self.wall_s > 0 else None

    @property
    def exit_code(self) -> int:
        """0 done, 1 a book could not be done, 3 done with failed segments."""
        if any(book.error for book in self.books):
            return EXIT_ERROR
        return EXIT_WITH_FAILURES if any(book.failures for book in self.books) else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, derived numbers included."""
        return dataclasses.asdict(self) | {"speedup": self.speedup, "exit_code": self.exit_code}
