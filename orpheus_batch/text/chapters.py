"""Cuts a book's own text into chapters and the stretches between them that are not read.

Headings are found by their wording (`orpheus_batch.text.headings`), by the book's own table of contents
(`orpheus_batch.text.contents`), by Markdown, or by a pattern that the user gives. Offsets are those of the
source; sections tile what they are given. Nothing is known here of Project Gutenberg, of sentences or of
speech.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orpheus_batch.errors import InputError
from orpheus_batch.text.blocks import Block, Line, iter_blocks, measure_layout
from orpheus_batch.text.contents import WIDE_GAP, find_contents
from orpheus_batch.text.front_matter import is_title_page, is_worth_reading
from orpheus_batch.text.headings import (
    CHAPTER,
    MAX_TITLE_CHARS,
    NUMBER,
    NUMBERED_TITLE,
    Candidate,
    is_capitals,
    is_label_line,
    is_title_like,
    match_heading,
    skipped_section,
    title_key,
)

LISTED = -1
"""Level of a heading known from the table of contents, or from its capitals and the gap before it, alone."""
CONTENTS = "table of contents"
TITLE_PAGE = "title page"

_MAX_TITLE_LINES = 4
_WRAPPED_TITLE_CHARS = 55
"""a heading line so long goes on in the next line of its block"""
_MIN_CAPITAL_TITLES = 3
"""fewer lines in capitals, and they are no chapters of a book that names none"""
_ATX = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*")
_MARKUP = re.compile(r"[_*~`]+|!?\[([^\]\[]{0,300})\]\([^)]{0,1000}\)")


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter, or a stretch that is not read."""

    start: int
    end: int
    title: str = ""
    heading_end: int = 0
    """one past the heading's last character; equal to ``start`` where there is none"""
    skip_reason: str = ""


@dataclass(slots=True)
class _Heading:
    """A heading that was accepted, on its way to a section."""

    start: int
    end: int
    """one past its last character; of a stretch that is not read: where reading may go on"""
    candidate: Candidate
    skip_reason: str = ""

    @property
    def title(self) -> str:
        parts = (_one_line(self.candidate.label), _one_line(self.candidate.title))
        return ": ".join(part for part in parts if part)


def find_chapters(
    source: str,
    start: int,
    end: int,
    *,
    markdown: bool = False,
    chapter_pattern: str | None = None,
    book_names: Sequence[str] = (),
) -> list[Section]:
    r"""Cut ``source[start:end]`` into chapters and skipped stretches.

    Args:
        source: With line ends as ``\n``.
        start: First character of the book's own text.
        end: One past its last.
        markdown: Headings are Markdown's, where there are any.
        chapter_pattern: A regular expression that a whole heading line matches, instead of the built-in rules.
        book_names: Title and author, where they are known: they help to tell a title page.

    Returns:
        Sections in order that tile ``[start, end)``; none where there is nothing but blanks.

    Raises:
        InputError: The pattern is not a regular expression, or no line matches it.
    """
    blocks = _split_blocks(source, start, end)
    if not blocks:
        return []
    book_keys = frozenset(filter(None, map(title_key, book_names)))
    if chapter_pattern is not None:
        headings = _headings_by_pattern(blocks, chapter_pattern)
    else:
        headings = _markdown_headings(blocks) if markdown else []
        headings = headings or _headings_by_rule(blocks, book_keys)
    return _sections(blocks, headings, start, end, book_keys)


def _split_blocks(source: str, start: int, end: int) -> list[Block]:
    """Cut into blocks; each line of an unwrapped block, and a label within a block, begins one of its own."""
    blocks: list[Block] = []
    unwrapped = measure_layout(source[start:end]).unwrapped
    for block in iter_blocks(source, start, end):
        lines = block.lines
        if unwrapped:
            cuts = list(range(len(lines)))
        else:
            cuts = [0, *(number for number in range(1, len(lines)) if _begins_chapter(lines, number))]
        for first, last in zip(cuts, [*cuts[1:], len(lines)], strict=True):
            piece = lines[first:last]
            gap = 0 if first else block.gap_before
            blocks.append(Block(piece[0].start, piece[-1].end, piece, gap))
    return blocks


def _begins_chapter(lines: Sequence[Line], number: int) -> bool:
    """Say whether a line inside a block is a chapter's label, no blank line before it."""
    before = lines[number - 1].text
    return is_label_line(lines[number].text) and before[-1] in ".!?\"'”’*)]" and not is_label_line(before)


def _headings_by_pattern(blocks: Sequence[Block], chapter_pattern: str) -> list[_Heading]:
    try:
        pattern = re.compile(chapter_pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at position {error.pos}"
        raise InputError(
            f"the chapter pattern {chapter_pattern!r} is no regular expression: {error.msg}{where}"
        ) from error
    headings = [
        _Heading(line.start, line.end, Candidate(CHAPTER, "", line.text, None))
        for block in blocks
        for line in block.lines
        if pattern.fullmatch(line.text)
    ]
    if not headings:
        raise InputError(
            f"no line matches the chapter pattern {chapter_pattern!r}; it must match a whole heading line "
            "(blanks at both ends left out), so you may need '.*' at its end"
        )
    return headings


def _markdown_headings(blocks: Sequence[Block]) -> list[_Heading]:
    """Find ATX and setext headings outside code; the outermost level that occurs twice makes chapters."""
    found: list[tuple[int, _Heading]] = []
    fence = ""
    for block in blocks:
        for number, line in enumerate(block.lines):
            text = line.text
            if fence or text.startswith(("```", "~~~")):
                fence = ("" if text.startswith(fence) else fence) if fence else text[:3]
                continue
            below = block.lines[number + 1] if number + 1 < len(block.lines) else None
            if atx := _ATX.fullmatch(text):
                level, title, end = len(atx[1]), atx[2], line.end
            elif below and len(block.lines) == 2 and re.fullmatch(r"={2,}|-{2,}", below.text):
                level, title, end = (1 if below.text[0] == "=" else 2), text, below.end
            else:
                continue
            found.append((level, _Heading(line.start, end, Candidate(level, "", title, None))))
    counts = [level for level, _ in found]
    chosen = next((level for level in sorted(set(counts)) if counts.count(level) > 1), None)
    if chosen is None:
        return [heading for _, heading in found[:1]]
    kept = [heading for level, heading in found if level <= chosen]
    book_title = counts[0] < chosen and _adjacent(blocks, kept[0], kept[1])
    return kept[1:] if book_title else kept


def _headings_by_rule(blocks: Sequence[Block], book_keys: frozenset[str]) -> list[_Heading]:
    candidates = [match_heading(block) for block in blocks]
    contents, listed = find_contents(blocks, candidates)
    in_contents = {index for indices in contents for index in indices}
    for index in in_contents:
        candidates[index] = None
    _keep_series(candidates)
    listed -= book_keys
    for index, block in enumerate(blocks):
        free = candidates[index] is None and index not in in_contents and block.gap_before
        if not free or len(block.lines) > 3 or title_key(block.text) not in listed:
            continue
        above = candidates[max(0, index - 2) : index]
        if not any(candidate is not None and candidate.value is not None for candidate in above):
            candidates[index] = Candidate(LISTED, "", block.text, None)  # else it is the title of the one above
    if not any(candidates):
        _take_capital_titles(blocks, candidates, in_contents)
    headings = [
        _Heading(blocks[found[0]].start, _start_of(blocks, found.stop), _NO_CANDIDATE, CONTENTS)
        for found in contents
    ]
    index = 0
    while index < len(blocks):
        candidate, block = candidates[index], blocks[index]
        if index in in_contents:
            index += 1
        elif reason := skipped_section(block):
            after = _end_of_skipped(blocks, candidates, index)
            headings.append(_Heading(block.start, _start_of(blocks, after), _NO_CANDIDATE, reason))
            index = after
        elif candidate is not None:
            heading, index = _with_title(blocks, candidates, index, candidate, in_contents)
            headings.append(heading)
        else:
            index += 1
    return sorted(headings, key=lambda heading: heading.start)


_NO_CANDIDATE = Candidate(CHAPTER, "", "", None)


def _start_of(blocks: Sequence[Block], index: int) -> int:
    """Return where a block begins; past the last one, where the text ends."""
    return blocks[index].start if index < len(blocks) else blocks[-1].end


def _end_of_skipped(blocks: Sequence[Block], candidates: Sequence[Candidate | None], index: int) -> int:
    """Return the first block after an index or the like: in the front half, a wide gap ends it too."""
    early = index < len(blocks) // 2
    for after in range(index + 1, len(blocks)):
        candidate, block = candidates[after], blocks[after]
        wide = block.gap_before >= WIDE_GAP
        if skipped_section(block) or (candidate is not None and (wide or candidate.level != LISTED)):
            return after
        if early and wide and after > index + 1:
            return after
    return len(blocks)


def _keep_series(candidates: list[Candidate | None]) -> None:
    """Drop numbers that are no chapters: out of sequence, or below chapters that are named or titled."""
    named = sum(c is not None and c.level == CHAPTER and c.value is not None for c in candidates)
    superseded = named >= 2
    for level in (NUMBERED_TITLE, NUMBER):
        expected = 1
        kept: list[int] = []
        for index, candidate in enumerate(candidates):
            if candidate is None or candidate.level != level:
                continue
            repeated = level == NUMBERED_TITLE and bool(kept) and candidate.value == expected - 1
            if not superseded and (candidate.value in (1, expected) or repeated):
                kept.append(index)
                expected = candidate.value + 1
            else:
                candidates[index] = None
        values = [candidate.value for index in kept if (candidate := candidates[index]) is not None]
        if 2 in values:
            superseded = True
        else:
            for index in kept:
                candidates[index] = None


def _take_capital_titles(
    blocks: Sequence[Block], candidates: list[Candidate | None], in_contents: set[int]
) -> None:
    """Take lines in capitals after a wide gap for titles, in a book that names no chapter."""
    found = []
    for index, block in enumerate(blocks[:-1]):
        if (
            index not in in_contents
            and block.gap_before >= WIDE_GAP
            and len(block.lines) <= 2
            and len(block.text) <= MAX_TITLE_CHARS
            and is_capitals(block.text)
            and block.text[0] not in "\"'“‘[("
            and not skipped_section(block)
            and not is_capitals(blocks[index + 1].text)
        ):
            found.append(index)
    if len(found) >= _MIN_CAPITAL_TITLES:
        for index in found:
            candidates[index] = Candidate(LISTED, "", blocks[index].text, None)


def _with_title(
    blocks: Sequence[Block],
    candidates: Sequence[Candidate | None],
    index: int,
    candidate: Candidate,
    in_contents: set[int],
) -> tuple[_Heading, int]:
    """Take the title on the lines after a label into the heading.

    Returns:
        The heading, and the index of the first block that is not part of it.
    """
    block = blocks[index]
    if candidate.level == LISTED:
        return _Heading(block.start, block.end, candidate), index + 1
    rest = [line.text for line in block.lines[1:]]
    capitals = (
        bool(candidate.title) and is_capitals(candidate.title) and all(is_capitals(text) for text in rest)
    )
    title = [candidate.title] if candidate.title else []
    end = block.lines[0].end
    wrapped = bool(candidate.title) and len(rest) <= 2 and len(block.lines[0].text) >= _WRAPPED_TITLE_CHARS
    titles = capitals or wrapped or all(is_title_like(text) for text in rest)
    if rest and len(rest) < _MAX_TITLE_LINES and titles:
        title += rest
        end = block.end
    following = index + 1
    if not title and end == block.end and candidate.value is not None and following + 1 < len(blocks):
        after = candidates[following]
        titled = after is None or after.level == LISTED or (after.value is None and after.level == CHAPTER)
        if titled and following not in in_contents and _is_title_block(blocks[following]):
            title = [line.text for line in blocks[following].lines]
            end = blocks[following].end
            following += 1
    return _Heading(block.start, end, replace(candidate, title=" ".join(title))), following


def _is_title_block(block: Block) -> bool:
    lines = [line.text for line in block.lines]
    if len(lines) > _MAX_TITLE_LINES or len(block.text) > MAX_TITLE_CHARS or skipped_section(block):
        return False
    if lines[0].startswith("[") or not any(character.isalpha() for character in block.text):
        return False
    return all(is_capitals(line) for line in lines) or (len(lines) == 1 and is_title_like(lines[0]))


def _sections(
    blocks: Sequence[Block], headings: list[_Heading], start: int, end: int, book_keys: frozenset[str]
) -> list[Section]:
    """Turn headings into sections that tile ``[start, end)``."""
    headings = _merge_nested(blocks, headings)
    first = headings[0].start if headings else end
    sections = [] if headings else [Section(start, end)]
    sections += _unheaded(blocks, start, first, book_keys) if headings else []
    for number, heading in enumerate(headings):
        following = headings[number + 1].start if number + 1 < len(headings) else end
        if not heading.skip_reason:
            sections.append(Section(heading.start, following, heading.title, heading.end))
            continue
        sections.append(Section(heading.start, following, "", 0, heading.skip_reason))
        if heading.end < following:
            sections += _unheaded(blocks, heading.end, following, book_keys)
    tiled = []
    for number, section in enumerate(sections):
        left = start if number == 0 else section.start
        right = sections[number + 1].start if number + 1 < len(sections) else end
        tiled.append(replace(section, start=left, end=right, heading_end=max(left, section.heading_end)))
    return tiled


def _merge_nested(blocks: Sequence[Block], headings: list[_Heading]) -> list[_Heading]:
    """Join "Part One" with the "Chapter I" that follows it at once."""
    merged: list[_Heading] = []
    for heading in headings:
        above = merged[-1] if merged else None
        if (
            above is not None
            and not (above.skip_reason or heading.skip_reason)
            and above.candidate.level < heading.candidate.level
            and _adjacent(blocks, above, heading)
        ):
            label = ", ".join(part for part in (above.title, _one_line(heading.candidate.label)) if part)
            merged[-1] = _Heading(above.start, heading.end, replace(heading.candidate, label=label))
        else:
            merged.append(heading)
    return merged


def _adjacent(blocks: Sequence[Block], above: _Heading, heading: _Heading) -> bool:
    """Say whether nothing stands between two headings."""
    index = bisect_left(blocks, heading.start, key=lambda block: block.start)
    return index > 0 and blocks[index - 1].end <= above.end


def _unheaded(blocks: Sequence[Block], start: int, end: int, book_keys: frozenset[str]) -> list[Section]:
    """Judge what stands before the first heading or after a table of contents: to be read, or a title page."""
    own = [block for block in blocks if start <= block.start < end]
    prose = next((number for number, block in enumerate(own) if is_worth_reading(block)), None)
    if not own:
        return []
    if prose is None:
        return [Section(own[0].start, end, "", 0, TITLE_PAGE)]
    first = prose
    while first > 0 and own[first].gap_before < WIDE_GAP and not is_title_page(own[first - 1], book_keys):
        first -= 1
    sections = [Section(own[0].start, own[first].start, "", 0, TITLE_PAGE)] if first else []
    block = own[first]
    if first < prose and len(block.lines) <= 2 and is_title_like(block.lines[0].text):
        sections.append(Section(block.start, end, _one_line(block.text), block.end))
    else:
        sections.append(Section(block.start, end, "Opening", 0))
    return sections


def _one_line(text: str) -> str:
    """Return a title without markup, and with single spaces and no full stop at its end."""
    text = " ".join(_MARKUP.sub(lambda match: match[1] or "", text).split())
    return text if text.endswith("...") else text.rstrip(" .:")
