"""`orpheus-batch words`: what to listen to before a book is rendered."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options

if TYPE_CHECKING:
    from orpheus_batch.pipeline.words import BookWords

KINDS = ("name", "foreign", "rare", "letters")


@click.command(short_help="List the words of a book that are likeliest to be spoken wrong.")
@options.books_argument
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    help="Only these: names, spelt unlike English, rare, letters in a row such as HMS. Repeatable.",
)
@click.option(
    "--min-count", type=click.IntRange(min=1), default=1, show_default=True, help="Leave out rarer ones."
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="Words to show; 0 for all."
)
@click.option(
    "--sort",
    type=click.Choice(["count", "odd", "place"]),
    default="count",
    show_default=True,
    help="The most frequent first; or the least English in spelling; or as the book goes.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all of them as a CSV: fill in its column “say” and give it as --lexicon.",
)
@options.text_options
@options.model_options
@options.json_option
@options.verbosity_options
def words(
    books: tuple[Path, ...],
    kinds: tuple[str, ...],
    min_count: int,
    limit: int,
    sort: str,
    out: Path | None,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """List the words of a book that are likeliest to be spoken wrong, with how often they come and where.

    Those that a list of 91,000 English words and names does not have, and that are not of its words plainly made;
    numbers, abbreviations and what a --lexicon respells are settled already. Listen to them, then write a lexicon.

    \b
      orpheus-batch words book.epub
      orpheus-batch words book.epub -o names.csv       fill in the column “say” ...
      orpheus-batch render book.epub -o out --lexicon names.csv
    """
    from orpheus_batch.pipeline.words import find_doubtful_words
    from orpheus_batch.text.doubtful import write_sheet

    config = options.make_config(config_file, flags)
    found = list(find_doubtful_words(books, config, kinds=kinds or KINDS, min_count=min_count, order=sort))
    if out is not None:
        write_sheet(out, (word for book in found for word in book.words))
    if as_json:
        click.echo(json.dumps({"books": [book.to_dict() for book in found]}, ensure_ascii=False, indent=1))
    else:
        for book in found:
            _show(book, limit)
        if out is not None and not quiet:
            click.echo(
                f"{out}: fill in the column “say”, then: orpheus-batch render BOOK -o OUT --lexicon {out}"
            )
    if any(book.error for book in found):
        raise click.exceptions.Exit(1)


def _show(book: "BookWords", limit: int) -> None:
    if book.error:
        click.echo(f"Error: {book.error}", err=True)
        return
    click.echo(f"{book.title}: {len(book.words):,} doubtful words among {book.num_words:,}")
    for note in book.notes:
        click.echo(f"  note: {note}")
    shown = book.words[: limit or None]
    width = max((len(word.word) for word in shown), default=0)
    for word in shown:
        click.echo(
            f"  {word.count:5,}  {word.word:{width}}  {word.kind:7}  {word.chapter:>3} [{word.start}]  {word.context}"
        )
    if len(shown) < len(book.words):
        click.echo(f"  and {len(book.words) - len(shown):,} more: --limit 0 shows all, -o FILE writes them")
