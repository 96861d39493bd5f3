"""Word documents: headings, notes, tables, quotes; locked and hostile ones."""

import builtins
import zipfile

import pytest
from epub_helpers import LONG, spoken

from orpheus_batch.errors import InputError
from orpheus_batch.text.reader import read_book

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
    'ContentType="application/xml"/><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STYLES = "".join(
    f'<w:style w:type="paragraph" w:styleId="{name.replace(" ", "")}"><w:name w:val="{name}"/></w:style>'
    for name in ("Title", "heading 1", "Quote")
)
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Road</dc:title><dc:creator>Ann Author</dc:creator>'
    "</cp:coreProperties>"
)


def paragraph(text, style="", more=""):
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{look}<w:r><w:t xml:space="preserve">{text}</w:t></w:r>{more}</w:p>'


def write_docx(file, body, extra=None):
    note = '<w:footnote w:id="1">' + paragraph("On a mule, by the valley.") + "</w:footnote>"
    parts = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": RELATIONS.format(
            f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
        ),
        "word/_rels/document.xml.rels": RELATIONS.format(
            f'<Relationship Id="r2" Type="{OFFICE}/footnotes" Target="footnotes.xml"/>'
            f'<Relationship Id="r3" Type="{OFFICE}/styles" Target="styles.xml"/>'
        ),
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/footnotes.xml": f"<w:footnotes {W}>{note}</w:footnotes>",
        "word/styles.xml": f'<w:styles {W}><w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="en-GB"/></w:rPr>'
        f"</w:rPrDefault></w:docDefaults>{STYLES}</w:styles>",
        "docProps/core.xml": CORE,
        **(extra or {}),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file


NOTE = '<w:r><w:footnoteReference w:id="1"/></w:r><w:r><w:t xml:space="preserve"> home.</w:t></w:r>'
BODY = (
    paragraph("The Road", "Title")
    + paragraph("One", "heading1")
    + paragraph("She went", more=NOTE)
    + paragraph(LONG)
    + paragraph("A quoted word.", "Quote")
    + f"<w:tbl><w:tr><w:tc>{paragraph('Miles')}</w:tc><w:tc>{paragraph('forty')}</w:tc></w:tr></w:tbl>"
    + paragraph("Two", "heading1")
    + paragraph(LONG)
)  # fmt: skip


def test_a_word_document_is_a_book(tmp_path):
    """Chapters by headings, title and author from its properties, notes and tables as in an EPUB."""
    file = write_docx(tmp_path / "road.docx", BODY)
    book = read_book(file)
    assert ("The Road", "Ann Author", "en") == (book.title, book.author, book.language)
    assert ["One", "Two"] == [chapter.title for chapter in book.chapters]
    assert ["title page"] == [span.reason for span in book.skipped]
    text = spoken(book)
    assert "She went home." in text
    assert "A quoted word." in text
    for unheard in ("mule", "Miles", "forty"):
        assert unheard not in text
    assert {"block quote": 1, "footnote": 1, "footnote marker": 1, "table": 1} == dict(book.handled)
    assert "On a mule, by the valley." in spoken(read_book(file, inline_notes=True))


BOMB = (
    f'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><w:document {W}><w:body><w:p/></w:body></w:document>'
)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"word/document.xml": BOMB}, "declares XML entities"),
        ({"word/comments.xml": BOMB}, "declares XML entities"),
        ({"word/document.xml": "not xml"}, "not well-formed"),
        ({"../evil.xml": "x"}, "leads out of the book"),
        ({"word/document.xml": f"<w:document {W}/>"}, "can't be read as a Word document|no text"),
        ({"word/big.xml": "a" * 3_000_000}, "zip bomb"),
    ],
)
def test_hostile_documents_are_refused_in_one_line(tmp_path, extra, told):
    """Before anything else has parsed them."""
    file = write_docx(tmp_path / "bad.docx", BODY, extra)
    with pytest.raises(InputError, match=told) as refused:
        read_book(file)
    assert "\n" not in str(refused.value)


def test_what_is_no_word_document(tmp_path):
    """Text, another zip, a document with a password."""
    (tmp_path / "text.docx").write_text("Call me Ishmael.", encoding="utf-8")
    (tmp_path / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with zipfile.ZipFile(tmp_path / "zip.docx", "w") as archive:
        archive.writestr("a.txt", "x")
    for name, told in (
        ("text", "no Word document: it is not a zip"),
        ("locked", "password"),
        ("zip", "no word/document.xml"),
    ):
        with pytest.raises(InputError, match=told):
            read_book(tmp_path / f"{name}.docx")


def test_without_mammoth_it_says_what_to_install(tmp_path, monkeypatch):
    """The package is an extra."""
    real = builtins.__import__

    def no_mammoth(name, *rest, **more):
        if name == "mammoth":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_mammoth)
    with pytest.raises(InputError, match=r"pip install 'orpheus-batch\[docx\]'"):
        read_book(write_docx(tmp_path / "road.docx", BODY))
