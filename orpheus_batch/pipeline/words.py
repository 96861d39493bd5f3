"""The doubtful words of books, as a render would speak them. No model is loaded."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orpheus_batch.config import Config
from orpheus_batch.pipeline.readings import read_books
from orpheus_batch.text.doubtful import KINDS, DoubtfulWord, DoubtfulWords, Kind
from orpheus_batch.text.languages import name_of


@dataclass(frozen=True, slots=True)
class BookWords:
    """One book's; with an error and nothing else where it can't be read."""

    source: str
    title: str = ""
    num_words: int = 0
    """that are spoken as they are written"""
    words: tuple[DoubtfulWord, ...] = ()
    """in the order that was asked for"""
    notes: tuple[str, ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


Order = Literal["count", "odd", "place"]
_ORDERS: dict[Order, Callable[[DoubtfulWord], Any]] = {
    "count": lambda word: (-word.count, word.word),
    "odd": lambda word: (-word.oddness, word.word),
    "place": lambda word: (word.chapter, word.start, word.word),
}


def find_doubtful_words(
    paths: Sequence[Path],
    config: Config,
    *,
    kinds: Collection[Kind] = KINDS,
    min_count: int = 1,
    order: Order = "count",
) -> Iterator[BookWords]:
    """Look through books, one after another; errors as in `read_books`.

    Args:
        paths: Books, or folders of them.
        config: Of the run.
        kinds: Of the words to name.
        min_count: Of those.
        order: The most frequent first, or the least English in spelling, or as the book goes.
    """
    for book in read_books(paths, config):
        if book.error:
            yield BookWords(source=book.source, error=book.error)
            continue
        found = DoubtfulWords()
        for chapter in book.chapters:
            found.add(chapter.number, chapter.title, chapter.readings)
        notes = book.notes
        if book.language not in ("", "en"):
            notes += (f"the list of known words is English: of {name_of(book.language)} nearly all are named",)
        words = [word for word in found.words() if word.kind in kinds and word.count >= min_count]
        words.sort(key=_ORDERS[order])
        yield BookWords(book.source, book.title, found.num_words, tuple(words), notes)
