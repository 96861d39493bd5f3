"""Finds tables of contents, so that their lines are not taken for chapters, and learns the titles they list.

A table begins with the word "Contents", or is a block of three headings or more with nothing between them. It
ends where its first entries come again, where prose begins, or at a wide gap.
"""

import itertools
import re
from collections.abc import Sequence

from orpheus_batch.text.blocks import Block, Line
from orpheus_batch.text.headings import (
    MAX_TITLE_CHARS,
    Candidate,
    is_capitals,
    is_contents_heading,
    match_heading,
    skipped_section,
    title_key,
)

WIDE_GAP = 3
"""blank lines that part a table from the book, where its own entries stand closer"""
_MAX_SYNOPSIS_CHARS = 700
"""longest summary of a chapter within a table of contents"""
_MIN_KEY_CHARS = 4
"""shorter titles say too little to be recognised by"""
_PAGE_NUMBER = re.compile(r"(?:[ .·…_-]{3,}|\t|,?\s)\s*(?:\d{1,4}|[ivxlc]{1,7})\s*$")


def find_contents(
    blocks: Sequence[Block], candidates: Sequence[Candidate | None]
) -> tuple[list[range], frozenset[str]]:
    """Find tables of contents.

    Args:
        blocks: Of the whole book.
        candidates: The heading that each block may begin with.

    Returns:
        Ranges of block indices, ascending, and the keys (see `title_key`) of the titles listed in them.
    """
    ranges = []
    listed: set[str] = set()
    index = 0
    while index < len(blocks):
        if is_contents_heading(blocks[index]):
            entries = range(index + 1, _end_of_contents(blocks, candidates, index + 1))
        elif _is_list_of_headings(blocks[index]):
            entries = range(index, index + 1)
        else:
            index += 1
            continue
        for entry in entries:
            listed |= _listed_keys(blocks[entry])
        ranges.append(range(index, max(entries.stop, index + 1)))
        index = ranges[-1].stop
    return ranges, frozenset(listed)


def is_prose(block: Block) -> bool:
    """Say whether a block reads as sentences: long enough, mostly small letters, lines that run on."""
    text = block.text
    words = text.split()
    if len(words) < 18 or is_capitals(text) or text.lower().startswith(("[illustration", "copyright")):
        return False
    small = sum(word[0].islower() for word in words)
    if small * 2 < len(words):
        return False
    if len(block.lines) == 1:
        return len(text) > 100 and text[-1] in ".!?\"'”’:;—_)"
    body = block.lines[:-1]
    return sum(len(line.text) for line in body) / len(body) >= 45


def _end_of_contents(blocks: Sequence[Block], candidates: Sequence[Candidate | None], first: int) -> int:
    """Return the index of the first block after a table of contents whose entries begin at ``first``."""
    seen: set[str] = set()
    num_lines = 0
    for index in range(first, len(blocks)):
        block = blocks[index]
        keys = _listed_keys(block)
        if is_contents_heading(block) or (keys & seen and block.gap_before > 1):
            return index
        if num_lines >= 2 and block.gap_before >= WIDE_GAP and not _goes_on(blocks, first, index):
            return index
        if num_lines and skipped_section(block) and index + 1 < len(blocks):
            return index
        if _is_body(blocks, index) and not _is_synopsis(block, candidates, index, first):
            return _before_heading_of(blocks, first, index)
        seen |= {key for key in keys if not key.isdigit() and len(key) >= _MIN_KEY_CHARS}
        num_lines += len(block.lines)
    return len(blocks) if len(blocks) - first < 3 else first


def _is_body(blocks: Sequence[Block], index: int) -> bool:
    """Say whether the book's prose begins at ``index``: a long paragraph or two in a row, no mere subtitle."""
    return is_prose(blocks[index]) and (
        len(blocks[index].text) > 300 or (index + 1 < len(blocks) and is_prose(blocks[index + 1]))
    )


def _goes_on(blocks: Sequence[Block], first: int, index: int) -> bool:
    """Say whether gaps this wide are usual within the table, as where parts are set off."""
    inner = [blocks[i].gap_before for i in range(first + 1, index)]
    return sum(gap >= blocks[index].gap_before for gap in inner) >= 2


def _is_synopsis(block: Block, candidates: Sequence[Candidate | None], index: int, first: int) -> bool:
    """Say whether prose within a table sums up a chapter whose heading comes again later."""
    entry = candidates[index - 1] if index > first else None
    return (
        entry is not None
        and len(block.text) < _MAX_SYNOPSIS_CHARS
        and any(other is not None and other.key == entry.key for other in candidates[index + 1 :])
    )


def _before_heading_of(blocks: Sequence[Block], first: int, index: int) -> int:
    """Step back from prose over its own heading: to the widest gap among the last few blocks."""
    if index <= first:
        return index
    return max(range(max(first + 1, index - 4), index + 1), key=lambda i: (blocks[i].gap_before, -i))


def _is_list_of_headings(block: Block) -> bool:
    """Say whether a block of three lines or more is headings and little else: contents without the word."""
    if len(block.lines) < 3 or not any(match_heading(_one_line_block(line.text)) for line in block.lines[:2]):
        return False
    hits = sum(match_heading(_one_line_block(line.text)) is not None for line in block.lines)
    return hits >= 3 and hits * 10 >= len(block.lines) * 6


def _listed_keys(block: Block) -> set[str]:
    """Return the keys by which the headings of a block of entries may be known; entries may be wrapped."""
    keys = set()
    texts = [_PAGE_NUMBER.sub("", line.text) for line in block.lines if len(line.text) <= 2 * MAX_TITLE_CHARS]
    texts += [f"{a} {b}" for a, b in itertools.pairwise(texts)]
    for text in filter(str.strip, texts):
        keys.add(title_key(text))
        candidate = match_heading(_one_line_block(text.strip()))
        if candidate is not None:
            keys |= {candidate.key, title_key(candidate.title)}
    return {key for key in keys if len(key) >= _MIN_KEY_CHARS}


def _one_line_block(text: str) -> Block:
    return Block(0, len(text), (Line(0, text, 0),), 1)
