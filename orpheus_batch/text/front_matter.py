"""Tells a title page and an imprint from what is to be read before the first chapter."""

import re

from orpheus_batch.text.blocks import Block
from orpheus_batch.text.contents import is_prose
from orpheus_batch.text.headings import title_key

_TITLE_PAGE = re.compile(
    r"(?i:by\b|copyright|©|\(c\)|illustrat|translated|edited|published|printed|london\b|new york\b|boston\b|"
    r"philadelphia\b|all rights|author of|with .{0,30}illustrations|first published|isbn|\[illustration|"
    r"volume|vol\.|and$|or$|with$|\d{4}$)"
)
_IMPRINT = re.compile(
    r"(?i:all rights reserved|no part of this (?:book|publication|work)|copyright|©|\bisbn\b|library of "
    r"congress|work of fiction|first published|originally published|cover (?:design|art)|printed in|"
    r"published by|press, )"
)
_BRACKETED_TITLE = re.compile(r"\[.{1,100}\bby\b.{1,100}\]")


def is_worth_reading(block: Block) -> bool:
    """Say whether a block before the first chapter is prose or a poem, and no imprint."""
    if _IMPRINT.search(block.text):
        return False
    words = block.text.split()
    small = sum(word[0].islower() for word in words)
    poem = len(block.lines) >= 4 and len(words) >= 20 and small * 5 >= len(words) * 2
    return is_prose(block) or (poem and block.text[-1] in ".!?\"'”’_)]")


def is_title_page(block: Block, book_keys: frozenset[str]) -> bool:
    """Say whether a block belongs to a title page: the book's name, its author, a by-line, place or year.

    Args:
        block: Any.
        book_keys: Of title and author (see `title_key`), as far as they are known.
    """
    key = title_key(block.text)
    named = bool(key) and any(key in name or (name in key and len(key) < 2 * len(name)) for name in book_keys)
    return named or bool(_TITLE_PAGE.match(block.text) or _BRACKETED_TITLE.fullmatch(block.text))
