"""From paths to books that are planned in their ledgers: sources, output folders, plans.

No model is loaded here; the language model is known by its fingerprint alone.
"""

import dataclasses
import hashlib
import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.data import Book, ChapterPlan, Segment
from orpheus_batch.errors import InputError, LedgerError
from orpheus_batch.ledger.records import PendingSegment
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.pipeline.casting import Casting
from orpheus_batch.text.languages import language_notes
from orpheus_batch.text.lexicon import Lexicon
from orpheus_batch.text.lexicon_file import load_lexicon
from orpheus_batch.text.marks import REPORTED
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import plan_book, segment_id, segment_limits
from orpheus_batch.units import TOKENS_PER_SECOND, format_bytes
from orpheus_batch.voices import ModelPack

logger = logging.getLogger(__name__)

BOOK_SUFFIXES = (".txt", ".md", ".markdown", ".epub", ".docx")
"""what is taken from a folder; a file named by itself may end as it likes"""

CACHE_BYTES_PER_S = 36_000
"""of decoded speech as 16-bit FLAC at 24 kHz: three quarters of the raw 48,000, so a careful guess"""
LEDGER_BYTES_PER_S = 400
"""82 tokens of 12 bits or so, and the row they lie in; about 1 MB an hour, doubled for the write-ahead log"""
PCM_BYTES_PER_S = 48_000
"""of a chapter that is being stitched"""

PAGE_SEGMENTS = 1024
"""read from a ledger at a time"""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class PlannedBook:
    """A book whose plan is in its ledger."""

    source: Path
    folder: Path
    title: str
    author: str
    language: str
    num_segments: int
    """distinct ones"""
    num_pending: int
    pending_audio_s: float
    """of those, predicted from the text"""
    cover: bytes | None = None
    """the book's own, JPEG or PNG"""


def find_sources(paths: Iterable[Path]) -> list[Path]:
    """Return the files to read, absolute, each once: files as given, folders by what they hold.

    Raises:
        InputError: A folder holds no book.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            found[path.resolve()] = None
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in BOOK_SUFFIXES and p.is_file())
        if not inside:
            raise InputError(f"the folder {path} holds no book ({', '.join(BOOK_SUFFIXES)})")
        found |= dict.fromkeys(p.resolve() for p in inside)
    return list(found)


def load_book(source: Path, config: Config) -> Book:
    """Read a source as the configuration says.

    Raises:
        InputError: It can't be read.
    """
    text = config.text
    return read_book(
        source,
        encoding=text.encoding,
        title=text.title,
        author=text.author,
        chapter_pattern=text.chapter_pattern,
        include=text.include,
        exclude=text.exclude,
        inline_notes=text.notes == "inline",
    )


def lexicon_of(config: Config, pack: ModelPack) -> Lexicon:
    """Read the lexicons of a configuration.

    Raises:
        ConfigError: One can't be read, or says what the voice can't.
    """
    lexicon = load_lexicon(config.text.lexicon)
    lexicon.check(pack, segment_limits(pack, config.text.min_chars, config.text.max_chars)[1])
    return lexicon


def make_plan(
    book: Book,
    pack: ModelPack,
    config: Config,
    model_fingerprint: str,
    respelled: dict[str, str] | None = None,
    casting: Casting | None = None,
) -> list[ChapterPlan]:
    """Cut a book into segments.

    Args:
        book: From `load_book`.
        pack: Of the voice.
        config: Voice, pauses, seed and limits.
        model_fingerprint: Goes into every segment's id.
        respelled: What to speak instead of a segment's planned text, by that text.
        casting: Who speaks with which voice; None: as the configuration says.

    Raises:
        InputError: Nothing of the book can be spoken, or the script does not fit it.
        ConfigError: A lexicon can't be read, or says what the voice can't; or the cast is wrong.
    """
    lexicon = lexicon_of(config, pack)
    plans = plan_book(
        book,
        pack=pack,
        voice=config.voice or pack.default_voice,
        model_fingerprint=model_fingerprint,
        pauses=config.pauses,
        seed=config.seed,
        min_chars=config.text.min_chars,
        max_chars=config.text.max_chars,
        lexicon=lexicon,
        casting=casting or Casting(pack, config),
    )
    if not any(plan.segments for plan in plans):
        raise InputError(f"{book.source_path}: nothing in it can be spoken; `orpheus-batch plan` says why")
    if not respelled:
        return plans

    def respell(segment: Segment) -> Segment:
        text = respelled.get(segment.text)
        if text is None:
            return segment
        name = segment_id(text, segment.voice, model_fingerprint, pack.sampling, segment.seed)
        return dataclasses.replace(segment, segment_id=name, text=text)

    return [dataclasses.replace(p, segments=tuple(respell(s) for s in p.segments)) for p in plans]


def record_plan(
    source: Path,
    shelf: "Shelf",
    pack: ModelPack,
    config: Config,
    model: dict[str, Any],
) -> PlannedBook:
    """Read a book, cut it, and put the plan into its ledger.

    Args:
        source: Its file.
        shelf: Knows its folder.
        pack: Of the voice.
        config: The whole configuration; it is recorded too.
        model: What identifies the model: its "fingerprint" goes into every segment's id.

    Raises:
        InputError: The book can't be read.
        LedgerError: Its ledger is in use, damaged, or can't be written.
    """
    book = load_book(source, config)
    for note in language_notes(book.language, pack, pack.voice(config.voice or pack.default_voice)):
        logger.warning("%s: %s", source.name, note)
    folder = shelf.folder_of(book)
    with Ledger.open(folder) as ledger:
        if shelf.is_taken(
            ledger.facts(), book
        ):  # by another process, for a book of the same title, in this instant
            raise LedgerError(
                f"{folder} was given to another book of this title by another process; run the same command again"
            )
        plans = make_plan(book, pack, config, model["fingerprint"], ledger.overrides())
        diff = ledger.record_plan(book, plans, config.to_dict(), model)
        ledger.apply_max_attempts(config.quality.max_attempts)
        pending = [predicted_s(pack, item.segment.text) for item in pending_segments(ledger)]
    unheard = sum(span.reason in REPORTED for plan in plans for span in plan.skipped)
    if unheard:
        logger.warning(
            "%s: %d pauses or emotion tags are not heard as they are written; `orpheus-batch plan` lists them",
            source,
            unheard,
        )
    return PlannedBook(
        source=source,
        folder=folder,
        title=book.title,
        author=book.author,
        language=book.language,
        num_segments=diff.num_segments,
        num_pending=len(pending),
        pending_audio_s=sum(pending),
        cover=book.cover,
    )


def pending_segments(ledger: Ledger) -> Iterator[PendingSegment]:
    """Yield what a book still wants, in plan order, each segment once though it may be refused meanwhile."""
    after = -1
    while page := ledger.pending(after=after, limit=PAGE_SEGMENTS):
        yield from page
        after = page[-1].position


def predicted_s(pack: ModelPack, text: str) -> float:
    """Return how long ``text`` will play, in seconds, as the pack predicts."""
    return pack.length.expected_num_tokens(text) / TOKENS_PER_SECOND


def needed_bytes(audio_s: float, config: Config) -> int:
    """Return the disk space that so much new speech takes: ledger, cache, files, and stitching on the way."""
    per_second = LEDGER_BYTES_PER_S + CACHE_BYTES_PER_S + config.audio.bitrate_kbps * 125
    return round(audio_s * per_second) + (round(min(audio_s, 3600.0) * PCM_BYTES_PER_S) if audio_s else 0)


def check_disk(out: Path, audio_s: float, config: Config) -> None:
    """See that what is to be made fits.

    Raises:
        LedgerError: It does not.
    """
    folder = next(p for p in (out, *out.resolve().parents) if p.is_dir())
    free, needed = shutil.disk_usage(folder).free, needed_bytes(audio_s, config)
    if free < needed:
        raise LedgerError(
            f"{out} has {format_bytes(free)} free and this run needs about {format_bytes(needed)}; free some "
            "space, render fewer books at a time, or give another output folder"
        )


class Shelf:
    """Which folder under an output folder belongs to which book.

    A source always returns to its own folder, by the path that the folder's ledger holds, whatever its title is
    now; if it was moved, by its content. A new book gets a folder by its title, with a part of the hash of its
    path where another book has that one.

    Raises:
        LedgerError: The output folder is that of prompts or a corpus.
    """

    def __init__(self, out: Path):
        kind = _kind(out)
        if kind is not None:
            raise LedgerError(f"{out} holds the output of `{kind}`; give `render` a folder of its own with -o")
        self._out = out
        self._by_path: dict[str, Path] = {}
        self._moved: dict[str, Path] = {}
        for folder in book_folders(out):
            try:
                owner = _owner(folder)
            except LedgerError:
                continue  # told when a book wants this very folder
            if owner is None:
                continue
            self._by_path[owner["source_path"]] = folder
            if not Path(owner["source_path"]).exists():
                self._moved[owner["source_sha256"]] = folder

    def is_taken(self, facts: dict[str, Any], book: Book) -> bool:
        """Return whether the ledger of the folder that was given to a book is, by its facts, another's meanwhile."""
        if book.source_path in self._by_path or book.source_sha256 in self._moved:
            return False
        return facts.get("book", {}).get("source_path", book.source_path) != book.source_path

    def folder_of(self, book: Book) -> Path:
        """Return the book's folder; it may not exist yet.

        Raises:
            LedgerError: The ledger in the folder that the title names can't be read.
        """
        known = self._by_path.get(book.source_path) or self._moved.get(book.source_sha256)
        if known is not None:
            return known
        folder = self._out / safe_folder_name(book.title)
        try:
            owner = _owner(folder)
        except LedgerError:
            # Killed while it was made, or of an older release: opening it for writing mends it or says why not.
            with Ledger.open(folder) as ledger:
                owner = ledger.facts().get("book")
        if owner is not None and owner["source_path"] != book.source_path:
            digest = hashlib.sha256(book.source_path.encode("utf-8", "surrogateescape")).hexdigest()
            folder = folder.with_name(f"{folder.name} ({digest[:8]})")
        return folder


def book_folders(out: Path) -> list[Path]:
    """Return the folders with a ledger: ``out`` itself, or those directly in it, sorted."""
    if (out / LEDGER_NAME).is_file():
        return [out]
    return sorted(file.parent for file in out.glob(f"*/{LEDGER_NAME}"))


def safe_folder_name(title: str) -> str:
    """Return ``title`` as a folder's name that every filesystem takes."""
    name = " ".join(_UNSAFE.sub(" ", title).split())[:_MAX_NAME_CHARS]
    while len(name.encode()) > 2 * _MAX_NAME_CHARS:
        name = name[:-1]
    return name.strip(" .") or "Untitled"


def _kind(folder: Path) -> str | None:
    """Return the command whose items a folder holds, None where there is no ledger or it is a book's."""
    if not (folder / LEDGER_NAME).is_file():
        return None
    with suppress(LedgerError), Ledger.open(folder, read_only=True) as ledger:
        return ledger.facts().get("kind")
    return None  # told when a book wants this very folder


def _owner(folder: Path) -> dict[str, Any] | None:
    """Return the "book" fact of a folder's ledger, None where there is no ledger or no plan in it."""
    if not (folder / LEDGER_NAME).is_file():
        return None
    with Ledger.open(folder, read_only=True) as ledger:
        return ledger.facts().get("book")
