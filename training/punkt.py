"""Learns the sentence splitter's Punkt parameters from a folder of public-domain books.

    python training/punkt.py BOOKS -o orpheus_batch/text/data/english.json --exclude shakespeare --exclude bible

Each ``.txt`` is read as the package reads it (headers and tables of contents left out) and learned from by
itself. Abbreviations, collocations and sentence starters that only one book has are its own names and
spellings, and are left to that book (`orpheus_batch.text.punkt` learns from it again); those of two books or
more are kept. The orthographic context keeps words frequent enough to matter, so that the file stays small.
The curated abbreviations are in `orpheus_batch.text.abbreviations`; this file holds what was learned and
nothing else.
"""

import json
from collections import Counter
from pathlib import Path

import click

from orpheus_batch.errors import InputError
from orpheus_batch.text.punkt import learn
from orpheus_batch.text.reader import read_book

FORMAT = 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--min-count", default=15, show_default=True, help="Rarer words carry no orthographic context.")
@click.option("--min-books", default=2, show_default=True, help="What fewer books have is theirs alone.")
@click.option(
    "--exclude", multiple=True, help="Verse, plays, word lists: part of a file's name. May be repeated."
)
def main(folder: Path, output: Path, min_count: int, min_books: int, exclude: tuple[str, ...]) -> None:
    """Train on every .txt in FOLDER and write the parameters."""
    from nltk.tokenize.punkt import PunktParameters

    counts: dict[str, Counter] = {
        "abbrev_types": Counter(),
        "collocations": Counter(),
        "sent_starters": Counter(),
    }
    words: Counter[str] = Counter()
    orthography = PunktParameters()
    num_chars = 0
    for file in sorted(folder.glob("*.txt")):
        if any(name in file.stem for name in exclude):
            continue
        try:
            book = read_book(file)
        except InputError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        text = "\n\n".join(chapter.text for chapter in book.chapters)
        found = learn(text)
        for kind, counter in counts.items():
            counter.update(getattr(found, kind))
        for word, flags in found.ortho_context.items():
            orthography.add_ortho_context(word, flags)
        words.update(word.strip(".,;:!?\"'()[]-").lower() for word in text.split())
        num_chars += len(text)
        click.echo(f"{file.name}: {len(text):,} characters, {len(found.abbrev_types)} abbreviations", err=True)
    kept = {
        kind: sorted(t for t, books in counter.items() if books >= min_books)
        for kind, counter in counts.items()
    }
    parameters = {
        "format": FORMAT,
        "trained_on_characters": num_chars,
        "abbreviations": kept["abbrev_types"],
        "collocations": [list(pair) for pair in kept["collocations"]],
        "sentence_starters": kept["sent_starters"],
        "orthographic_context": {
            word: flags for word, flags in sorted(orthography.ortho_context.items()) if words[word] >= min_count
        },
    }
    content = json.dumps(parameters, ensure_ascii=False, separators=(",", ":"))
    output.write_text(content.replace('],"', '],\n"').replace('},"', '},\n"') + "\n", encoding="utf-8")
    click.echo(f"{output}: {output.stat().st_size:,} bytes, {len(parameters['abbreviations'])} abbreviations")


if __name__ == "__main__":
    main()
