"""The inside of an EPUB: its metadata, its spine, its table of contents and its landmarks.

EPUB 3's navigation document comes first, EPUB 2's NCX second. The documents themselves are not read here.
"""

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orpheus_batch.errors import InputError
from orpheus_batch.text.epub.archive import EpubArchive, local_name, resolve
from orpheus_batch.text.epub.tree import parse_document

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

logger = logging.getLogger(__name__)

CONTAINER = "META-INF/container.xml"
_XHTML_TYPES = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/xml"})
_MAX_CONTENTS_DEPTH = 32


@dataclass(frozen=True, slots=True)
class ContentsEntry:
    """One line of the table of contents."""

    title: str
    path: str
    """member that it points into; empty where it points nowhere"""
    fragment: str
    depth: int
    """0 for the outermost level"""


@dataclass(frozen=True, slots=True)
class SpineItem:
    """One document in reading order."""

    path: str
    linear: bool
    """false: not part of the reading order proper"""


@dataclass(slots=True)
class Package:
    """What the package document says."""

    title: str = ""
    author: str = ""
    language: str = ""
    cover_path: str = ""
    spine: list[SpineItem] = field(default_factory=list)
    contents: list[ContentsEntry] = field(default_factory=list)
    landmarks: dict[tuple[str, str], str] = field(default_factory=dict)
    """kind of matter, such as "copyright-page", by member and fragment"""
    nav_path: str = ""


@dataclass(frozen=True, slots=True)
class _Item:
    path: str
    media_type: str
    properties: frozenset[str]


def read_package(archive: EpubArchive) -> Package:
    """Read what the book says of itself.

    Raises:
        InputError: No package document, or no spine with anything in it.
    """
    path = _package_path(archive)
    root = archive.parse(path)
    items = _manifest(root, path)
    package = Package()
    _read_metadata(root, package)
    package.cover_path = _cover(root, items)
    spine = next((e for e in root.iter() if local_name(e.tag) == "spine"), None)
    for element in () if spine is None else spine:
        item = items.get(element.get("idref", ""))
        if item is None or item.media_type not in _XHTML_TYPES:
            continue
        if item.path not in archive:
            raise InputError(f"{archive.path}: the book lacks {item.path!r}, which it lists; get another copy")
        if all(item.path != known.path for known in package.spine):  # some list a document once a section
            package.spine.append(SpineItem(item.path, element.get("linear", "yes") != "no"))
    if not package.spine:
        raise InputError(f"{archive.path} is no EPUB that can be read: its reading order is empty")
    for element in root.iter():
        if local_name(element.tag) == "reference" and element.get("href") and element.get("type"):
            package.landmarks[resolve(path, element.get("href", ""))] = element.get("type", "").lower()
    nav = next((item for item in items.values() if "nav" in item.properties and item.path in archive), None)
    if nav is not None:
        package.nav_path = nav.path
        _read_nav(archive, nav.path, package)
    if not package.contents:
        ncx = items.get(spine.get("toc", "")) if spine is not None else None
        if ncx is None:
            kind = "application/x-dtbncx+xml"
            ncx = next((item for item in items.values() if item.media_type == kind), None)
        if ncx is not None and ncx.path in archive:
            _read_ncx(archive, ncx.path, package)
    return package


def text_of(element: "Element") -> str:
    """Return all text below an element, blanks folded."""
    return " ".join("".join(element.itertext()).split())


def _package_path(archive: EpubArchive) -> str:
    if CONTAINER not in archive:
        raise InputError(f"{archive.path} is no EPUB: it has no {CONTAINER}")
    for element in archive.parse(CONTAINER).iter():
        if local_name(element.tag) == "rootfile" and element.get("full-path"):
            return resolve("", element.get("full-path", ""))[0]
    raise InputError(f"{archive.path} is no EPUB: its {CONTAINER} names no package document")


def _manifest(root: "Element", package_path: str) -> dict[str, _Item]:
    items = {}
    for element in root.iter():
        if local_name(element.tag) == "item" and element.get("id") and element.get("href"):
            path = resolve(package_path, element.get("href", ""))[0]
            properties = frozenset((element.get("properties") or "").split())
            items[element.get("id", "")] = _Item(path, element.get("media-type", "").lower(), properties)
    return items


def _read_metadata(root: "Element", package: Package) -> None:
    metadata = next((e for e in root.iter() if local_name(e.tag) == "metadata"), root)
    refines: dict[str, dict[str, str]] = {}
    for element in metadata.iter():
        if local_name(element.tag) == "meta" and element.get("refines"):
            about = refines.setdefault(element.get("refines", "").removeprefix("#"), {})
            about[element.get("property", "")] = text_of(element)
    titles, creators = [], []
    for element in metadata.iter():
        about = refines.get(element.get("id", ""), {})
        name, value = local_name(element.tag), text_of(element)
        if not value:
            continue
        if name == "title":
            titles.append((about.get("title-type", "main") != "main", value))
        elif name == "creator":
            roles = [v for k, v in element.attrib.items() if local_name(k) == "role"] or [
                about.get("role", "aut")
            ]
            creators.append((roles[0], value))
        elif name == "language" and not package.language:
            package.language = re.split(r"[-_]", value)[0].lower()
    package.title = min(titles, key=lambda title: title[0])[1] if titles else ""
    authors = [name for role, name in creators if role == "aut"] or [name for _, name in creators]
    authors = [re.sub(r"\s*<[^<>]*@[^<>]*>$", "", name) for name in authors]  # with an address behind
    package.author = " and ".join(filter(None, [", ".join(authors[:-1]), *authors[-1:]]))


def _cover(root: "Element", items: dict[str, _Item]) -> str:
    for item in items.values():
        if "cover-image" in item.properties:
            return item.path
    for element in root.iter():
        if local_name(element.tag) == "meta" and element.get("name") == "cover":
            item = items.get(element.get("content", ""))
            return item.path if item is not None and item.media_type.startswith("image/") else ""
    return ""


def _read_nav(archive: EpubArchive, path: str, package: Package) -> None:
    """Take contents and landmarks from EPUB 3's navigation document."""
    root = parse_document(archive.read(path), f"{archive.path}: {path!r}")
    for element in root.iter():
        if local_name(element.tag) != "nav":
            continue
        kinds = next((v for k, v in element.attrib.items() if local_name(k) == "type"), "").split()
        entries: list[tuple[ContentsEntry, Element]] = []
        lists = [child for child in element if local_name(child.tag) == "ol"]
        for child in lists:
            _walk_nav(child, path, 0, entries)
        if "toc" in kinds and not package.contents:
            package.contents = [entry for entry, _ in entries]
        elif "landmarks" in kinds:
            for entry, link in entries:
                kind = next((v for k, v in link.attrib.items() if local_name(k) == "type"), "")
                if kind and entry.path:
                    package.landmarks[(entry.path, entry.fragment)] = kind.split()[0].lower()


def _walk_nav(items: "Element", path: str, depth: int, entries: "list[tuple[ContentsEntry, Element]]") -> None:
    if depth > _MAX_CONTENTS_DEPTH:
        return
    for item in items:
        for child in item:
            name = local_name(child.tag)
            if name in ("a", "span"):
                target = resolve(path, child.get("href", "")) if child.get("href") else ("", "")
                entries.append((ContentsEntry(text_of(child), *target, depth), child))
            elif name == "ol":
                _walk_nav(child, path, depth + 1, entries)


def _read_ncx(archive: EpubArchive, path: str, package: Package) -> None:
    """Take the contents from EPUB 2's NCX."""
    try:
        root = archive.parse(path)
    except InputError as error:
        if "entities" in str(error):
            raise
        logger.warning("%s; chapters are found by headings", error)
        return
    nav_map = next((e for e in root.iter() if local_name(e.tag) == "navMap"), None)
    if nav_map is not None:
        _walk_ncx(nav_map, path, 0, package.contents)


def _walk_ncx(parent: "Element", path: str, depth: int, entries: list[ContentsEntry]) -> None:
    if depth > _MAX_CONTENTS_DEPTH:
        return
    for point in parent:
        if local_name(point.tag) != "navPoint":
            continue
        label = next((text_of(child) for child in point if local_name(child.tag) == "navLabel"), "")
        content = next((child for child in point if local_name(child.tag) == "content"), None)
        source = content.get("src", "") if content is not None else ""
        entries.append(ContentsEntry(label, *(resolve(path, source) if source else ("", "")), depth))
        _walk_ncx(point, path, depth + 1, entries)
