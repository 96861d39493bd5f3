"""A lexicon at work: which words of a sentence are respelt, and as what.

An entry names words, a phrase or a pattern, what to say instead, and where it holds (voices, languages, books). It is
looked up in the book's own words, before anything else is done to them, and each find says where it stands. Files
are read in `orpheus_batch.text.lexicon_file`; what the rest of normalisation makes of a respelling is not known here.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orpheus_batch.errors import ConfigError
from orpheus_batch.text.headings import is_capitals
from orpheus_batch.text.normalize import FOLDED_CHARACTERS, INVISIBLE, normalize
from orpheus_batch.voices import ModelPack, Voice

if TYPE_CHECKING:
    import regex

PATTERN_TIMEOUT_S = 2.0
"""that a pattern may take over one sentence; an honest one takes microseconds"""
_TOKEN = re.compile(r"[^\W_]+")
_SHOWN_CHARS = 60

CaseRule = Literal["smart", "exact", "any"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an entry holds; an empty list is everywhere."""

    voices: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    """BCP 47 primary tags: "en" """
    books: tuple[str, ...] = ()
    """of a book's title, or its file's name, capitals alike; ``*`` stands for anything"""


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """One line of a lexicon."""

    written: str
    """words of the book, with a letter or a digit among them; of a pattern, a regular expression"""
    spoken: str
    """what to say; empty: nothing. Of a pattern, with ``\\1`` or ``\\g<name>`` for its groups"""
    place: str
    """file and line, for messages and the record of changes"""
    is_pattern: bool = False
    case: CaseRule = "smart"
    """smart: small letters stand for either case, capitals for capitals alone; a pattern knows no smartness"""
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class Respelling:
    """One find in a text."""

    start: int
    end: int
    """one past the last character, offsets into the text that was searched"""
    spoken: str
    entry: LexiconEntry


class Lexicon:
    """Entries in the order of their files; the last one that fits goes first.

    Args:
        entries: From `orpheus_batch.text.lexicon_file`.
        language: Of the text, a primary tag; empty: that of the voice.
    """

    def __init__(self, entries: Iterable[LexiconEntry] = (), language: str = ""):
        self.entries = tuple(entries)
        self._language = language
        self._respellers: dict[str, Respeller | None] = {}

    def __bool__(self) -> bool:
        """Say whether there is any entry."""
        return bool(self.entries)

    def digest(self) -> str:
        """Return what stands for all that it says, wherever its files lie."""
        said = [(e.written, e.spoken, e.is_pattern, e.case, astuple(e.scope)) for e in self.entries]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest() if said else ""

    def for_book(self, title: str, path: str, language: str) -> "Lexicon":
        """Return the entries that hold in a book.

        Args:
            title: Of the book.
            path: Its file.
            language: Its primary tag; empty where it does not say.
        """
        names = [name.lower() for name in (title, Path(path).name, Path(path).stem)]

        def holds(scope: Scope) -> bool:
            patterns = [book.lower() for book in scope.books]
            return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

        return Lexicon((entry for entry in self.entries if holds(entry.scope)), language)

    def respeller(self, voice: Voice) -> "Respeller | None":
        """Return what respells for a voice; None where no entry holds for it."""
        if voice.name not in self._respellers:
            language = self._language or voice.language
            held = [entry for entry in self.entries if _holds(entry.scope, voice.name, language)]
            self._respellers[voice.name] = Respeller(held) if held else None
        return self._respellers[voice.name]

    def check(self, pack: ModelPack, max_chars: int) -> None:
        """See that a pack can say what the entries want said.

        Args:
            pack: Of the voice.
            max_chars: Of a segment.

        Raises:
            ConfigError: A respelling holds a letter that the voice has not learned, or is too long for it.
        """
        for entry in self.entries:
            if len(entry.spoken) >= max_chars:
                raise ConfigError(
                    f"{entry.place}: {len(entry.spoken)} characters to say, and the voice speaks {max_chars} at once"
                )
            if pack.alphabet is None:
                continue
            letters = dict.fromkeys(filter(str.isalpha, entry.spoken))
            lost = [c for c in letters if not normalize(c, alphabet=pack.alphabet, tags=())]
            if lost:
                raise ConfigError(
                    f"{entry.place}: “{entry.spoken}” holds {' '.join(lost)}, which the voice pack '{pack.name}' "
                    "can't read; respell it in English letters"
                )


class Respeller:
    """Finds what is to be respelt for one voice in one book.

    Args:
        entries: Those that hold; of two for the same words the narrower scope goes first, then the later entry.
    """

    def __init__(self, entries: Sequence[LexiconEntry]):
        ordered = sorted(
            enumerate(entries), key=lambda item: (_narrowness(item[1].scope), item[0]), reverse=True
        )
        self._patterns = [(e, _compiled(e)) for _, e in ordered if e.is_pattern]
        self._literals: dict[str, list[_Literal]] = {}
        for _, entry in ordered:
            if not entry.is_pattern:
                literal = _Literal.of(entry)
                self._literals.setdefault(literal.key, []).append(literal)
        for literals in self._literals.values():
            literals.sort(key=lambda literal: (-len(literal.folded), -literal.num_capitals))

    def find(self, text: str) -> list[Respelling]:
        """Return what of a sentence is respelt, in order, without overlap: the first, then the longest, then words.

        Args:
            text: One line of the book's words.

        Raises:
            ConfigError: A pattern takes for ever.
        """
        folded, places = _fold(text)
        found = self._find_words(folded) + self._find_patterns(folded)
        found.sort(key=lambda find: (find.start, -find.end, find.entry.is_pattern))
        kept: list[Respelling] = []
        for find in found:
            if kept and find.start < kept[-1].end:
                continue
            kept.append(find)
        if places is None:
            return kept
        return [Respelling(places[find.start], places[find.end], find.spoken, find.entry) for find in kept]

    def _find_words(self, text: str) -> list[Respelling]:
        lowered = _lower(text)
        capitals = is_capitals(text)
        found = []
        for token in _TOKEN.finditer(lowered):
            for literal in self._literals.get(token.group(), ()):
                start = token.start() - literal.key_start
                end = start + len(literal.folded)
                if start >= 0 and lowered[start:end] == literal.lowered and literal.fits(text, start, end):
                    spoken = _in_case_of(text[start:end], literal.entry, capitals)
                    found.append(Respelling(start, end, spoken, literal.entry))
                    break
        return found

    def _find_patterns(self, text: str) -> list[Respelling]:
        found = []
        for entry, pattern in self._patterns:
            try:
                for match in pattern.finditer(text, timeout=PATTERN_TIMEOUT_S):
                    if match.end() > match.start():
                        found.append(Respelling(match.start(), match.end(), match.expand(entry.spoken), entry))
            except TimeoutError:
                raise ConfigError(
                    f"{entry.place}: the pattern {entry.written!r} takes more than {PATTERN_TIMEOUT_S:g} s over "
                    f"“{text[:_SHOWN_CHARS]}…”; a repetition within a repetition, such as (a+)+, does that"
                ) from None
        return found


def respell(text: str, found: Iterable[Respelling]) -> str:
    """Return ``text`` with what was found in it respelt."""
    parts, position = [], 0
    for find in found:
        parts += [text[position : find.start], find.spoken]
        position = find.end
    return "".join([*parts, text[position:]])


def compile_pattern(written: str) -> "regex.Pattern[str]":
    """Compile a user's regular expression; `regex` can be stopped after a time, `re` can't.

    Raises:
        ValueError: It is none, or fits an empty text.
    """
    import regex

    try:
        pattern = regex.compile(written)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{written!r} is no regular expression: {error}") from None
    try:
        if pattern.search("", timeout=PATTERN_TIMEOUT_S):
            raise ValueError(f"the pattern {written!r} fits where there is nothing; + instead of * may help")
    except TimeoutError:
        raise ValueError(f"the pattern {written!r} takes for ever over an empty line") from None
    return pattern


@dataclass(frozen=True, slots=True)
class _Literal:
    """Words, prepared for the search."""

    entry: LexiconEntry
    folded: str
    lowered: str
    key: str
    """its first run of letters and digits, by which it is found"""
    key_start: int
    num_capitals: int

    @classmethod
    def of(cls, entry: LexiconEntry) -> "_Literal":
        folded = _fold(entry.written)[0]
        lowered = _lower(folded)
        key = _TOKEN.search(lowered)
        capitals = 0 if entry.case == "any" else sum(map(str.isupper, folded))
        return cls(entry, folded, lowered, key.group() if key else "", key.start() if key else 0, capitals)

    def fits(self, text: str, start: int, end: int) -> bool:
        """Say whether the case is right and whole words stand there; a possessive 's may follow."""
        written = text[start:end]
        if self.entry.case == "exact" and written != self.folded:
            return False
        if self.entry.case == "smart" and any(
            own.isupper() and own != other for own, other in zip(self.folded, written, strict=True)
        ):
            return False
        if self.folded[0].isalnum() and _joined_before(text, start):
            return False
        return not (self.folded[-1].isalnum() and _joined_after(text, end))


def _joined_before(text: str, start: int) -> bool:
    before = text[max(0, start - 2) : start]
    return before[-1:].isalnum() or (before[-1:] == "'" and before[:1].isalnum() and len(before) == 2)


def _joined_after(text: str, end: int) -> bool:
    after = text[end : end + 3]
    if after[:1] == "'" and after[1:2].isalnum():
        return after[1] not in "sS" or after[2:].isalnum()
    return after[:1].isalnum()


def _in_case_of(written: str, entry: LexiconEntry, capitals: bool) -> str:
    """Return the respelling in the case of what it stands for: of Bass, Base; of BASS in a line of capitals, BASE."""
    spoken = entry.spoken
    if entry.case == "exact" or "<" in spoken or not spoken:
        return spoken
    letters = [c for c in written if c.isalpha()]
    own = [c for c in entry.written if c.isalpha()]
    shouted = len(letters) > 1 and all(map(str.isupper, letters)) and not all(map(str.isupper, own))
    if shouted and capitals:
        return spoken.upper()
    if letters and letters[0].isupper() and (shouted or own[0].islower()):
        return spoken[0].upper() + spoken[1:]
    return spoken


def _holds(scope: Scope, voice: str, language: str) -> bool:
    languages = [tag.lower().split("-")[0] for tag in scope.languages]
    return (not scope.voices or voice in scope.voices) and (not languages or language in languages)


def _narrowness(scope: Scope) -> int:
    return bool(scope.books) + bool(scope.voices) + bool(scope.languages)


def _compiled(entry: LexiconEntry) -> "regex.Pattern[str]":
    try:
        return compile_pattern(entry.written)
    except ValueError as error:
        raise ConfigError(f"{entry.place}: {error}") from None


def _fold(text: str) -> tuple[str, list[int] | None]:
    """Return a text with one quotation mark, blank and hyphen of a kind, composed, nothing invisible in it.

    Returns:
        The text, and where each of its characters, and its end, stand in the original; None: at the same offset.
    """
    if text.isascii() and not INVISIBLE.search(text):
        return text, None
    if unicodedata.is_normalized("NFC", text) and not INVISIBLE.search(text):
        return text.translate(_table()), None
    out: list[str] = []
    places: list[int] = []
    position = 0
    for cluster in _CLUSTER.findall(text):
        folded = unicodedata.normalize("NFC", INVISIBLE.sub("", cluster)).translate(_table())
        out.append(folded)
        places += [position] * len(folded)
        position += len(cluster)
    places.append(len(text))
    return "".join(out), places


_CLUSTER = re.compile(r".[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]*", re.DOTALL)


def _lower(text: str) -> str:
    """Return ``text`` in small letters, character by character: of the same length."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


@lru_cache(maxsize=1)
def _table() -> dict[int, str]:
    return str.maketrans({**FOLDED_CHARACTERS, **dict.fromkeys("‐‑‒⁃−", "-")})
