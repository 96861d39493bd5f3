"""docs/cli.md and the commands say the same."""

import re
from pathlib import Path

import pytest

from orpheus_batch.cli import cli

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
OPTIONS = {name for command in cli.commands.values() for param in command.params for name in param.opts}


def test_every_option_of_the_page_exists():
    """A renamed option does not live on in the docs."""
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert set() == mentioned - OPTIONS


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_its_section_or_example(command):
    """A new command is documented."""
    assert f"orpheus-batch {command} " in PAGE
