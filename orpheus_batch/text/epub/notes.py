"""Which links are footnote markers, and which elements are footnotes.

EPUB 3 says so (`epub:type`, `role`). Older books only link to and fro: there a short link in superscript, or to
a target that is called a note, is a marker where it stands within a paragraph, and a label where it begins one.
"""

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from orpheus_batch.text.abbreviations import words
from orpheus_batch.text.epub.archive import local_name, resolve

NOTE_TYPES = words("footnote endnote rearnote note footnotes endnotes rearnotes")
_ONE_NOTE = words("footnote endnote rearnote note")
NOTE_ROLES = words("doc-footnote doc-endnote doc-endnotes")
BLOCKS = words(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section summary table tbody td tfoot th "
    "thead tr ul"
)
_MARKER = re.compile(
    r"[\[({]?\s*(?:(?:n|note|fn)?\.?\s*\d{1,4}|[*†‡§¶∗]{1,4}|[A-Za-z]|[ivxlc]{1,6})\s*[.:\])}]?", re.I
)
_NOTE_NAME = re.compile(
    r"(?:^|[^a-z])(?:f(?:oot)?n(?:ote)?s?|e(?:nd)?n(?:ote)?s?|notes?|ftn|footnote\w*|noteref)(?:$|[^a-z])", re.I
)
_BACK_LINK = re.compile(r"[\s↩↑⤴^\ufe0e\ufe0f]+|(?:back|return)(?: to (?:the )?text)?\.?", re.I)
_HOLDS_NOTE = frozenset({"p", "li", "div", "aside", "dd", "dt", "tr", "section"})
MAX_NOTE_CHARS = 20_000
"""a longer target is a chapter"""


@dataclass(slots=True)
class Notes:
    """Elements, by Python's id of them."""

    markers: dict[int, int] = field(default_factory=dict)
    """marker → the body that it points at; 0 where that is not known"""
    bodies: dict[int, Element] = field(default_factory=dict)
    labels: set[int] = field(default_factory=set)
    """numbers and back links within the bodies"""


def kinds_of(element: Element) -> frozenset[str]:
    """Return an element's `epub:type` words, lowered."""
    found = (value for name, value in element.attrib.items() if name.endswith("}type") or name == "epub:type")
    return frozenset(" ".join(found).lower().split())


def find_notes(  # noqa: PLR0912 (one rule after another)
    documents: list[tuple[str, Element]], contents: set[tuple[str, str]]
) -> Notes:
    """Look through all documents of a book.

    Args:
        documents: Member names and trees in reading order.
        contents: Places that the table of contents points at; they are no notes.
    """
    notes = Notes()
    parents: dict[int, Element] = {}
    places: dict[tuple[str, str], Element] = {}
    order: dict[int, int] = {}
    links: list[tuple[str, Element]] = []
    for path, root in documents:
        for element in root.iter():
            order[id(element)] = len(order)
            for child in element:
                parents[id(child)] = element
            for name in (element.get("id"), element.get("name") if local_name(element.tag) == "a" else None):
                if name:
                    places.setdefault((path, name), element)
            if local_name(element.tag) == "a" and "#" in (element.get("href") or ""):
                links.append((path, element))
            if kinds_of(element) & NOTE_TYPES or element.get("role") in NOTE_ROLES:
                notes.bodies[id(element)] = element
    for path, link in links:
        place = resolve(path, link.get("href", ""))
        target = places.get(place)
        body = _block_of(target, parents) if target is not None else None
        declared = "noteref" in kinds_of(link) or link.get("role") == "doc-noteref"
        if not declared:
            if place in contents or body is None or not _looks_like_marker(link, place[1], parents):
                continue
            before = order[id(body)] <= order[id(link)]
            if _begins_block(link, parents) or before or len("".join(body.itertext())) > MAX_NOTE_CHARS:
                continue
        if body is not None:
            body = _described(body, parents, notes)
            body = next((b for b in _ancestors(body, parents) if kinds_of(b) & _ONE_NOTE), body)
            if order[id(body)] > order[id(link)] or declared:
                notes.bodies[id(body)] = body
        notes.markers[id(link)] = id(body) if body is not None else 0
    _find_labels(notes, links, places)
    return notes


def _described(body: Element, parents: dict[int, Element], notes: Notes) -> Element:
    """Return the text of a note whose number is a term of its own: ``<dt>1</dt><dd>text</dd>``."""
    if local_name(body.tag) != "dt" or id(body) not in parents:
        return body
    siblings = list(parents[id(body)])
    after = siblings[siblings.index(body) + 1 : siblings.index(body) + 2]
    if not after or local_name(after[0].tag) != "dd":
        return body
    notes.labels.add(id(body))
    return after[0]


def _find_labels(
    notes: Notes, links: list[tuple[str, Element]], places: dict[tuple[str, str], Element]
) -> None:
    """Note the links within the bodies that lead back, and what only stands there to be clicked."""
    inside = {id(e): body for body in notes.bodies.values() for e in body.iter()}
    for path, link in links:
        if id(link) in notes.markers or id(link) not in inside:
            continue
        text = "".join(link.itertext()).strip()
        target = places.get(resolve(path, link.get("href", "")))
        back = "backlink" in kinds_of(link) or link.get("role") == "doc-backlink"
        leaves = target is not None and id(target) not in inside
        if back or not text or (leaves and (_MARKER.fullmatch(text) or _BACK_LINK.fullmatch(text))):
            notes.labels.add(id(link))


def _looks_like_marker(link: Element, fragment: str, parents: dict[int, Element]) -> bool:
    text = "".join(link.itertext()).strip()
    if not text or not _MARKER.fullmatch(text):
        return False
    parent = parents.get(id(link))
    raised = any(local_name(e.tag) == "sup" for e in link.iter()) or (
        parent is not None and local_name(parent.tag) == "sup"
    )
    named = any(_NOTE_NAME.search(name) for name in (fragment, link.get("class", ""), link.get("id", "")))
    return raised or named or text[0] in "[*†‡"


def _begins_block(link: Element, parents: dict[int, Element]) -> bool:
    """Say whether nothing visible stands before a link in its paragraph."""
    element = link
    while id(element) in parents:
        parent = parents[id(element)]
        if (parent.text or "").strip():
            return False
        for child in parent:
            if child is element:
                break
            if "".join(child.itertext()).strip() or (child.tail or "").strip():
                return False
        if local_name(parent.tag) in BLOCKS:
            return True
        element = parent
    return True


def _ancestors(element: Element, parents: dict[int, Element]) -> list[Element]:
    found = [element]
    while id(found[-1]) in parents:
        found.append(parents[id(found[-1])])
    return found


def _block_of(target: Element, parents: dict[int, Element]) -> Element | None:
    """Return the paragraph, item or cell that a target is, or begins."""
    for element in _ancestors(target, parents):
        name = local_name(element.tag)
        if name in ("h1", "h2", "h3", "h4", "h5", "h6", "body", "html"):
            return None
        if name in _HOLDS_NOTE:
            return element
    return None
