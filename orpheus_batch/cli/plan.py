"""`orpheus-batch plan`: what a render would do."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options
from orpheus_batch.units import format_bytes, format_duration

if TYPE_CHECKING:
    from orpheus_batch.pipeline.preview import BookPreview, MarkPreview, OddSegment, Preview

SHOWN = 5
"""odd segments and marks named before "and N more" """
SHOWN_SPEAKERS = 30


class _Price(click.ParamType):
    """``3.5``, ``3.5/h``, ``$3.5/h``."""

    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the price of an hour."""
        match = re.fullmatch(r"[^\d.,-]?\s*(\d+(?:\.\d+)?)\s*[^\d/.]*(?:/\s*h(?:our|r)?)?", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a price an hour, such as 3.5/h", param, ctx)
        return float(match[1])


@click.command(short_help="Say what a render would do, without any model.")
@options.books_argument
@options.text_options
@options.cast_option
@options.script_option
@options.model_options
@click.option("--bitrate", "audio__bitrate_kbps", type=int, metavar="KBPS", help="Of the MP3s.")
@click.option(
    "--speedup", type=click.FloatRange(min=0, min_open=True), metavar="X", help="Audio seconds made a second."
)
@click.option("--price", type=_Price(), metavar="P/h", help="Of the machine: 3.5/h. Needs --speedup.")
@options.json_option
@options.verbosity_options
def plan(
    books: tuple[Path, ...],
    config_file: Path | None,
    speedup: float | None,
    price: float | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Say what a render would do: chapters, what is left out and why, hours, disk, time, money.

    Nothing is written and no model is loaded; the lengths are the voice's prediction from the text.

    \b
      orpheus-batch plan alice.txt
      orpheus-batch plan library/ --speedup 400 --price 3.5/h
      orpheus-batch plan emma.txt --model orpheus-3b --cast cast.yaml     # who speaks how much
    """
    from orpheus_batch.pipeline.preview import preview_books

    preview = preview_books(
        books, options.make_config(config_file, flags), speedup=speedup, price_per_hour=price
    )
    if as_json:
        click.echo(json.dumps(preview.to_dict(), ensure_ascii=False, indent=1))
    else:
        for book in preview.books:
            _show(book, quiet=quiet)
        _show_total(preview)
    if any(book.error for book in preview.books):
        raise click.exceptions.Exit(1)


def _show(book: "BookPreview", *, quiet: bool) -> None:
    if book.error:
        click.echo(f"Error: {book.error}", err=True)
        return
    click.echo(f"{book.title}{f', by {book.author}' if book.author else ''}")
    if not quiet:
        width = len(str(len(book.chapters)))
        for number, chapter in enumerate(book.chapters, start=1):
            title = chapter.title or f"Chapter {number}"
            click.echo(
                f"  {number:{width}}  {title}: {chapter.num_segments:,} segments, "
                f"{chapter.num_words:,} words, {format_duration(chapter.audio_s)}"
            )
        for skipped in book.skipped:
            example = f", first “{skipped.example}”" if skipped.example else ""
            click.echo(
                f"  left out: {skipped.reason} ({skipped.num_spans:,} times, "
                f"{skipped.num_chars:,} characters{example})"
            )
        if book.handled:
            click.echo("  found: " + ", ".join(f"{what} ({count:,})" for what, count in book.handled))
        _show_speakers(book)
        _show_marks(book.marks)
        for note in book.notes:
            click.echo(f"  note: {note}")
        _show_odd(f"longer than the voice speaks well: {len(book.too_long):,}", book.too_long)
        _show_odd(f"shorter than the voice speaks well: {len(book.too_short):,}", book.too_short)
    click.echo(
        f"  {len(book.chapters):,} chapters, {book.num_segments:,} segments, "
        f"about {format_duration(book.audio_s)}"
    )


def _show_speakers(book: "BookPreview") -> None:
    if not book.speakers:
        return
    share = 100 * book.num_attributed / max(1, book.num_quotations)
    click.echo(
        f"  who speaks: of {book.num_quotations:,} quotations {book.num_attributed:,} are attributed ({share:.0f} %); "
        "the narrator reads the others"
    )
    width = max(len(speaker.name) for speaker in book.speakers[:SHOWN_SPEAKERS])
    for speaker in book.speakers[:SHOWN_SPEAKERS]:
        click.echo(
            f"    {speaker.name:{width}}  {speaker.voice:10}  {speaker.num_turns:6,} turns  "
            f"{speaker.num_segments:6,} segments  {format_duration(speaker.audio_s)}"
        )


def _show_marks(marks: "tuple[MarkPreview, ...]") -> None:
    if marks:
        click.echo(f"  pauses and emotion tags to look at: {len(marks):,}")
    for mark in marks[:SHOWN]:
        click.echo(f"    {mark.chapter_title}: {mark.mark} in “{mark.context}”: {mark.reason}; {mark.advice}")
    if len(marks) > SHOWN:
        click.echo(f"    and {len(marks) - SHOWN:,} more; --json has them all")


def _show_odd(heading: str, odd: "tuple[OddSegment, ...]") -> None:
    if not odd:
        return
    click.echo(f"  {heading}")
    for segment in odd[:SHOWN]:
        click.echo(f"    {segment.chapter_title}: {segment.num_chars} characters, “{segment.text[:60]}”")
    if len(odd) > SHOWN:
        click.echo(f"    and {len(odd) - SHOWN:,} more")


def _show_total(preview: "Preview") -> None:
    line = f"about {format_duration(preview.audio_s)} of audio, {format_bytes(preview.disk_bytes)} of disk"
    if preview.compute_s is not None:
        line += f", {format_duration(preview.compute_s)} of computing"
    if preview.cost is not None:
        line += f", {preview.cost:,.2f} to pay"
    click.echo(line)
