r"""Reads a file into a `Book`: plain text and Markdown here, EPUB, HTML and Word in `orpheus_batch.text.epub`.

The *source* that all spans count in is the decoded file without its byte-order mark and with every line end
(``\r\n``, ``\r``, U+2028, U+2029) as one ``\n``. Nothing else is changed: no Unicode normalisation, no
control characters removed; what is spoken is folded later, segment by segment, so a span always points at what
the file says.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from orpheus_batch.data import Book, Chapter, SkippedSpan
from orpheus_batch.errors import InputError
from orpheus_batch.text.chapters import TITLE_PAGE, find_chapters
from orpheus_batch.text.choose import choose_sections
from orpheus_batch.text.gutenberg import declared_encoding, find_frame

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 200 * 1024 * 1024
"""forty times Shakespeare's complete works"""
MAX_WESTERN_ACCENTS = 0.12
"""share of characters beyond ASCII; French, which has most, has about 0.04, Russian in cp1251 0.8"""
MAX_ODD_SYMBOLS = 0.02
"""share of those that are symbols or capitals between letters; Polish in cp1250, read as cp1252, has 0.3"""
MAX_NAME_CHARS = 80
"""a longer line after "by" is no author"""
EPUB_MIMETYPE = b"mimetypeapplication/epub+zip"
"""how an EPUB begins, but for the zip's own header, whatever its name"""
MARKED_UP_SUFFIXES = frozenset({".epub", ".html", ".htm", ".xhtml", ".docx"})
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdown", ".mkd"})

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")
_FRONT_MATTER = re.compile(r"---\n(.*?\n)(?:---|\.\.\.)\n+", re.DOTALL)
_SYMBOL_IN_WORD = re.compile(
    r"(?<=[^\W\d_])[¡¢£¤¥¦§¨©ª¬®¯°±²³´µ¶·¸¹º¼½¾¿×÷€‚ƒ„†‡ˆ‰˜™](?=[^\W\d_])|(?<=[a-z])[À-ÖØ-ÞŠŽŸ](?=[^A-Z])"
)
_BRACKETED_TITLE = re.compile(r"\[(.{1,200}?),? by ([^\]]{1,80}?)(?:,? \(?\d{4}\)?)?\]")
_BY = re.compile(r"(?:by|BY|By)\b[ :]*(.*)")
_FRONT_FIELD = re.compile(r"^(title|author|language|lang):[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)


def read_book(
    path: Path,
    *,
    encoding: str | None = None,
    title: str | None = None,
    author: str | None = None,
    chapter_pattern: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    inline_notes: bool = False,
) -> Book:
    """Read a text, Markdown, EPUB, HTML or Word file.

    Args:
        path: The file; any suffix, as long as it holds text or an EPUB.
        encoding: Its character set; None: byte-order mark, UTF-8, what a Project Gutenberg header names, or a
        guess.
        title: Of the book; None: from the header, or the file's name.
        author: Of the book; None: from the header, or empty.
        chapter_pattern: A regular expression that whole heading lines match, instead of the built-in rules.
        include: Sections to read though they are left out by themselves: see `orpheus_batch.text.choose`.
        exclude: Chapters to leave out.
        inline_notes: Read footnotes of EPUB and HTML after the paragraph of their marker.

    Returns:
        The book; its chapters and skipped spans cover the source exactly once.

    Raises:
        InputError: The file can't be read, is no text, is empty, or the pattern fits nothing.
    """
    data = _read_bytes(path)
    if EPUB_MIMETYPE in data[:100] or path.suffix.lower() in MARKED_UP_SUFFIXES:
        from orpheus_batch.text.epub.book import read_marked_up

        if chapter_pattern is not None:
            raise InputError(f"{path}: a chapter pattern is for plain text; this file names its own chapters")
        return read_marked_up(
            path,
            data,
            lambda raw: _decode(path, raw, encoding),
            title=title,
            author=author,
            include=include,
            exclude=exclude,
            inline_notes=inline_notes,
        )
    source = _LINE_ENDS.sub("\n", _decode(path, data, encoding))
    if not source.strip():
        raise InputError(f"{path} holds no text")
    frame = find_frame(source)
    start, skipped = frame.start, list(frame.skipped)
    markdown = path.suffix.lower() in MARKDOWN_SUFFIXES
    fields: dict[str, str] = {}
    if markdown and start == 0 and (front := _FRONT_MATTER.match(source)):
        fields = {name: value for name, value in _FRONT_FIELD.findall(front[1]) if value}
        skipped.append(SkippedSpan(0, front.end(), "front matter"))
        start = front.end()
    try:
        sections = find_chapters(
            source,
            start,
            frame.end,
            markdown=markdown,
            chapter_pattern=chapter_pattern,
            book_names=(title or frame.title, author or frame.author),
        )
        sections = choose_sections(sections, include, exclude)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    chapters = []
    for section in sections:
        if section.skip_reason:
            skipped.append(SkippedSpan(section.start, section.end, section.skip_reason, section.title))
            continue
        chapters.append(
            Chapter(
                index=len(chapters),
                title=section.title,
                text=source[section.start : section.end],
                source_start=section.start,
                heading_length=section.heading_end - section.start,
            )
        )
    if not sections and start < frame.end:
        skipped.append(SkippedSpan(start, frame.end, "blank"))
    if not chapters:
        raise InputError(f"{path} holds no text to read: " + "; ".join(sorted({s.reason for s in skipped})))
    first = source[sections[0].start : sections[0].end] if sections[0].skip_reason == TITLE_PAGE else ""
    page_title, page_author = _names_on_title_page(first)
    book = Book(
        title=title or frame.title or fields.get("title") or page_title or path.stem,
        author=author or frame.author or fields.get("author") or page_author,
        language=frame.language or (fields.get("language") or fields.get("lang") or "").split("-")[0].lower(),
        source_path=str(path),
        source_sha256=hashlib.sha256(data).hexdigest(),
        num_source_chars=len(source),
        chapters=tuple(chapters),
        skipped=tuple(sorted(skipped, key=lambda span: span.start)),
    )
    logger.info("%s: %d characters, %d chapters", path, len(source), len(chapters))
    return book


def _names_on_title_page(page: str) -> tuple[str, str]:
    """Return title and author from "[Emma by Jane Austen 1816]", or from lines around a "by"; else empty."""
    lines = [
        line.strip(" _*") for line in page.split("\n") if line.strip(" _*") and not line.startswith("[Illus")
    ]
    if not lines:
        return "", ""
    if lines[0].startswith("# "):
        return lines[0][2:].strip(), ""
    bracketed = _BRACKETED_TITLE.fullmatch(lines[0])
    if bracketed:
        return bracketed[1].rstrip(", "), bracketed[2]
    for number, line in enumerate(lines[1:6], start=1):
        by = _BY.fullmatch(line)
        if by is None:
            continue
        name = by[1] or (lines[number + 1] if number + 1 < len(lines) else "")
        return " ".join(lines[:number]), name if len(name) <= MAX_NAME_CHARS else ""
    return "", ""


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a text file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"{path} holds {size:,} bytes, more than any book ({MAX_FILE_BYTES:,}); is it a text file?"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is empty")
    return data


def _decode(path: Path, data: bytes, encoding: str | None) -> str:
    """Return the text of a file, without its byte-order mark."""
    if encoding is not None:
        return _check(path, _decode_as(path, data, encoding).removeprefix("\ufeff"))
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _check(path, _decode_as(path, data[len(bom) :], name))
    if b"\0" in data:
        raise InputError(
            f"{path} is not plain text: a zero byte at offset {data.index(0):,}. "
            "If it is UTF-16 or UTF-32, say so with --encoding utf-16-le, say"
        )
    try:
        return _check(path, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        first_bad = error.start
    declared = declared_encoding(data[:20_000].decode("latin-1").replace("\r\n", "\n"))
    for name in (declared, guess_encoding(data)):
        if not name:
            continue
        try:
            text = data.decode(_widen(name))
        except (UnicodeDecodeError, LookupError):
            continue
        logger.info("%s: read as %s", path, _widen(name))
        return _check(path, text)
    raise InputError(
        f"{path}: byte 0x{data[first_bad]:02x} at offset {first_bad:,} is not UTF-8, and no other set "
        "fits; name it with --encoding"
    )


def _decode_as(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise InputError(f"no character set is called {encoding!r}; try --encoding utf-8 or cp1252") from error
    except UnicodeError as error:
        offset = getattr(error, "start", None)
        where = "" if offset is None else f" at byte offset {offset:,}"
        raise InputError(f"{path} is not {encoding}{where}; name another with --encoding") from error


def _check(path: Path, text: str) -> str:
    if "\0" in text:
        raise InputError(
            f"{path} is not plain text: a zero character at offset {text.index(chr(0)):,}; "
            "if it is text in another character set, name it with --encoding"
        )
    controls = sum(text.count(chr(code)) for code in range(1, 32) if code not in (9, 10, 12, 13, 26, 27))
    if controls > max(20, len(text) // 100):
        raise InputError(f"{path} is not plain text: {controls:,} control characters")
    return text


def _widen(name: str) -> str:
    """Return cp1252 for the sets it contains: files that say ISO-8859-1 hold curly quotes all the same."""
    folded = name.lower().replace("_", "-")
    if folded in ("ascii", "us-ascii", "iso-8859-1", "latin-1", "latin1", "iso-latin-1", "iso 8859-1"):
        return "cp1252"
    return folded


def guess_encoding(data: bytes) -> str:
    """Return a character set that fits, by its statistics, or an empty string.

    The detector takes a page of English with two accents for Polish, so Western text is looked for first: few
    letters beyond ASCII, and hardly a symbol or a capital inside a word.
    """
    try:
        western = data.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    beyond = sum(character > "\x7f" for character in western)
    odd = len(_SYMBOL_IN_WORD.findall(western))
    if beyond and beyond < MAX_WESTERN_ACCENTS * len(western) and odd < MAX_ODD_SYMBOLS * beyond:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return best.encoding if best is not None else ""
