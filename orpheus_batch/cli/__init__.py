"""The command line: one file a command, and no logic.

Options become a `Config`, a function of the package does the work, and what it returns is shown: results on
stdout, everything else on stderr. A command's heavy imports happen inside it, so that help costs nothing.

Exit codes: 0 done, 1 error, 2 usage, 3 finished with failed segments, 128 + n ended by signal n.
"""

import logging

import click

from orpheus_batch import __version__
from orpheus_batch.cli.bench import bench
from orpheus_batch.cli.build_engine import build_engine
from orpheus_batch.cli.corpus import corpus
from orpheus_batch.cli.doctor import doctor
from orpheus_batch.cli.export import export
from orpheus_batch.cli.fetch_model import fetch_model
from orpheus_batch.cli.merge import merge
from orpheus_batch.cli.plan import plan
from orpheus_batch.cli.prompts import prompts
from orpheus_batch.cli.redo import redo
from orpheus_batch.cli.render import render
from orpheus_batch.cli.script import script
from orpheus_batch.cli.status import status
from orpheus_batch.cli.text import text
from orpheus_batch.cli.verify import verify
from orpheus_batch.cli.voices import voices
from orpheus_batch.cli.words import words
from orpheus_batch.errors import OrpheusBatchError

logger = logging.getLogger(__name__)


class _Commands(click.Group):
    """Shows an error that the user can mend as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OrpheusBatchError as error:
            logger.debug("raised here", exc_info=True)
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", message="orpheus-batch %(version)s")
def cli() -> None:
    """Render whole books to chapter MP3s, offline, in one batch.

    \b
    Start here:
      orpheus-batch plan alice.txt               what would be read, and how long it plays
      orpheus-batch text alice.txt               before and after: numbers, names, what is left out, and why
      orpheus-batch words alice.txt              names and rare words, to listen to first
      orpheus-batch render alice.txt -o out      out/<title>/01 - <chapter>.mp3 ...
      orpheus-batch status out                   how far it is, beside a running render
      orpheus-batch redo out --find 'some words' another take of one sentence

    A run that was stopped, in whatever way, goes on where it was when the same command is given again.
    """


for command in (
    render,
    prompts,
    corpus,
    merge,
    plan,
    text,
    words,
    status,
    redo,
    script,
    export,
    verify,
    voices,
    build_engine,
    doctor,
    bench,
    fetch_model,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the entry point `orpheus-batch`."""
    cli(prog_name="orpheus-batch")
