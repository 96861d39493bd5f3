"""Writes a book's script: who speaks what, for a person or a program to correct.

No model is loaded here.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.errors import InputError
from orpheus_batch.pipeline.books import load_book
from orpheus_batch.pipeline.casting import Casting
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.text.dialogue.cast import first_cast
from orpheus_batch.text.dialogue.script import write_script
from orpheus_batch.text.split import SentenceSplitter


@dataclass(frozen=True, slots=True)
class ScriptReport:
    """What a script holds."""

    csv: str
    num_lines: int
    num_quotations: int
    """speech; words and titles in quotation marks left out"""
    num_attributed: int
    speakers: tuple[tuple[str, int], ...]
    """who speaks how many quotations, most first"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the script itself as plain values."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "csv"}


def export_script(
    source: Path, out: Path | None, config: Config, *, new_cast: Path | None = None, overwrite: bool = False
) -> ScriptReport:
    """Write who speaks what in a book.

    Args:
        source: The book.
        out: CSV to write; None: none, the report holds it.
        config: Model, voice and cast; without a cast the narrator reads all, and speakers are called what the book
            calls them.
        new_cast: YAML to write, a cast to begin with.
        overwrite: Files that are there.

    Raises:
        ConfigError: The pack or the cast is wrong.
        InputError: The book can't be read, or a file is there or can't be written.
    """
    for file in (out, new_cast):
        if file is not None and file.exists() and not overwrite:
            raise InputError(f"{file} is there already; give another name, or --force to write over it")
    pack = pack_of(config)
    casting = Casting(pack, config)
    book = load_book(source, config)
    splitter = SentenceSplitter.for_book(book)
    casting.read(book, [splitter.split_chapter(chapter) for chapter in book.chapters])
    spoken = [line for line in casting.lines if line.turn.is_speech]
    counts = Counter(line.speaker for line in spoken)
    narrator = config.voice or pack.default_voice
    report = ScriptReport(
        csv=write_script(casting.lines, narrator),
        num_lines=len(casting.lines),
        num_quotations=len(spoken),
        num_attributed=sum(line.turn.speaker is not None for line in spoken),
        speakers=tuple(counts.most_common()),
    )
    if out is not None:
        _write(out, report.csv, encoding="utf-8-sig")  # the mark tells a spreadsheet that it is UTF-8
    if new_cast is not None:
        genders = {line.turn.speaker.name: line.turn.speaker.gender for line in spoken if line.turn.speaker}
        named = [(name, genders[name], count) for name, count in counts.most_common() if name in genders]
        _write(new_cast, first_cast(named, pack, narrator, book.title))
    return report


def _write(file: Path, text: str, encoding: str = "utf-8") -> None:
    try:
        file.write_text(text, encoding=encoding, newline="")
    except OSError as error:
        raise InputError(f"can't write {file}: {error.strerror or error}") from error
