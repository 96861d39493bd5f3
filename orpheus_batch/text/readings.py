"""A chapter before and after: the book's words, what is said for them, and why, each change with its source span.

Made of the very sentences that segments are made of. Nothing is shown here; `orpheus-batch text` does.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orpheus_batch.data import Chapter, Sentence
from orpheus_batch.text.explain import Change, explain
from orpheus_batch.text.lexicon import Lexicon
from orpheus_batch.text.normalize import end_with_comma, end_with_stop
from orpheus_batch.text.speak import Part, Spoken, speak_chapter
from orpheus_batch.text.utterance import source_places, within
from orpheus_batch.voices import ModelPack


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence, or the part of one that is spoken in one go."""

    start: int
    """first source character"""
    end: int
    written: str
    """the book's words, on one line"""
    spoken: str
    """empty where it is skipped"""
    voice: str
    skip_reason: str = ""
    changes: tuple[Change, ...] = ()
    """spans count in the source"""

    @property
    def changes_words(self) -> bool:
        """Whether letters or digits are spoken otherwise than they are written: not mere punctuation."""
        return any(is_of_words(change) for change in self.changes)


def is_of_words(change: Change) -> bool:
    """Return whether a change is of letters or digits, their case apart."""
    written, spoken = ([c for c in text.casefold() if c.isalnum()] for text in (change.written, change.spoken))
    return written != spoken


def read_chapter(
    chapter: Chapter,
    sentences: Sequence[Sentence],
    *,
    pack: ModelPack,
    voice: str,
    max_chars: int,
    lexicon: Lexicon | None = None,
) -> Iterator[Reading]:
    """Yield a chapter's sentences before and after; arguments and errors as in `speak_chapter`.

    Returns:
        Readings whose spans tile the chapter.
    """
    for spoken in speak_chapter(
        chapter, sentences, pack=pack, voice=voice, max_chars=max_chars, lexicon=lexicon
    ):
        yield from _readings(spoken, pack, spoken.sentence.voice or voice)


def _readings(spoken: Spoken, pack: ModelPack, voice: str) -> Iterator[Reading]:
    """Yield a sentence's parts; places in the source are found for all of them at once."""
    text = spoken.sentence.text
    explained = [_explain(spoken, part, pack, voice) for part in spoken.parts]
    changes = [change for _, of_part in explained for change in of_part]
    placed = iter(_placed(spoken, changes))
    for part, (said, of_part) in zip(spoken.parts, explained, strict=True):
        own = tuple(next(placed) for _ in of_part)
        written = text[part.first : part.last].strip()
        yield Reading(part.start, part.end, written, said, voice, part.skip_reason, own)


def _explain(spoken: Spoken, part: Part, pack: ModelPack, voice: str) -> tuple[str, list[Change]]:
    """Return what is said of a part, and its changes, their spans in the sentence's text."""
    written = spoken.sentence.text[part.first : part.last]
    if part.skip_reason or part.text == written:
        return part.text, []
    said, changes = explain(
        written,
        alphabet=pack.alphabet,
        tags=pack.tags,
        heading=spoken.heading,
        words=pack.puts_into_words(voice),
        found=within(spoken.found, part.first, part.last),
        finish=end_with_stop if part.ends else end_with_comma,
    )
    shown = [c for c in changes if c.written.strip() or c.spoken.strip()]  # not blanks that vanish
    return said, [dataclasses.replace(c, start=part.first + c.start, end=part.first + c.end) for c in shown]


def _placed(spoken: Spoken, changes: Sequence[Change]) -> Iterator[Change]:
    """Give changes their spans in the source."""
    text, first = spoken.sentence.text, spoken.sentence.start
    positions = [place for c in changes for place in (c.start, max(c.start, c.end - 1))]
    places = source_places(spoken.source, text, [min(place, len(text) - 1) for place in positions])
    for number, change in enumerate(changes):
        start, last = places[2 * number : 2 * number + 2]
        if change.start >= len(text):  # put in at the very end
            start = len(spoken.source.rstrip())
        end = max(start, last + 1) if change.end > change.start else start
        yield dataclasses.replace(change, start=first + start, end=first + end)
