"""`orpheus-batch verify`: finished files against what a publisher asks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orpheus_batch.cli import options
from orpheus_batch.units import format_duration

if TYPE_CHECKING:
    from orpheus_batch.audio.delivery.judge import Verdict
    from orpheus_batch.audio.delivery.measure import Measured
    from orpheus_batch.audio.delivery.presets import Format, Preset


@click.command(short_help="Hold files against a publisher's numbers.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    "preset_name",
    default="acx",
    show_default=True,
    metavar="NAME",
    help="acx, librivox, podcast, archive, or a YAML file.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["mp3", "m4b", "flac", "opus", "wav"]),
    help="Instead of the preset's, as in `export --format`.",
)
@options.json_option
@options.verbosity_options
def verify(
    paths: tuple[Path, ...],
    preset_name: str,
    format_name: "Format | None",
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Measure finished files and say whether they meet a preset.

    PATH is an MP3, FLAC, M4B, Opus or WAV file, made here or elsewhere, or a folder of them.

    \b
      orpheus-batch verify out/alice/acx
      orpheus-batch verify *.mp3 --preset librivox --json
      orpheus-batch verify alice.m4b --preset podcast --format m4b

    Exit code 1: some file does not pass. Passing the numbers is not being accepted.
    """
    from orpheus_batch.audio.delivery.judge import verify_files
    from orpheus_batch.audio.delivery.presets import load_preset

    preset = load_preset(preset_name)
    if format_name is not None:
        preset = preset.in_format(format_name)
    verdicts = verify_files(paths, preset)
    if as_json:
        ok = all(verdict.ok for verdict in verdicts)
        shown = {"preset": preset.to_dict(), "ok": ok, "files": [verdict.to_dict() for verdict in verdicts]}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=1))
    else:
        show(verdicts, preset, quiet=quiet)
    if not all(verdict.ok for verdict in verdicts):
        raise click.exceptions.Exit(1)


def show(verdicts: "Sequence[Verdict]", preset: "Preset", *, quiet: bool = False) -> None:
    """Print a table of files, and what is wrong with which."""
    rows = [_row(verdict.measured) for verdict in verdicts if verdict.measured]
    names = [_name(verdict) for verdict in verdicts if verdict.measured]
    if rows and not quiet:
        table = [_HEADINGS, *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(_HEADINGS))]
        marks = ["    ", *("ok  " if verdict.ok else "FAIL" for verdict in verdicts if verdict.measured)]
        for mark, row, name in zip(marks, table, ["file", *names], strict=True):
            cells = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            click.echo(f"{mark}  {cells}  {name}")
    for verdict in verdicts:
        if verdict.error:
            click.echo(f"{_name(verdict)}: {verdict.error}")
        for check in verdict.checks:
            if not check.ok:
                click.echo(f"{_name(verdict)}: {check.name}: {check.measured}; wanted: {check.wanted}")
    num_ok = sum(verdict.ok for verdict in verdicts)
    click.echo(f"{num_ok} of {len(verdicts)} files pass {preset.name}")
    if preset.policy:
        click.echo(f"Passing the numbers is not being accepted: {preset.policy}.")


def _name(verdict: "Verdict") -> str:
    """Return a file's name on one line."""
    return "".join(c if c.isprintable() else "?" for c in Path(verdict.file).name)


_HEADINGS = (
    "RMS dB",
    "peak dB",
    "dBTP",
    "LUFS",
    "floor dB",
    "head s",
    "tail s",
    "kbps",
    "kHz",
    "ch",
    "length",
    "tags",
)


def _row(measured: "Measured") -> tuple[str, ...]:
    stream = measured.stream
    constant = {True: " CBR", False: " VBR", None: ""}[measured.is_constant_bitrate]
    return (
        f"{measured.rms_db:.1f}",
        f"{measured.peak_db:.1f}",
        f"{measured.true_peak_db:.1f}",
        f"{measured.lufs:.1f}",
        f"{measured.noise_floor_db:.1f}",
        f"{measured.head_s:.2f}",
        f"{measured.tail_s:.2f}",
        f"{stream.bitrate_kbps or '?'}{constant}",
        f"{stream.sample_rate_hz / 1000:g}",
        str(stream.channels),
        format_duration(measured.duration_s),
        str(len(stream.tags)),
    )
