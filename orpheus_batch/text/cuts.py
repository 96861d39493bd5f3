"""Cuts a sentence at places in its text, and finds the source span of every part."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from orpheus_batch.data import Chapter, Sentence
from orpheus_batch.text.utterance import source_offsets


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a sentence."""

    first: int
    """offset into the sentence's text"""
    last: int
    """one past its last character there"""
    start: int
    """source character, as `Sentence.start`"""
    end: int


def cut_sentence(chapter: Chapter, sentence: Sentence, places: Iterable[int]) -> list[Part]:
    """Cut a sentence.

    Args:
        chapter: Where it stands.
        sentence: Any.
        places: Offsets into its text where a part begins, in any order; those at its ends cut nothing.

    Returns:
        Parts that tile text and span; two places with no source character between them cut once.
    """
    text = sentence.text
    inner = sorted({place for place in places if 0 < place < len(text)})
    first = sentence.start - chapter.source_start
    source = chapter.text[first : sentence.end - chapter.source_start]
    offsets = source_offsets(source, text, inner)
    kept = [(0, 0)]
    for place, offset in zip(inner, offsets, strict=True):
        if kept[-1][1] < offset < len(source):
            kept.append((place, offset))
    kept.append((len(text), len(source)))
    return [
        Part(place, after, sentence.start + offset, sentence.start + end)
        for (place, offset), (after, end) in itertools.pairwise(kept)
    ]
