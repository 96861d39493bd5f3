"""From a row to an item: what is said, by whom, with which seed, into which file; or why it can't be.

A row is checked here and nowhere later. Whether its id and its file are its own is the planner's affair.
"""

import dataclasses
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Chapter, Segment
from orpheus_batch.text.lexicon import Lexicon
from orpheus_batch.text.segment import plan_chapter
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.voices import ModelPack

FORMATS = ("wav", "flac", "mp3", "opus")

MAX_TEXT_CHARS = 10_000
"""ten minutes of speech: more in one row is a book, or a quotation mark left open"""
MAX_NAME_BYTES = 200
MAX_SEED = 1 << 62
ITEM_VERSION = 2
"""part of every row's digest: raised when the same row would be planned differently"""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OURS = re.compile(r"(ledger|manifest)\.", re.IGNORECASE)
_BACKWARDS = re.compile("[\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a row asks for, checked, defaults filled in."""

    item_id: str
    """"" where the row has none: the planner makes one of `digest`"""
    text: str
    voice: str
    seed: int | None
    """None: made of the id"""
    temperature: float | None
    format: str
    file: str
    """relative to the output folder; "" where the id is to name it"""
    line: int | None
    """in its source; None: another process' item"""
    digest: bytes
    """of all that it is planned from, the id and the settings included"""
    content: bytes
    """digest of what is said and how, whatever the settings and the file"""
    split: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """what goes into a manifest as it is"""


@dataclass(frozen=True, slots=True)
class Item:
    """A wish with its segments."""

    item_id: str
    number: int
    """its chapter index on the line"""
    wish: Wish
    seed: int
    file: str | None
    segments: tuple[Segment, ...]


class BadRow(Exception):
    """A row that can't become an item; the message says why."""


class Wisher:
    """Checks rows of one table against one pack.

    Args:
        pack: Whose voices there are.
        voice: Of rows without one.
        format: Likewise.
        settings: Anything else that what is made of a row depends on.
    """

    def __init__(self, pack: ModelPack, voice: str, format: str, settings: Any):
        self._voices = {v.name for v in pack.voices}
        self._pack = pack
        self._voice = voice
        self._format = format
        self._salt = json.dumps([ITEM_VERSION, settings], sort_keys=True, default=str).encode()

    def wish(self, line: int, values: Mapping[str, Any]) -> Wish:
        """Return what a row asks for.

        Raises:
            BadRow: Something in it can't be.
        """
        text = self._text(values)
        voice = _string(values, "voice") or self._voice
        if voice not in self._voices:
            raise BadRow(f"no voice is called '{voice[:40]}'; there are {', '.join(sorted(self._voices))}")
        seed = _whole(values, "seed")
        temperature = _number(values, "temperature")
        item_id = _string(values, "id")
        if item_id:
            check_path(item_id, "id")
        file, format = self._file(values)
        fields = (item_id, text, voice, seed, temperature, format, file)
        digest = hashlib.sha256(self._salt + repr(fields).encode()).digest()
        content = hashlib.sha256(repr((text, voice, seed, temperature)).encode()).digest()
        return Wish(item_id, text, voice, seed, temperature, format, file, line, digest, content)

    def _text(self, values: Mapping[str, Any]) -> str:
        value = values.get("text")
        if value is None or (isinstance(value, str) and not value.strip()):
            raise BadRow("no text")
        if not isinstance(value, str):
            raise BadRow(f"the text is not a string but {type(value).__name__}")
        if len(value) > MAX_TEXT_CHARS:
            raise BadRow(f"the text has {len(value):,} characters; a row may have {MAX_TEXT_CHARS:,}")
        return value

    def _file(self, values: Mapping[str, Any]) -> tuple[str, str]:
        format = _string(values, "format").lower().removeprefix(".")
        file = _string(values, "filename")
        suffix = PurePosixPath(file).suffix.lower().removeprefix(".") if file else ""
        if suffix not in FORMATS:
            suffix = ""
        format = format or suffix or self._format
        if format not in FORMATS:
            raise BadRow(f"no format '{format[:20]}'; there are {', '.join(FORMATS)}")
        if suffix and suffix != format:
            raise BadRow(f"the filename ends in .{suffix} and the format is {format}")
        if file:
            file = file if suffix else f"{file}.{format}"
            check_path(file, "filename")
        return file, format


class Speaker:
    """Cuts what items say into segments.

    Args:
        pack: Its alphabet, limits and sampling.
        model_fingerprint: Goes into every segment's id.
        pauses: Between the segments of one item.
        base_seed: From which seeds of items without one are made.
        min_chars: Of a segment; None: the pack's.
        max_chars: Likewise.
        lexicon: What to say for some words.
    """

    def __init__(
        self,
        pack: ModelPack,
        model_fingerprint: str,
        pauses: PauseConfig,
        base_seed: int,
        min_chars: int | None = None,
        max_chars: int | None = None,
        lexicon: Lexicon | None = None,
    ):
        self._pack = pack
        self._fingerprint = model_fingerprint
        self._pauses = pauses
        self._base_seed = base_seed
        self._limits = {"min_chars": min_chars, "max_chars": max_chars}
        self._lexicon = lexicon
        self._splitter = SentenceSplitter()

    def item(self, number: int, item_id: str, wish: Wish) -> Item:
        """Return an item with its segments, all of one seed.

        Raises:
            BadRow: Nothing in the text can be spoken.
        """
        seed = seed_of(self._base_seed, item_id) if wish.seed is None else wish.seed
        chapter = Chapter(number, item_id, wish.text, 0, 0)
        pack = self._pack
        if wish.temperature is not None:
            pack = dataclasses.replace(
                pack, sampling=dataclasses.replace(pack.sampling, temperature=wish.temperature)
            )
        plan = plan_chapter(
            chapter,
            self._splitter.split_chapter(chapter),
            pack=pack,
            voice=wish.voice,
            model_fingerprint=self._fingerprint,
            pauses=self._pauses,
            seed=seed,
            lexicon=self._lexicon,
            **self._limits,
        )
        if not plan.segments:
            reasons = ", ".join(sorted({span.reason for span in plan.skipped}))
            raise BadRow(f"nothing in the text can be spoken: {reasons or 'it is blank'}")
        segments = plan.segments
        if wish.temperature is not None:
            segments = tuple(dataclasses.replace(s, temperature=wish.temperature) for s in segments)
        return Item(item_id, number, wish, seed, wish.file or f"{item_id}.{wish.format}", segments)


def seed_of(base_seed: int, item_id: str) -> int:
    """Return an item's own seed: equal texts under different ids are different takes."""
    digest = hashlib.sha256(f"{base_seed}|{item_id}".encode()).digest()
    return int.from_bytes(digest[:8], "little") & (MAX_SEED - 1)


def check_path(name: str, what: str) -> None:
    """Hold a name from a row to what may become a file under the output folder, on any filesystem.

    Raises:
        BadRow: It would climb out, or can't be a name.
    """
    if name.startswith(("/", "~")) or "\\" in name or re.match(r"^[A-Za-z]:", name):
        raise BadRow(f"the {what} '{name[:60]}' is not a relative path")
    if _CONTROL.search(name) or _BACKWARDS.search(name):
        raise BadRow(f"the {what} holds control characters")
    if unicodedata.normalize("NFC", name) != name:
        raise BadRow(f"the {what} '{name[:60]}' is not in Unicode's composed form (NFC)")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise BadRow(f"the {what} '{name[:60]}' would lead out of the output folder, or nowhere")
        if part.startswith(".") or part != part.strip():
            raise BadRow(f"the {what} '{name[:60]}' has a part that begins with a dot or with blanks around it")
    for folder in name.split("/")[:-1]:
        if PurePosixPath(folder).suffix.lower().removeprefix(".") in FORMATS or _OURS.match(folder):
            raise BadRow(f"the {what} '{name[:60]}' has a folder called as a file may be: {folder}")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadRow(f"the {what} is longer than {MAX_NAME_BYTES} bytes")


def _string(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(f"'{name}' is not a string but {type(value).__name__}")
    return str(value).strip()


def _whole(values: Mapping[str, Any], name: str) -> int | None:
    value = _number(values, name, whole=True)
    return None if value is None else int(value)


def _number(values: Mapping[str, Any], name: str, whole: bool = False) -> float | int | None:
    value = values.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRow(f"'{name}' is not a number but {type(value).__name__}")
    try:
        number = int(value) if whole and not isinstance(value, float) else float(value)
    except ValueError:
        raise BadRow(f"'{name}' is not a number: {str(value)[:40]}") from None
    if whole and (not 0 <= number < MAX_SEED or number % 1):
        raise BadRow(f"'{name}' must be a whole number from 0 to 2^62")
    if not whole and not (math.isfinite(number) and 0 <= number <= 10):
        raise BadRow(f"'{name}' must be between 0 and 10")
    return number
