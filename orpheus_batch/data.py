"""The types that travel on the line, from a book's text to a chapter's audio.

They hold data and nothing else: no stage's logic, no file handles, no torch. Arrays are numpy; a type that
holds one compares by identity. Spans are character offsets [start, end) into the decoded source of the book.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np


class Boundary(str, Enum):
    """What follows a piece of text; it decides the pause."""

    CLAUSE = "clause"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    CHAPTER = "chapter"


@dataclass(frozen=True, slots=True)
class SkippedSpan:
    """Source characters that are not spoken, on purpose."""

    start: int
    """first character, offset into the book's source"""
    end: int
    """one past the last character"""
    reason: str
    """why, in words that `plan` shows: "Project Gutenberg header", "table of contents", …"""
    title: str = ""
    """of a whole section that is left out, where it has one; `--include` takes it back by it"""


@dataclass(frozen=True, slots=True)
class TextUnit:
    """A stretch of a chapter that is treated as one: paragraph, verse, or what is not read."""

    start: int
    end: int
    boundary: Boundary
    verse: bool = False
    skip_reason: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter of a book, its heading included."""

    index: int
    """position in the book, from 0"""
    title: str
    """as the book has it, on one line; empty for a book without headings"""
    text: str
    """source characters from the heading to the next chapter, unchanged"""
    source_start: int
    """offset of ``text`` in the book's source"""
    heading_length: int
    """how many characters at the start of ``text`` are the heading; 0 where there is none"""
    units: tuple[TextUnit, ...] | None = None
    """paragraphs after the heading, where the file says them (EPUB, HTML), offsets into ``text``; None: they are
    found by blank lines and indents"""


@dataclass(frozen=True, slots=True)
class Book:
    """A book as the reader found it: chapters, and what lies around them and is not read."""

    title: str
    author: str
    language: str
    """BCP 47 primary tag, such as "en"; empty where nothing says"""
    source_path: str
    source_sha256: str
    """of the file's bytes, hexadecimal"""
    num_source_chars: int
    """length of the decoded source; chapters and ``skipped`` together cover it exactly once"""
    chapters: tuple[Chapter, ...]
    skipped: tuple[SkippedSpan, ...]
    """front and back matter, tables of contents"""
    cover: bytes | None = None
    """JPEG or PNG"""
    handled: tuple[tuple[str, int], ...] = ()
    """what a marked-up book holds beside plain paragraphs, and how often: ("block quote", 12), …"""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a chapter, or a stretch of it that is not read."""

    chapter_index: int
    index: int
    """position in the chapter, from 0"""
    text: str
    """on one line, wrapped lines joined; the book's own words"""
    start: int
    """first source character; sentences of a chapter tile it without gaps"""
    end: int
    boundary: Boundary
    """what follows it"""
    skip_reason: str = ""
    """non-empty where it is not read: "scene break", "no pronounceable characters", …"""
    pause_s: float | None = None
    """silence that a mark asks for instead of what would follow the words before it; only where it is skipped"""
    voice: str = ""
    """of whoever speaks it; empty: the chapter's"""


@dataclass(frozen=True, slots=True)
class Segment:
    """The unit of work: what is spoken in one go, and the ledger's row."""

    segment_id: str
    """hexadecimal sha256 of what makes it; see `orpheus_batch.text.segment.segment_id`"""
    chapter_index: int
    index: int
    """position in the chapter, from 0"""
    text: str
    """as it is spoken, normalised"""
    voice: str
    boundary: Boundary
    """what follows it"""
    pause_after_s: float
    start: int
    """first source character"""
    end: int
    seed: int
    """seed of the first take; take k uses ``seed + k``"""
    temperature: float | None = None
    """of this segment alone; None: the run's"""


@dataclass(frozen=True, slots=True)
class ChapterPlan:
    """What of one chapter is spoken, and what is not; together they tile the chapter."""

    chapter_index: int
    title: str
    segments: tuple[Segment, ...]
    skipped: tuple[SkippedSpan, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn, in the field's usual words."""

    temperature: float
    """0 is greedy"""
    top_p: float
    """in (0, 1]; 1 is off"""
    repetition_penalty: float
    """1 is off; divides positive and multiplies negative logits of tokens already in the sequence (CTRL,
    arXiv:1909.05858), as `transformers` does"""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One take of one segment, as an engine needs it."""

    segment_id: str
    prompt_token_ids: tuple[int, ...]
    max_new_tokens: int
    """a multiple of seven: the engine stops there if the model has not"""
    expected_num_tokens: int
    """predicted from the text; engines order and budget by it, never cut by it"""
    sampling: Sampling
    seed: int
    attempt: int = 0
    forced_num_tokens: int | None = None
    """for benchmarks on random weights: exactly so many audio tokens, the stop id ignored"""


FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenStream:
    """What an engine made of one request."""

    segment_id: str
    token_ids: np.ndarray
    """int32 [num_tokens], in the language model's vocabulary; no prompt; the stop id left out"""
    finish_reason: FinishReason
    seed: int
    attempt: int
    error: str = ""
    """what went wrong, where ``finish_reason`` is "error"; such a stream may be empty"""
    seed_honoured: bool = True
    """whether ``seed`` decided the noise; with an engine that ignores it, another run speaks differently"""


@dataclass(frozen=True, slots=True, eq=False)
class SnacCodes:
    """The three codebooks' indices for F frames."""

    coarse: np.ndarray
    """int32 [F], each in [0, codebook_size)"""
    mid: np.ndarray
    """int32 [2F]"""
    fine: np.ndarray
    """int32 [4F]"""

    @property
    def num_frames(self) -> int:
        """Number of frames F; each is 2,048 samples."""
        return len(self.coarse)


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Mono audio."""

    samples: np.ndarray
    """float32 [num_samples] in [-1, 1]"""
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class Cue:
    """Where in a chapter's audio a segment is heard."""

    segment_id: str
    segment_index: int
    start_sample: int
    num_samples: int
    """of speech, the pause after it left out"""
