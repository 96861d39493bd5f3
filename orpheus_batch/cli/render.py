"""`orpheus-batch render`: books in, chapter MP3s out."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options
from orpheus_batch.cli.interrupt import resumable
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.pipeline import RunReport


@click.command(short_help="Render books to chapter MP3s.")
@options.books_argument
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Each book gets its own folder in it.",
)
@options.text_options
@options.cast_option
@options.script_option
@options.model_options
@click.option("--cover", "audio__cover", metavar="FILE", help="JPEG or PNG, put into every file.")
@click.option("--genre", "audio__genre", help="Tag of every file.  [default: Audiobook]")
@click.option("--year", "audio__year", help="Tag of every file.")
@click.option(
    "--bitrate",
    "audio__bitrate_kbps",
    type=int,
    metavar="KBPS",
    help="Of the MP3s, constant.  [default: 96]",
)
@click.option("--seed", type=int, help="Another seed is another reading.  [default: 0]")
@options.engine_options
@options.shard_option
@options.ray_option
@options.asr_options
@click.option(
    "--deliver",
    metavar="PRESET",
    help="Then make a publisher's files: acx, librivox, podcast, archive, or a YAML file; see `export`.",
)
@options.json_option
@options.verbosity_options
def render(
    books: tuple[Path, ...],
    out: Path,
    config_file: Path | None,
    shard: str | None,
    deliver: str | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Render books to chapter MP3s.

    BOOK is a text or Markdown file, or a folder of them. All books go through one engine in one queue; one that
    can't be done is named at the end and does not stop the others.

    \b
      orpheus-batch render alice.txt -o out
      orpheus-batch render library/ -o out --voice leo --bitrate 128
      orpheus-batch render emma.txt -o out --model orpheus-3b --cast cast.yaml
      orpheus-batch render moby.txt -o out --model orpheus-3b --model-dir ~/orpheus --codec-dir ~/snac

    Whatever stops a run, the same command goes on where it was. After a change in the book only the changed
    sentences are spoken anew; after a change of pauses, tags or bit rate nothing is.

    Exit code 3: finished, but some segments did not pass the checks; they are listed.
    """
    from orpheus_batch.cli.export import exit_code, show_exports
    from orpheus_batch.pipeline import render_books
    from orpheus_batch.pipeline.export import deliver_books
    from orpheus_batch.pipeline.parts import parse_part

    config = options.make_config(config_file, flags)
    preset = None if deliver is None else options.delivery_preset(deliver)
    with resumable() as check, options.progress(check, quiet=quiet) as progress:
        report = render_books(books, out, config, part=parse_part(shard), progress=progress)
        exports = [] if preset is None else deliver_books(report, preset, progress=progress)
    if as_json:
        tree = report.to_dict()
        if preset is not None:
            tree["exports"] = [export.to_dict() for export in exports]
        click.echo(json.dumps(tree, ensure_ascii=False, indent=1))
    else:
        show(report, quiet=quiet)
        if preset is not None:
            show_exports(exports, preset, quiet=quiet)
    sys.exit(1 if 1 in (codes := (report.exit_code, exit_code(exports))) else max(codes))


def show(report: "RunReport", *, quiet: bool = False) -> None:
    """Print what a run did: files on stdout, what went wrong on stderr."""
    from orpheus_batch.cli.progress import named

    for book in report.books:
        if book.error:
            click.echo(f"Error: {named(str(book.source), book.error)}", err=True)
            continue
        if not quiet:
            for chapter in book.chapters:
                mark = "" if chapter.encoded_now else "  (unchanged)"
                click.echo(f"{chapter.path}  {format_duration(chapter.duration_s)}{mark}")
        if book.failures:
            click.echo(f"{book.title}: {len(book.failures)} segments did not pass the checks:", err=True)
            for failure in book.failures:
                click.echo(
                    f"  {failure.segment_id[:12]}  {failure.chapter_title}: {failure.reason}\n"
                    f"    “{failure.text}”",
                    err=True,
                )
            click.echo(
                "  Another take: orpheus-batch redo OUT --segment ID; a new spelling: add --text '…'", err=True
            )
    done = [book for book in report.books if not book.error]
    if done and not quiet:
        click.echo(summary(report))
    elif not report.books and not quiet:
        click.echo("no book falls to this share")


def summary(report: "RunReport") -> str:
    """Return the last line of a run."""
    done = [book for book in report.books if not book.error]
    num_files = sum(len(book.chapters) for book in done)
    line = f"{num_files} files, {format_duration(sum(book.duration_s for book in done))}"
    line += f", in {', '.join(book.folder for book in done[:3])}" + (" …" if len(done) > 3 else "")
    if report.speedup is None:
        return f"{line}; nothing had to be spoken"
    line += f"; {format_duration(report.audio_s)} spoken in {format_duration(report.wall_s)}"
    line += f" ({report.speedup:.1f} times real time"
    return line + (f"; loading took {format_duration(report.load_s)})" if report.load_s else ")")
