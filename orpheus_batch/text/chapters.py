"""Cuts a book's own text into chapters and the stretches between them that are not read.

Headings are found by their wording (`orpheus_batch.text.headings`), by the book's own table of contents, by
Markdown, or by a pattern that the user gives. Offsets are those of the source; sections tile what they are given.
Nothing is known here of Project Gutenberg, of sentences or of speech.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orpheus_batch.errors import InputError
from orpheus_batch.text.blocks import Block, Line, iter_blocks
from orpheus_batch.text.headings import (
    CHAPTER,
    NUMBER,
    NUMBERED_TITLE,
    Candidate,
    is_capitals,
    is_contents_heading,
    is_label_line,
    is_title_like,
    match_heading,
    skipped_section,
    title_key,
)

LISTED = -1
"""Level of a heading known from the table of contents alone."""

_MAX_TITLE_LINES = 4
_UNWRAPPED_CHARS = 160
"""A line longer than this was never wrapped by hand or by machine."""
_ATX = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*")
_MARKUP = re.compile(r"[_*~`]+|!?\[([^\]]*)\]\([^)]*\)")
_TITLE_PAGE = re.compile(
    r"(?i:by\b|copyright|©|\(c\)|illustrat|translated|edited|published|printed|london|new york|boston|philadelphia|"
    r"press\b|all rights|author of|with .{0,30}illustrations|first published|edition|isbn|\[illustration|volume|vol\.)"
)


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

    first: int
    """index of its first block"""
    start: int
    end: int
    """one past its last character"""
    candidate: Candidate
    skip_reason: str = ""

    @property
    def title(self) -> str:
        parts = (self.candidate.label, self.candidate.title)
        return ": ".join(_one_line(part) for part in parts if part)


def find_chapters(
    source: str, start: int, end: int, *, markdown: bool = False, chapter_pattern: str | None = None
) -> list[Section]:
    """Cut ``source[start:end]`` into chapters and skipped stretches.

    Args:
        source: With line ends as ``\\n``.
        start: First character of the book's own text.
        end: One past its last.
        markdown: Headings are Markdown's, where there are any.
        chapter_pattern: A regular expression that a whole heading line matches, instead of the built-in rules.

    Returns:
        Sections in order that tile ``[start, end)``; none where there is nothing but blanks.

    Raises:
        InputError: The pattern is not a regular expression, or no line matches it.
    """
    blocks = _split_blocks(source, start, end)
    if not blocks:
        return []
    if chapter_pattern is not None:
        headings = _headings_by_pattern(blocks, chapter_pattern)
    else:
        headings = _markdown_headings(blocks) if markdown else []
        headings = headings or _headings_by_rule(blocks)
    return _sections(blocks, headings, start, end)


def _split_blocks(source: str, start: int, end: int) -> list[Block]:
    """Cut into blocks; a text with a paragraph a line gives a block a line, and a labelled heading its own."""
    blocks: list[Block] = []
    for block in iter_blocks(source, start, end):
        lines = block.lines
        if any(len(line.text) > _UNWRAPPED_CHARS for line in lines):
            pieces: list[tuple[Line, ...]] = [(line,) for line in lines]
        else:
            cuts = [0]
            for number in range(1, len(lines)):
                before = lines[number - 1].text
                if is_label_line(lines[number].text) and before[-1] in ".!?\"'”’*)]":
                    if not is_label_line(before):
                        cuts.append(number)
            pieces = [lines[a:b] for a, b in zip(cuts, [*cuts[1:], len(lines)], strict=True)]
        for number, piece in enumerate(pieces):
            blocks.append(
                Block(
                    piece[0].start,
                    piece[-1].start + len(piece[-1].text),
                    piece,
                    block.gap_before if number == 0 else 0,
                )
            )
    return blocks


def _headings_by_pattern(blocks: Sequence[Block], chapter_pattern: str) -> list[_Heading]:
    try:
        pattern = re.compile(chapter_pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at position {error.pos}"
        raise InputError(
            f"the chapter pattern {chapter_pattern!r} is no regular expression: {error.msg}{where}"
        ) from error
    headings = []
    for index, block in enumerate(blocks):
        for line in block.lines:
            if pattern.fullmatch(line.text):
                candidate = Candidate(CHAPTER, "", line.text, None)
                headings.append(_Heading(index, line.start, line.start + len(line.text), candidate))
    if not headings:
        raise InputError(
            f"no line matches the chapter pattern {chapter_pattern!r}; it must match a whole heading line "
            "(blanks at both ends left out), so you may need '.*' at its end"
        )
    return headings


def _markdown_headings(blocks: Sequence[Block]) -> list[_Heading]:
    """Find ATX and setext headings outside fenced code; the outermost level that occurs twice makes chapters."""
    found: list[tuple[int, _Heading]] = []
    fence = ""
    for index, block in enumerate(blocks):
        for number, line in enumerate(block.lines):
            text = line.text
            if fence:
                if text.startswith(fence):
                    fence = ""
                continue
            if text.startswith(("```", "~~~")):
                fence = text[:3]
                continue
            atx = _ATX.fullmatch(text)
            below = block.lines[number + 1] if number + 1 < len(block.lines) else None
            if atx:
                end = line.start + len(text)
                level, title = len(atx[1]), atx[2]
            elif below and len(block.lines) == 2 and re.fullmatch(r"={2,}|-{2,}", below.text):
                end = below.start + len(below.text)
                level, title = (1 if below.text[0] == "=" else 2), text
            else:
                continue
            found.append((level, _Heading(index, line.start, end, Candidate(CHAPTER, "", title, None))))
    levels = sorted({level for level, _ in found})
    chosen = next((level for level in levels if sum(level == other for other, _ in found) > 1), None)
    if chosen is None:
        return [heading for _, heading in found[:1]] if found else []
    return [heading for level, heading in found if level <= chosen]


def _headings_by_rule(blocks: Sequence[Block]) -> list[_Heading]:
    candidates = [match_heading(block) for block in blocks]
    contents, listed = _contents(blocks, candidates)
    in_contents = {index for first, last in contents for index in range(first, last)}
    for index, block in enumerate(blocks):
        if index in in_contents:
            candidates[index] = None
        elif candidates[index] is None and len(block.lines) <= 3 and title_key(block.text) in listed:
            candidates[index] = Candidate(LISTED, "", block.text, None)
    _keep_series(candidates)
    headings = []
    for first, last in contents:
        end = blocks[last - 1].end
        headings.append(
            _Heading(first, blocks[first].start, end, Candidate(CHAPTER, "", "", None), "table of contents")
        )
    absorbed_until = 0
    for index, block in enumerate(blocks):
        if index in in_contents or index < absorbed_until:
            continue
        candidate = candidates[index]
        reason = skipped_section(block)
        if reason:
            headings.append(_Heading(index, block.start, block.end, Candidate(CHAPTER, "", "", None), reason))
        elif candidate is not None:
            heading, absorbed_until = _with_title(blocks, candidates, index, candidate, in_contents)
            headings.append(heading)
    headings.sort(key=lambda heading: heading.start)
    return headings


def _contents(
    blocks: Sequence[Block], candidates: Sequence[Candidate | None]
) -> tuple[list[tuple[int, int]], frozenset[str]]:
    """Find tables of contents: ranges of blocks, and the titles that they list."""
    ranges = []
    listed: set[str] = set()
    index = 0
    while index < len(blocks):
        if is_contents_heading(blocks[index]):
            last = _end_of_contents(blocks, candidates, index + 1)
        elif _is_list_of_headings(blocks[index]):
            last = index + 1
        else:
            index += 1
            continue
        for block in blocks[index + (last > index + 1) : last]:
            for line in block.lines:
                listed |= _entry_keys(line.text)
        ranges.append((index, last))
        index = last
    listed.discard("")
    return ranges, frozenset(listed)


def _end_of_contents(blocks: Sequence[Block], candidates: Sequence[Candidate | None], first: int) -> int:
    """Return the index of the first block after a table of contents that begins at ``first``."""
    seen: set[str] = set()
    index = first
    while index < len(blocks):
        block = blocks[index]
        keys = {title_key(line.text) for line in block.lines} - {""}
        labels = {candidate.key for candidate in (candidates[index],) if candidate}
        if (
            (labels | keys) & seen
            or (skipped_section(block)
            and index > first
            and index + 1 < len(blocks)
            and (_is_prose(blocks[index + 1]) or blocks[index].gap_before > 2))
        ):
            return index
        if _is_prose(block):
            is_synopsis = index > first and candidates[index - 1] is not None and len(block.text) < 700
            later = is_synopsis and any(
                candidate and candidate.key == candidates[index - 1].key
                for candidate in candidates[index + 1 :]
            )
            if not later:
                return _back_to_gap(blocks, first, index)
        seen |= labels | keys
        for line in block.lines:
            seen |= _entry_keys(line.text)
        index += 1
    return first


def _back_to_gap(blocks: Sequence[Block], first: int, index: int) -> int:
    """Give back the heading of the prose at ``index``: blocks after the widest gap among the last few."""
    low = max(first, index - 4)
    if index <= first:
        return index
    return max(range(low, index + 1), key=lambda i: (blocks[i].gap_before if i > first else -1, i))


def _entry_keys(line: str) -> set[str]:
    """Return the keys by which the heading of a contents line may be known."""
    text = re.sub(r"(?:\s*\.){2,}\s*\d*$|\s{2,}\d+$|,?\s+\d+$", "", line.strip())
    keys = {title_key(text)}
    candidate = match_heading(Block(0, len(text), (Line(0, text, 0),), 1)) if text else None
    if candidate:
        keys |= {candidate.key, title_key(candidate.title)}
    return {key for key in keys if len(key) > 3}


def _is_list_of_headings(block: Block) -> bool:
    """Say whether a block of three lines or more is headings and nothing else: contents without the word."""
    if len(block.lines) < 3:
        return False
    hits = sum(
        match_heading(Block(line.start, line.start + len(line.text), (line,), 1)) is not None
        for line in block.lines
    )
    return hits >= 3 and hits * 10 >= len(block.lines) * 6


def _keep_series(candidates: list[Candidate | None]) -> None:
    """Drop numbers that are no chapters: out of sequence, or below chapters that are named."""
    named = sum(c is not None and c.level == CHAPTER and c.value is not None for c in candidates)
    for level, allowed in ((NUMBERED_TITLE, named < 2), (NUMBER, named < 2)):
        expected = 1
        kept = []
        for index, candidate in enumerate(candidates):
            if candidate is None or candidate.level != level:
                continue
            if allowed and candidate.value in (1, expected):
                kept.append(index)
                expected = candidate.value + 1
            elif allowed and level == NUMBERED_TITLE and kept and candidate.value == expected - 1:
                kept.append(index)
            else:
                candidates[index] = None
        if len(kept) < 2 or not any(candidates[index].value == 2 for index in kept):
            for index in kept:
                candidates[index] = None
        else:
            named = max(named, len(kept))
            if level == NUMBERED_TITLE:
                for index, candidate in enumerate(candidates):
                    if candidate is not None and candidate.level == NUMBER:
                        candidates[index] = None


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
    lines = block.lines
    if candidate.level == LISTED:
        return _Heading(index, block.start, block.end, candidate), index + 1
    used = 1
    title = [candidate.title] if candidate.title else []
    rest = lines[1:]
    if (
        rest
        and len(rest) < _MAX_TITLE_LINES
        and (
            all(is_title_like(line.text) for line in rest)
            or (
                candidate.title
                and is_capitals(candidate.title)
                and all(is_capitals(line.text) for line in rest)
            )
        )
    ):
        title += [line.text for line in rest]
        used = len(lines)
    end = lines[used - 1].start + len(lines[used - 1].text)
    next_index = index + 1
    if not title and used == len(lines) and candidate.value is not None:
        following = blocks[next_index] if next_index < len(blocks) else None
        if (
            following is not None
            and next_index not in in_contents
            and candidates[next_index] is None
            and next_index + 1 < len(blocks)
            and _is_title_block(following)
        ):
            title = [line.text for line in following.lines]
            end = following.end
            next_index += 1
    heading = _Heading(index, block.start, end, replace(candidate, title=" ".join(title)))
    return heading, next_index


def _is_title_block(block: Block) -> bool:
    lines = [line.text for line in block.lines]
    if len(lines) > _MAX_TITLE_LINES or skipped_section(block) or not any(c.isalpha() for c in block.text):
        return False
    if lines[0].startswith("[") or set(block.text) <= set("*-–—_#=~. "):
        return False
    return all(is_capitals(line) for line in lines) or (len(lines) == 1 and is_title_like(lines[0]))


def _sections(blocks: Sequence[Block], headings: list[_Heading], start: int, end: int) -> list[Section]:
    """Turn headings into sections that tile ``[start, end)``."""
    headings = _merge_nested(blocks, headings)
    sections = _front_matter(blocks, headings)
    for number, heading in enumerate(headings):
        if heading.skip_reason == "table of contents":
            after = next((b.start for b in blocks if b.start >= heading.end), end)
            following = headings[number + 1].start if number + 1 < len(headings) else end
            sections.append(Section(heading.start, after, "", 0, heading.skip_reason))
            if after < following:
                sections += _prose_section(blocks, after, following)
        elif heading.skip_reason:
            sections.append(Section(heading.start, end, "", 0, heading.skip_reason))
        else:
            sections.append(Section(heading.start, end, heading.title, heading.end))
    tiled = []
    for number, section in enumerate(sections):
        left = start if number == 0 else section.start
        right = sections[number + 1].start if number + 1 < len(sections) else end
        heading_end = section.heading_end if section.heading_end > section.start else left
        if left < right:
            tiled.append(replace(section, start=left, end=right, heading_end=heading_end))
    return tiled


def _merge_nested(blocks: Sequence[Block], headings: list[_Heading]) -> list[_Heading]:
    """Join "Part One" with the "Chapter I" that follows it at once."""
    starts = {block.start for block in blocks}
    merged: list[_Heading] = []
    for heading in headings:
        previous = merged[-1] if merged else None
        if (
            previous is not None
            and not previous.skip_reason
            and not heading.skip_reason
            and previous.candidate.level < heading.candidate.level
            and not any(previous.end <= s < heading.start for s in starts)
        ):
            label = ", ".join(part for part in (previous.title, _one_line(heading.candidate.label)) if part)
            previous.candidate = replace(heading.candidate, label=label)
            previous.end = heading.end
        else:
            merged.append(heading)
    return merged


def _front_matter(blocks: Sequence[Block], headings: Sequence[_Heading]) -> list[Section]:
    """Judge what stands before the first heading: title page, or something to read."""
    limit = headings[0].start if headings else blocks[-1].end + 1
    return _prose_section(blocks, blocks[0].start, limit, whole=not headings)


def _prose_section(blocks: Sequence[Block], start: int, end: int, whole: bool = False) -> list[Section]:
    """Return a skipped title page and, where there is prose, a chapter for it."""
    own = [block for block in blocks if start <= block.start < end]
    if not own:
        return []
    first_prose = next((i for i, block in enumerate(own) if _is_prose(block)), None)
    if whole:
        return [Section(start, end, "", 0)]
    if first_prose is None:
        return [Section(own[0].start, end, "", 0, "title page")]
    first = first_prose
    while first > 0 and own[first].gap_before < 3 and not _TITLE_PAGE.match(own[first - 1].text):
        first -= 1
    sections = [Section(own[0].start, own[first].start, "", 0, "title page")] if first else []
    heading = own[first]
    if first < first_prose and len(heading.lines) <= 2 and is_title_like(heading.lines[0].text):
        sections.append(Section(heading.start, end, _one_line(heading.text), heading.end))
    else:
        sections.append(Section(heading.start, end, "Opening", 0))
    return sections


def _is_prose(block: Block) -> bool:
    """Say whether a block reads as sentences: long enough, mostly small letters, lines that run on."""
    text = block.text
    words = text.split()
    if len(words) < 18 or is_capitals(text) or text.lower().startswith(("[illustration", "copyright")):
        return False
    small = sum(word[0].islower() for word in words)
    if small * 10 < len(words) * 5:
        return False
    if len(block.lines) == 1:
        return len(text) > 100 and text[-1] in ".!?\"'”’:;—_)"
    body = block.lines[:-1]
    return sum(len(line.text) for line in body) / len(body) >= 45


def _one_line(text: str) -> str:
    """Return a title without markup, and with single spaces and no full stop at its end."""
    text = _MARKUP.sub(lambda match: match[1] or "", text)
    text = " ".join(text.split())
    return text.rstrip(" .:") if not text.endswith("...") else text
