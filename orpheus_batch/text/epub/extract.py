"""From element trees to one text with its paragraphs: what the spans of a marked-up book count in.

Every word of the documents is in the text, in reading order, blanks folded, paragraphs parted by a blank line;
what is not read is there too, its paragraphs with the reason, its inline parts between U+FFF9 and U+FFFB, which
cleaning takes out. Chapters are not known here.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from orpheus_batch.data import Boundary, TextUnit
from orpheus_batch.text.epub.archive import local_name
from orpheus_batch.text.epub.notes import BLOCKS, Notes, kinds_of
from orpheus_batch.text.paragraphs import SCENE_BREAK

OPEN, CLOSE = "\ufff9", "\ufffb"
_MAX_APART = 250
"""characters between one pair of marks; more are parted"""
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_DROPPED = frozenset({"head", "script", "style", "template", "link", "meta", "base", "title"})
_MEDIA = frozenset({"audio", "video", "iframe", "object", "canvas", "embed"})
_PAGE_CLASS = re.compile(r"(?:^|[\s_-])(?:page-?(?:num(?:ber)?|no|break)|pb|pginternal-num)(?:$|[\s_-])", re.I)
_VERSE = re.compile(r"(?:^|[\s:_-])(?:verse|poem|poetry|stanza|linegroup|song|hymn)(?:$|[\s_-])", re.I)
_LINE = re.compile(r"(?:^|\s)(?:line|l|l-\d|i\d{1,2}|verse-?line|indent-?\d?)(?:$|\s)", re.I)
_CODE = re.compile(
    r"(?:^|[\s_-])(?:highlight|source-?code|programlisting|screen|code-?block|code-?listing|literal-?block|listing|"
    r"console|terminal|synopsis)(?:$|[\s_-])",
    re.I,
)
_NAVIGATION = frozenset({"navigation", "search", "doc-toc", "doc-pagelist"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.I)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_MARKS = re.compile(f"{OPEN}[^{CLOSE}]*{CLOSE}")
_GUTENBERG = {"pg-header": "Project Gutenberg header", "pg-footer": "Project Gutenberg licence"}


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading element."""

    start: int
    level: int
    text: str


@dataclass(slots=True)
class Extracted:
    """A book's text, and what its markup says of it."""

    text: str = ""
    units: list[TextUnit] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    anchors: dict[tuple[str, str], int] = field(default_factory=dict)
    """start of the paragraph that a place is in, by member and id"""
    document_starts: list[tuple[str, int]] = field(default_factory=list)
    handled: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _State:
    """What holds for everything below an element."""

    reason: str = ""
    """why its paragraphs are not read"""
    apart: str = ""
    """why this stretch within a paragraph is not"""
    heading: int = 0
    verse: bool = False
    preformatted: bool = False
    code: bool = False
    """within a block that shows code: what is preformatted there is no verse"""


class Extractor:
    """Puts documents one after another.

    Args:
        notes: Of the whole book.
        inline_notes: Put notes behind the paragraph of their marker, and read them.
    """

    def __init__(self, notes: Notes, *, inline_notes: bool = False):
        self._notes = notes
        self._inline_notes = inline_notes
        self._out = Extracted()
        self._parts: list[str] = []
        self._length = 0
        self._buffer: list[str] = []
        self._apart_reason = ""
        self._pending: list[int] = []
        self._placed: set[int] = set()
        self._placing = False
        self._path = ""

    def add(self, path: str, root: Element) -> None:
        """Add a document."""
        self._path = path
        self._out.document_starts.append((path, self._length))
        self._walk(root, _State())
        self._flush(_State())

    def finish(self) -> Extracted:
        """Return everything."""
        self._out.text = "".join(self._parts)
        return self._out

    def _walk(self, element: Element, state: _State) -> None:
        name = local_name(element.tag)
        if not name or name in _DROPPED:
            return
        if self._inline_notes and id(element) in self._notes.bodies and id(element) in self._placed:
            return
        inner = self._state_of(element, name, state)
        line = state.verse and bool(_LINE.search(element.get("class", "")))
        block = name in BLOCKS and not line
        if block:
            self._flush(state)
        elif line and self._buffer:
            self._buffer.append("\n")
        for place in filter(None, (element.get("id"), element.get("name") if name == "a" else None)):
            self._out.anchors.setdefault((self._path, place), self._length)
        if name == "br":
            self._buffer.append("\n")
        elif name == "hr":
            self._unit("* * *", Boundary.PARAGRAPH, skip_reason=state.reason or SCENE_BREAK)
            self._out.handled[SCENE_BREAK] += 1
        elif name == "img":
            self._picture(element, inner)
        self._text(element.text or "", inner)
        for child in element:
            self._walk(child, inner)
            self._text(child.tail or "", inner)
        if block:
            self._flush(inner)
        elif line:
            self._buffer.append("\n")

    def _state_of(self, element: Element, name: str, state: _State) -> _State:  # noqa: PLR0911, PLR0912
        """Return what holds below an element, and count it."""
        kinds, classes = kinds_of(element), element.get("class", "")
        role = element.get("role", "")
        key = id(element)
        if key in self._notes.markers:
            self._out.handled["footnote marker"] += 1
            body = self._notes.markers[key]
            if (
                self._inline_notes
                and body in self._notes.bodies
                and body not in self._placed
                and not state.reason
            ):
                self._pending.append(body)
            return _with(state, apart="footnote marker")
        if key in self._notes.labels:
            return _with(state, apart="footnote marker")
        if key in self._notes.bodies:
            self._out.handled["footnote"] += not state.reason
            return _with(state, reason=state.reason or "footnote")
        if element.get("id") in _GUTENBERG:
            return _with(state, reason=_GUTENBERG[element.get("id", "")])
        if "pagebreak" in kinds or role == "doc-pagebreak" or _PAGE_CLASS.search(classes):
            self._out.handled["page number"] += 1
            return _with(state, apart="page number")
        if role in _NAVIGATION:
            return _with(state, reason=state.reason or "navigation")
        if re.search(r"(?:^|\s)link-target(?:$|\s)", classes):
            return _with(state, apart="link target")
        if element.get("hidden") is not None or _HIDDEN.search(element.get("style", "")):
            return _with(state, reason="hidden") if name in BLOCKS else _with(state, apart="hidden")
        if name in ("rt", "rp"):
            return _with(state, apart="reading aid")
        if name == "nav":
            return _with(state, reason="table of contents")
        if name == "math":
            self._out.handled["formula"] += 1
            return _with(state, apart="formula")
        if name == "svg" or name in _MEDIA:
            self._out.handled["illustration"] += 1
            return _with(state, apart="illustration")
        if name == "figcaption":
            return _with(state, reason=state.reason or "caption")
        if name == "table" and not _is_layout(element):
            self._out.handled["table"] += 1
            return _with(state, reason=state.reason or "table")
        if name == "pre":
            code = (
                state.code
                or any(local_name(child.tag) in ("code", "samp", "kbd") for child in element.iter())
                or "code" in classes
                or bool(_CODE.search(classes))
            )
            self._out.handled["code" if code else "verse"] += 1
            kept = _with(state, reason=state.reason or ("code" if code else ""))
            return replace(kept, heading=0, verse=not code, preformatted=True)
        if name == "div" and _CODE.search(classes):
            return replace(state, code=True)
        if name in _HEADINGS:
            return replace(state, heading=int(name[1]), verse=False, preformatted=False)
        if name == "blockquote":
            self._out.handled["block quote"] += 1
        if not state.verse and (_VERSE.search(classes) or any(_VERSE.search(f"-{kind}") for kind in kinds)):
            self._out.handled["verse"] += 1
            return replace(state, verse=True)
        return state

    def _picture(self, element: Element, state: _State) -> None:
        alt = " ".join((element.get("alt") or "").split())
        if len(alt) == 1 and alt.isalnum():
            self._text(alt, state)  # a drawn initial
            return
        self._out.handled["illustration"] += 1
        if alt:
            self._text(alt, _with(state, apart=state.apart or "illustration"))

    def _text(self, text: str, state: _State) -> None:
        text = text.translate({0xFFF9: " ", 0xFFFA: " ", 0xFFFB: " ", 0: " "})
        text = text.replace("\r\n", "\n").replace("\r", "\n") if state.preformatted else _BLANKS.sub(" ", text)
        text = text.replace("\u2028", "\n").replace("\u2029", "\n")
        if not text:
            return
        if not state.apart:
            self._buffer.append(text)
        elif text.strip():
            self._apart_reason = self._apart_reason or state.apart
            text = " ".join(text.split())
            pieces = [text[i : i + _MAX_APART] for i in range(0, len(text), _MAX_APART)]
            self._buffer.append("".join(f"{OPEN}{piece}{CLOSE}" for piece in pieces))

    def _flush(self, state: _State) -> None:
        """End a paragraph."""
        text = re.sub(r" *\n[ \n]*" if not state.preformatted else r"\n\s*\n", "\n", "".join(self._buffer))
        text = re.sub(r"  +", " ", text).strip()
        reason, apart = state.reason, self._apart_reason
        self._buffer, self._apart_reason = [], ""
        if text:
            if not reason and apart and not _MARKS.sub("", text).strip():
                reason = apart
            start = self._length
            verse = "\n" in text and not reason
            boundary = Boundary.HEADING if state.heading else Boundary.PARAGRAPH
            if not reason and not any(character.isalnum() for character in _MARKS.sub("", text)):
                reason = SCENE_BREAK
            if state.heading and not reason:
                title = " ".join(_MARKS.sub(" ", text).split())
                self._out.headings.append(Heading(start, state.heading, title))
            self._unit(text, boundary, verse=verse, skip_reason=reason)
        self._place_notes()

    def _place_notes(self) -> None:
        """Put the notes whose markers stood in the paragraph behind it."""
        if self._placing:
            return
        self._placing = True
        while self._pending:
            key = self._pending.pop(0)
            if key in self._placed:
                continue
            self._placed.add(key)
            self._out.handled["footnote"] += 1
            body = self._notes.bodies[key]
            self._text(body.text or "", _State())
            for child in body:
                self._walk(child, _State())
                self._text(child.tail or "", _State())
            self._flush(_State())
        self._placing = False

    def _unit(self, text: str, boundary: Boundary, *, verse: bool = False, skip_reason: str = "") -> None:
        start = self._length
        self._out.units.append(TextUnit(start, start + len(text), boundary, verse, skip_reason))
        self._parts.append(f"{text}\n\n")
        self._length += len(text) + 2


def _with(state: _State, *, reason: str | None = None, apart: str | None = None) -> _State:
    return replace(
        state,
        reason=state.reason if reason is None else reason,
        apart=state.apart if apart is None else apart,
    )


def _is_layout(table: Element) -> bool:
    """Say whether a table only places paragraphs: one cell a row, no head."""
    rows = [e for e in table.iter() if local_name(e.tag) == "tr"]
    heads = any(local_name(e.tag) == "th" for e in table.iter())
    cells = [sum(local_name(c.tag) == "td" for c in row) for row in rows]
    return not heads and all(count <= 1 for count in cells)
