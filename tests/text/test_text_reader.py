"""Files of every kind become a `Book`, or one clear line of what is wrong."""

import hashlib
from pathlib import Path

import pytest

from orpheus_batch.data import Book
from orpheus_batch.errors import InputError
from orpheus_batch.text.reader import MAX_FILE_BYTES, read_book

PROSE = (
    "It was a bright cold day in the valley, and the clocks of the old town were striking all\n"
    "together, as they had done since before anybody who lived there could remember it.\n"
)
OLD_HEADER = """The Project Gutenberg Etext of The Cold Valley, by Ann Author
#1 in our series by Ann Author

Copyright laws are changing all over the world. Please take a look at the important information in this header.

Title: The Cold Valley

Author: Ann Author

*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
"""
MIDDLE_HEADER = """The Project Gutenberg EBook of The Cold Valley, by Ann Author

This eBook is for the use of anyone anywhere at no cost.

Title: The Cold Valley
       A Romance

Author: Ann Author

Release Date: November, 2003 [EBook #9]

Language: English

Character set encoding: ISO-8859-1

*** START OF THIS PROJECT GUTENBERG EBOOK THE COLD VALLEY ***




Produced by Some Volunteers and the
Distributed Proofreading Team




"""
NEW_HEADER = """The Project Gutenberg eBook of The Cold Valley

Title: The Cold Valley
Author: Ann Author
Language: French
Credits: A. Volunteer

*** START OF THE PROJECT GUTENBERG EBOOK THE COLD VALLEY AND OTHER
STORIES ***

[Transcriber's Note: spelling was kept as it is.]

"""
FOOTERS = (
    "End of the Project Gutenberg EBook of The Cold Valley, by Ann Author\n\n"
    "*** END OF THIS PROJECT GUTENBERG EBOOK\n",
    "*** END OF THE PROJECT GUTENBERG EBOOK THE COLD VALLEY ***\n\nUpdated editions will replace it.\n",
    "End of Project Gutenberg's The Cold Valley, by Ann Author\n",
)


def _write(folder: Path, data: str | bytes, name: str = "valley.txt") -> Path:
    file = folder / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return file


def _assert_covered(book: Book) -> None:
    spans = [(s.start, s.end) for s in book.skipped]
    spans += [(c.source_start, c.source_start + len(c.text)) for c in book.chapters]
    position = 0
    for start, end in sorted(spans):
        assert position == start
        position = end
    assert position == book.num_source_chars


def test_plain_file_is_one_chapter(tmp_path: Path) -> None:
    """No heading, no header: one chapter, untitled, called after the file."""
    data = PROSE.encode()
    book = read_book(_write(tmp_path, data))
    assert "valley" == book.title
    assert "" == book.author
    assert hashlib.sha256(data).hexdigest() == book.source_sha256
    assert [("", PROSE, 0, 0)] == [(c.title, c.text, c.source_start, c.heading_length) for c in book.chapters]
    assert () == book.skipped


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
    ],
)
def test_unicode_files_are_read_without_being_told(tmp_path: Path, encoding: str, bom: bytes) -> None:
    """The byte-order mark decides and is no part of the text; UTF-8 needs none."""
    text = PROSE + "“Señor Müller—naïve?”\n"
    book = read_book(_write(tmp_path, bom + text.encode(encoding)))
    assert text == book.chapters[0].text


def test_windows_text_is_detected(tmp_path: Path) -> None:
    """Curly quotes and dashes at 0x80–0x9f are cp1252's; as ISO-8859-1 they would be control characters."""
    text = ("“Señor Müller—naïve?” she asked, and the café’s old fiancée said nothing.\n" + PROSE) * 5
    assert text == read_book(_write(tmp_path, text.encode("cp1252"))).chapters[0].text


def test_declared_encoding_is_believed_and_widened(tmp_path: Path) -> None:
    """A header that says ISO-8859-1 means cp1252, which contains it."""
    text = MIDDLE_HEADER + "Era già l’ora che volge il disìo.\n" + PROSE
    book = read_book(_write(tmp_path, text.encode("cp1252")))
    assert "l’ora che volge il disìo" in book.chapters[0].text


def test_encoding_option_overrides_the_guess(tmp_path: Path) -> None:
    """What the user says is taken at its word, valid UTF-8 or not."""
    assert "Ð¿" in read_book(_write(tmp_path, "п" * 9 + PROSE), encoding="latin-1").chapters[0].text


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\u2028", "\u2029"])
def test_line_ends_become_one(tmp_path: Path, line_end: str) -> None:
    """Offsets count in a text whose lines end in a line feed, whatever the file had."""
    assert PROSE == read_book(_write(tmp_path, PROSE.replace("\n", line_end))).chapters[0].text


def test_source_is_not_normalised(tmp_path: Path) -> None:
    """A decomposed accent, a bidi mark and a soft hyphen stay: spans point at the file's own characters."""
    text = "Cafe\u0301 \u202eabc\u202c co\u00adop.\n" + PROSE
    assert text == read_book(_write(tmp_path, text)).chapters[0].text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "holds no text"),
        (b"PK\x03\x04\0\0\0\0", "zero byte at offset 4"),
        (b"a\0b", "--encoding utf-16-le"),
        (b"\x01\x02\x03\x04\x05\x06" * 100, "control characters"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """Each with the file's name and what is wrong with it."""
    file = _write(tmp_path, data)
    with pytest.raises(InputError, match=says) as error:
        read_book(file)
    assert str(file) in str(error.value)


def test_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    """A byte that the user's character set lacks is named by its offset."""
    file = _write(tmp_path, b"abc\xe9def")
    with pytest.raises(InputError, match=r"not utf-8 at byte offset 3; name another with --encoding"):
        read_book(file, encoding="utf-8")
    with pytest.raises(InputError, match="no character set is called 'klingon'"):
        read_book(file, encoding="klingon")


def test_undetectable_encoding_names_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the detector gives up too, the message says where UTF-8 broke and what to do."""
    monkeypatch.setattr("orpheus_batch.text.reader.guess_encoding", lambda data: "")
    with pytest.raises(InputError, match=r"byte 0xe9 at offset 3 is not UTF-8.*--encoding"):
        read_book(_write(tmp_path, b"abc\xe9def"))


def test_folders_missing_and_huge_files_are_refused(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(InputError, match="is a folder"):
        read_book(tmp_path)
    with pytest.raises(InputError, match=r"can't read .*: No such file"):
        read_book(tmp_path / "nothing.txt")
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="more than any book"):
        read_book(huge)


@pytest.mark.parametrize("header", [OLD_HEADER, MIDDLE_HEADER, NEW_HEADER])
@pytest.mark.parametrize("footer", FOOTERS)
def test_gutenberg_frame_is_skipped_on_purpose(tmp_path: Path, header: str, footer: str) -> None:
    """Every generation of markers: header, credits, notes and licence get a reason, the book is read."""
    book = read_book(_write(tmp_path, f"{header}{PROSE}\n\n{footer}"))
    assert "Ann Author" == book.author
    assert PROSE.strip() == book.chapters[0].text.strip()
    reasons = {span.reason for span in book.skipped}
    assert {"Project Gutenberg header", "Project Gutenberg licence"} <= reasons
    _assert_covered(book)


def test_header_fields(tmp_path: Path) -> None:
    """A title may run over two lines; the language becomes its tag; credits and notes are told apart."""
    book = read_book(_write(tmp_path, MIDDLE_HEADER + PROSE))
    assert ("The Cold Valley A Romance", "en") == (book.title, book.language)
    assert "production credits" in {span.reason for span in book.skipped}
    book = read_book(_write(tmp_path, NEW_HEADER + PROSE))
    assert ("The Cold Valley", "fr") == (book.title, book.language)
    assert "transcriber's note" in {span.reason for span in book.skipped}


def test_options_override_the_header(tmp_path: Path) -> None:
    """What the user gives wins."""
    book = read_book(_write(tmp_path, MIDDLE_HEADER + PROSE), title="Other", author="Somebody")
    assert ("Other", "Somebody") == (book.title, book.author)


def test_talk_of_gutenberg_in_a_book_is_no_marker(tmp_path: Path) -> None:
    """A sentence about the printer must not cut a book short."""
    text = PROSE + "\nJohannes Gutenberg printed Bibles. Project management was his weakness.\n\n" + PROSE
    assert text == read_book(_write(tmp_path, text)).chapters[0].text


@pytest.mark.parametrize(
    ("page", "title", "author"),
    [
        ("[Emma by Jane Austen 1816]\n\n", "Emma", "Jane Austen"),
        ("THE COLD VALLEY\n\nby Ann Author\n\n", "THE COLD VALLEY", "Ann Author"),
        ("The Cold Valley\nA Romance\n\nBY\n\nANN AUTHOR\n\n", "The Cold Valley A Romance", "ANN AUTHOR"),
        ("THE COLD VALLEY\n\n1827\n\n", "valley", ""),
    ],
)
def test_title_page_names_the_book(tmp_path: Path, page: str, title: str, author: str) -> None:
    """Without a header, a by-line on the title page does; the page itself is skipped."""
    book = read_book(_write(tmp_path, f"{page}\n\nCHAPTER I\n\n{PROSE}\n\nCHAPTER II\n\n{PROSE}"))
    assert (title, author) == (book.title, book.author)
    assert ["title page"] == [span.reason for span in book.skipped]


def test_markdown_front_matter(tmp_path: Path) -> None:
    """YAML between dashes is skipped, and its title, author and language are used."""
    text = f'---\ntitle: "The Valley"\nauthor: Ann\nlang: en-GB\n---\n\n# One\n\n{PROSE}\n# Two\n\n{PROSE}'
    book = read_book(_write(tmp_path, text, "valley.md"))
    assert ("The Valley", "Ann", "en") == (book.title, book.author, book.language)
    assert ["One", "Two"] == [chapter.title for chapter in book.chapters]
    assert ["front matter"] == [span.reason for span in book.skipped]
    _assert_covered(book)


def test_bad_chapter_pattern_is_an_input_error(tmp_path: Path) -> None:
    """With the file, the pattern, and the place of the fault in it."""
    file = _write(tmp_path, PROSE)
    with pytest.raises(
        InputError, match=r"valley.txt: the chapter pattern '\(' is no regular expression.*position 0"
    ):
        read_book(file, chapter_pattern="(")
    with pytest.raises(InputError, match=r"no line matches the chapter pattern 'Kapitel \\\\d'"):
        read_book(file, chapter_pattern=r"Kapitel \d")
