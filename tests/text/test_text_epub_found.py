"""What real EPUBs do: found in books of Sphinx, DocBook and SiSU, from Debian's packages."""

import pytest
from epub_helpers import LONG, entry, nav, page, spoken, write_epub

from orpheus_batch.text.reader import read_book

PROSE = f"<p>{LONG * 4}</p>"
NOTES_IN_TERMS = (
    f'<p>She went<a class="footnote-reference brackets" href="#id7" id="id1">1</a> home. {LONG}</p><p>It rained.</p>'
    '<dl class="footnote brackets"><dt class="label" id="id7"><span><a class="fn-backref" href="#id1">1'
    "</a></span></dt><dd><p>On a mule, by the valley.</p></dd></dl>"
)


def titles(book):
    return [chapter.title for chapter in book.chapters]


def test_a_footnote_whose_number_is_a_term_is_left_out_with_its_text(tmp_path):
    """Sphinx writes all its footnotes so; the number alone was left out, and the note was read."""
    file = write_epub(tmp_path / "b.epub", {"one.xhtml": page(NOTES_IN_TERMS)})
    text = spoken(read_book(file))
    assert "She went home." in text
    assert "It rained." in text
    assert "mule" not in text
    inline = spoken(read_book(file, inline_notes=True))
    assert 0 < inline.index("On a mule, by the valley.") < inline.index("It rained.")
    assert 1 == inline.count("mule")
    assert "one" not in inline.split("mule")[1].lower().split()


@pytest.mark.parametrize(
    "block",
    [
        '<div class="highlight-default notranslate"><div class="highlight"><pre><span></span>ls -l</pre></div></div>',
        '<pre class="screen">ls -l</pre>',
        '<pre class="programlisting">ls -l</pre>',
        '<div class="sourceCode"><pre>ls -l</pre></div>',
    ],
)
def test_code_is_known_by_its_class_too(tmp_path, block):
    """Not every converter writes a code element; other preformatted text is verse still."""
    book = read_book(
        write_epub(tmp_path / "b.epub", {"one.xhtml": page(f"<p>{LONG}</p>{block}<pre>O sea\n</pre>")})
    )
    assert "ls" not in spoken(book)
    assert "O sea" in spoken(book)
    assert {"code": 1, "verse": 1} == dict(book.handled)


def test_navigation_and_printed_link_targets_are_not_read(tmp_path):
    """Bars of "previous" and "next", and addresses that are printed behind each link."""
    body = (
        f'<div role="navigation"><a href="one.xhtml">previous page</a></div><p>{LONG}</p>'
        '<p>See <a href="https://a.org">the page</a><span class="link-target"> [https://a.org]</span> there.</p>'
    )
    text = spoken(read_book(write_epub(tmp_path / "b.epub", {"one.xhtml": page(body)})))
    assert "previous" not in text
    assert "See the page there." in text


def test_a_document_that_the_spine_lists_for_each_section_is_read_once(tmp_path):
    """SiSU puts it there once for every anchor: a book of 60,000 words became one of 400,000."""
    file = write_epub(
        tmp_path / "b.epub", {"one.xhtml": page(f"<h1>One</h1><p>{LONG}</p>"), "two.xhtml": page(PROSE)}
    )
    data = file.read_bytes()
    import zipfile

    again = tmp_path / "again.epub"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(again, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "OPS/book.opf":
                text = content.decode()
                item = text.index("<item ", text.index("one.xhtml") - 80)
                manifest = '<item id="more" href="one.xhtml#s2" media-type="application/xhtml+xml"/>'
                text = text[:item] + manifest + text[item:]
                text = text.replace("</spine>", '<itemref idref="more"/></spine>')
                content = text.encode()
            target.writestr(name, content)
    assert data
    assert spoken(read_book(file)) == spoken(read_book(again))


def test_contents_whose_links_are_wrong_by_a_folder_are_followed(tmp_path):
    """Else the whole book would belong to the page before, and be left out with it."""
    pages = {"text/toc.xhtml": page("<p>One</p>"), "text/one.xhtml": page(PROSE), "text/two.xhtml": page(PROSE)}
    contents = nav(entry("one.xhtml", "One") + entry("two.xhtml", "Two"))
    guide = '<reference type="toc" href="text/toc.xhtml"/>'
    book = read_book(write_epub(tmp_path / "b.epub", pages, contents=contents, guide=guide))
    assert ["One", "Two"] == titles(book)


def test_text_that_the_contents_do_not_name_is_not_lost_with_the_matter_before_it(tmp_path):
    """An unlisted chapter after a copyright page is a chapter; a second page of links after the contents is not."""
    links = "<p>" + "".join(f'<a href="one.xhtml">a chapter of many words {n}</a> ' for n in range(40)) + "</p>"
    pages = {
        "contents.xhtml": page(links, 'epub:type="toc"'),
        "more.xhtml": page(links),
        "copyright.xhtml": page(PROSE, 'epub:type="copyright-page"'),
        "extra.xhtml": page(f"<h1>To the Reader</h1>{PROSE}"),
        "one.xhtml": page(f"<h1>One</h1>{PROSE}"),
    }
    contents = nav(
        entry("contents.xhtml", "Contents") + entry("copyright.xhtml", "Copyright") + entry("one.xhtml", "One")
    )
    book = read_book(write_epub(tmp_path / "b.epub", pages, contents=contents))
    assert ["To the Reader", "One"] == titles(book)
    assert ["table of contents", "copyright page"] == [span.reason for span in book.skipped]
