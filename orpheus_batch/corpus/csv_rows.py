"""Delimited text, read so that one broken row costs one row.

Python's `csv` does the parsing; added are the recognition of delimiter and header, the line that each row begins
on, and a way on after a quotation mark that is never closed, which would otherwise swallow the rest of a file.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from orpheus_batch.errors import InputError

DELIMITERS = (",", "\t", ";", "|")
NO_DELIMITER = "\x1f"
"""stands in where there is one column: a comma in its texts parts nothing"""

MAX_RECORD_LINES = 200
"""a row over more lines is one with an open quotation mark"""

MAX_FIELD_CHARS = 1 << 24

CsvRow = tuple[int, dict[str, str], str]
"""line, cells by column, problem"""


class _Runaway(Exception):
    """A record does not end."""


def read_csv(
    path: str, lines: Iterable[str], columns: Mapping[str, str], delimiter: str | None
) -> Iterator[CsvRow]:
    """Yield the rows under a header, or of a file without one.

    Args:
        path: For messages.
        lines: Of the file, with their ends.
        columns: The file's name or number of a column, by the package's.
        delimiter: None: recognised by the header.

    Raises:
        InputError: There is no column of texts.
    """
    csv.field_size_limit(MAX_FIELD_CHARS)
    source = _Lines(lines)
    first = source.peek()
    if first is None:
        return
    delimiter = delimiter or _delimiter(first, columns)
    names, has_header = _header(path, first, columns, delimiter)
    records = _records(source, delimiter)
    if has_header:
        next(records)
    for line, cells, problem in records:
        values = {name: cell for name, cell in zip(names, cells, strict=False) if name and cell != ""}
        if not problem and len(cells) > len(names) and any(cells[len(names) :]):
            too_many = (
                f"{len(cells)} cells and {len(names)} columns: a text that holds the delimiter wants quotes"
            )
            yield line, values, too_many
        else:
            yield line, values, problem


class _Lines:
    """Lines that can be given back, counted."""

    def __init__(self, lines: Iterable[str]):
        self._source = iter(lines)
        self._returned: deque[str] = deque()
        self.number = 0
        """of the last line given out"""
        self.taken: list[str] = []

    def peek(self) -> str | None:
        """Return the next line that is not blank; blank ones before it are counted and gone."""
        while True:
            line = self._returned[0] if self._returned else next(self._source, None)
            if line is None:
                return None
            if not self._returned:
                self._returned.append(line)
            if self.number == 0 and line.startswith("\ufeff"):
                self._returned[0] = line = line[1:]
            if line.strip("\r\n"):
                return line
            self._returned.popleft()
            self.number += 1

    def feed(self) -> Iterator[str]:
        """Yield lines, noting them in `taken` until that is cleared."""
        while True:
            line = self._returned.popleft() if self._returned else next(self._source, None)
            if line is None:
                return
            self.number += 1
            self.taken.append(line)
            if len(self.taken) > MAX_RECORD_LINES:
                raise _Runaway
            yield line

    def give_back(self) -> None:
        """Have all lines taken but the first come again."""
        again = self.taken[1:]
        self._returned.extendleft(reversed(again))
        self.number -= len(again)


def _records(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """Yield records with the line that each begins on; a bad one costs its first line alone."""
    while True:
        reader = csv.reader(lines.feed(), delimiter=delimiter, strict=True)
        while True:
            lines.taken.clear()
            try:
                cells = next(reader, None)
            except _Runaway:
                problem = "a quotation mark that is never closed"
            except csv.Error as error:
                problem = str(error)
                if "unexpected end of data" in problem:
                    problem = "a quotation mark that is never closed"
            else:
                if cells is None:
                    return
                if cells:
                    yield lines.number - len(lines.taken) + 1, cells, ""
                continue
            first = lines.number - len(lines.taken) + 1
            lines.give_back()
            yield first, lines.taken[0].strip("\r\n").split(delimiter), problem
            break


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.strip("\r\n").split(delimiter)


def _delimiter(first: str, columns: Mapping[str, str]) -> str:
    """Return the delimiter by which the first line has a column of texts, or the most columns."""
    wanted = columns.get("text", "text").strip().casefold()
    found = {delimiter: _cells(first, delimiter) for delimiter in DELIMITERS}
    for delimiter, cells in found.items():
        if len(cells) > 1 and any(cell.strip().casefold() == wanted for cell in cells):
            return delimiter
    if first.strip().strip('"').casefold() == wanted:
        return NO_DELIMITER
    # Commas come last: they stand in texts too.
    best = max((d for d in DELIMITERS if d != ","), key=lambda delimiter: len(found[delimiter]))
    if len(found[best]) >= (int(wanted) if wanted.isdecimal() else 2):
        return best
    return "," if len(found[","]) > 1 else NO_DELIMITER


def _header(path: str, first: str, columns: Mapping[str, str], delimiter: str) -> tuple[list[str], bool]:
    """Return the package's name of each column, "" for those it does not know, and whether there is a header."""
    cells = [cell.strip() for cell in _cells(first, delimiter)]
    if columns.get("text", "").isdecimal() and columns["text"] not in cells:
        names = [""] * len(cells)
        for ours, number in columns.items():
            if not number.isdecimal() or not 1 <= int(number) <= len(cells):
                raise InputError(f"{path}: --map {ours}={number}: the first line has {len(cells)} columns")
            names[int(number) - 1] = ours
        return names, False
    by_name = {cell.casefold(): index for index, cell in reversed(list(enumerate(cells)))}
    names = [cell.casefold() for cell in cells]
    for ours, theirs in columns.items():
        index = by_name.get(theirs.strip().casefold())
        if index is None:
            raise InputError(
                f"{path} has no column '{theirs}' but {', '.join(cells)}; mend --map {ours}={theirs}"
            )
        names = ["" if name == ours else name for name in names]
        names[index] = ours
    if "text" in names:
        return [name if names.index(name) == index else "" for index, name in enumerate(names)], True
    if len(cells) == 1 and "text" not in columns:
        return ["text"], False
    raise InputError(
        f"{path} has no column 'text' but {', '.join(cells)[:200]}; name it with --map text=NAME, or, where the "
        "file has no header, with --map text=2 (its number)"
    )
