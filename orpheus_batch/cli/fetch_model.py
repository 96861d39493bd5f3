"""`orpheus-batch fetch-model`: model and codec from the Hugging Face hub."""

import json
from pathlib import Path

import click

from orpheus_batch.cli import options


@click.command("fetch-model", short_help="Fetch Orpheus and its codec.")
@click.argument("name", metavar="MODEL", default="orpheus-3b")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    metavar="DIR",
    help="Gets a folder for the model and one for the codec.",
)
@click.option("--repo", metavar="OWNER/NAME", help="Another repository with the same model.")
@click.option("--codec/--no-codec", default=True, help="Fetch the codec too.  [default: yes]")
@options.json_option
@options.verbosity_options
def fetch_model(
    name: str, out: Path, repo: str | None, codec: bool, as_json: bool, quiet: bool, verbose: bool
) -> None:
    """Fetch a language model and the codec, only the files that are needed.

    MODEL is orpheus-3b, orpheus-3b-fr (-de, -es_it, -zh, -ko, -hi), or a folder, which is taken as it is. Every
    file is checked by its hash; a download that was stopped goes on with the same command.

    \b
      orpheus-batch fetch-model
      orpheus-batch fetch-model orpheus-3b --repo unsloth/orpheus-3b-0.1-ft
      orpheus-batch fetch-model orpheus-3b-fr -o /data/models

    Orpheus falls under the Llama 3.2 licence and its repository asks for an agreement; the codec is MIT.
    """
    from orpheus_batch.fetch_model import fetch_model
    from orpheus_batch.voices import load_pack

    say = (lambda line: None) if quiet else lambda line: click.echo(line, err=True)
    fetched = fetch_model(name, out.expanduser(), say, repo=repo, codec=codec)
    if as_json:
        values = {"model_dir": str(fetched.model_dir), "codec_dir": str(fetched.codec_dir or "")}
        click.echo(json.dumps({**values, "pack": fetched.pack, "licence": fetched.licence}, indent=1))
        return
    model = f"--model {fetched.model_dir}"
    if not fetched.pack:
        model = f"--model PACK --model-dir {fetched.model_dir}"
    if fetched.codec_dir and (
        not fetched.pack or load_pack(str(fetched.model_dir)).codec_dir != fetched.codec_dir
    ):
        model += f" --codec-dir {fetched.codec_dir}"
    click.echo(f"orpheus-batch render BOOK -o out {model}")
