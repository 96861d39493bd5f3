"""Word documents, as the HTML that `mammoth` (BSD-2-Clause, an optional extra) makes of them.

`mammoth` parses XML as it comes, so every XML part is parsed by `defusedxml` first; the zip is read with the care of an
EPUB's. Comments, deleted text, headers and pictures' data are not read.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from orpheus_batch.errors import InputError
from orpheus_batch.text.epub.archive import EpubArchive, local_name
from orpheus_batch.text.epub.package import Package, SpineItem, text_of
from orpheus_batch.text.epub.tree import check_depth, parse_html

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_STYLES = """
p[style-name='Title'] => p.title:fresh
p[style-name='Subtitle'] => p.subtitle:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
p[style-name='HTML Preformatted'] => pre.code:separator('\\n')
br[type='page'] => hr.page-break
"""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""how an old .doc begins, and a document with a password"""


def read_docx(path: Path, data: bytes) -> "tuple[Package, Element]":
    """Return what a Word document says of itself, and its text as an element tree.

    Args:
        path: The file.
        data: Its bytes.

    Raises:
        InputError: It is no such file, locked or hostile; or `mammoth` is not installed.
    """
    if data.startswith(_OLE):
        raise InputError(
            f"{path} is a document with a password, or of Word before 2007; open it and save it as .docx without one"
        )
    with EpubArchive(path, what="Word document") as archive:
        if "word/document.xml" not in archive:
            raise InputError(f"{path} is no Word document: it has no word/document.xml")
        parts = {
            name: archive.parse(name)
            for name in archive.names()
            if name.endswith((".xml", ".rels")) and not name.startswith("customXml/")
        }
    root = parse_html(f"<html><body>{_to_html(path)}</body></html>")
    check_depth(root, str(path))
    return _package(path, parts), root


def _to_html(path: Path) -> str:
    try:
        import mammoth
    except ImportError as error:
        raise InputError(
            f"{path}: Word documents need the package mammoth: pip install 'orpheus-batch[docx]', or save it as EPUB "
            "or HTML"
        ) from error
    no_picture = mammoth.images.img_element(lambda image: {"src": ""})
    try:
        with path.open("rb") as file:
            html = mammoth.convert_to_html(file, style_map=_STYLES, convert_image=no_picture).value
    except Exception as error:  # of any kind: it has none of its own for a document that is not as it should be
        raise InputError(
            f"{path} can't be read as a Word document: {error}; save it again, or as EPUB"
        ) from error
    return re.sub(r'<hr class="page-break"\s*/?>', "", html)


def _package(path: Path, parts: "dict[str, Element]") -> Package:
    core = parts.get("docProps/core.xml")
    fields = {} if core is None else {local_name(e.tag): text_of(e) for e in core}
    languages = (
        value
        for name in ("word/styles.xml", "word/settings.xml")
        for element in (parts[name].iter() if name in parts else ())
        if local_name(element.tag) in ("lang", "themeFontLang")
        for key, value in element.attrib.items()
        if local_name(key) == "val"
    )
    language = fields.get("language") or next(languages, "")
    return Package(
        title=fields.get("title", ""),
        author=fields.get("creator", ""),
        language=re.split(r"[-_]", language)[0].lower(),
        spine=[SpineItem(path.name, True)],
    )
