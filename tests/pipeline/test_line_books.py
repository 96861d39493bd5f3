"""Several books in one run, and where each one's files go."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from line_helpers import BOOK, Line

from orpheus_batch.data import Book
from orpheus_batch.errors import InputError, LedgerError
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.pipeline import render_books
from orpheus_batch.pipeline.books import Shelf, check_disk, find_sources, needed_bytes, safe_folder_name
from orpheus_batch.pipeline.report import EXIT_ERROR

SHORT = "The other book is a short one. It has two sentences."


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def render(line: Line, *paths: Path, **overrides):
    return render_books(paths, line.out, line.config(**overrides), factories=line.factories)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_folder_of_books_goes_through_one_engine(line, deterministic):
    """Each book gets its own folder and ledger; engine and codec are loaded once."""
    library = line.folder / "library"
    library.mkdir()
    (library / "one.md").write_text(BOOK, encoding="utf-8")
    (library / "two.txt").write_text(SHORT, encoding="utf-8")
    (library / "cover.jpg").write_bytes(b"no book")
    report = render(line, library, engine__deterministic=deterministic)
    assert 0 == report.exit_code
    assert ["one", "two"] == sorted(book.title for book in report.books)
    assert ["engine", "codec"] == line.made
    assert all((line.out / name / LEDGER_NAME).is_file() for name in ("one", "two"))
    assert 4 == len(line.files())


def test_text_that_books_share_is_spoken_once_in_the_queue(line):
    """Two copies of a book that are in flight together cost what one does, and both get every file."""
    copy = line.folder / "copy" / "house.md"
    copy.parent.mkdir()
    shutil.copy(line.book, copy)
    line.max_batch_size = 64
    render(line, line.book, copy, engine__deterministic=False)
    generated, _ = line.take_logs()
    assert 15 == len(generated)
    files = line.files()
    mine, other = sorted({name.split("/")[0] for name in files})
    assert 6 == len(files)
    assert files[f"{mine}/01 - The Door.mp3"] == files[f"{other}/01 - The Door.mp3"]


def test_only_so_many_books_are_open_at_once(line, monkeypatch):
    """A folder of short texts does not run out of file handles, however many fit into the engine."""
    monkeypatch.setattr("orpheus_batch.pipeline.generate.MAX_OPEN_BOOKS", 3)
    most = 0
    open_ledger, close_ledger, num_open = Ledger.open.__func__, Ledger.close, 0

    def counted_open(cls, folder, *, read_only=False):
        nonlocal most, num_open
        ledger = open_ledger(cls, folder, read_only=read_only)
        num_open += 1
        most = max(most, num_open)
        return ledger

    def counted_close(self):
        nonlocal num_open
        num_open -= 1
        close_ledger(self)

    monkeypatch.setattr(Ledger, "open", classmethod(counted_open))
    monkeypatch.setattr(Ledger, "close", counted_close)
    line.max_batch_size = 64
    books = []
    for name in "abcdefgh":
        books.append(line.folder / f"{name}.txt")
        books[-1].write_text(f"This is the story of {name}, and a short one. It ends here, {name}.", "utf-8")
    report = render(line, *books, engine__deterministic=False)
    assert 0 == report.exit_code
    assert 8 == len(line.files())
    assert 0 == num_open
    assert most <= 3 + 2


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_book_that_fails_does_not_stop_the_others(line, deterministic):
    """An unreadable file and a ledger in use are reported, in order, and the third book is done."""
    missing = line.folder / "missing.txt"
    busy = line.folder / "busy.txt"
    busy.write_text(SHORT, encoding="utf-8")
    with Ledger.open(line.out / "busy"):
        report = render(line, missing, busy, line.book, engine__deterministic=deterministic)
    assert EXIT_ERROR == report.exit_code
    assert ["missing.txt", "busy.txt", "house.md"] == [Path(book.source).name for book in report.books]
    assert "can't read" in report.books[0].error
    assert "being written by process" in report.books[1].error
    assert "" == report.books[2].error
    assert 3 == len(line.files())


@pytest.mark.parametrize("deterministic", [True, False])
def test_trouble_in_the_middle_of_a_book_stays_its_own(line, monkeypatch, deterministic):
    """A ledger that can't be written ends its book; what it had asked of the engine harms nobody."""
    broken = line.folder / "broken.md"
    broken.write_text(BOOK.replace("She", "Nobody"), encoding="utf-8")
    record_takes = Ledger.record_takes

    def fail_in_broken(self, takes, *, max_attempts):
        if self.folder.name == "broken":
            raise LedgerError("the disk is full")
        return record_takes(self, takes, max_attempts=max_attempts)

    monkeypatch.setattr(Ledger, "record_takes", fail_in_broken)
    report = render(line, broken, line.book, engine__deterministic=deterministic)
    assert ["the disk is full", ""] == [book.error for book in report.books]
    assert 3 == len(line.files())

    monkeypatch.undo()
    report = render(line, broken, line.book, engine__deterministic=deterministic)
    assert 0 == report.exit_code
    assert 6 == len(line.files())


def test_two_books_of_one_title_keep_apart_whatever_the_order(line):
    """Each source returns to its own folder, also when only the second is rendered, or both the other way."""
    other = line.folder / "other" / "house.md"
    other.parent.mkdir()
    other.write_text(SHORT, encoding="utf-8")
    render(line, line.book, other)
    files = line.files()
    assert 4 == len(files)
    for paths in ((other,), (other, line.book), (line.book,)):
        report = render(line, *paths)
        assert 0 == report.num_takes
        assert files == line.files()


def test_a_new_title_stays_in_the_book_s_folder(line):
    """--title changes tags, not the place: nothing is spoken again."""
    render(line, line.book)
    line.made.clear()
    report = render(line, line.book, text__title="The House")
    assert [] == line.made
    assert "The House" == report.books[0].title
    assert {"house"} == {name.split("/")[0] for name in line.files()}


def test_a_moved_book_finds_its_folder_by_its_content(line):
    """And a different book that now lies where the first one was does not take it over."""
    render(line, line.book)
    moved = line.folder / "elsewhere" / "house.md"
    moved.parent.mkdir()
    shutil.move(line.book, moved)
    report = render(line, moved)
    assert 0 == report.num_takes
    assert str(line.out / "house") == report.books[0].folder


def test_a_damaged_ledger_is_named_and_not_passed_by(line):
    """A book does not start over in another folder because its ledger can't be read."""
    folder = line.out / "house"
    folder.mkdir(parents=True)
    (folder / LEDGER_NAME).write_bytes(b"this is not a database" * 100)
    report = render(line, line.book)
    assert LEDGER_NAME in report.books[0].error
    assert ["house"] == [path.name for path in line.out.iterdir()]


def test_unwritable_output_is_a_clear_error(line):
    """A file where the folder should be: the message names it."""
    line.out.write_text("a file", encoding="utf-8")
    report = render(line, line.book)
    assert EXIT_ERROR == report.exit_code
    assert str(line.out) in report.books[0].error


def test_a_disk_too_small_is_refused_before_anything_is_made(line, monkeypatch):
    """The message says what is free and what is needed."""
    usage = shutil.disk_usage(line.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(LedgerError, match=r"1\.0 kB free and this run needs about"):
        render(line, line.book)
    assert [] == line.made


def test_disk_is_not_checked_for_what_is_done(line, monkeypatch):
    """A full disk does not keep anyone from a run that makes nothing new."""
    render(line, line.book)
    usage = shutil.disk_usage(line.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    assert 0 == render(line, line.book).exit_code


def test_needed_disk_is_about_two_hundred_megabytes_an_hour(line):
    """36 kB/s of cache, 12 kB/s of MP3, and one hour of raw audio on the way."""
    config = line.config()
    assert 0 == needed_bytes(0.0, config)
    assert 1.0e9 < needed_bytes(5 * 3600.0, config) < 1.2e9
    check_disk(line.folder / "not" / "there", 1.0, config)


def test_find_sources_takes_each_file_once(tmp_path):
    """Files as given, folders sorted, what is no book left out."""
    for name in ("b.txt", "a.MD", "c.epub"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    named = tmp_path / "c.epub"
    assert [named, tmp_path / "a.MD", tmp_path / "b.txt"] == find_sources([named, tmp_path, tmp_path / "b.txt"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no book"):
        find_sources([empty])


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Alice's Adventures in Wonderland", "Alice's Adventures in Wonderland"),
        ("A/B\\C: what?", "A B C what"),
        ("...", "Untitled"),
        ("CON<>|", "CON"),
        ("x" * 300, "x" * 80),
    ],
)
def test_safe_folder_names(title, name):
    """No character that a filesystem refuses, nothing hidden, nothing endless."""
    assert name == safe_folder_name(title)
    assert len(safe_folder_name("長" * 300).encode()) <= 160


def test_a_shelf_gives_a_free_folder_by_title(tmp_path):
    """A folder without a ledger is free: a user who moved the ledger away starts over in place."""
    book = Book("House", "", "en", str(tmp_path / "h.txt"), "00", 0, (), ())
    (tmp_path / "House").mkdir()
    assert tmp_path / "House" == Shelf(tmp_path).folder_of(book)
    assert tmp_path / "Untitled" == Shelf(tmp_path).folder_of(dataclasses.replace(book, title="?"))
