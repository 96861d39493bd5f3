"""A chapter's sentences as they are spoken: marks cut out, words respelt, all else in words, long ones in parts.

What segments are made of, and what `orpheus-batch text` shows, so that both are the same. Joining, pauses and ids are
not known here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orpheus_batch.data import Boundary, Chapter, Sentence
from orpheus_batch.text.lexicon import Lexicon, Respelling
from orpheus_batch.text.marks import cut_marks
from orpheus_batch.text.utterance import source_offsets, spoken_parts
from orpheus_batch.voices import ModelPack


@dataclass(frozen=True, slots=True)
class Part:
    """A sentence, or a part of one that is too long."""

    first: int
    """offset into the sentence's text"""
    last: int
    """one past its last character there"""
    start: int
    """first source character"""
    end: int
    text: str
    """as it is spoken; empty where it is skipped"""
    skip_reason: str
    ends: bool
    """the sentence ends with it: a full stop, not a comma, is put where it has no mark"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence on its way to the voice."""

    sentence: Sentence
    source: str
    """the characters of its span"""
    heading: bool
    found: Sequence[Respelling]
    """by the lexicon, offsets into the sentence's text"""
    parts: tuple[Part, ...]
    """they tile its span; one where it is skipped"""


def speak_chapter(
    chapter: Chapter,
    sentences: Sequence[Sentence],
    *,
    pack: ModelPack,
    voice: str,
    max_chars: int,
    lexicon: Lexicon | None = None,
) -> Iterator[Spoken]:
    """Yield a chapter's sentences as they are spoken.

    Args:
        chapter: Where the sentences come from.
        sentences: They tile the chapter; marks (`orpheus_batch.text.marks`) are cut out of them here.
        pack: Its alphabet and tags.
        voice: One of the pack's, of sentences that name none.
        max_chars: Of a part as spoken.
        lexicon: What to say for some of the book's words.

    Raises:
        ConfigError: The pack has no such voice.
    """
    lexicon = lexicon or Lexicon()
    for sentence in cut_marks(chapter, sentences, pack.tags):
        source = chapter.text[sentence.start - chapter.source_start : sentence.end - chapter.source_start]
        heading = (
            sentence.boundary is Boundary.HEADING
            or sentence.start < chapter.source_start + chapter.heading_length
        )
        if sentence.skip_reason:
            part = Part(
                0, len(sentence.text), sentence.start, sentence.end, "", sentence.skip_reason, ends=False
            )
            yield Spoken(sentence, source, heading, (), (part,))
            continue
        own = pack.voice(sentence.voice or voice)
        respeller = lexicon.respeller(own)
        found = respeller.find(sentence.text) if respeller else ()
        goes_on = sentence.boundary is Boundary.CLAUSE
        words = pack.puts_into_words(own.name)
        spoken = spoken_parts(sentence.text, pack, max_chars, heading, goes_on, found, words)
        yield Spoken(sentence, source, heading, found, _parts(sentence, source, spoken, max_chars))


def _parts(
    sentence: Sentence, source: str, spoken: Sequence[tuple[int, str]], max_chars: int
) -> tuple[Part, ...]:
    """Give what is spoken of a sentence its places in the source."""
    firsts = [*(first for first, _ in spoken), len(sentence.text)]
    offsets = source_offsets(source, sentence.text, firsts[1:-1])
    starts = [sentence.start, *(sentence.start + offset for offset in offsets), sentence.end]
    parts = []
    for number, (_, text) in enumerate(spoken):
        reason = "" if text else "no pronounceable characters"
        if len(text) > max_chars:
            reason = f"a word longer than {max_chars} characters"
        parts.append(
            Part(
                first=firsts[number],
                last=firsts[number + 1],
                start=starts[number],
                end=starts[number + 1],
                text="" if reason else text,
                skip_reason=reason,
                ends=number == len(spoken) - 1 and sentence.boundary is not Boundary.CLAUSE,
            )
        )
    return tuple(parts)
