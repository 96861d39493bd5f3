"""`orpheus-batch script`: who speaks what, to be corrected."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from orpheus_batch.cli import options

SHOWN = 20
"""speakers named before "and N more" """


@click.command(short_help="Write who speaks what as a CSV, to correct and render.")
@click.argument("book", metavar="BOOK", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    default="-",
    help="CSV to write.  [default: stdout]",
)
@click.option(
    "--new-cast",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a cast to begin with: whoever speaks, most first, voices given out by gender.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@options.text_options
@options.cast_option
@options.model_options
@options.json_option
@options.verbosity_options
def script(
    book: Path,
    out: Path,
    new_cast: Path | None,
    force: bool,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Write who speaks what as a CSV: place, speaker, voice, text, and how it is known.

    A line is a stretch of one paragraph that one person speaks, narration included. Correct the speaker column (or,
    without a cast, the voice column) by hand or by any program, leave place and text as they are, and give the file to
    `render --script`: only lines whose voice changed are spoken anew.

    \b
      orpheus-batch script emma.txt -o script.csv --new-cast cast.yaml --model orpheus-3b
      orpheus-batch script emma.txt -o script.csv --cast cast.yaml --model orpheus-3b
      orpheus-batch render emma.txt -o out --cast cast.yaml --script script.csv --model orpheus-3b

    Speaker "unknown" is speech that no rule is sure of; the narrator reads it.
    """
    from orpheus_batch.pipeline.script import export_script

    report = export_script(
        book,
        None if str(out) == "-" else out,
        options.make_config(config_file, flags),
        new_cast=new_cast,
        overwrite=force,
    )
    if str(out) == "-" and not as_json:
        sys.stdout.write(report.csv)
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
    elif not quiet:
        click.echo(
            f"{report.num_lines:,} lines; {report.num_quotations:,} quotations, {report.num_attributed:,} attributed",
            err=True,
        )
        width = max((len(name) for name, _ in report.speakers[:SHOWN]), default=0)
        for name, count in report.speakers[:SHOWN]:
            click.echo(f"  {name:{width}}  {count:,}", err=True)
        if len(report.speakers) > SHOWN:
            click.echo(f"  and {len(report.speakers) - SHOWN:,} more", err=True)
