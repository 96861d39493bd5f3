"""Help costs nothing: no heavy library is loaded before a command needs it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from orpheus_batch import __version__
from orpheus_batch.cli import cli

COMMANDS = (
    "render",
    "prompts",
    "corpus",
    "merge",
    "plan",
    "text",
    "words",
    "status",
    "redo",
    "script",
    "voices",
    "build-engine",
    "doctor",
    "bench",
    "export",
    "fetch-model",
    "verify",
)
HEAVY = {
    "torch",
    "transformers",
    "snac",
    "tokenizers",
    "nltk",
    "numpy",
    "tqdm",
    "yaml",
    "pydub",
    "pyarrow",
    "matplotlib",
}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["render", "-h"], ["redo", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    """In a process of its own, for this one has loaded everything already."""
    script = (
        "import sys, json\n"
        "from orpheus_batch.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stderr)}
    assert set() == HEAVY & loaded


def test_module_and_version():
    """`python -m orpheus_batch --version` names the program and its version on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "orpheus_batch", "--version"], capture_output=True, timeout=60, check=True
    )
    assert f"orpheus-batch {__version__}\n" == done.stdout.decode()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_helps_with_an_example(command, option):
    """Each help has a usage line and a command to copy, kept on a line of its own."""
    result = CliRunner().invoke(cli, [command, option])
    assert 0 == result.exit_code
    assert "Usage:" in result.output
    assert f"\n    orpheus-batch {command}" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "book.txt"],
        ["render", "-o", "out"],
        ["plan", "book.txt", "--price", "cheap", "--speedup", "4"],
        ["plan", "book.txt", "--speedup", "0"],
        ["redo", "out"],
        ["redo", "out", "--segment", "ab", "--find", "words"],
        ["redo", "out", "--segment", "ab", "--text", " "],
        ["status", "out", "--suspect", "-1"],
        ["sing"],
    ],
)
def test_wrong_usage_exits_2(arguments):
    """Usage errors are told from errors in the work."""
    assert 2 == CliRunner().invoke(cli, arguments).exit_code
