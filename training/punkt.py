"""Learns the sentence splitter's Punkt parameters from a folder of public-domain books.

    python training/punkt.py BOOKS -o orpheus_batch/text/data/english.json

Each ``.txt`` is read as the package reads it (headers and tables of contents left out). Abbreviations,
collocations and sentence starters come from all books together; the orthographic context keeps only words
frequent enough to matter, so that the file stays small. The curated abbreviations are in
`orpheus_batch.text.abbreviations`; this file holds what was learned and nothing else.
"""

import json
from collections import Counter
from pathlib import Path

import click

from orpheus_batch.errors import InputError
from orpheus_batch.text.punkt import is_plausible_abbreviation, plain_words
from orpheus_batch.text.reader import read_book

FORMAT = 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--min-count", default=12, show_default=True, help="Rarer words carry no orthographic context.")
def main(folder: Path, output: Path, min_count: int) -> None:
    """Train on every .txt in FOLDER and write the parameters."""
    from nltk.tokenize.punkt import PunktTrainer

    trainer = PunktTrainer()
    words: Counter[str] = Counter()
    num_chars = 0
    for file in sorted(folder.glob("*.txt")):
        try:
            book = read_book(file)
        except InputError as error:
            click.echo(f"left out: {error}", err=True)
            continue
        text = plain_words("\n\n".join(chapter.text for chapter in book.chapters))
        trainer.train(text, finalize=False)
        words.update(word.strip(".,;:!?\"'()[]-").lower() for word in text.split())
        num_chars += len(text)
        click.echo(f"{file.name}: {len(text):,} characters", err=True)
    trainer.finalize_training()
    found = trainer.get_params()
    parameters = {
        "format": FORMAT,
        "trained_on_characters": num_chars,
        "abbreviations": sorted(word for word in found.abbrev_types if is_plausible_abbreviation(word)),
        "collocations": sorted(list(pair) for pair in found.collocations),
        "sentence_starters": sorted(found.sent_starters),
        "orthographic_context": {
            word: flags for word, flags in sorted(found.ortho_context.items()) if words[word] >= min_count
        },
    }
    content = json.dumps(parameters, ensure_ascii=False, separators=(",", ":"))
    output.write_text(content.replace('],"', '],\n"').replace('},"', '},\n"') + "\n", encoding="utf-8")
    click.echo(f"{output}: {output.stat().st_size:,} bytes, {len(parameters['abbreviations'])} abbreviations")


if __name__ == "__main__":
    main()
