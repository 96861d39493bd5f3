"""`orpheus-batch doctor`: is this machine ready?"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from orpheus_batch.cli import options


@click.command(short_help="Check this machine and render three sentences.")
@options.model_options
@click.option(
    "--engine",
    "engine__name",
    type=click.Choice(["auto", "torch", "trtllm"]),
    help="Which must work; auto takes what is there.  [default: auto]",
)
@click.option("--device", "engine__device", metavar="NAME", help="cpu, cuda, cuda:1.  [default: auto]")
@click.option("--against", metavar="DIR", help="The same model at another precision: heard too, with its time.")
@options.json_option
@options.verbosity_options
def doctor(
    config_file: Path | None, against: str | None, as_json: bool, quiet: bool, verbose: bool, **flags: Any
) -> None:
    """Check GPU, libraries, files and disk, then render three sentences and time each stage.

    Without --model it tries the built-in voice. The table is made to be pasted into a report. Exit code 1:
    something is wrong, and below the table stands what to do.

    \b
      orpheus-batch doctor
      orpheus-batch doctor --engine trtllm --model engines/orpheus
      orpheus-batch doctor --engine trtllm --model engines/orpheus --against engines/fp8
    """
    from orpheus_batch.doctor import Status, as_table, examine

    findings = []
    for finding in examine(options.make_config(config_file, flags), Path.cwd(), against):
        if not quiet and not as_json:
            click.echo(f"{finding.subject}: {finding.status.value}", err=True)
        findings.append(finding)
    if as_json:
        click.echo(
            json.dumps([dataclasses.asdict(finding) for finding in findings], ensure_ascii=False, indent=1)
        )
    else:
        click.echo(as_table(findings))
    sys.exit(1 if any(finding.status is Status.WRONG for finding in findings) else 0)
