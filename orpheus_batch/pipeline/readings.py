"""Books before and after: what would be said for their words, and why. No model is loaded, nothing is written."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orpheus_batch.config import Config
from orpheus_batch.data import Book, SkippedSpan
from orpheus_batch.errors import InputError
from orpheus_batch.pipeline.books import find_sources, lexicon_of, load_book
from orpheus_batch.pipeline.casting import Casting
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.text.choose import chosen_chapters
from orpheus_batch.text.explain import LEXICON_RULE
from orpheus_batch.text.languages import language_notes
from orpheus_batch.text.lexicon import Lexicon
from orpheus_batch.text.readings import Reading, read_chapter
from orpheus_batch.text.segment import segment_limits
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.voices import ModelPack


@dataclass(frozen=True, slots=True)
class ChapterReadings:
    """One chapter before and after."""

    number: int
    """as `plan` counts, from 1"""
    title: str
    readings: tuple[Reading, ...]
    """they tile the chapter"""


@dataclass(frozen=True, slots=True)
class BookReadings:
    """One book before and after; with an error and nothing else where it can't be read."""

    source: str
    title: str = ""
    language: str = ""
    voice: str = ""
    """of the narrator"""
    chapters: tuple[ChapterReadings, ...] = ()
    skipped: tuple[SkippedSpan, ...] = ()
    """whole sections: front and back matter, what is excluded"""
    notes: tuple[str, ...] = ()
    """what is not done for the book's language"""
    unmet: tuple[str, ...] = ()
    """entries of the lexicon that are met nowhere in it, with their lines"""
    error: str = ""

    @property
    def rules(self) -> Counter[str]:
        """How often each rule changed something, all entries of a lexicon together."""
        return Counter(
            rule.partition(" (")[0]
            for chapter in self.chapters
            for reading in chapter.readings
            for change in reading.changes
            for rule in change.rules
        )

    def to_dict(self, show: "Show" = "all") -> dict[str, Any]:
        """Return the sentences that are asked for, and everything else, as plain values."""
        chapters = tuple(
            dataclasses.replace(c, readings=tuple(r for r in c.readings if is_shown(r, show)))
            for c in self.chapters
        )
        shown = dataclasses.replace(self, chapters=chapters)
        return dataclasses.asdict(shown) | {"rules": dict(self.rules.most_common())}


Show = Literal["words", "changes", "all"]


def is_shown(reading: Reading, show: Show) -> bool:
    """Say whether a sentence is asked for: if its words change, or anything, or always; what is left out, always."""
    if show == "all" or reading.skip_reason:
        return True
    return bool(reading.changes) if show == "changes" else reading.changes_words


def read_books(
    paths: Sequence[Path], config: Config, *, chapters: Sequence[str] = ()
) -> Iterator[BookReadings]:
    """Read books as `render_books` would, one after another.

    Args:
        paths: Books, or folders of them.
        config: Of the run.
        chapters: Numbers, ranges ("2-4") or titles with ``*``; none: all.

    Raises:
        ConfigError: The pack, an option, a lexicon or the cast is wrong.
        InputError: A folder among ``paths`` holds no book.
    """
    pack = pack_of(config)
    lexicon = lexicon_of(config, pack)
    for source in find_sources(paths):
        try:
            yield _read(load_book(source, config), config, pack, lexicon, chapters)
        except InputError as error:
            yield BookReadings(source=str(source), error=str(error))


def _read(book: Book, config: Config, pack: ModelPack, lexicon: Lexicon, wanted: Sequence[str]) -> BookReadings:
    voice = pack.voice(config.voice or pack.default_voice)
    own = lexicon.for_book(book.title, book.source_path, book.language)
    numbers = chosen_chapters([chapter.title for chapter in book.chapters], wanted, book.source_path)
    splitter = SentenceSplitter.for_book(book)
    _, max_chars = segment_limits(pack, config.text.min_chars, config.text.max_chars)
    sentences = Casting(pack, config)(book, [splitter.split_chapter(chapter) for chapter in book.chapters])
    chapters = []
    for number in numbers:
        chapter = book.chapters[number]
        readings = read_chapter(
            chapter, sentences[number], pack=pack, voice=voice.name, max_chars=max_chars, lexicon=own
        )
        chapters.append(ChapterReadings(number + 1, chapter.title, tuple(readings)))
    found = BookReadings(
        source=book.source_path,
        title=book.title,
        language=book.language,
        voice=voice.name,
        chapters=tuple(chapters),
        skipped=book.skipped,
        notes=language_notes(book.language, pack, voice),
    )
    if wanted:
        return found
    rules = {
        r
        for chapter in chapters
        for reading in chapter.readings
        for change in reading.changes
        for r in change.rules
    }
    unmet = (f"{e.written} ({e.place})" for e in own.entries if LEXICON_RULE.format(e.place) not in rules)
    return dataclasses.replace(found, unmet=tuple(unmet))
