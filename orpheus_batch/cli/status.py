"""`orpheus-batch status`: how far a render is, and what may sound odd."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orpheus_batch.cli import options
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.pipeline.after import BookStatus, HeardAt

DEFAULT_SUSPECTS = 20


@click.command(short_help="Say how far a render is.")
@options.out_argument
@click.option(
    "--suspect",
    "num_suspects",
    is_flag=False,
    flag_value=DEFAULT_SUSPECTS,
    default=0,
    type=click.IntRange(min=0),
    metavar="[N]",
    help=f"Name the N worst segments, with file and time.  [N: {DEFAULT_SUSPECTS}]",
)
@options.json_option
@options.verbosity_options
def status(out: Path, num_suspects: int, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Say how far the books in OUT are, and where to hear what may sound odd.

    It only looks, so it works beside a running render. OUT may also be one book's folder.

    \b
      orpheus-batch status out
      orpheus-batch status out --suspect
      orpheus-batch status "out/Alice in Wonderland" --suspect 5 --json
    """
    from orpheus_batch.pipeline.after import book_status

    books = book_status(out, num_suspects=num_suspects)
    if as_json:
        click.echo(json.dumps([book.to_dict() for book in books], ensure_ascii=False, indent=1))
    else:
        for book in books:
            _show(book, quiet=quiet)
    if any(book.error for book in books):
        raise click.exceptions.Exit(1)


def _show(book: "BookStatus", *, quiet: bool) -> None:
    summary = book.summary
    if summary is None:
        click.echo(f"Error: {book.error}", err=True)
        return
    num_settled = summary.num_accepted + summary.num_failed
    share = num_settled / summary.num_segments if summary.num_segments else 1.0
    click.echo(
        f"{summary.title}: {num_settled:,} of {summary.num_segments:,} segments ({share:.0%}), "
        f"{summary.num_chapters_encoded} of {summary.num_chapters} chapters finished, "
        f"{format_duration(summary.num_audio_s)} of speech"
    )
    if book.writer:
        click.echo(f"  being rendered by {book.writer}")
    if not quiet:
        for number, chapter in enumerate(book.chapters, start=1):
            state = (
                chapter.files[0]
                if chapter.files
                else f"{chapter.num_settled:,}/{chapter.num_segments:,} segments"
            )
            more = f" and {len(chapter.files) - 1} more" if len(chapter.files) > 1 else ""
            failed = f", {chapter.num_failed} failed" if chapter.num_failed else ""
            click.echo(f"  {number}. {chapter.title or 'Chapter ' + str(number)}: {state}{more}{failed}")
    _list("did not pass the checks:", book.failures)
    _list("worst first:", book.suspects)


def _list(heading: str, segments: "tuple[HeardAt, ...]") -> None:
    if not segments:
        return
    click.echo(f"  {heading}")
    for segment in segments:
        where = options.place(segment)
        click.echo(f"    {segment.segment_id[:12]}  {where}: {'; '.join(segment.problems) or 'no fault found'}")
        click.echo(f"      “{segment.text}”")
