"""Writes what the built-in voice learns to say: the segments of a folder of books.

    python training/segments.py BOOKS -o segments.jsonl --exclude alice --exclude carmilla

One JSON line a segment, cut as the package cuts it: ``id`` (sha256 of the text, 16 digits), ``book`` (the
file's stem) and ``text`` (as it is spoken: only characters of the alphabet). Equal texts appear once, under
the first book that has them; a text that an excluded book has too is left out, so that held-out books stay
unheard. Headings and short segments are in.
"""

import hashlib
import json
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
    plans = plan_book(read_book(file), pack=pack, voice="text", model_fingerprint="", pauses=PauseConfig())
    return [segment.text for plan in plans for segment in plan.segments]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--min-chars", default=40, show_default=True)
@click.option("--max-chars", default=200, show_default=True)
@click.option("--exclude", multiple=True, help="A held-out book: part of its file name. May be given again.")
def main(folder: Path, output: Path, min_chars: int, max_chars: int, exclude: tuple[str, ...]) -> None:
    """Write the segments of every .txt in FOLDER."""
    pack = make_text_pack(BUILTIN_ALPHABET, min_chars=min_chars, max_chars=max_chars)
    books: dict[str, list[str]] = {}
    held_out: set[str] = set()
    for file in sorted(folder.glob("*.txt")):
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
    seen = set(held_out)
    num_chars = 0
    with output.open("w", encoding="utf-8") as out:
        for book, texts in books.items():
            count = 0
            for text in texts:
                if text in seen:
                    continue
                seen.add(text)
                count += 1
                num_chars += len(text)
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                out.write(json.dumps({"id": digest, "book": book, "text": text}) + "\n")
            click.echo(f"{book}: {count:,} of {len(texts):,} segments", err=True)
    click.echo(f"{output}: {len(seen) - len(held_out):,} segments, {num_chars:,} characters")


if __name__ == "__main__":
    main()
