"""Options that commands share, and how they become a `Config`.

An option's parameter name is the configuration key that it sets, with two underscores for the dot.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orpheus_batch.units import format_timecode

if TYPE_CHECKING:
    from orpheus_batch.audio.delivery.presets import Preset
    from orpheus_batch.config import Config
    from orpheus_batch.pipeline.after import HeardAt
    from orpheus_batch.pipeline.progress import Meter

Command = TypeVar("Command", bound=Callable[..., Any])

NOISY_LOGGERS = ("transformers", "tokenizers", "pydub", "huggingface_hub", "torch", "filelock", "nltk")


def compose(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that adds options in the order in which help should list them."""

    def apply(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


books_argument = click.argument(
    "books", nargs=-1, required=True, metavar="BOOK...", type=click.Path(path_type=Path)
)

out_argument = click.argument("out", metavar="OUT", type=click.Path(path_type=Path))

model_options = compose(
    click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="YAML with any part of the configuration; options go before it.",
    ),
    click.option(
        "--model",
        "model__pack",
        metavar="PACK",
        help="Which voice pack speaks: builtin, orpheus-3b, a folder with a pack.json, or one with the model "
        "that `fetch-model` or `build-engine` made.  [default: builtin]",
    ),
    click.option(
        "--model-dir",
        "model__model_dir",
        metavar="DIR",
        help="Language model's folder (config.json, *.safetensors, tokenizer.json), if not in the pack.",
    ),
    click.option("--codec-dir", "model__codec_dir", metavar="DIR", help="SNAC's folder, if not in the pack."),
)

lexicon_option = click.option(
    "--lexicon",
    "text__lexicon",
    multiple=True,
    metavar="FILE",
    help="YAML or CSV of words and what to say for them. Repeatable; a later file goes before an earlier one.",
)

text_options = compose(
    click.option("--voice", metavar="NAME", help="See `orpheus-batch voices`.  [default: the pack's]"),
    click.option("--title", "text__title", help="Of a single book, instead of what its header says."),
    click.option("--author", "text__author", help="Instead of what the header says."),
    click.option("--encoding", "text__encoding", help="Of the text files, if detection fails: cp1252, …"),
    click.option(
        "--chapter-pattern",
        "text__chapter_pattern",
        metavar="REGEX",
        help="A heading line matches it, instead of the built-in rules: '^Letter \\d+'.",
    ),
    click.option(
        "--include",
        "text__include",
        multiple=True,
        metavar="SECTION",
        help="Read what would be left out: 'copyright page', or a title. Repeatable; see `plan`.",
    ),
    click.option(
        "--exclude",
        "text__exclude",
        multiple=True,
        metavar="CHAPTER",
        help="Leave out a chapter by title, number or range as `plan` shows them: 3, 10-12. Repeatable.",
    ),
    click.option(
        "--notes",
        "text__notes",
        type=click.Choice(["skip", "inline"]),
        help="Footnotes of EPUB and HTML: left out, or read after their paragraph.  [default: skip]",
    ),
    lexicon_option,
)

cast_option = click.option(
    "--cast",
    "text__cast",
    metavar="FILE",
    help="YAML that gives the narrator and the characters their voices; docs/dialogue.md.",
)

script_option = click.option(
    "--script",
    "text__script",
    metavar="FILE",
    help="Who speaks what, as `script` wrote it and you corrected it; for a single book.",
)

engine_options = compose(
    click.option(
        "--engine",
        "engine__name",
        type=click.Choice(["auto", "torch", "trtllm"]),
        help="Embedded PyTorch or TensorRT-LLM.  [default: auto, TensorRT-LLM where it is installed and has a GPU]",
    ),
    click.option("--device", "engine__device", metavar="NAME", help="cpu, cuda, cuda:1.  [default: auto]"),
    click.option(
        "--batch-size",
        "engine__max_batch_size",
        type=int,
        metavar="N",
        help="Sequences that run together.  [default: what the device holds]",
    ),
    click.option(
        "--deterministic/--no-deterministic",
        "engine__deterministic",
        default=None,
        help="Fixed blocks, so that every byte can be repeated.  [default: on CPU]",
    ),
)


def _ray_address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no address: most likely a file, taken for one because it follows the option."""
    if value in (None, "local", "auto") or ":" in value:
        return value
    raise click.BadParameter(
        f"'{value}' is no address (HOST:PORT, auto or local); if it is a file, write --ray after it"
    )


ray_option = click.option(
    "--ray",
    "engine__ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    callback=_ray_address,
    help="Engines on Ray: every GPU of this machine, or of the cluster at ADDRESS (auto: the one it is of).",
)

asr_options = compose(
    click.option(
        "--asr",
        "asr__recogniser",
        is_flag=False,
        flag_value="auto",
        metavar="[NAME]",
        type=click.Choice(["auto", "none", "moonshine", "faster-whisper"]),
        help="Have a recogniser hear every take; what it hears wrong is taken again.  [NAME: auto]",
    ),
    click.option(
        "--max-wer",
        "asr__max_word_error_rate",
        type=float,
        metavar="RATE",
        help="Wrong words for each word from which a take is taken again, with --asr.  [default: 0.25]",
    ),
)

shard_option = click.option(
    "--shard",
    metavar="i/N",
    help="Do the share i (from 0) of N independent processes: every Nth book, or, of rows and sentences, every Nth "
    "window in a folder of its own; then `merge`.",
)

table_options = compose(
    click.option(
        "--map",
        "mapping",
        multiple=True,
        metavar="NAME=COLUMN",
        help="A column that has another name: text=utterance; text=2 in a file without header. Repeatable.",
    ),
    click.option(
        "--encoding", "table_encoding", metavar="NAME", help="Of the table, if detection fails: cp1252, …"
    ),
    click.option("--delimiter", metavar="CHAR", help="Of the table, if detection fails: ';', tab."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")


def _configure_logging(ctx: click.Context, _param: click.Parameter, verbose: bool) -> bool:
    setup_logging(verbose=verbose, quiet=bool(ctx.params.get("quiet")))
    return verbose


verbosity_options = compose(
    click.option("-q", "--quiet", is_flag=True, is_eager=True, help="No progress, only errors."),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_configure_logging,
        help="Say what happens and why; show tracebacks.",
    ),
)


def make_config(config_file: Path | None, flags: dict[str, Any]) -> "Config":
    """Build the configuration from a file and command-line flags.

    Args:
        config_file: From ``--config``.
        flags: By parameter name, such as ``audio__bitrate_kbps``; None where not given.

    Raises:
        ConfigError: Something of it is wrong.
    """
    from orpheus_batch.config import load_config

    given = {name: list(value) or None if isinstance(value, tuple) else value for name, value in flags.items()}
    return load_config(config_file, {name.replace("__", "."): value for name, value in given.items()})


def delivery_preset(name_or_file: str) -> "Preset":
    """Return a delivery preset, before a long run rather than after it.

    Raises:
        ConfigError: There is none of that name, or its file is wrong.
    """
    from orpheus_batch.audio.delivery.presets import load_preset

    return load_preset(name_or_file)


def place(segment: "HeardAt") -> str:
    """Return where to hear a segment: file and time, or its chapter while that is not finished."""
    if segment.file is None or segment.start_s is None:
        return segment.chapter_title
    return f"{Path(segment.file).name} at {format_timecode(segment.start_s)}"


class _BesideTheBar(logging.Handler):
    """Writes to stderr without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def setup_logging(*, verbose: bool, quiet: bool) -> None:
    """Send the package's log to stderr and keep libraries' chatter out of it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    handler = _BesideTheBar()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    package = logging.getLogger("orpheus_batch")
    package.handlers[:] = [handler]
    package.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)
    if not verbose:
        for name in NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")


@contextmanager
def progress(check: Callable[[], None], *, quiet: bool) -> "Iterator[Meter]":
    """Yield what shows a run's progress: a bar on a terminal, lines elsewhere, nothing if ``quiet``.

    Args:
        check: Called at every step; what it raises ends the run.
        quiet: Show nothing.
    """
    from orpheus_batch.cli.progress import Bar, Lines
    from orpheus_batch.pipeline.progress import Meter

    if quiet:
        yield Meter(check)
    elif not sys.stderr.isatty():
        yield Lines(check)
    else:
        bar = Bar(check)
        try:
            yield bar
        finally:
            bar.close()
