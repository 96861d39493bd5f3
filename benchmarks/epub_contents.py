"""Chapters of a real EPUB beside the book's own table of contents, and footnotes that got into what is spoken.

The book comes from the npm package epub.js 0.2.15 (its demo, Moby-Dick as made by the IDPF), fetched with `npm pack`
unless a file is given. The table of contents is read here by a few lines of regular expressions that share nothing
with the reader.

    python benchmarks/epub_contents.py [BOOK.epub ...]
"""

import html
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from orpheus_batch.config import PauseConfig
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.normalize import normalize
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import plan_book

PACKAGE = "epub.js@0.2.15"
BOOK = "package/reader/moby-dick.epub"
LEFT_OUT = re.compile(
    r"cover|title ?page|moby-dick|copyright.*|contents|index|original transcriber.*|notes", re.I
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        books = [Path(name) for name in sys.argv[1:]] or [fetch(Path(folder))]
        for book in books:
            print(json.dumps(compare(book), ensure_ascii=False))


def fetch(folder: Path) -> Path:
    subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        (folder / "book.epub").write_bytes(archive.extractfile(BOOK).read())
    return folder / "book.epub"


def compare(path: Path) -> dict:
    own = own_contents(path)
    wanted = [title for title in own if not LEFT_OUT.fullmatch(title)]
    book = read_book(path)
    titles = [chapter.title for chapter in book.chapters]
    left_out = [span.reason for span in book.skipped]
    book = read_book(path, include=["*"])  # whatever holds footnotes
    pack = make_text_pack(BUILTIN_ALPHABET)
    plans = plan_book(book, pack=pack, voice="text", model_fingerprint="f", pauses=PauseConfig())
    spoken = " ".join(segment.text for plan in plans for segment in plan.segments)
    notes = [
        " ".join(plan_text.split())
        for plan in plans
        for span in plan.skipped
        if span.reason == "footnote"
        for plan_text in [_text(book, plan.chapter_index, span)]
    ]
    heard = [note for note in notes if normalize(note, alphabet=BUILTIN_ALPHABET, tags=())[:60] in spoken]
    return {
        "book": path.name,
        "contents": len(own),
        "wanted": len(wanted),
        "chapters": len(titles),
        "equal": wanted == titles,
        "differ": [pair for pair in zip(wanted, titles, strict=False) if pair[0] != pair[1]][:5],
        "footnotes": len(notes),
        "footnotes_heard": len(heard),
        "left_out": left_out,
    }


def own_contents(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}
    for text in texts.values():
        if found := re.search(r'<nav[^>]*type="toc".*?</nav>', text, re.S):
            return [plain(title) for title in re.findall(r"<a\b[^>]*>(.*?)</a>", found[0], re.S)]
    for name, text in texts.items():
        if name.endswith(".ncx"):
            points = re.findall(r"<navPoint.*?<text>(.*?)</text>", text, re.S)
            return [plain(title) for title in points]
    return []


def plain(title: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", title)).split())


def _text(book, chapter_index: int, span) -> str:
    chapter = book.chapters[chapter_index]
    return chapter.text[span.start - chapter.source_start : span.end - chapter.source_start]


if __name__ == "__main__":
    main()
