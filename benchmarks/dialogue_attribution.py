"""How often is a quotation given to whoever speaks it?

100 quotations of The Adventures of Sherlock Holmes were drawn by a fixed seed from all 2,336 that a plain search for
curly marks finds, and labelled by reading, before the rules had seen the book; 50 more, with another seed, when the
rules had been changed after that (``benchmarks/dialogue``). A quotation is *attributed* if a rule names its speaker,
*right* if that is who speaks. The book is Project Gutenberg's 1661, as in the source distribution of `sentencex` 1.0.9
on PyPI (``1661-0.txt``).

    python benchmarks/dialogue_attribution.py 1661-0.txt
    python benchmarks/dialogue_attribution.py 1661-0.txt --draw       # the samples again, without labels

The last line is JSON.
"""

import csv
import hashlib
import json
import random
import re
from collections import Counter
from pathlib import Path

import click
from about import about

from orpheus_batch.config import load_config
from orpheus_batch.pipeline.books import load_book
from orpheus_batch.pipeline.casting import Casting
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.text.dialogue.cast import load_cast
from orpheus_batch.text.dialogue.mentions import Mention
from orpheus_batch.text.dialogue.roster import Roster
from orpheus_batch.text.split import SentenceSplitter

DATA = Path(__file__).parent / "dialogue"
BOOK_SHA256 = "b9c105a5c0cf9fcb37c7d0211658851ed56074519c9455d15e20f04c0c5a3174"
SEEDS = {1: (8, 100), 2: (9, 50)}
"""of each sample, and how many quotations"""


def plain_quotations(text: str) -> list[tuple[int, int]]:
    """Find outer quotations by their curly marks alone, those that go on from the paragraph before left out."""
    found: list[tuple[int, int]] = []
    is_open = False
    for paragraph in re.finditer(r"(?:[^\n]+\n?)+", text):
        body, start, continues = paragraph.group(), None, False
        for number, mark in enumerate(re.finditer("[“”]", body)):
            if mark.group() == "“" and start is None:
                continues = is_open and number == 0 and not body[: mark.start()].strip(" _")
                start = mark.start()
            elif mark.group() == "”" and start is not None:
                if not continues:
                    found.append((paragraph.start() + start, paragraph.start() + mark.end()))
                start = None
        if start is not None and not continues:
            found.append((paragraph.start() + start, paragraph.end()))
        is_open = start is not None
    return found


def draw(text: str) -> dict[int, list[int]]:
    """Draw both samples from the story, the licence behind it left out; the second holds nothing of the first."""
    end = text.index("*** END OF THE PROJECT GUTENBERG")
    units = plain_quotations(text)
    drawn: dict[int, list[int]] = {}
    for sample, (seed, num) in SEEDS.items():
        taken = {start for starts in drawn.values() for start in starts}
        order = random.Random(seed).sample([start for start, _ in units], num + 10)
        drawn[sample] = [start for start in order if start < end and start not in taken][:num]
    return drawn


def score(book_file: Path, cast_file: Path | None) -> list[dict[str, str]]:
    """Attribute the book, and return the samples' labels beside what was said.

    Args:
        book_file: The book.
        cast_file: The cast; None: names as the book has them, taken for whomever of the cast they fit.
    """
    values = {"model.pack": "orpheus-3b", "text.cast": str(cast_file) if cast_file else None}
    config = load_config(None, values)
    pack = pack_of(config)
    book = load_book(book_file, config)
    splitter = SentenceSplitter.for_book(book)
    casting = Casting(pack, config)
    casting.read(book, [splitter.split_chapter(chapter) for chapter in book.chapters])
    by_start = {line.turn.start: line.turn for line in casting.lines if line.turn.is_quoted}
    people = Roster(load_cast(DATA / "sherlock_holmes_cast.yaml", pack).roster)
    rows = []
    with (DATA / "sherlock_holmes.csv").open(encoding="utf-8", newline="") as file:
        for gold in csv.DictReader(file):
            turn = by_start.get(int(gold["offset"]))
            named = turn.speaker.name if turn and turn.speaker else ""
            if named and cast_file is None:
                found = people.resolve(Mention(named, "pronoun" if named == "I" else "name"))
                named = found.name if found else named
            rows.append(gold | {"named": named, "how": turn.how if turn else "not found"})
    return rows


def figures(rows: list[dict[str, str]]) -> dict[str, float]:
    """Count a sample."""
    attributed = [row for row in rows if row["named"]]
    right = sum(row["named"] == row["speaker"] for row in attributed)
    share = {"attributed": len(attributed) / len(rows), "precision": right / len(attributed)}
    return {"num_quotations": len(rows), "right": right} | {
        name: round(value, 3) for name, value in share.items()
    }


@click.command()
@click.argument("book", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--draw", "only_draw", is_flag=True, help="Print the samples and stop.")
def main(book: Path, only_draw: bool) -> None:
    """Score the samples with a cast and without."""
    content = book.read_bytes()
    if hashlib.sha256(content).hexdigest() != BOOK_SHA256:
        raise click.ClickException(
            f"{book} is not the book that was labelled: take 1661-0.txt of sentencex 1.0.9"
        )
    if only_draw:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        for sample, starts in draw(text).items():
            for start in sorted(starts):
                click.echo(f"{sample}\t{start}\t{' '.join(text[start : start + 200].split())[:50]}")
        return
    result: dict[str, dict[str, float]] = {}
    for name, cast in (("with a cast", DATA / "sherlock_holmes_cast.yaml"), ("without", None)):
        rows = score(book, cast)
        for sample in SEEDS:
            result[f"{name}, sample {sample}"] = figures([row for row in rows if row["sample"] == str(sample)])
            click.echo(f"{name}, sample {sample}: {result[f'{name}, sample {sample}']}")
        by_rule = Counter(
            (row["how"].split(":")[0], row["named"] == row["speaker"]) for row in rows if row["named"]
        )
        for (rule, is_right), count in sorted(by_rule.items()):
            click.echo(f"  {'right' if is_right else 'wrong'}  {count:3}  {rule}")
        for row in rows:
            if row["named"] and row["named"] != row["speaker"]:
                click.echo(f"  wrong: {row['begins']} is {row['speaker']}, not {row['named']} ({row['how']})")
    click.echo(json.dumps(about() | result))


if __name__ == "__main__":
    main()
