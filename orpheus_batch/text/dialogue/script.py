"""The script: a book's turns as a CSV that a person or a model can correct, and back.

Cells that a spreadsheet would take for a formula are marked with an apostrophe, which is taken off again. What is
read back is held against the book, line by line.
"""

import csv
import dataclasses
import io
import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orpheus_batch.errors import InputError
from orpheus_batch.text.dialogue.cast import NARRATOR, UNKNOWN, Cast, did_you_mean
from orpheus_batch.text.dialogue.turns import Turn
from orpheus_batch.voices import ModelPack

logger = logging.getLogger(__name__)

COLUMNS = ("place", "speaker", "voice", "text", "how")
MAX_FILE_BYTES = 200_000_000
SHOWN_CHARS = 60

_FORMULA = re.compile(r"'*[=+\-@|%\t\r]")
_MARKED = re.compile(r"'+[=+\-@|%\t\r]")


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One turn with its voice, as a script has it."""

    turn: Turn
    voice: str
    """"" for the narrator's"""
    speaker: str
    """a name, `NARRATOR` or `UNKNOWN`"""


def speaker_name(turn: Turn) -> str:
    """Return what a script calls the speaker of a turn."""
    if turn.speaker is not None:
        return turn.speaker.name
    return UNKNOWN if turn.is_speech else NARRATOR


def cast_lines(turns: Iterable[Turn], cast: Cast | None) -> list[Line]:
    """Give turns the voices that a cast has for their speakers; without a cast, the narrator's."""
    return [
        Line(turn, cast.voice_of(turn.speaker) if cast and turn.is_quoted else "", speaker_name(turn))
        for turn in turns
    ]


def write_script(lines: Iterable[Line], narrator: str) -> str:
    """Return lines as CSV.

    Args:
        lines: In order.
        narrator: Voice of those that name none.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in lines:
        turn = line.turn
        cells = (turn.place, line.speaker, line.voice or narrator, turn.text, turn.how)
        writer.writerow([_safe(cell) for cell in cells])
    return out.getvalue()


def read_script(
    file: Path, turns: Sequence[Turn], cast: Cast | None, pack: ModelPack, narrator: str
) -> list[Line]:
    """Read a corrected script.

    With a cast the speaker decides the voice; without one the voice column does. Where the two columns disagree, a
    warning says so.

    Args:
        file: CSV with at least place, text and speaker or voice, in any order of columns and lines.
        turns: Of the book, as it is now.
        cast: Whose characters there are; None: anyone may speak.
        pack: Whose voices there are.
        narrator: The narrator's voice.

    Returns:
        One line a turn, in the book's order.

    Raises:
        InputError: The file can't be read, does not fit the book, or names an unknown speaker or voice; says
            which line.
    """
    by_place = {turn.place: turn for turn in turns}
    reader = _LineReader(turns, cast, pack, narrator)
    found: dict[str, Line] = {}
    met: dict[str, int] = {}
    for number, row in _rows(file):
        where = f"{file}, line {number}"
        place = row.get("place", "").strip()
        turn = by_place.get(place)
        if turn is None:
            raise InputError(f"{where}: the book has no place '{place[:40]}'; {_export_again(file)}")
        if place in met:
            raise InputError(f"{where}: the place {place} stands in line {met[place]} already")
        if _folded(row.get("text", "")) != _folded(turn.text):
            raise InputError(
                f"{where}: at {place} the script has “{_short(row.get('text', ''))}” and the book "
                f"“{_short(turn.text)}”; {_export_again(file)}. To have other words spoken, see `redo --text`"
            )
        met[place] = number
        found[place] = reader.line(number, where, turn, row)
    missing = next((turn for turn in turns if turn.place not in found), None)
    if missing is not None:
        raise InputError(
            f"{file} has no line for {missing.place}, “{_short(missing.text)}”: {len(turns) - len(found):,} of "
            f"{len(turns):,} are missing; {_export_again(file)}"
        )
    reader.warn(file)
    return [found[turn.place] for turn in turns]


class _LineReader:
    """Checks speakers and voices."""

    def __init__(self, turns: Sequence[Turn], cast: Cast | None, pack: ModelPack, narrator: str):
        self._others = {turn.speaker.name: turn.speaker for turn in turns if turn.speaker is not None}
        self._cast = cast
        self._pack = pack
        self._narrator = narrator
        self._overruled: list[int] = []
        self._voices: dict[str, Counter[str]] = defaultdict(Counter)

    def line(self, number: int, where: str, turn: Turn, row: dict[str, str]) -> Line:
        """Return one line, its speaker and voice checked."""
        name, voice = row.get("speaker", "").strip() or NARRATOR, row.get("voice", "").strip()
        known = [v.name for v in self._pack.voices]
        if voice and voice not in known:
            hint = did_you_mean(voice, known)
            raise InputError(f"{where}: the pack '{self._pack.name}' has no voice '{voice}'{hint}")
        if self._cast is None:
            self._voices[name][voice or self._narrator] += 1
            return Line(turn, "" if voice == self._narrator else voice, name)
        own = self._cast.voice_of_name(name)
        if own is None and name in self._others:
            own = self._cast.voice_of(self._others[name])
        if own is None:
            hint = did_you_mean(name, [*(character.name for character in self._cast.characters), NARRATOR])
            raise InputError(f"{where}: nobody in {self._cast.path} is called '{name}'{hint}")
        if voice and voice != (own or self._narrator):
            self._overruled.append(number)
        return Line(turn, own, name)

    def warn(self, file: Path) -> None:
        """Say where speaker and voice disagree."""
        if self._overruled and self._cast is not None:
            logger.warning(
                "%s: %d lines, the first of them line %d, have another voice than %s gives their speaker; the cast "
                "decides. Leave --cast out to let the voice column decide",
                file,
                len(self._overruled),
                self._overruled[0],
                self._cast.path,
            )
        for name, voices in self._voices.items():
            if len(voices) > 1 and name not in (NARRATOR, UNKNOWN):
                told = ", ".join(f"{voice} in {count:,}" for voice, count in voices.most_common())
                logger.warning("%s: %s speaks with several voices: %s lines", file, name, told)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows under the header, each with the line that it begins on."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{file} is larger than {MAX_FILE_BYTES // 1_000_000} MB: that is no script")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8; save it as “CSV UTF-8” from the spreadsheet") from None
    except OSError as error:
        raise InputError(f"can't read the script {file}: {error.strerror or error}") from error
    csv.field_size_limit(1 << 24)
    header_line = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    begin = 1
    try:
        for cells in reader:
            number, begin = begin, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                lacking = [name for name in ("place", "text") if name not in header]
                if lacking or not {"speaker", "voice"} & set(header):
                    raise InputError(
                        f"{file}, line {number}: a script has the columns {', '.join(COLUMNS)}; this has "
                        f"{', '.join(header)[:100]}"
                    )
                continue
            yield number, {name: _plain(cell) for name, cell in zip(header, cells, strict=False)}
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: {error}") from error
    if not header:
        raise InputError(f"{file} is empty: `orpheus-batch script BOOK -o {file.name}` writes one")


def _safe(cell: str) -> str:
    """Mark what a spreadsheet would run."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _plain(cell: str) -> str:
    """Take the mark off."""
    return cell[1:] if _MARKED.match(cell) else cell


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


def _export_again(file: Path) -> str:
    return f"the book was changed since it was written, or the script's lines were: export it again into {file.name}"
