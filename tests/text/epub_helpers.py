"""Small EPUBs, made in memory: whatever a test wants to be right or wrong with them."""

import zipfile
from pathlib import Path

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XHTML = (
    '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" '
    'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>x</title></head><body{attributes}>{body}</body></html>'
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
LONG = "The road went on over the hill and down again to the sea, and nobody had walked on it that year. " * 3


def page(body: str, attributes: str = "") -> str:
    """Return an XHTML document."""
    return XHTML.format(body=body, attributes=f" {attributes}" if attributes else "")


def nav(entries: str) -> str:
    """Return a navigation document around the items of its list."""
    return page(f'<nav epub:type="toc"><h1>Contents</h1><ol>{entries}</ol></nav>')


def entry(href: str, title: str, inner: str = "") -> str:
    """Return one line of a navigation document."""
    return f'<li><a href="{href}">{title}</a>{f"<ol>{inner}</ol>" if inner else ""}</li>'


def write_epub(
    file: Path,
    pages: dict[str, str],
    *,
    contents: str | None = None,
    ncx: str | None = None,
    metadata: str = "<dc:title>The Road</dc:title><dc:creator>Ann Author</dc:creator><dc:language>en-GB</dc:language>",
    guide: str = "",
    extra: dict[str, str | bytes] | None = None,
    not_linear: tuple[str, ...] = (),
) -> Path:
    """Write an EPUB whose reading order is that of ``pages``."""
    items = [
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(pages)
    ]
    if contents is not None:
        items.append('<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>')
    if ncx is not None:
        items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
    items.append('<item id="art" href="cover.png" media-type="image/png" properties="cover-image"/>')
    linear = {name: ' linear="no"' if name in not_linear else "" for name in pages}
    refs = "".join(f'<itemref idref="i{n}"{linear[name]}/>' for n, name in enumerate(pages))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">'
        f"<metadata>{metadata}</metadata><manifest>{''.join(items)}</manifest>"
        f"<spine{' toc=' + chr(34) + 'ncx' + chr(34) if ncx is not None else ''}>{refs}</spine>"
        f"<guide>{guide}</guide></package>"
    )
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": package,
        "OPS/cover.png": PNG,
        **{f"OPS/{name}": text for name, text in pages.items()},
        **({"OPS/nav.xhtml": contents} if contents is not None else {}),
        **({"OPS/toc.ncx": ncx} if ncx is not None else {}),
        **(extra or {}),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file


def spoken(book, lexicon=None) -> str:
    """Return all that would be said of a book, a segment a line; the plan's spans are proved on the way."""
    from orpheus_batch.config import PauseConfig
    from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
    from orpheus_batch.text.segment import plan_book

    pack = make_text_pack(BUILTIN_ALPHABET, min_chars=1)
    plans = plan_book(
        book, pack=pack, voice="text", model_fingerprint="f", pauses=PauseConfig(), lexicon=lexicon
    )
    return "\n".join(segment.text for plan in plans for segment in plan.segments)
