"""EPUB 2 and 3 and HTML: the book's own chapters, nothing read that is not meant to be heard."""

import tempfile
from pathlib import Path

import pytest
from epub_helpers import LONG, PNG, entry, nav, page, spoken, write_epub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orpheus_batch.errors import InputError
from orpheus_batch.text.lexicon import Lexicon, LexiconEntry
from orpheus_batch.text.reader import read_book

NCX = (
    '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" '
    '"http://www.daisy.org/z3986/2005/ncx-2005-1.dtd"><ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>'
    '<navPoint><navLabel><text>The Sea</text></navLabel><content src="one.xhtml"/></navPoint>'
    '<navPoint><navLabel><text>The Hill</text></navLabel><content src="two.xhtml#here"/></navPoint></navMap></ncx>'
)
CHAPTER = f"<h1>{{}}</h1><p>{LONG}</p>"


def _titles(book):
    return [chapter.title for chapter in book.chapters]


def test_chapters_are_those_of_the_navigation_document(tmp_path):
    """Titles as the contents have them, not as the headings; matter before and after is left out with its kind."""
    pages = {
        "cover.xhtml": page('<img src="cover.png" alt="The Road, a novel"/>', 'epub:type="cover"'),
        "title.xhtml": page("<h1>The Road</h1><p>by Ann Author</p>"),
        "copyright.xhtml": page(f"<p>Copyright 2024. {LONG}</p>", 'epub:type="copyright-page"'),
        "dedication.xhtml": page("<p>To my mother, who walked.</p>"),
        "one.xhtml": page(CHAPTER.format("CHAPTER ONE") + f"<p>{LONG}</p>"),
        "two.xhtml": page(CHAPTER.format("CHAPTER TWO")),
        "index.xhtml": page("<h1>Index</h1><p>road, 7</p>"),
    }
    contents = nav(
        entry("dedication.xhtml", "Dedication")
        + entry("one.xhtml", "Chapter One: The Sea")
        + entry("two.xhtml", "Chapter Two: The Hill")
        + entry("index.xhtml", "Index")
    )
    book = read_book(write_epub(tmp_path / "b.epub", pages, contents=contents))
    assert ["Dedication", "Chapter One: The Sea", "Chapter Two: The Hill"] == _titles(book)
    assert ["cover", "title page", "copyright page", "index"] == [span.reason for span in book.skipped]
    assert ("The Road", "Ann Author", "en", PNG) == (book.title, book.author, book.language, book.cover)
    text = spoken(book)
    assert "Chapter One." in text
    assert "Copyright" not in text
    assert "a novel" not in text


def test_epub_2_chapters_are_those_of_the_ncx(tmp_path):
    """A DOCTYPE with an external DTD is passed over unread; a fragment in the middle of a document begins a chapter."""
    pages = {
        "one.xhtml": page(f"<p>{LONG}</p>"),
        "two.xhtml": page(f'<p>Still the sea.</p><h2 id="here">II</h2><p>{LONG}</p>'),
    }
    guide = '<reference type="cover" href="one.xhtml#nowhere"/>'
    book = read_book(write_epub(tmp_path / "b.epub", pages, ncx=NCX, guide=guide))
    assert ["The Sea", "The Hill"] == _titles(book)
    assert "Still the sea." in book.chapters[0].text
    assert book.chapters[1].text.startswith("II")
    assert 2 == book.chapters[1].heading_length


def test_without_contents_chapters_are_headings(tmp_path):
    """The outermost level that occurs twice."""
    pages = {
        "all.xhtml": page("<h1>The Road</h1>" + "".join(f"<h2>No. {n}</h2><p>{LONG}</p>" for n in (1, 2, 3)))
    }
    book = read_book(write_epub(tmp_path / "b.epub", pages))
    assert ["No. 1", "No. 2", "No. 3"] == _titles(book)


def test_parts_join_their_first_chapter_and_sections_stay_within(tmp_path):
    """A part's page is no chapter of two seconds; a section inside a chapter's document is none either."""
    pages = {
        "part.xhtml": page("<h1>PART ONE</h1>"),
        "one.xhtml": page(f'<h1>One</h1><p>{LONG}</p><h2 id="s">A section</h2><p>{LONG}</p>'),
        "two.xhtml": page(CHAPTER.format("Two")),
    }
    inner = entry("one.xhtml", "One", entry("one.xhtml#s", "A section")) + entry("two.xhtml", "Two")
    book = read_book(
        write_epub(tmp_path / "b.epub", pages, contents=nav(entry("part.xhtml", "Part One", inner)))
    )
    assert ["Part One, One", "Two"] == _titles(book)
    assert spoken(book).lower().startswith("part one. one.")


NOTES_BY_TYPE = (
    f'<p>She went<a epub:type="noteref" href="#n1">1</a> home. {LONG}</p><p>It rained.</p>'
    '<aside epub:type="footnote" id="n1"><p>1. On a mule, by the valley.</p></aside>'
)
NOTES_BY_LINKS = (
    f'<p>She went<sup><a id="r1" href="#n1">[1]</a></sup> home. {LONG}</p><p>It rained.</p><hr/>'
    '<p id="n1"><a href="#r1">[1]</a> On a mule, by the valley.</p>'
)
NOTES_IN_LIST = (
    f'<p>She went<a class="fnref" id="r1" href="#fn1">*</a> home. {LONG}</p><p>It rained.</p>'
    '<ol><li id="fn1"><p>On a mule, by the valley. <a href="#r1">↩</a></p></li></ol>'
)


@pytest.mark.parametrize("body", [NOTES_BY_TYPE, NOTES_BY_LINKS, NOTES_IN_LIST])
def test_footnotes_and_their_markers_are_left_out_or_read_in_place(tmp_path, body):
    """Whether the book says what they are or only links to and fro; nothing else is lost with them."""
    file = write_epub(tmp_path / "b.epub", {"one.xhtml": page(body)})
    book = read_book(file)
    text = spoken(book)
    assert "She went home.\nThe road" in text
    assert "It rained." in text
    assert "mule" not in text
    assert {"footnote marker": 1, "footnote": 1} == {k: v for k, v in book.handled if "note" in k}
    inline = spoken(read_book(file, inline_notes=True))
    assert "She went home.\nThe road" in inline
    assert 0 < inline.index("On a mule, by the valley.") < inline.index("It rained.")
    assert 1 == inline.count("mule")


def test_a_contents_page_of_numbered_links_is_no_page_of_footnotes(tmp_path):
    """Short links to chapters look like markers; what the contents point at is never a note."""
    body = '<p>See <a href="two.xhtml#note2">2</a> and <a href="two.xhtml">3</a>.</p>'
    pages = {"one.xhtml": page(f"<p>{LONG}</p>{body}"), "two.xhtml": page(f'<p id="note2">{LONG}</p>')}
    contents = nav(entry("one.xhtml", "One") + entry("two.xhtml#note2", "Two"))
    book = read_book(write_epub(tmp_path / "b.epub", pages, contents=contents))
    assert spoken(book).count("The road went on") == 6


def test_pictures_pages_tables_code_verse_quotes(tmp_path):
    """Each handled in its own way, and counted."""
    body = (
        f'<h1>One</h1><p><img src="t.png" alt="T"/>he road<span epub:type="pagebreak" id="p7">7</span> bent. {LONG}</p>'
        '<p><img src="map.png" alt="A map of the valley"/></p><table><tr><th>Miles</th><td>forty</td></tr></table>'
        "<table><tr><td><p>Laid out in one cell.</p></td></tr></table><pre><code>print(1)</code></pre>"
        '<blockquote><p>A quoted word.</p></blockquote><div class="poem"><p>O sea<br/>and sky</p></div>'
        "<p>One<br/>Two</p><hr/><p><ruby>word<rt>gloss</rt></ruby> again.</p><p hidden=''>Secret.</p>"
        '<p>&nbsp;caf&eacute;&mdash;here.</p><figure><img src="x" alt=""/><figcaption>A caption.</figcaption></figure>'
    )
    book = read_book(write_epub(tmp_path / "b.epub", {"one.xhtml": page(body)}))
    lines = spoken(book).split("\n")
    assert "The road bent." in lines
    assert "O sea, and sky." in lines
    assert "One, Two." in lines
    assert "A quoted word." in lines
    assert "Laid out in one cell." in lines
    assert "word again." in lines
    assert "cafe, here." in lines
    for unheard in ("map", "Miles", "print", "gloss", "Secret", "caption", "seven"):
        assert unheard not in " ".join(lines)
    expected = {
        "block quote": 1,
        "code": 1,
        "illustration": 2,
        "page number": 1,
        "scene break": 1,
        "table": 1,
        "verse": 1,
    }
    assert expected == dict(book.handled)


def test_include_and_exclude(tmp_path):
    """By title, kind, number and range; numbers mean the same whatever else is chosen."""
    pages = {
        "copyright.xhtml": page(f"<p>All rights reserved. {LONG}</p>", 'epub:type="copyright-page"'),
        **{f"{n}.xhtml": page(CHAPTER.format(n)) for n in ("one", "two", "three")},
    }
    contents = nav("".join(entry(f"{n}.xhtml", n.title()) for n in ("one", "two", "three")))
    file = write_epub(tmp_path / "b.epub", pages, contents=contents)
    assert ["Copyright page", "Two"] == _titles(
        read_book(file, include=["Copyright Page"], exclude=["1", "thr*"])
    )
    assert ["One"] == _titles(read_book(file, exclude=["2-3"]))
    for wrong in ({"exclude": ["4"]}, {"exclude": ["Preface"]}, {"include": ["Two"]}):
        with pytest.raises(InputError, match=r"there is|chapters 1 to 3"):
            read_book(file, **wrong)


def test_html_and_broken_xhtml_are_read_too(tmp_path):
    """Unclosed paragraphs and bare ampersands are what people write."""
    broken = f"<html lang=en-US><title>Road</title><h2>A</h2><p>Salt & sand.<p>{LONG}<h2>B</h2><p>{LONG}</html>"
    (tmp_path / "road.html").write_text(broken, encoding="utf-8")
    book = read_book(tmp_path / "road.html")
    assert ("Road", "en", ["A", "B"]) == (book.title, book.language, _titles(book))
    assert "Salt and sand." in spoken(book).split("\n")
    book = read_book(write_epub(tmp_path / "b.epub", {"one.xhtml": broken}))
    assert ["A", "B"] == _titles(book)


_BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
_LCP = (
    '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
    '<enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData></encryption>'
)
_FONTS = "http://www.idpf.org/2008/embedding"
ONE = {"one.xhtml": page(f"<p>{LONG}</p>")}


@pytest.mark.parametrize(
    ("pages", "extra", "what"),
    [
        ({"one.xhtml": _BOMB + "<html><p>&b;</p></html>"}, {}, "entities"),
        (ONE, {"OPS/book.opf": _BOMB + "<package/>"}, "entities"),
        (
            {"one.xhtml": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><html><p>&a;</p></html>'},
            {},
            "entities",
        ),
        (ONE, {"big.bin": bytes(30_000_000)}, "zip bomb"),
        (ONE, {"../../etc/cron.d/x": "x"}, "leads out of the book"),
        (ONE, {"/etc/passwd": "x"}, "leads out of the book"),
        (ONE, {"C:\\x": "x"}, "leads out of the book"),
        (ONE, {"META-INF/rights.xml": "<rights/>"}, "DRM .Adobe ADEPT"),
        (
            ONE,
            {"META-INF/encryption.xml": _LCP.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc")},
            "DRM .its text",
        ),
        ({"one.xhtml": "<html>" + "<div>" * 5000 + "x" + "</div>" * 5000 + "</html>"}, {}, "deeper"),
        (ONE, {"META-INF/container.xml": "<container/>"}, "names no package document"),
        (ONE, {"OPS/book.opf": "<package><spine/></package>"}, "reading order is empty"),
        (ONE, {"OPS/book.opf": "not xml"}, "not well-formed"),
        ({"one.xhtml": page("<img src='a.png'/>")}, {}, "no text"),
    ],
)
def test_hostile_and_locked_books_are_refused_in_one_line(tmp_path, pages, extra, what):
    """Each with its own reason."""
    file = write_epub(tmp_path / "b.epub", pages, extra=extra)
    with pytest.raises(InputError, match=what) as refused:
        read_book(file)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)


def test_what_is_no_whole_zip_is_refused(tmp_path):
    """Text that is called an EPUB, an EPUB cut in half, one damaged inside, and a listed page that is missing."""
    good = write_epub(tmp_path / "b.epub", ONE).read_bytes()
    (tmp_path / "text.epub").write_text("Call me Ishmael.", encoding="utf-8")
    (tmp_path / "half.epub").write_bytes(good[: len(good) // 2])
    for name in ("text.epub", "half.epub"):
        with pytest.raises(InputError, match="not a zip"):
            read_book(tmp_path / name)
    place = good.index(b"OPS/one.xhtml") + 60
    (tmp_path / "bad.epub").write_bytes(good[:place] + bytes(20) + good[place + 20 :])
    with pytest.raises(InputError, match="damaged"):
        read_book(tmp_path / "bad.epub")
    (tmp_path / "lacks.epub").write_bytes(good.replace(b"OPS/one.xhtml", b"OPS/two.xhtml"))
    with pytest.raises(InputError, match="lacks"):
        read_book(tmp_path / "lacks.epub")


def test_obfuscated_fonts_are_no_drm(tmp_path):
    """Every second EPUB of a publisher has them."""
    file = write_epub(tmp_path / "b.epub", ONE, extra={"META-INF/encryption.xml": _LCP.format(_FONTS)})
    assert 1 == len(read_book(file).chapters)


TAGS = [
    "p",
    "div",
    "em",
    "h2",
    "blockquote",
    "li",
    "span",
    "sup",
    "td",
    "table",
    "pre",
    "aside",
    "a",
    "figure",
    "nav",
    "rt",
]
ATTRIBUTES = [
    "",
    ' epub:type="footnote"',
    ' epub:type="noteref" href="#x"',
    ' id="x"',
    ' class="poem"',
    " hidden=''",
    ' class="line"',
]
WORDS = st.text(alphabet='ab é."—7*_<&\n\ufff9', max_size=12).map(
    lambda t: t.replace("&", "&amp;").replace("<", "&lt;")
)
ENTRIES = (
    LexiconEntry("ab", "x y z", "names.yaml, line 1"),
    LexiconEntry("7", "", "names.yaml, line 2"),
    LexiconEntry(r"\w\W?", "<laugh>", "names.yaml, line 3", is_pattern=True),
    LexiconEntry(r".+", "q", "names.yaml, line 4", is_pattern=True),
)
MARKUP = st.recursive(
    WORDS,
    lambda inner: st.builds(
        lambda tag, attribute, children: f"<{tag}{attribute}>{''.join(children)}</{tag}>",
        st.sampled_from(TAGS),
        st.sampled_from(ATTRIBUTES),
        st.lists(inner, max_size=4),
    ),
    max_leaves=25,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    st.lists(MARKUP, min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([(), *((e,) for e in ENTRIES), ENTRIES]),
)
def test_every_word_of_any_markup_is_in_exactly_one_span(bodies, inline_notes, entries):
    """The text holds every visible character of the documents, in order; `plan_book` proves the spans over it, whatever
    a lexicon makes of it.

    With notes read in place the order differs, so their characters are counted instead.
    """
    with tempfile.TemporaryDirectory() as folder:
        pages = {f"{n}.xhtml": page(body) for n, body in enumerate(bodies)}
        file = write_epub(Path(folder) / "b.epub", pages)
        try:
            book = read_book(file, inline_notes=inline_notes)
        except InputError:
            return
        spoken(book, Lexicon(entries))
        spans = [(s.start, s.end) for s in book.skipped] + [
            (c.source_start, c.source_start + len(c.text)) for c in book.chapters
        ]
        assert book.num_source_chars == sum(end - start for start, end in spans)
        kept = "".join("".join(chapter.text.split()) for chapter in book.chapters)
        written = "".join(_visible(body) for body in bodies)
        if not book.skipped and not inline_notes:
            assert written == kept.replace("\ufff9", "").replace("\ufffb", "")
        elif not book.skipped:
            assert sorted(written) == sorted(kept.replace("\ufff9", "").replace("\ufffb", ""))


def _visible(body: str) -> str:
    from xml.etree import ElementTree

    text = "".join(ElementTree.fromstring(page(body)).itertext())
    return "".join(text.removeprefix("x").replace("\ufff9", "").split())
