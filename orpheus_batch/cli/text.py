"""`orpheus-batch text`: a book before and after, and why."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options

if TYPE_CHECKING:
    from orpheus_batch.pipeline.readings import BookReadings, ChapterReadings

SHOWN_CHARS = 100
"""of what is left out"""
SHOWN_UNMET = 10


@click.command(short_help="Show what would be said for a book's words, and why.")
@options.books_argument
@click.option(
    "--chapter",
    "chapters",
    multiple=True,
    metavar="CHAPTER",
    help="Only this one, by number, range or title as `plan` shows them: 3, 10-12, 'The Sea*'. Repeatable.",
)
@click.option(
    "--show",
    type=click.Choice(["words", "changes", "all"]),
    default="words",
    show_default=True,
    help="Sentences whose words are changed; or punctuation too; or every sentence.",
)
@options.text_options
@options.cast_option
@options.script_option
@options.model_options
@options.json_option
@options.verbosity_options
def text(
    books: tuple[Path, ...],
    chapters: tuple[str, ...],
    show: str,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Show what would be said for a book's words, and why: before, after, the rule, and where it stands.

    No model is loaded and nothing is written. What is not read is listed with its reason. Numbers in brackets are
    offsets of characters in the book's text.

    \b
      orpheus-batch text book.epub
      orpheus-batch text book.txt --chapter 3 --show all
      orpheus-batch text book.txt --lexicon names.yaml --json
    """
    from orpheus_batch.pipeline.readings import read_books

    failed = False
    listed = []
    for book in read_books(books, options.make_config(config_file, flags), chapters=chapters):
        failed |= bool(book.error)
        if as_json:
            listed.append(book.to_dict(show))
        elif book.error:
            click.echo(f"Error: {book.error}", err=True)
        else:
            _show(book, show, quiet=quiet)
    if as_json:
        click.echo(json.dumps({"books": listed}, ensure_ascii=False, indent=1))
    if failed:
        raise click.exceptions.Exit(1)


def _show(book: "BookReadings", show: str, *, quiet: bool) -> None:
    click.echo(book.title)
    for note in book.notes:
        click.echo(f"  note: {note}")
    for span in book.skipped:
        title = f" “{span.title}”" if span.title else ""
        click.echo(f"  left out [{span.start}:{span.end}]: {span.reason}{title}")
    for chapter in book.chapters:
        _show_chapter(chapter, show, book.voice)
    if not quiet:
        rules = ", ".join(f"{rule} ({count:,})" for rule, count in book.rules.most_common())
        click.echo(f"rules: {rules or 'none changed anything'}")
    if book.unmet:
        more = f" and {len(book.unmet) - SHOWN_UNMET:,} more" if len(book.unmet) > SHOWN_UNMET else ""
        click.echo(
            f"entries of the lexicon that the book never meets: {', '.join(book.unmet[:SHOWN_UNMET])}{more}"
        )


def _show_chapter(chapter: "ChapterReadings", show: str, narrator: str) -> None:
    from orpheus_batch.pipeline.readings import is_shown
    from orpheus_batch.text.readings import is_of_words

    spoken = [reading for reading in chapter.readings if not reading.skip_reason]
    changed = sum(reading.changes_words for reading in spoken)
    click.echo(
        f"\n{chapter.number}  {chapter.title or 'Chapter ' + str(chapter.number)}: "
        f"words changed in {changed:,} of {len(spoken):,} sentences"
    )
    for reading in chapter.readings:
        if not is_shown(reading, show):
            continue
        place = f"[{reading.start}:{reading.end}]"
        if reading.skip_reason:
            words = " ".join(reading.written.split())
            words = words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}…"
            click.echo(f"  {place} left out: {reading.skip_reason}{f' “{words}”' if words else ''}")
            continue
        voice = f" ({reading.voice})" if reading.voice != narrator else ""
        click.echo(f"  {place}{voice} {reading.written}")
        if reading.spoken != reading.written:
            click.echo(f"    → {reading.spoken}")
        for change in reading.changes:
            if show == "words" and not is_of_words(change):
                continue
            click.echo(
                f"      [{change.start}:{change.end}] “{change.written}” → “{change.spoken}”  "
                f"{', '.join(change.rules)}"
            )
