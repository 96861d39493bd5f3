"""`orpheus-batch bench`: how fast is this machine?"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from orpheus_batch.cli import options


@click.command(short_help="Measure how fast books are rendered here.")
@options.books_argument
@options.model_options
@click.option(
    "--engine", "engine__name", type=click.Choice(["auto", "torch", "trtllm"]), help="As for `render`."
)
@click.option("--device", "engine__device", metavar="NAME", help="cpu, cuda, cuda:1.  [default: auto]")
@click.option("--batch-size", "engine__max_batch_size", type=int, metavar="N", help="As for `render`.")
@options.json_option
@options.verbosity_options
def bench(
    books: tuple[Path, ...], config_file: Path | None, as_json: bool, quiet: bool, verbose: bool, **flags: Any
) -> None:
    """Render books into a folder that is thrown away, and say how fast it went and where the time went.

    \b
      orpheus-batch bench samples/buster-bear-goes-fishing.txt
      orpheus-batch bench alice.txt --json
    """
    from orpheus_batch.bench import bench_books

    report = bench_books(books, options.make_config(config_file, flags))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
        return
    click.echo(
        f"{report.audio_s:,.1f} s of speech in {report.wall_s:,.1f} s: {report.speedup:,.2f} x real time"
    )
    click.echo(
        f"engine {report.engine_share:.0%} ({report.tokens_per_s:,.0f} tokens/s), codec "
        f"{report.codec_share:.0%}, the rest {report.rest_share:.0%}; loading {report.load_s:,.1f} s"
    )
    click.echo(
        f"{report.num_takes} takes, {report.num_failed} failed; {report.cores} cores, load {report.load_average:.1f}"
    )
