"""`orpheus-batch corpus`: texts in, shards of speech out, a night at a time."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options
from orpheus_batch.cli.interrupt import resumable
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.corpus.corpus import CorpusReport


@click.command(short_help="Speak a corpus of sentences into shards, a night at a time.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The corpus' folder."
)
@click.option("--until", metavar="HH:MM", help="Begin nothing more after this time of day.")
@click.option("--budget", metavar="TIME", help="Begin nothing more after so long: 8h, 90m.")
@click.option("--hours", type=float, metavar="N", help="Begin nothing more after so many hours of audio.")
@click.option(
    "--voice",
    "voices",
    multiple=True,
    metavar="NAME[=WEIGHT]",
    help="Repeatable: drawn by weights, or by turns where no weight is given.",
)
@click.option("--min-chars", "corpus__min_chars", type=int, metavar="N", help="Leave out shorter sentences.")
@click.option("--max-chars", "corpus__max_chars", type=int, metavar="N", help="Leave out longer ones.")
@click.option(
    "--characters",
    "corpus__characters",
    metavar="SET",
    help='Leave out sentences with others: "A-Za-z ,.\'?!-".',
)
@click.option(
    "--shard-items", "corpus__shard_items", type=int, metavar="N", help="Of a shard.  [default: 2048]"
)
@click.option(
    "--layout", "corpus__layout", type=click.Choice(["shards", "files"]), help="Tar shards or plain files."
)
@click.option("--keep-codes", "corpus__keep_codes", is_flag=True, default=None, help="Put SNAC codes in too.")
@click.option("--licence", "corpus__licence", metavar="TEXT", help="Of the texts, for manifest and card.")
@options.table_options
@options.lexicon_option
@options.shard_option
@options.ray_option
@options.asr_options
@options.model_options
@click.option("--seed", type=int, help="From which every item's seed is made.  [default: 0]")
@options.engine_options
@options.json_option
@options.verbosity_options
def corpus(
    sources: tuple[str, ...],
    out: Path,
    until: str | None,
    budget: str | None,
    hours: float | None,
    voices: tuple[str, ...],
    mapping: tuple[str, ...],
    table_encoding: str | None,
    delimiter: str | None,
    shard: str | None,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Speak a corpus of sentences into shards, a night at a time.

    SOURCE is a book (every sentence), a CSV, TSV, JSONL or Parquet file (every row's text), a folder of them, or
    a glob. Out come WebDataset shards of FLAC and JSON, a Parquet manifest and a dataset card.

    \b
      orpheus-batch corpus books/ -o out --until 06:00
      orpheus-batch corpus 'texts/*.jsonl' -o out --hours 100 --voice tara=3 --voice leo=1

    The next night's same command goes on. Shards are sealed once; a sentence is spoken once, in whichever source
    and on whichever night it comes. Exit code 0: done, or stopped as asked.
    """
    from orpheus_batch.corpus.corpus import make_corpus
    from orpheus_batch.corpus.nights import make_night
    from orpheus_batch.corpus.rows import table_format
    from orpheus_batch.pipeline.parts import parse_part

    night = make_night(until, budget, hours)
    flags["corpus__voices"] = ",".join(voices) or None
    config = options.make_config(config_file, flags)
    table = table_format(mapping, table_encoding, delimiter)
    with resumable() as check, options.progress(check, quiet=quiet) as progress:
        report = make_corpus(
            sources, out, config, table=table, night=night, part=parse_part(shard), progress=progress
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
    else:
        show(report, quiet=quiet)
    sys.exit(report.exit_code)


def show(report: "CorpusReport", *, quiet: bool = False) -> None:
    """Print a night's summary on stdout, what can't be read on stderr."""
    for path, reason in report.unreadable:
        click.echo(f"Error: {path}: {reason}", err=True)
    if quiet:
        return
    line = f"this night  {report.night_items} items, {format_duration(report.night_audio_s)} of speech"
    line += f" in {format_duration(report.wall_s)}"
    click.echo(line + (f" ({report.speedup:.1f} times real time)" if report.speedup else ""))
    click.echo(
        f"corpus      {report.num_items} items, {format_duration(report.audio_s)}, "
        f"{report.num_shards} shards in {report.folder}"
    )
    for name, groups in (("splits", report.by_split), ("voices", report.by_voice)):
        parts = [
            f"{key} {group['num_items']} ({format_duration(group['audio_s'])})" for key, group in groups.items()
        ]
        if parts:
            click.echo(f"{name:<12}{', '.join(parts)}")
    if report.word_error_rate is not None:
        click.echo(f"heard       {report.word_error_rate:.1%} of the words otherwise, by the recogniser")
    if report.left_out:
        parts = [f"{num} {reason}" for reason, num in sorted(report.left_out.items(), key=lambda kv: -kv[1])]
        click.echo(f"left out    {', '.join(parts)}")
    if report.num_failed:
        click.echo(f"failed      {report.num_failed} items, in no shard")
    if report.num_planned:
        click.echo(
            f"to come     {report.num_planned} items, about {format_duration(report.planned_audio_s)}; the same "
            "command goes on"
        )
    else:
        click.echo("to come     nothing: all that the sources hold is done")
