"""Sources of a corpus, and what a night made of them."""

import hashlib
import json
import tarfile
from pathlib import Path

import pyarrow.parquet
from line_helpers import Line

from orpheus_batch.corpus.corpus import CorpusReport, make_corpus
from orpheus_batch.corpus.nights import Night

ADJECTIVES = ("red", "old", "low", "wet", "new", "sad", "odd")
NOUNS = ("door", "lamp", "road", "bird", "hill")


def sentences(num: int) -> list[str]:
    """Return different sentences of 30 to 50 characters."""
    return [
        f"The {ADJECTIVES[i % 7]} {NOUNS[i % 5]} was number {i} of them all{', they said' * (i % 2)}."
        for i in range(num)
    ]


def write_table(line: Line, num: int = 30, name: str = "texts.jsonl") -> str:
    """Write a table of sentences and return its path."""
    file = line.folder / name
    rows = [json.dumps({"id": f"s{i}", "text": text}) for i, text in enumerate(sentences(num))]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(file)


def corpus(line: Line, *patterns: str, night: Night | None = None, **overrides) -> CorpusReport:
    """Make a corpus on the fakes, in shards of eight."""
    options = {"corpus__shard_items": 8, "corpus__validation_share": 0.2, "corpus__test_share": 0.1} | overrides
    part = options.pop("part", None)
    config = line.config(**options)
    return make_corpus(patterns, line.out, config, night=night, part=part, factories=line.factories)


def shards(out: Path) -> dict[str, bytes]:
    """Return what was sealed: tars, manifests and audio files, by their paths."""
    found = {}
    for folder in ("shards", "manifest", "audio"):
        for path in sorted((out / folder).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(out))] = path.read_bytes()
    return found


def audio_by_id(out: Path) -> dict[str, str]:
    """Return a hash of every item's audio."""
    found = {}
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".flac"):
                    key = member.name.removesuffix(".flac")
                    assert key not in found, f"{key} was sealed twice"
                    found[key] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()
    return found


def manifest(out: Path) -> list[dict]:
    """Return all rows of the Parquet manifest."""
    return [
        row
        for path in sorted((out / "manifest").glob("*.parquet"))
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]
