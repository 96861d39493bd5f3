"""The doubtful words of books, as a render would speak them. No model is loaded."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.pipeline.readings import read_books
from orpheus_batch.text.doubtful import DoubtfulWord, DoubtfulWords
from orpheus_batch.text.languages import name_of


@dataclass(frozen=True, slots=True)
class BookWords:
    """One book's; with an error and nothing else where it can't be read."""

    source: str
    title: str = ""
    num_words: int = 0
    """that are spoken as they are written"""
    words: tuple[DoubtfulWord, ...] = ()
    """the most frequent first"""
    notes: tuple[str, ...] = ()
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


def find_doubtful_words(
    paths: Sequence[Path], config: Config, *, chapters: Sequence[str] = ()
) -> Iterator[BookWords]:
    """Look through books, one after another; arguments and errors as in `read_books`."""
    for book in read_books(paths, config, chapters=chapters):
        if book.error:
            yield BookWords(source=book.source, error=book.error)
            continue
        found = DoubtfulWords()
        for chapter in book.chapters:
            found.add(chapter.number, chapter.title, chapter.readings)
        notes = book.notes
        if book.language not in ("", "en"):
            notes += (f"the list of known words is English: of {name_of(book.language)} nearly all are named",)
        yield BookWords(book.source, book.title, found.num_words, tuple(found.words()), notes)
