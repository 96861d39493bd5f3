"""`orpheus-batch words`: the list, its orders and its ways out."""

import json

import pytest
from click.testing import CliRunner
from line_helpers import write_light_pack

from orpheus_batch.cli import cli

BOOK = (
    "# One\n\nWe met Queequeg. Queequeg ate. A szlachta of 7 and Mr. Bildad.\n\n# Two\n\nThe harpooneer sang.\n"
)


@pytest.fixture
def book(tmp_path):
    write_light_pack(tmp_path / "pack")
    file = tmp_path / "book.md"
    file.write_text(BOOK, encoding="utf-8")
    return file


def run(book, *arguments):
    return CliRunner().invoke(
        cli, ["words", str(book), "--model", str(book.parent / "pack"), *map(str, arguments)]
    )


def words(book, *arguments):
    result = run(book, *arguments, "--json")
    assert 0 == result.exit_code, result.output
    return [word["word"] for word in json.loads(result.stdout)["books"][0]["words"]]


def test_the_most_frequent_come_first_and_what_more_there_is_is_said(book):
    """With kind, chapter, place and context."""
    result = run(book, "--limit", 2)
    lines = result.stdout.splitlines()
    assert "book: 4 doubtful words among 14" == lines[0]
    assert ["2", "Queequeg", "name", "1", "[7]", "We met Queequeg."] == lines[1].split(None, 5)
    assert 4 == len(lines)
    assert "  and 2 more: --limit 0 shows all, -o FILE writes them" == lines[-1]


def test_orders_and_choices(book):
    """By count, by spelling, as the book goes; some kinds, and not those that come once."""
    assert ["Queequeg", "Bildad", "harpooneer", "szlachta"] == words(book)
    assert "szlachta" == words(book, "--sort", "odd")[0]
    assert ["Queequeg", "Bildad", "szlachta", "harpooneer"] == words(book, "--sort", "place")
    assert ["Queequeg", "Bildad"] == words(book, "--kind", "name")
    assert ["Queequeg"] == words(book, "--min-count", "2")


def test_a_sheet_is_written_filled_in_and_used(book):
    """What the lexicon settles is not listed again."""
    sheet = book.parent / "names.csv"
    result = run(book, "-o", sheet)
    assert f"{sheet}: fill in the column “say”" in result.stdout
    sheet.write_text(
        sheet.read_text(encoding="utf-8").replace("Queequeg,", "Queequeg,Kwee-kweg"), encoding="utf-8"
    )
    assert ["Bildad", "harpooneer", "szlachta"] == words(book, "--lexicon", sheet)
    again = run(book, "-o", sheet)
    assert 1 == again.exit_code
    assert "is there already" in again.stderr


def test_a_book_that_cannot_be_read_does_not_stop_the_others(book):
    """It is told, and the exit code says so."""
    result = run(book, book.parent / "none.txt")
    assert 1 == result.exit_code
    assert "doubtful words among" in result.stdout
    assert "none.txt" in result.stderr


def test_the_kinds_of_the_option_are_those_that_there_are():
    """They stand in the command too, so that help loads nothing."""
    from orpheus_batch.cli.words import KINDS
    from orpheus_batch.text import doubtful

    assert KINDS == doubtful.KINDS
