"""XHTML and HTML as element trees: XML where it is well-formed, else what a forgiving parser makes of it.

Nothing is fetched; the named entities of HTML are known, those that a document declares are refused.
"""

import logging
import re
from html.entities import html5
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, SubElement

from orpheus_batch.errors import InputError
from orpheus_batch.text.abbreviations import words
from orpheus_batch.text.epub.archive import parse_xml

logger = logging.getLogger(__name__)

MAX_DEPTH = 200
"""of nested elements; real books stay below thirty"""

_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_OF_XML = frozenset({b"amp", b"lt", b"gt", b"quot", b"apos"})
_VOID = words("area base br col embed hr img input link meta param source track wbr")
_ENDS_PARAGRAPH = words(
    "address article aside blockquote div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr main nav ol "
    "p pre section table ul"
)
_SIBLINGS = {"li": {"li"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}, "tr": {"tr", "td", "th"}, "td": {"td", "th"}}


def parse_document(data: bytes, where: str) -> Element:
    """Parse an XHTML document of an EPUB.

    Args:
        data: Its bytes.
        where: Names it in messages.

    Raises:
        InputError: It declares entities of its own, or is nested deeper than any book.
    """
    try:
        root = parse_xml(_ENTITY.sub(_named, data), where)
    except InputError as error:
        if "not well-formed" not in str(error) or b"<!ENTITY" in data:
            raise
        logger.info("%s; read as HTML", error)
        root = parse_html(data.decode("utf-8", "replace"))
    check_depth(root, where)
    return root


def parse_html(text: str) -> Element:
    """Parse HTML that need not be well-formed; never fails."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    return builder.root


def check_depth(root: Element, where: str) -> None:
    """Refuse a tree that nobody wrote.

    Raises:
        InputError: It is nested deeper than `MAX_DEPTH`.
    """
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(
                f"{where} nests elements deeper than {MAX_DEPTH}: an attack, or a broken converter"
            )
        level = [child for element in level for child in element]


def _named(match: re.Match[bytes]) -> bytes:
    """Put a number for a named character of HTML, which XML alone does not know."""
    characters = html5.get(f"{match[1].decode()};")
    if match[1] in _OF_XML or characters is None:
        return match.group()
    return b"".join(b"&#%d;" % ord(character) for character in characters)


class _Builder(HTMLParser):
    """Builds a tree, closing what HTML lets one leave open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("html")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.root.attrib.update(attributes)
            return
        if tag in _ENDS_PARAGRAPH:
            self._close({"p"})
        if tag in _SIBLINGS:
            self._close(_SIBLINGS[tag])
        element = SubElement(self._open[-1], tag, attributes)
        if tag not in _VOID and len(self._open) < MAX_DEPTH:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add an element without content."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID and self._open[-1].tag == tag and len(self._open) > 1:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of that name, and all within it."""
        for index in range(len(self._open) - 1, 0, -1):
            if self._open[index].tag == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        """Add text."""
        parent = self._open[-1]
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + data
        else:
            parent.text = (parent.text or "") + data

    def _close(self, tags: set[str]) -> None:
        if self._open[-1].tag in tags:
            self._open.pop()
