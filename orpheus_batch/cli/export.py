"""`orpheus-batch export`: finished books as files for a publisher."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orpheus_batch.cli import options
from orpheus_batch.cli.interrupt import resumable
from orpheus_batch.cli.verify import show

if TYPE_CHECKING:
    from orpheus_batch.audio.delivery.presets import Preset
    from orpheus_batch.pipeline.export_report import BookExport


@click.command(short_help="Make a publisher's files of finished books.")
@options.out_argument
@click.option(
    "--deliver",
    required=True,
    metavar="PRESET",
    help="acx, librivox, podcast, archive, or a YAML file.",
)
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="[default: in the book's folder]")
@click.option(
    "--format",
    type=click.Choice(["mp3", "m4b", "flac", "opus", "wav"]),
    help="Instead of the preset's; M4B is one file with chapters.",
)
@click.option("--one-file", is_flag=True, help="The whole book in one file, chapters marked inside.")
@click.option("--cover", type=click.Path(path_type=Path), metavar="FILE", help="JPEG or PNG.")
@click.option("--narrator", metavar="NAME", help="Tag, and in the credits.  [default: the voice's name]")
@click.option("--year", help="Tag.")
@click.option("--genre", help="Tag.  [default: Audiobook]")
@click.option("--cues", type=click.Choice(["srt", "json"]), help="Also write when each sentence is heard.")
@click.option("--credits/--no-credits", default=True, help="Spoken credits, where the preset has them.")
@click.option("--retail-sample/--no-retail-sample", default=True, help="A sample, where the preset has one.")
@click.option("--jobs", "num_processes", type=click.IntRange(1), metavar="N", help="[default: one a core]")
@options.json_option
@options.verbosity_options
def export(out: Path, deliver: str, as_json: bool, quiet: bool, verbose: bool, **wanted: Any) -> None:
    """Make a publisher's files of the finished books under OUT.

    Each book's files go to a folder named after the preset, are measured there, and held against it.

    \b
      orpheus-batch export out --deliver acx --cover cover.jpg
      orpheus-batch export out/alice --deliver podcast --format m4b
      orpheus-batch export out --deliver librivox --cues srt

    Exit code 3: files were made, and some do not meet the preset, or lack what could not be spoken. Exit code 1:
    a book could not be done.
    """
    from orpheus_batch.pipeline.export import export_books
    from orpheus_batch.pipeline.export_report import ExportOptions

    preset = options.delivery_preset(deliver)
    with resumable() as check, options.progress(check, quiet=quiet) as progress:
        exports = export_books(out, preset, ExportOptions(**wanted), progress=progress)
    if as_json:
        click.echo(json.dumps([export.to_dict() for export in exports], ensure_ascii=False, indent=1))
    else:
        show_exports(exports, preset, quiet=quiet)
    raise click.exceptions.Exit(exit_code(exports))


def show_exports(exports: "Sequence[BookExport]", preset: "Preset", *, quiet: bool = False) -> None:
    """Print each book's files as `verify` does, and what was corrected."""
    for book in exports:
        if book.error:
            click.echo(f"Error: {book.folder}: {book.error}", err=True)
            continue
        click.echo(f"{book.target}:")
        for file in book.files:
            if abs(file.correction_db) >= 0.1 and not quiet:
                click.echo(f"{file.path.name}: {file.correction_db:+.1f} dB beside the book's gain")
        show([file.verdict for file in book.files], preset, quiet=quiet)
        if book.num_missing:
            click.echo(
                f"{book.num_missing} segments could not be spoken and are not heard in these files; "
                f"`orpheus-batch status {shlex.quote(book.folder)}` names them"
            )


def exit_code(exports: "Sequence[BookExport]") -> int:
    """Return 1 where a book could not be done, 3 where a file does not meet the preset or lacks text, else 0."""
    if any(book.error for book in exports):
        return 1
    return 0 if all(book.ok for book in exports) else 3
