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


def iter_blocks(text: str, start: int = 0, end: int | None = None) -> Iterator[Block]:
    """Cut ``text[start:end]`` at blank lines.

    Args:
        text: With line ends as ``\\n``.
        start: Where to begin.
        end: Where to stop; None: at the end of ``text``.

    Yields:
        Blocks in order; offsets count from the beginning of ``text``.
    """
    end = len(text) if end is None else end
    previous_end = None
    for match in _BLOCK.finditer(text, start, end):
        lines = []
        position = match.start()
        for raw in match.group().split("\n"):
            stripped = raw.strip()
            indent = len(raw) - len(raw.lstrip())
            lines.append(Line(position + indent, stripped, indent))
            position += len(raw) + 1
        first, last = lines[0], lines[-1]
        gap = GAP_AT_START
        if previous_end is not None:
            gap = text.count("\n", previous_end, first.start) - 1
        block_end = last.start + len(last.text)
        yield Block(first.start, block_end, tuple(lines), gap)
        previous_end = block_end
