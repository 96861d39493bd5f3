"""Where a corpus' texts come from: books, folders of them, and tables, each as a stream of texts.

A book gives its sentences, a table its rows. What is worth speaking is not decided here.
"""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.corpus.rows import TABLE_SUFFIXES, TableFormat, read_rows
from orpheus_batch.data import Boundary
from orpheus_batch.errors import InputError
from orpheus_batch.pipeline.books import BOOK_SUFFIXES, load_book
from orpheus_batch.text.split import SentenceSplitter

_SUFFIXES = tuple(BOOK_SUFFIXES) + tuple(suffix for suffix in TABLE_SUFFIXES if suffix != ".txt")


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence of a book or a row of a table."""

    line: int
    """sentence's number in its book, row's line in its table"""
    text: str
    values: Mapping[str, Any]
    """a row's other columns"""
    problem: str = ""
    """why it can't be used"""


def find_corpus_sources(patterns: Sequence[str]) -> list[Path]:
    """Return the files to read, absolute, each once, sorted within each pattern.

    Args:
        patterns: Files, folders (all that they hold, at any depth) and globs.

    Raises:
        InputError: One leads to no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
        elif path.is_file():
            inside = [path]
        else:
            matches = glob.glob(pattern, recursive=True)  # noqa: PTH207 (a pattern may be absolute)
            inside = sorted(Path(p) for p in matches if Path(p).is_file())
        if not inside:
            raise InputError(
                f"{pattern}: there is no such file, or nothing in it to read ({', '.join(_SUFFIXES)})"
            )
        found |= dict.fromkeys(p.resolve() for p in inside)
    return list(found)


def read_texts(path: Path, config: Config, table: TableFormat) -> Iterator[Text]:
    """Yield the texts of a file.

    Raises:
        InputError: It can't be read.
    """
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES and suffix != ".txt":
        for row in read_rows(str(path), table):
            text = row.values.get("text")
            problem = row.problem or ("" if isinstance(text, str) else "no text")
            yield Text(row.line, text if isinstance(text, str) else "", row.values, problem)
        return
    book = load_book(path, config)
    splitter = SentenceSplitter.for_book(book)
    number = 0
    for chapter in book.chapters:
        for sentence in splitter.split_chapter(chapter):
            number += 1
            problem = sentence.skip_reason or ("a heading" if sentence.boundary is Boundary.HEADING else "")
            yield Text(number, sentence.text, {}, problem)
