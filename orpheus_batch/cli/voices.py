"""`orpheus-batch voices`: who can speak."""

import json
from typing import Any

import click

from orpheus_batch.cli import options


@click.command(short_help="List a pack's voices.")
@options.model_options
@options.json_option
@options.verbosity_options
def voices(config_file: Any, as_json: bool, quiet: bool, verbose: bool, **flags: Any) -> None:
    """List the voices of a model pack; the default one is marked.

    \b
      orpheus-batch voices
      orpheus-batch voices --model orpheus-3b
    """
    from orpheus_batch.pipeline.models import pack_of

    pack = pack_of(options.make_config(config_file, flags))
    if as_json:
        rows = [
            {
                "name": voice.name,
                "language": voice.language,
                "description": voice.description,
                "default": voice.name == pack.default_voice,
            }
            for voice in pack.voices
        ]
        click.echo(
            json.dumps({"pack": pack.name, "tags": pack.tags, "voices": rows}, ensure_ascii=False, indent=1)
        )
        return
    click.echo(f"{pack.name}: {pack.description} ({pack.licence})")
    width = max(len(voice.name) for voice in pack.voices)
    for voice in pack.voices:
        mark = "*" if voice.name == pack.default_voice else " "
        click.echo(f"{mark} {voice.name:{width}}  {voice.language}  {voice.description}")
    if pack.tags:
        click.echo(f"tags that may stand in the text: {' '.join(pack.tags)}")
