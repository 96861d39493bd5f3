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
        for part in spoken.parts:
            yield _reading(spoken, part, pack, spoken.sentence.voice or voice)


def _reading(spoken: Spoken, part: Part, pack: ModelPack, voice: str) -> Reading:
    text = spoken.sentence.text
    written = text[part.first : part.last]
    if part.skip_reason:
        return Reading(part.start, part.end, written.strip(), "", voice, part.skip_reason)
    said, changes = written, []
    if part.text != written:
        said, changes = explain(
            written,
            alphabet=pack.alphabet,
            tags=pack.tags,
            heading=spoken.heading,
            words=pack.puts_into_words(voice),
            found=within(spoken.found, part.first, part.last),
            finish=end_with_stop if part.ends else end_with_comma,
        )
    return Reading(
        part.start, part.end, written.strip(), said, voice, changes=tuple(_placed(spoken, part.first, changes))
    )


def _placed(spoken: Spoken, first: int, changes: Sequence[Change]) -> Iterator[Change]:
    """Give changes their spans in the source; trailing blanks that vanish are none."""
    text = spoken.sentence.text
    kept = [change for change in changes if change.written.strip() or change.spoken.strip()]
    positions = [place for change in kept for place in (change.start, max(change.start, change.end - 1))]
    places = source_places(spoken.source, text, [min(first + place, len(text) - 1) for place in positions])
    for number, change in enumerate(kept):
        start, last = places[2 * number : 2 * number + 2]
        beyond = first + change.start >= len(text)  # put in at the very end
        start = len(spoken.source.rstrip()) if beyond else start
        end = max(start, last + 1) if change.end > change.start else start
        yield dataclasses.replace(change, start=spoken.sentence.start + start, end=spoken.sentence.start + end)
