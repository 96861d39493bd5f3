"""`orpheus-batch redo`: another take, or a new spelling, of one sentence."""

import json
import sys
from pathlib import Path

import click

from orpheus_batch.cli import options
from orpheus_batch.cli.interrupt import resumable
from orpheus_batch.cli.render import show


@click.command(short_help="Speak one sentence again.")
@options.out_argument
@click.option("--segment", "segment_id", metavar="ID", help="Its id, or the beginning of it; see `status`.")
@click.option("--find", metavar="TEXT", help="Words that stand in it and nowhere else, as they are spoken.")
@click.option("--text", "spoken", metavar="TEXT", help="Speak this instead, now and in later renders.")
@options.json_option
@options.verbosity_options
def redo(
    out: Path,
    segment_id: str | None,
    find: str | None,
    spoken: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Speak one sentence of a rendered book again, and make its chapter's file anew.

    Without --text it is another take: other chance, same words. With --text the words are replaced, in this
    book, wherever it has that very segment: for a name that is mispronounced.

    \b
      orpheus-batch redo out --segment 3fa9c2
      orpheus-batch redo out --find 'said Hermione' --text 'said Her-my-oh-nee.'

    The book is read again from where it was, with the configuration of its last render.
    """
    from orpheus_batch.pipeline import redo_segment

    if bool(segment_id) == bool(find):
        raise click.UsageError("give either --segment ID or --find TEXT")
    if spoken is not None and not spoken.strip():
        raise click.UsageError("--text is empty")
    with resumable() as check, options.progress(check, quiet=quiet) as progress:
        redone = redo_segment(
            out, segment_id=segment_id or "", find=find or "", spoken=spoken, progress=progress
        )
    if as_json:
        click.echo(json.dumps(redone.to_dict(), ensure_ascii=False, indent=1))
    else:
        show(redone.run, quiet=quiet)
        if redone.heard is not None:
            where = options.place(redone.heard)
            if redone.is_new:
                click.echo(f"new take: {where}")
            else:
                click.echo(f"no new take passed the checks; as before: {where}", err=True)
    sys.exit(redone.run.exit_code)
