"""From an EPUB, HTML or Word file to a `Book`: chapters by the table of contents, front and back matter left out.

The source that spans count in is the text that `Extractor` makes, not the file's bytes.
"""

import hashlib
import logging
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from orpheus_batch.data import Book, Boundary, Chapter, SkippedSpan
from orpheus_batch.errors import InputError
from orpheus_batch.text.chapters import Section
from orpheus_batch.text.choose import choose_sections
from orpheus_batch.text.epub.archive import EpubArchive, local_name
from orpheus_batch.text.epub.docx import read_docx
from orpheus_batch.text.epub.extract import Extracted, Extractor
from orpheus_batch.text.epub.notes import find_notes, kinds_of
from orpheus_batch.text.epub.package import ContentsEntry, Package, SpineItem, read_package, text_of
from orpheus_batch.text.epub.tree import check_depth, parse_document, parse_html
from orpheus_batch.text.headings import title_key

logger = logging.getLogger(__name__)

_MATTER = {
    **dict.fromkeys(("cover", "cover-page", "frontcover"), "cover"),
    **dict.fromkeys(("titlepage", "title-page", "halftitlepage", "halftitle", "fulltitle"), "title page"),
    **dict.fromkeys(("copyright-page", "copyright", "imprint", "colophon", "uncopyright"), "copyright page"),
    **dict.fromkeys(("toc", "contents", "toc-brief", "landmarks", "page-list"), "table of contents"),
    **dict.fromkeys(("loi", "lot", "loa", "lov"), "list of illustrations"),
    **dict.fromkeys(("index",), "index"),
    **dict.fromkeys(("footnotes", "endnotes", "rearnotes", "notes"), "footnotes"),
    **dict.fromkeys(("bibliography", "errata", "other-credits"), "bibliography or errata"),
    **dict.fromkeys(("glossary",), "glossary"),
}
"""left out, by `epub:type` or guide type; source: EPUB Structural Semantics Vocabulary, OPF 2.0.1 guide"""
_MATTER_TITLES = (
    (re.compile(r"(?:front |back )?cover(?: page| image)?"), "cover"),
    (re.compile(r"(?:half[- ]?)?title(?:[- ]?page)?"), "title page"),
    (re.compile(r"(?:un)?copyright(?: page| notice)?|imprint|colophon|legal notice"), "copyright page"),
    (re.compile(r"(?:table of )?contents|toc|brief contents"), "table of contents"),
    (re.compile(r"(?:list of )?(?:illustrations|figures|plates|maps|tables)"), "list of illustrations"),
    (re.compile(r"(?:general |subject )?index(?: of .{1,40})?"), "index"),
    (re.compile(r"(?:foot|end)?notes"), "footnotes"),
    (re.compile(r"(?:selected |select )?bibliography|errata|works cited"), "bibliography or errata"),
    (re.compile(r"glossary"), "glossary"),
    (
        re.compile(r"(?:also by|books by|other books by|other titles by) .{1,60}|newsletter|landmarks"),
        "advertisement",
    ),
    (re.compile(r"(?:the )?(?:full )?project gutenberg(?:™|tm)? licen[sc]e\W?"), "Project Gutenberg licence"),
)
_FRONT_WORDS = 80
"""fewer words before the first entry of the contents, and they are a title page"""
_MAX_PART_CHARS = 250
_MAX_HEADING_UNITS = 4
_PART = re.compile(r"(?:part|book|volume|vol\.?|section)\b", re.I)


@dataclass(slots=True)
class _Mark:
    """Where a section begins."""

    start: int
    title: str
    reason: str = ""
    depth: int = 0


def read_marked_up(
    path: Path,
    data: bytes,
    decode: Callable[[bytes], str],
    *,
    title: str | None,
    author: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    inline_notes: bool,
) -> Book:
    """Read an EPUB, HTML or Word file; arguments as in `orpheus_batch.text.reader.read_book`.

    Args:
        path: The file.
        data: Its bytes.
        decode: Makes text of an HTML file's bytes.
        title: Of the book; None: what it says.
        author: Likewise.
        include: See `choose_sections`.
        exclude: See `choose_sections`.
        inline_notes: Read footnotes after the paragraph of their marker.

    Raises:
        InputError: It is no such file, protected, hostile or empty.
    """
    cover = None
    if path.suffix.lower() in (".html", ".htm", ".xhtml"):
        root = parse_html(decode(data))
        check_depth(root, str(path))
        package = _html_package(path, root)
        documents = [(path.name, root)]
    elif path.suffix.lower() == ".docx":
        package, root = read_docx(path, data)
        documents = [(path.name, root)]
    else:
        with EpubArchive(path) as archive:
            package = read_package(archive)
            documents = [
                (item.path, parse_document(archive.read(item.path), f"{path}: {item.path!r}"))
                for item in package.spine
            ]
            if package.cover_path in archive:
                picture = archive.read(package.cover_path)
                cover = picture if picture.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n")) else None
    places = {(entry.path, entry.fragment) for entry in package.contents}
    extractor = Extractor(find_notes(documents, places), inline_notes=inline_notes)
    for name, tree in documents:
        extractor.add(name, tree)
    found = extractor.finish()
    if not found.text.strip():
        raise InputError(f"{path} holds no text: its pages may be pictures")
    sections = _sections(found, _marks(found, package, documents))
    try:
        sections = choose_sections(sections, include, exclude)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    chapters, skipped = _chapters(found, sections)
    if not chapters:
        raise InputError(f"{path} holds no text to read: " + "; ".join(sorted({s.reason for s in skipped})))
    logger.info("%s: %d characters, %d chapters", path, len(found.text), len(chapters))
    return Book(
        title=title or package.title or path.stem,
        author=author or package.author,
        language=package.language,
        source_path=str(path),
        source_sha256=hashlib.sha256(data).hexdigest(),
        num_source_chars=len(found.text),
        chapters=tuple(chapters),
        skipped=tuple(skipped),
        cover=cover,
        handled=tuple(sorted((+found.handled).items())),
    )


def _html_package(path: Path, root: Element) -> Package:
    title = next((text_of(e) for e in root.iter() if local_name(e.tag) == "title"), "")
    metas = {
        e.get("name", "").lower(): e.get("content", "") for e in root.iter() if local_name(e.tag) == "meta"
    }
    author = metas.get("author") or metas.get("dc.creator") or metas.get("dcterms.creator", "")
    language = re.split(r"[-_]", root.get("lang", ""))[0].lower()
    return Package(title, author, language, spine=[SpineItem(path.name, True)])


def _marks(found: Extracted, package: Package, documents: list[tuple[str, Element]]) -> list[_Mark]:
    """Return where sections begin, in order, the first at 0."""
    starts = dict(found.document_starts)
    contents = _resolved(package.contents, starts)
    marks = [mark for entry in _chapter_entries(contents) if (mark := _mark(found, package, entry))]
    if not marks:
        marks = _marks_by_headings(found)
    taken = {mark.start for mark in marks}
    first = min(taken, default=0)
    linear = {item.path: item.linear for item in package.spine}
    for path, root in documents:
        start = starts[path]
        if start in taken:
            continue
        reason = _matter_of(package, path, root)
        if not reason and not linear[path]:
            reason = "not in the reading order"
        heading = next((h.text for h in found.headings if h.start >= start), "") if start < first else ""
        if not reason and start < first:
            end = min((s for s in (*starts.values(), first) if s > start), default=first)
            reason = "" if len(found.text[start:end].split()) >= _FRONT_WORDS else "title page"
        elif not reason:
            continue
        marks.append(_Mark(start, "" if reason else heading, reason))
        taken.add(start)
    marks.sort(key=lambda mark: mark.start)
    roots = dict(documents)
    paths = {start: path for path, start in reversed(found.document_starts)}
    for mark in marks:
        if not mark.reason and mark.start in paths:
            mark.reason = _matter_of(package, paths[mark.start], roots[paths[mark.start]])
        mark.reason = mark.reason or _matter_by_title(mark.title)
    marks = _with_unlisted(found, marks, documents)
    if not marks or marks[0].start:
        marks.insert(0, _Mark(0, "", ""))
    return marks


def _with_unlisted(
    found: Extracted, marks: list[_Mark], documents: Sequence[tuple[str, Element]]
) -> list[_Mark]:
    """Add chapters of text that the contents do not name and that would be left out with the matter before it."""
    starts = dict(found.document_starts)
    ends = dict(zip(starts, [*list(starts.values())[1:], len(found.text)], strict=True))
    added: list[_Mark] = []
    for path, root in documents:
        before = max(
            (m for m in (*marks, *added) if m.start <= starts[path]), key=lambda m: m.start, default=None
        )
        if before is None or not before.reason or before.start == starts[path]:
            continue
        text = found.text[starts[path] : ends[path]]
        linked = sum(len("".join(e.itertext())) for e in root.iter() if local_name(e.tag) == "a")
        if len(text.split()) >= _FRONT_WORDS and linked < len(text) / 2:
            heading = next((h.text for h in found.headings if starts[path] <= h.start < ends[path]), "")
            added.append(_Mark(starts[path], heading))
    return sorted([*marks, *added], key=lambda mark: mark.start)


def _resolved(contents: Sequence[ContentsEntry], starts: dict[str, int]) -> list[ContentsEntry]:
    """Find the documents of entries whose links are wrong by a folder, as some converters write them."""
    by_name: dict[str, list[str]] = {}
    for path in starts:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    resolved = []
    for entry in contents:
        named = by_name.get(entry.path.rpartition("/")[2], [])
        resolved.append(
            replace(entry, path=named[0]) if entry.path not in starts and len(named) == 1 else entry
        )
    return resolved


def _chapter_entries(contents: Sequence[ContentsEntry]) -> list[ContentsEntry]:
    """Return the entries that make chapters: all but sections within a chapter's own document."""
    kept: list[ContentsEntry] = []
    above: dict[int, ContentsEntry] = {}
    roots = sum(entry.depth == 0 for entry in contents)
    for entry in contents:
        parent = above.get(entry.depth - 1)
        above[entry.depth] = entry
        within = parent is not None and parent.path == entry.path and entry.fragment
        if within and not _PART.match(parent.title) and not (roots == 1 and entry.depth == 1):
            continue
        if entry.path:
            kept.append(entry)
    return kept


def _mark(found: Extracted, package: Package, entry: ContentsEntry) -> _Mark | None:
    starts = dict(found.document_starts)
    if entry.path not in starts:
        return None
    start = found.anchors.get((entry.path, entry.fragment), starts[entry.path])
    following = bisect_left([unit.start for unit in found.units], start)
    same = starts[entry.path] <= start and not any(
        starts[entry.path] <= unit.start < start and not unit.skip_reason for unit in found.units[:following]
    )
    if same:
        start = starts[entry.path]  # nothing that is read stands before it
    kind = package.landmarks.get((entry.path, entry.fragment), "")
    return _Mark(start, entry.title, _MATTER.get(kind, ""), entry.depth)


def _marks_by_headings(found: Extracted) -> list[_Mark]:
    """Take the outermost level of headings that occurs twice."""
    levels = [heading.level for heading in found.headings]
    chosen = next((level for level in sorted(set(levels)) if levels.count(level) > 1), None)
    if chosen is None:
        return []
    return [_Mark(h.start, h.text) for h in found.headings if h.level == chosen]


def _matter_of(package: Package, path: str, root: Element) -> str:
    """Return what kind of matter a whole document is, by landmark or `epub:type`; empty for the book's text."""
    kinds = {package.landmarks.get((path, ""), "")}
    body = next((e for e in root.iter() if local_name(e.tag) == "body"), root)
    element: Element | None = body
    while element is not None:
        kinds |= kinds_of(element)
        only = list(element)
        element = only[0] if len(only) == 1 and not (element.text or "").strip() else None
    if path == package.nav_path:
        kinds.add("toc")
    return next((_MATTER[kind] for kind in sorted(kinds) if kind in _MATTER), "")


def _matter_by_title(title: str) -> str:
    folded = " ".join(title.lower().strip(" .:*").split())
    return next((reason for pattern, reason in _MATTER_TITLES if pattern.fullmatch(folded)), "")


def _sections(found: Extracted, marks: Sequence[_Mark]) -> list[Section]:
    """Turn marks into sections that tile the text; a part's page joins its first chapter."""
    distinct: list[_Mark] = []
    for mark in marks:
        if distinct and distinct[-1].start == mark.start:
            if not distinct[-1].reason:
                distinct[-1] = replace(mark, title=_joined(distinct[-1].title, mark.title))
            continue
        distinct.append(mark)
    unit_starts = [unit.start for unit in found.units]
    merged: list[_Mark] = []
    for number, mark in enumerate(distinct):
        end = distinct[number + 1].start if number + 1 < len(distinct) else len(found.text)
        before = merged[-1] if merged else None
        if before is not None and before.depth < 0:
            mark.start, mark.title = before.start, _joined(before.title, mark.title)
            merged.pop()
        units = found.units[bisect_left(unit_starts, mark.start) : bisect_left(unit_starts, end)]
        spoken = [unit for unit in units if not unit.skip_reason]
        following = distinct[number + 1] if number + 1 < len(distinct) else None
        page = sum(unit.end - unit.start for unit in spoken) <= _MAX_PART_CHARS and all(
            unit.boundary is Boundary.HEADING for unit in spoken
        )
        deeper = following is not None and not following.reason and following.depth > mark.depth
        if not mark.reason and page and deeper:
            merged.append(replace(mark, depth=-1))
        elif not spoken and not mark.reason:
            reasons = [unit.skip_reason for unit in units]
            merged.append(replace(mark, reason=max(reasons, key=reasons.count) if reasons else "blank"))
        else:
            merged.append(mark)
    sections = []
    for number, mark in enumerate(merged):
        end = merged[number + 1].start if number + 1 < len(merged) else len(found.text)
        if end > mark.start:
            sections.append(Section(mark.start, end, mark.title, _heading_end(found, mark, end), mark.reason))
    return sections


def _joined(part: str, title: str) -> str:
    return ", ".join(filter(None, (part, title)))


def _heading_end(found: Extracted, mark: _Mark, end: int) -> int:
    """Return where a chapter's heading ends: headings at its very start, or a paragraph that is its title."""
    index = bisect_left([unit.start for unit in found.units], mark.start)
    heading_end, keys = mark.start, {title_key(part) for part in (mark.title, *mark.title.split(", ")) if part}
    for unit in found.units[index : index + _MAX_HEADING_UNITS]:
        is_title = title_key(found.text[unit.start : unit.end]) in keys
        if unit.end > end or unit.skip_reason or not (unit.boundary is Boundary.HEADING or is_title):
            break
        heading_end = unit.end
    return heading_end


def _chapters(found: Extracted, sections: Sequence[Section]) -> tuple[list[Chapter], list[SkippedSpan]]:
    chapters, skipped = [], []
    starts = [unit.start for unit in found.units]
    for section in sections:
        if section.skip_reason:
            skipped.append(SkippedSpan(section.start, section.end, section.skip_reason, section.title))
            continue
        first = bisect_right(starts, section.heading_end - 1) if section.heading_end else 0
        first = max(first, bisect_left(starts, section.start))
        units = tuple(
            replace(unit, start=unit.start - section.start, end=unit.end - section.start)
            for unit in found.units[first : bisect_left(starts, section.end)]
        )
        chapters.append(
            Chapter(
                index=len(chapters),
                title=section.title,
                text=found.text[section.start : section.end],
                source_start=section.start,
                heading_length=section.heading_end - section.start,
                units=units,
            )
        )
    return chapters, skipped
