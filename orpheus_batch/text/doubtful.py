"""The words of a book that are likeliest to be spoken wrong: names, foreign and rare words, letters in a row.

A word is doubtful if it is not on the list of `orpheus_batch.text.known` and reaches the voice as it is written: what a
rule or a lexicon puts into other words is not. How a voice really speaks them only listening can tell.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orpheus_batch.errors import InputError
from orpheus_batch.text.abbreviations import BEFORE_NAME, words
from orpheus_batch.text.headings import is_capitals
from orpheus_batch.text.known import is_known, oddness
from orpheus_batch.text.readings import Reading

Kind = Literal["name", "foreign", "rare", "letters"]
KINDS: tuple[Kind, ...] = ("name", "foreign", "rare", "letters")

FOREIGN_BITS = 4.6
"""a letter, by `oddness`: 99 % of the list's own small words are below"""
MAX_LETTERS = 5
"""a longer word in capitals is a word that is shouted"""
_CONTEXT_CHARS = 40
"""to each side"""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_BEGINS = re.compile(r"(?:^|[.!?:…—–-])[\s\"'“”‘’(\[]*$")
_HARMLESS = frozenset({"typography", "blanks", "tidying", "capitals", "alphabet", "last mark", "dash", "dots"})
"""rules that leave a word the word it is"""
_CLITICS = words("s d ll ve re m t")


@dataclass(frozen=True, slots=True)
class DoubtfulWord:
    """One word to listen to."""

    word: str
    """as the book mostly writes it"""
    kind: Kind
    count: int
    oddness: float
    """bits a letter; above `FOREIGN_BITS` it is spelt unlike English"""
    chapter: int
    """number, from 1, of the first chapter that has it"""
    chapter_title: str
    start: int
    """of the sentence where it stands first, offset into the source"""
    context: str
    """the words around it there"""


@dataclass(slots=True)
class _Found:
    chapter: int
    chapter_title: str
    start: int
    context: str
    forms: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    """of these, not at the beginning of a sentence"""


class DoubtfulWords:
    """Collects over a book; feed it chapter by chapter."""

    def __init__(self) -> None:
        self.num_words = 0
        self._found: dict[str, _Found] = {}
        self._known: dict[str, bool] = {}

    def add(self, chapter: int, title: str, readings: Iterable[Reading]) -> None:
        """Look through a chapter.

        Args:
            chapter: Its number, from 1.
            title: Of it.
            readings: What is said in it.
        """
        for reading in readings:
            if reading.skip_reason:
                continue
            for word, start, end in _spoken_words(reading):
                self.num_words += 1
                if word not in self._known:
                    self._known[word] = is_known(word)
                if self._known[word]:
                    continue
                found = self._found.get(word.lower())
                if found is None:
                    context = _context(reading.written, start, end)
                    found = self._found[word.lower()] = _Found(chapter, title, reading.start, context)
                found.forms[word] += 1
                if word in reading.written and not _BEGINS.search(reading.written, max(0, start - 8), start):
                    found.within[word] += 1

    def words(self) -> list[DoubtfulWord]:
        """Return what was found, the most frequent first."""
        listed = [_doubtful(found) for found in self._found.values()]
        return sorted(listed, key=lambda word: (-word.count, word.word))


def write_sheet(path: Path, found: Iterable[DoubtfulWord]) -> None:
    """Write a CSV whose column "say" is empty: filled in, it is a lexicon; lines left empty do nothing.

    Raises:
        InputError: It is there already, perhaps with somebody's work in it, or can't be written.
    """
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            sheet = csv.writer(file)
            sheet.writerow(["word", "say", "why", "count", "chapter", "place", "context"])
            for word in found:
                sheet.writerow([word.word, "", word.kind, word.count, word.chapter, word.start, word.context])
    except FileExistsError:
        raise InputError(
            f"{path} is there already, and may hold what you filled in; name another, or give it with --lexicon to "
            "list only what it does not settle"
        ) from None
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from error


def _spoken_words(reading: Reading) -> Iterator[tuple[str, int, int]]:
    """Yield words that are spoken as they are written, and where they stand in the reading."""
    replaced: Counter[str] = Counter()
    shouted = is_capitals(reading.written)
    for change in reading.changes:
        if not set(change.rules) <= _HARMLESS:
            replaced.update(_WORD.findall(change.written))
    for match in _WORD.finditer(reading.written):
        if replaced[match.group()]:
            replaced[match.group()] -= 1
            continue
        word = match.group().replace("’", "'")
        stem, apostrophe, clitic = word.rpartition("'")
        if apostrophe and clitic.lower() in _CLITICS and not is_known(word):
            word = stem
        if len(word) > 1 and word not in BEFORE_NAME:
            yield word.capitalize() if shouted else word, match.start(), match.end()


def _doubtful(found: _Found) -> DoubtfulWord:
    word, _ = max(found.forms.items(), key=lambda item: (found.within[item[0]], item[1], item[0]))
    odd = oddness(word)
    return DoubtfulWord(
        word=word,
        kind=_kind(word, found, odd),
        count=found.forms.total(),
        oddness=round(odd, 2),
        chapter=found.chapter,
        chapter_title=found.chapter_title,
        start=found.start,
        context=found.context,
    )


def _kind(word: str, found: _Found, odd: float) -> Kind:
    capitals = {form for form in found.forms if form[0].isupper() or form.partition("'")[2][:1].isupper()}
    if word.isupper() and len(word) <= MAX_LETTERS and not any(form[1:].islower() for form in found.forms):
        return "letters"
    if capitals == set(found.forms):
        return "name"
    strange = not word.isascii() or (odd > FOREIGN_BITS and "'" not in word)
    return "foreign" if strange else "rare"


def _context(text: str, start: int, end: int) -> str:
    first, last = max(0, start - _CONTEXT_CHARS), end + _CONTEXT_CHARS
    before = text[first:start]
    after = text[end:last]
    before = f"…{before.partition(' ')[2]}" if first and " " in before else before
    after = f"{after.rpartition(' ')[0]}…" if last < len(text) and " " in after else after
    return f"{before}{text[start:end]}{after}"
