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
      orpheus-batch bench alice.txt --model orpheus-3b --model-dir models/orpheus-3b --codec-dir models/snac

    Everything is done as `render` does it, from the text to verified MP3s, with your model on your machine; loading
    the models is left out of the figures and shown apart. Take a book that fills the batch: a GPU that speaks a
    thousand sentences at once shows its speed on a novel, not on a page. For Orpheus-3B's speed without its
    weights there is benchmarks/book_on_gpu.py in the repository.

    "x real time" is seconds of speech for each second of waiting. "engine" and "codec" are the shares of the time in
    which the language model and the decoder ran (on a GPU they run side by side), "the rest" that in which neither
    did: reading the text, checks, the ledger and, at the end, the encoders. Much rest: give more cores, or raise
    audio.encoder_processes. Other work on the machine lowers every figure; the load is shown.
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
