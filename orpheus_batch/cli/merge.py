"""`orpheus-batch merge`: the folders of independent processes become one."""

import json
from pathlib import Path

import click

from orpheus_batch.cli import options


@click.command(short_help="Make one folder of the parts that --shard made.")
@options.out_argument
@options.json_option
@options.verbosity_options
def merge(out: Path, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Make one folder of the parts that `--shard i/N` made of prompts or a corpus.

    \b
      orpheus-batch corpus books/ -o out --shard 0/4     # and 1/4, 2/4, 3/4, anywhere
      orpheus-batch merge out

    The result is as if one process had done it all. Files are linked where that is possible; the folders of the
    parts may be removed afterwards.
    """
    from orpheus_batch.corpus.merge import merge_parts

    report = merge_parts(out)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif not quiet:
        counts = report.counts
        click.echo(
            f"{report.num_parts} parts merged in {report.folder}: {counts['done']} done, {counts['failed']} failed, "
            f"{counts['planned']} to come, {report.num_bad} bad rows; {report.num_files} files"
        )
