"""`orpheus-batch prompts`: a table in, one audio file a row out."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options
from orpheus_batch.cli.interrupt import resumable
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.corpus.report import PromptsReport


@click.command(short_help="Render a table of prompts, one file a row.")
@click.argument("file", metavar="FILE")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="Folder of the files."
)
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "flac", "mp3", "opus"]),
    default="wav",
    show_default=True,
    help="Of rows that do not say.",
)
@options.table_options
@options.lexicon_option
@options.shard_option
@options.ray_option
@options.asr_options
@click.option("--strict", is_flag=True, help="Do nothing if any row is bad.")
@click.option("--voice", metavar="NAME", help="Of rows without one.  [default: the pack's]")
@options.model_options
@click.option("--seed", type=int, help="From which seeds of rows without one are made.  [default: 0]")
@options.engine_options
@options.json_option
@options.verbosity_options
def prompts(
    file: str,
    out: Path,
    audio_format: str,
    mapping: tuple[str, ...],
    table_encoding: str | None,
    delimiter: str | None,
    shard: str | None,
    strict: bool,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Render a table of prompts, one audio file a row.

    FILE is CSV, TSV, JSONL, Parquet, or text with a prompt a line; - is standard input. Its columns: text and, if
    you like, id, voice, seed, temperature, format and filename. Beside the files lie manifest.csv and
    manifest.jsonl, with a line for each row.

    \b
      orpheus-batch prompts prompts.csv -o out
      orpheus-batch prompts lines.tsv -o out --map text=utterance --format flac

    A row that can't be rendered is named with its line, and the others go on. Whatever stops a run, the same
    command goes on where it was; rows that were added since are rendered, the others are not touched.

    Exit code 3: finished, but some rows were bad or did not pass the checks; they are listed.
    """
    from orpheus_batch.corpus.prompts import render_prompts
    from orpheus_batch.corpus.rows import table_format
    from orpheus_batch.pipeline.parts import parse_part

    config = options.make_config(config_file, flags)
    table = table_format(mapping, table_encoding, delimiter)
    with resumable() as check, options.progress(check, quiet=quiet) as progress:
        report = render_prompts(
            file,
            out,
            config,
            table=table,
            format=audio_format,
            strict=strict,
            part=parse_part(shard),
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
    else:
        show(report, quiet=quiet)
    sys.exit(report.exit_code)


def show(report: "PromptsReport", *, quiet: bool = False) -> None:
    """Print what a run did: the summary on stdout, what went wrong on stderr."""
    for what, rows, num in (
        ("can't be rendered", report.bad_rows, report.num_bad),
        ("did not pass the checks", report.failed_rows, report.num_failed),
    ):
        if num:
            click.echo(f"{num} rows {what}:", err=True)
            for line, reason in rows:
                click.echo(f"  line {line}: {reason}", err=True)
            if num > len(rows):
                click.echo(f"  and {num - len(rows)} more; {report.manifest} has them all", err=True)
    if quiet:
        return
    num_rows = report.num_done + report.num_failed
    line = f"{num_rows} files in {report.folder}, listed in {report.manifest}"
    if report.word_error_rate is not None:
        line += f" ({report.word_error_rate:.1%} of the words heard otherwise)"
    if report.speedup is None:
        click.echo(f"{line}; nothing had to be spoken")
        return
    click.echo(
        f"{line}; {report.num_made} made now, {format_duration(report.audio_s)} spoken in "
        f"{format_duration(report.wall_s)} ({report.speedup:.1f} times real time)"
    )
