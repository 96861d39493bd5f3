"""Writes what the built-in voice learns to say: the segments of a folder of books.

    python training/segments.py BOOKS -o segments.jsonl --exclude alice --exclude carmilla

One JSON line a segment, cut as the package cuts it: ``id`` (sha256 of the text, 16 digits), ``book`` (the
file's stem) and ``text`` (as it is spoken: only characters of the alphabet). Equal texts appear once, under
the first book that has them; a text that an excluded book has too is left out, so that held-out books stay
unheard. Headings and short segments are in.

``words.txt``, one word a line, is not a book: ``--word-lists`` makes lists of it ("Abbey, brook, cider, and dew."), so
that each word of the language is heard at least once. Lines are shuffled: any part of the file is a fair sample.
"""

import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import click

from orpheus_batch.config import PauseConfig
from orpheus_batch.errors import InputError
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import plan_book
from orpheus_batch.voices import ModelPack


def book_segments(file: Path, pack: ModelPack) -> list[str]:
    """Return the spoken texts of a book, in order.

    Raises:
        InputError: The file can't be read as a book.
    """
    plans = plan_book(
        read_book(file), pack=pack, voice=pack.default_voice, model_fingerprint="", pauses=PauseConfig()
    )
    return [segment.text for plan in plans for segment in plan.segments]


def lists_of(words: list[str], rng: random.Random) -> Iterator[str]:
    """Yield every plain word and name once, three to five in a list."""
    known = set(words)
    plain = [w for w in words if re.fullmatch(r"[a-z]{2,}", w)]
    names = [w for w in words if re.fullmatch(r"[A-Z][a-z]+", w) and w.lower() not in known]
    rng.shuffle(plain)
    rng.shuffle(names)
    for group in (plain, names):
        first = 0
        while first < len(group):
            some = group[first : first + rng.choice((3, 4, 5))]
            first += len(some)
            text = ", ".join(some[:-1]) + f", and {some[-1]}." if len(some) > 1 else f"{some[0]}."
            yield text[0].upper() + text[1:]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--min-chars", default=40, show_default=True)
@click.option("--max-chars", default=200, show_default=True)
@click.option("--exclude", multiple=True, help="A held-out book: part of its file name. May be given again.")
@click.option(
    "--at-most",
    type=(str, int),
    multiple=True,
    metavar="BOOK N",
    help="So many segments of a book, drawn at random; 0 leaves it out. May be given again.",
)
@click.option("--word-lists", is_flag=True, help="Lists of the words in words.txt too.")
def main(
    folder: Path,
    output: Path,
    min_chars: int,
    max_chars: int,
    exclude: tuple[str, ...],
    at_most: tuple[tuple[str, int], ...],
    word_lists: bool,
) -> None:
    """Write the segments of every .txt in FOLDER."""
    rng = random.Random(1)
    pack = make_text_pack(BUILTIN_ALPHABET, min_chars=min_chars, max_chars=max_chars)
    books: dict[str, list[str]] = {}
    held_out: set[str] = set()
    for file in sorted(folder.glob("*.txt")):
        if file.stem == "words":
            continue
        try:
            texts = book_segments(file, pack)
        except InputError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        if any(name.lower() in file.stem.lower() for name in exclude):
            held_out |= set(texts)
            click.echo(f"{file.stem}: held out", err=True)
        else:
            books[file.stem] = texts
    most = dict(at_most)
    if unknown := set(most) - set(books):
        raise click.UsageError(f"--at-most names no book of {folder}: {', '.join(sorted(unknown))}")
    if word_lists:
        words = (folder / "words.txt").read_text(encoding="utf-8").split()
        books["words"] = list(lists_of(words, rng))
    seen = set(held_out)
    rows = []
    for book, texts in books.items():
        fresh = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(fresh)
        if len(fresh) > most.get(book, len(fresh)):
            fresh = rng.sample(fresh, most[book])
        rows += [(book, text) for text in fresh]
        click.echo(f"{book}: {len(fresh):,} of {len(texts):,} segments", err=True)
    rng.shuffle(rows)
    with output.open("w", encoding="utf-8") as out:
        for book, text in rows:
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            out.write(json.dumps({"id": digest, "book": book, "text": text}) + "\n")
    click.echo(f"{output}: {len(rows):,} segments, {sum(len(text) for _, text in rows):,} characters")


if __name__ == "__main__":
    main()
