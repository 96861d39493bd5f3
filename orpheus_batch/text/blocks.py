"""Lines and paragraphs of plain text, with their places.

A block is what stands between blank lines. What a block means (heading, verse, scene break) is not known here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"[^\S\n]*\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*")


@dataclass(frozen=True, slots=True)
class Line:
    """One non-blank line without its line end."""

    start: int
    """offset of ``text`` in the string that was cut into blocks; leading blanks are left out"""
    text: str
    """stripped"""
    indent: int
    """width of the leading blanks"""

    @property
    def end(self) -> int:
        """One past its last non-blank character."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive non-blank lines."""

    start: int
    """first non-blank character"""
    end: int
    """one past the last non-blank character"""
    lines: tuple[Line, ...]
    gap_before: int
    """blank lines before it; a large number at the very start"""

    @property
    def text(self) -> str:
        """The lines joined with single spaces."""
        return " ".join(line.text for line in self.lines)


GAP_AT_START = 99
UNWRAPPED_CHARS = 160
"""a line longer than this was never wrapped, by hand or by machine"""
UNWRAPPED_SHARE = 0.25
"""share of a text's characters in such lines from which on every line is a paragraph: in wrapped books, edited
by hand or not, it is near 0; where a paragraph is a line, only dialogue is in short ones"""
MIN_WIDTH = 68
"""margin taken for a text whose lines are all shorter: they are verse"""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a text are laid out, judged over all of it."""

    width: int
    """margin at which lines are wrapped, in characters"""
    unwrapped: bool
    """every line is a paragraph"""


def measure_layout(text: str) -> Layout:
    """Judge how a text is wrapped.

    Args:
        text: A chapter or a book; the longer, the surer.
    """
    lengths = sorted(len(line.rstrip()) for line in text.split("\n") if line.strip())
    long = sum(length for length in lengths if length > UNWRAPPED_CHARS)
    width = lengths[int(0.95 * (len(lengths) - 1))] if lengths else MIN_WIDTH
    return Layout(max(MIN_WIDTH, width), long > UNWRAPPED_SHARE * sum(lengths))


def iter_blocks(text: str, start: int = 0, end: int | None = None) -> Iterator[Block]:
    r"""Cut ``text[start:end]`` at blank lines.

    Args:
        text: With line ends as ``\n``.
        start: Where to begin.
        end: Where to stop; None: at the end of ``text``.

    Yields:
        Blocks in order; offsets count from the beginning of ``text``.
    """
    end = len(text) if end is None else end
    lines: list[Line] = []
    gap = blanks = GAP_AT_START
    position = start
    while position < end:
        stop = text.find("\n", position, end)
        stop = end if stop < 0 else stop
        raw = text[position:stop]
        stripped = raw.lstrip()
        if stripped:
            gap = gap if lines else blanks
            indent = len(raw) - len(stripped)
            lines.append(Line(position + indent, stripped.rstrip(), indent))
        elif lines:
            yield Block(lines[0].start, lines[-1].end, tuple(lines), gap)
            lines, blanks = [], 1
        else:
            blanks += 1
        position = stop + 1
    if lines:
        yield Block(lines[0].start, lines[-1].end, tuple(lines), gap)
