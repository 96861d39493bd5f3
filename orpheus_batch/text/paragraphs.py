"""Cuts a chapter into paragraphs, verses and what is not read, before sentences are looked for.

Works on lines: blank lines, indents, margins, brackets. It knows no sentences.
"""

import re
from collections.abc import Iterator

from orpheus_batch.data import Boundary, TextUnit
from orpheus_batch.text.blocks import Block, Layout, iter_blocks
from orpheus_batch.text.headings import is_bare_number, is_capitals, is_label_line

SCENE_BREAK = "scene break"
"""skip reason of a row of asterisks or the like; a longer pause stands for it"""
EARLY_END_CHARS = 12
"""a line that ends this much before the margin, its next word included, was ended on purpose"""
NARROW = 0.6
"""lines shorter than this share of the margin, on average, are no wrapped prose"""
_MOST = 0.6
MAX_AFTER_NOTE = 4
"""characters after a note's bracket that may still belong to it; more, and it stands within a paragraph"""
MAX_NOTE_BLOCKS = 40
"""paragraphs that one bracketed note may run over"""
_NOTES = (
    (
        re.compile(r"[\[{]\s*_*(?:Illustration|Plate|Frontispiece|Ornament|Decoration|Map|Music)\b", re.I),
        "illustration",
    ),
    (re.compile(r"\[\s*_*(?:Foot|End)note\b", re.I), "footnote"),
    (re.compile(r"\[\s*_*Sidenote\b", re.I), "sidenote"),
    (re.compile(r"\[\s*_*Transcriber", re.I), "transcriber's note"),
)
_INLINE_NOTE = re.compile(r"\[_*(?:Footnote|Endnote|Sidenote|Illustration)\b[^\[\]]{0,5000}\]")
_NOTE_REASONS = frozenset(reason for _, reason in _NOTES)
_PAGE = re.compile(r"[\[{(]?\s*(?:[Pp]g?\.|[Pp]age|Pg)\s*[\divxlc]{1,6}\s*[\]})]?|[\[{]\s*\d{1,4}\s*[\]}]")
_ATX = re.compile(r"#{1,6}[ \t]+\S")


def cut_paragraphs(text: str, start: int, layout: Layout) -> Iterator[TextUnit]:
    """Cut a chapter's text, from ``start`` on, into units.

    Args:
        text: The chapter.
        start: Where its heading ends.
        layout: How its lines are wrapped.

    Yields:
        Units in order; white space lies between them.
    """
    open_note, blocks_left = "", 0
    for block in iter_blocks(text, start):
        if open_note:
            yield TextUnit(block.start, block.end, Boundary.PARAGRAPH, skip_reason=open_note)
            blocks_left -= 1
            if block.text.rstrip("_* ").endswith("]") or not blocks_left:
                open_note = ""
            continue
        reason = _skip_reason(block)
        if reason:
            unclosed = block.text.count("[") > block.text.count("]")
            if unclosed and reason in _NOTE_REASONS and _closes_soon(text, block.end):
                open_note, blocks_left = reason, MAX_NOTE_BLOCKS
            yield TextUnit(block.start, block.end, Boundary.PARAGRAPH, skip_reason=reason)
            continue
        yield from _around_notes(text, block, layout)


def _around_notes(text: str, block: Block, layout: Layout) -> Iterator[TextUnit]:
    """Part a paragraph where a note stands in the middle of it; the note alone is not read."""
    notes = [match.span() for match in _INLINE_NOTE.finditer(text, block.start, block.end)]
    if not notes:
        yield from _units_of_block(block, layout)
        return
    position = block.start
    for start, end in notes:
        if text[position:start].strip():
            yield TextUnit(position, start, Boundary.CLAUSE)
        last = not text[end : block.end].strip()
        boundary = Boundary.PARAGRAPH if last else Boundary.CLAUSE
        yield TextUnit(start, block.end if last else end, boundary, skip_reason=_note_reason(text[start:end]))
        position = block.end if last else end
    if position < block.end:
        yield TextUnit(position, block.end, Boundary.PARAGRAPH)


def _units_of_block(block: Block, layout: Layout) -> Iterator[TextUnit]:
    lines = block.lines
    if len(lines) == 1:
        heading = _is_sub_heading(lines[0].text)
        yield TextUnit(block.start, block.end, Boundary.HEADING if heading else Boundary.PARAGRAPH)
        return
    ends = [line.start + len(line.text) for line in lines]
    if layout.unwrapped:
        for line, end in zip(lines, ends, strict=True):
            yield TextUnit(line.start, end, Boundary.PARAGRAPH)
        return
    if _is_verse(block, layout):
        yield TextUnit(block.start, block.end, Boundary.PARAGRAPH, verse=True)
        return
    flush = min(line.indent for line in lines)
    first = 0
    for number in range(1, len(lines)):
        indented = lines[number].indent > flush and lines[number - 1].indent == flush
        if indented and lines[number - 1].text[-1] in ".!?\"'”’:)_":
            yield TextUnit(lines[first].start, ends[number - 1], Boundary.PARAGRAPH)
            first = number
    yield TextUnit(lines[first].start, block.end, Boundary.PARAGRAPH)


def _is_verse(block: Block, layout: Layout) -> bool:
    """Say whether lines end on purpose: well before the margin, and the next one begins with a capital."""
    lines = block.lines
    widths = [line.indent + len(line.text) for line in lines]
    early = capital = filled = 0
    for width, after in zip(widths, lines[1:], strict=False):
        used = width + 1 + len(after.text.split(maxsplit=1)[0])
        early += used + EARLY_END_CHARS <= layout.width
        filled += used > max(widths)
        initial = next((character for character in after.text if character.isalnum()), "a")
        capital += not initial.islower()
    breaks = len(lines) - 1
    if early < _MOST * breaks:
        return False
    narrow = sum(widths[:-1]) < NARROW * layout.width * breaks
    return capital >= _MOST * breaks or (narrow and filled < _MOST * breaks)


def _skip_reason(block: Block) -> str:
    """Return why a whole block is not read; empty if it is."""
    text = block.text
    if not any(character.isalnum() for character in text):
        return SCENE_BREAK if len(text) <= 400 else "no pronounceable characters"
    if len(block.lines) == 1 and _PAGE.fullmatch(text):
        return "page number"
    return _note_reason(text) if len(text) - text.rfind("]") <= MAX_AFTER_NOTE or "]" not in text else ""


def _note_reason(text: str) -> str:
    """Return what kind of note begins a text; empty if none does."""
    return next((reason for pattern, reason in _NOTES if pattern.match(text)), "")


def _closes_soon(text: str, position: int) -> bool:
    """Say whether an open bracketed note has an end within reason."""
    closing = text.find("]", position, position + 20_000)
    opening = text.find("[", position, position + 20_000)
    return closing >= 0 and (opening < 0 or closing < opening)


def _is_sub_heading(line: str) -> bool:
    """Say whether a line that stands alone is a heading inside the chapter."""
    if is_bare_number(line) or is_label_line(line) or _ATX.match(line):
        return True
    return is_capitals(line) and len(line) <= 80 and len(line.split()) <= 12 and line[0] not in "\"'“‘"
