"""Rows of CSV, TSV, JSONL, Parquet and plain-text files, one at a time, each with the line it stands on.

A row that can't be read is yielded too, with the reason, so that none is lost in silence; an error ends the
reading only where the file as a whole can't be used. What the columns mean is not known here, but for "text",
by which a header is recognised.
"""

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from orpheus_batch.corpus.csv_rows import read_csv
from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.text.reader import guess_encoding

HEAD_BYTES = 1 << 16
"""looked at to tell format and encoding"""

TABLE_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "lines",
}

COLUMNS = ("text", "id", "voice", "seed", "temperature", "format", "filename")
"""that mean something"""

_PARQUET_BATCH = 4096
_SPOOL_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as it stands in its file."""

    line: int
    """where it begins, from 1; in a Parquet file its row's number"""
    values: dict[str, Any] = field(default_factory=dict)
    """by column, under the names that the package uses; absent and empty cells left out"""
    problem: str = ""
    """why it can't be read; its values are then what could be"""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """How a table is to be read; None: recognised."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """the file's name (or number, from 1) of a column, by the package's: {"text": "utterance"}"""
    encoding: str | None = None
    delimiter: str | None = None
    kind: str | None = None
    """"csv", "tsv", "jsonl", "parquet" or "lines" (a text a line)"""


def read_rows(path: str, table: TableFormat) -> Iterator[Row]:
    """Yield the rows of a table.

    Args:
        path: A file, or "-" for standard input.
        table: How to read it.

    Raises:
        InputError: The file can't be read, or has no column of texts; says what it has.
    """
    with _opened(path) as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        kind = table.kind or _kind_of(path, head)
        if kind == "parquet":
            yield from _read_parquet(path, file, table)
            return
        encoding = table.encoding or _encoding_of(head)
        try:
            text = io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="")
        except LookupError as error:
            raise InputError(
                f"no character set is called {encoding!r}; try --encoding utf-8 or cp1252"
            ) from error
        try:
            for row in _read_text(path, kind, text, table):
                yield _checked(row, encoding)
        except UnicodeError as error:
            raise InputError(
                f"{path} is not {encoding}: {error}; name its character set with --encoding"
            ) from error
        except OSError as error:
            raise InputError(f"can't read {path}: {error.strerror}") from error
        finally:
            text.detach()


def _read_text(path: str, kind: str, text: io.TextIOWrapper, table: TableFormat) -> Iterator[Row]:
    if kind == "jsonl":
        yield from _read_jsonl(text, table)
    elif kind == "lines":
        for number, line in enumerate(text, 1):
            if line.strip("\r\n\ufeff \t"):
                yield Row(number, {"text": line.strip("\r\n\ufeff")})
    else:
        delimiter = table.delimiter or ("\t" if kind == "tsv" else None)
        for line, values, problem in read_csv(path, text, table.columns, delimiter):
            yield Row(line, values, problem)


def _checked(row: Row, encoding: str) -> Row:
    """Return the row, or what is wrong with its characters: no bytes that did not decode get any further."""
    for name, value in row.values.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                clean = {
                    key: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v
                    for key, v in row.values.items()
                }
                problem = row.problem or f"'{name}' holds characters that are not {encoding}"
                return Row(row.line, clean, problem)
    return row


def _read_jsonl(text: io.TextIOWrapper, table: TableFormat) -> Iterator[Row]:
    names = {theirs: ours for ours, theirs in table.columns.items()}
    for number, line in enumerate(text, 1):
        plain = line.strip().lstrip("\ufeff")
        if not plain:
            continue
        try:
            value = json.loads(plain)
        except (ValueError, RecursionError) as error:
            yield Row(number, {}, f"not JSON: {str(error)[:100]}")
            continue
        if not isinstance(value, dict):
            yield Row(number, {}, f"not a JSON object but {type(value).__name__}")
            continue
        yield Row(number, _renamed(value, names))


def _read_parquet(path: str, file: BinaryIO, table: TableFormat) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        known = parquet.schema_arrow.names
        names = {theirs: ours for ours, theirs in table.columns.items()}
        wanted = table.columns.get("text", "text")
        if wanted not in known:
            raise InputError(
                f"{path} has no column '{wanted}' but {', '.join(known)}; name it with --map text=NAME"
            )
        number = 0
        for batch in parquet.iter_batches(batch_size=_PARQUET_BATCH):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, _renamed(value, names))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from error


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return values under the package's names; a column that has been given such a name goes before another."""
    taken = set(names.values())
    renamed = {
        names.get(name, name): value
        for name, value in values.items()
        if value is not None and value != "" and (name in names or name not in taken)
    }
    return renamed


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Open a file, or a copy of standard input that can be gone back in."""
    if path == "-":
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
            spool.seek(0)
            yield spool
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (the error of opening is not one of reading)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error
    with file:
        yield file


def _kind_of(path: str, head: bytes) -> str:
    suffix = Path(path).suffix.lower()
    if suffix in TABLE_SUFFIXES:
        return TABLE_SUFFIXES[suffix]
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def _encoding_of(head: bytes) -> str:
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for cut in range(4):  # the head may end inside a character
        try:
            head[: len(head) - cut].decode("utf-8")
            return "utf-8"
        except UnicodeDecodeError:
            continue
    return guess_encoding(head) or "utf-8"


def table_format(mapping: Sequence[str], encoding: str | None, delimiter: str | None) -> TableFormat:
    """Return how a table is to be read, from what was written on a command line.

    Args:
        mapping: "text=utterance" and the like.
        encoding: None: recognised.
        delimiter: One character, or "tab"; None: recognised.

    Raises:
        ConfigError: One of them can't be.
    """
    columns = {}
    for pair in mapping:
        ours, found, theirs = pair.partition("=")
        ours = ours.strip()
        if not found or ours not in COLUMNS or not theirs.strip():
            raise ConfigError(f"--map {pair}: write NAME=COLUMN, where NAME is one of {', '.join(COLUMNS)}")
        columns[ours] = theirs.strip()
    if delimiter is not None:
        delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n\0 ':
            raise ConfigError(f"--delimiter {delimiter!r}: write one character, or tab")
    return TableFormat(columns, encoding, delimiter)
