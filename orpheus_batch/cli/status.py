"""`orpheus-batch status`: how far books, prompts and corpora are, and what may sound odd."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orpheus_batch.cli import options
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.corpus.status import ItemsStatus
    from orpheus_batch.ledger.item_records import ItemReport
    from orpheus_batch.pipeline.after import BookStatus, HeardAt

DEFAULT_SUSPECTS = 20
MAX_NAMED = 20
"""failed items and bad rows on the screen; --json has all"""


@click.command(short_help="Say how far a render, prompts or a corpus is.")
@options.out_argument
@click.option(
    "--suspect",
    "num_suspects",
    is_flag=False,
    flag_value=DEFAULT_SUSPECTS,
    default=0,
    type=click.IntRange(min=0),
    metavar="[N]",
    help=f"Name the N worst segments or items, and where to hear them.  [N: {DEFAULT_SUSPECTS}]",
)
@options.json_option
@options.verbosity_options
def status(out: Path, num_suspects: int, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Say how far the books, prompts or corpus in OUT are, what failed, and where to hear what may sound odd.

    It only looks, so it works beside a running command. OUT may also be one book's folder, or hold the parts that
    --shard made.

    \b
      orpheus-batch status out
      orpheus-batch status out --suspect
      orpheus-batch status "out/Alice in Wonderland" --suspect 5 --json
    """
    from orpheus_batch.corpus.status import ItemsStatus, output_status

    found = output_status(out, num_suspects=num_suspects)
    if as_json:
        click.echo(json.dumps([status.to_dict() for status in found], ensure_ascii=False, indent=1))
    else:
        items = [status for status in found if isinstance(status, ItemsStatus)]
        for status in found:
            if isinstance(status, ItemsStatus):
                _show_items(status, quiet=quiet)
            else:
                _show_book(status, quiet=quiet)
        if len(items) > 1:
            click.echo(f"together: {_how_far(items)}")
    if any(status.error for status in found):
        raise click.exceptions.Exit(1)


def _show_items(status: "ItemsStatus", *, quiet: bool) -> None:
    shards = f", {status.num_shards} shards" if status.kind == "corpus" else ""
    click.echo(f"{status.folder} ({status.kind}): {_how_far([status])}{shards}, {status.num_takes:,} takes")
    if status.writer:
        click.echo(f"  being worked on by {status.writer}")
    if not quiet:
        if status.word_error_rate is not None:
            click.echo(f"  words that the recogniser heard otherwise: {status.word_error_rate:.1%}")
        for name, groups in (("voices", status.by_voice), ("splits", status.by_split)):
            parts = [f"{key} {g['num_items']:,} ({format_duration(g['audio_s'])})" for key, g in groups.items()]
            if parts:
                click.echo(f"  {name}: {', '.join(parts)}")
        if status.left_out:
            parts = [
                f"{num:,} {reason}" for reason, num in sorted(status.left_out.items(), key=lambda kv: -kv[1])
            ]
            click.echo(f"  left out: {', '.join(parts)}")
    _list_items("did not pass the checks:", status.failures[:MAX_NAMED])
    _and_more(len(status.failures))
    if status.bad_rows:
        click.echo("  can't be rendered:")
        for line, reason in status.bad_rows[:MAX_NAMED]:
            click.echo(f"    line {line}: {reason}")
        _and_more(len(status.bad_rows))
    _list_items("worst first:", status.suspects)


def _how_far(found: "list[ItemsStatus]") -> str:
    num_done, num_failed, num_planned, num_bad = (
        sum(getattr(status, name) for status in found)
        for name in ("num_done", "num_failed", "num_planned", "num_bad")
    )
    num = num_done + num_failed + num_planned
    share = (num_done + num_failed) / num if num else 1.0
    line = f"{num_done + num_failed:,} of {num:,} items ({share:.0%})"
    for count, what in ((num_failed, "failed"), (num_bad, "bad rows")):
        if count:
            line += f", {count:,} {what}"
    return f"{line}, {format_duration(sum(status.audio_s for status in found))} of speech"


def _list_items(heading: str, items: "Sequence[ItemReport]") -> None:
    if not items:
        return
    click.echo(f"  {heading}")
    for item in items:
        where = item.file or item.shard or f"{Path(item.source).name}, line {item.line}"
        heard = "" if item.word_error_rate is None else f", {item.word_error_rate:.0%} of words heard otherwise"
        click.echo(f"    {item.item_id}  {where}: {'; '.join(item.problems) or 'no fault found'}{heard}")
        click.echo(f"      “{item.text}”")


def _and_more(num: int) -> None:
    if num > MAX_NAMED:
        click.echo(f"    and {num - MAX_NAMED:,} more; --json has them all")


def _show_book(book: "BookStatus", *, quiet: bool) -> None:
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
