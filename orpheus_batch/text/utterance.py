"""A sentence as it is spoken: in one part, or cut at clauses where it is too long for the model.

Knows where each part comes from in the source; nothing of joining, voices or pauses.
"""

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from orpheus_batch.text.clauses import cut_points
from orpheus_batch.text.lexicon import Respelling, respell
from orpheus_batch.text.normalize import end_with_comma, end_with_stop, normalize
from orpheus_batch.voices import ModelPack

_MAX_MARKUP_CHARS = 3_000
"""longest stretch of markup between two characters of a sentence"""
_WORD = re.compile(r"\S+")


def spoken_parts(
    text: str,
    pack: ModelPack,
    max_chars: int,
    heading: bool,
    goes_on: bool = False,
    found: Sequence[Respelling] = (),
    words: bool = False,
) -> list[tuple[int, str]]:
    """Cut ``text`` until every part is spoken in ``max_chars`` characters, or is one word.

    Args:
        text: A sentence, or a part of one.
        pack: Its alphabet and tags.
        max_chars: Of a spoken part.
        heading: It is one.
        goes_on: The sentence does not end with it: a comma ends the last part, where nothing else does.
        found: What a lexicon respells in it.
        words: See `normalize`.

    Returns:
        Where each part begins, and its spoken form, with punctuation at its end.
    """
    parts = []
    stack = [(0, len(text))]
    while stack:
        first, last = stack.pop()
        part = text[first:last]
        written = respell(part, within(found, first, last)) if found else part
        spoken = normalize(written, alphabet=pack.alphabet, tags=pack.tags, heading=heading, words=words)
        ends = last == len(text) and not goes_on
        spoken = end_with_stop(spoken) if ends else end_with_comma(spoken)
        if len(spoken) > max_chars:
            size = len(part.strip())
            cuts = cut_points(part, max(1, min((max_chars - 1) * size // len(spoken), size - 1)))
            if cuts:
                bounds = [first, *_around(found, text, (first, last), [first + cut for cut in cuts]), last]
                stack += reversed(list(itertools.pairwise(bounds)))
                continue
        parts.append((first, spoken))
    return parts


def within(found: Sequence[Respelling], first: int, last: int) -> list[Respelling]:
    """Return the finds in ``[first, last)`` of a sentence, their offsets from ``first``."""
    low, high = (bisect_left(found, place, key=lambda find: find.start) for place in (first, last))
    return [
        replace(find, start=find.start - first, end=find.end - first)
        for find in found[low:high]
        if find.end <= last
    ]


def _around(found: Sequence[Respelling], text: str, part: tuple[int, int], cuts: Sequence[int]) -> list[int]:
    """Move cuts that would tear respelt words apart to one of their ends.

    Where the words are all that there is, they are torn, and spoken as they are written.
    """
    moved = set()
    for cut in cuts:
        before = bisect_left(found, cut, key=lambda find: find.start) - 1
        if before < 0 or found[before].end <= cut:
            moved.add(cut)
            continue
        ends = (found[before].start, found[before].end)
        moved |= set([end for end in ends if _has_words(text, part[0], end, part[1])][:1])
    return sorted(moved) or list(cuts)


def _has_words(text: str, first: int, cut: int, last: int) -> bool:
    return any(map(str.isalnum, text[first:cut])) and any(map(str.isalnum, text[cut:last]))


def source_offsets(source: str, text: str, positions: Sequence[int]) -> list[int]:
    """Find in the source where characters of the clean text came from.

    The clean text is the source with characters left out and commas put in at verse ends, so one walk through
    both finds the places.

    Args:
        source: The sentence's span.
        text: The sentence's clean text.
        positions: Offsets into ``text``, ascending.

    Returns:
        Offsets into ``source``, strictly ascending, above 0 and below its length.
    """
    offsets = source_places(source, text, positions)
    bounds = [0, *offsets, len(source)]
    if any(a >= b for a, b in itertools.pairwise(bounds)):
        return [round(position * len(source) / len(text)) for position in positions]
    return offsets


def source_places(source: str, text: str, positions: Sequence[int]) -> list[int]:
    """Return where characters of the clean text stand in the source; as `source_offsets`, but in no strict order.

    Args:
        source: The sentence's span.
        text: The sentence's clean text.
        positions: Offsets of characters in ``text``, ascending, the same twice too.
    """
    if not positions:
        return []
    words = list(_WORD.finditer(text))
    source_words = list(_WORD.finditer(source))
    if [word.group() for word in words] == [word.group() for word in source_words]:
        return _offsets_by_word(words, source_words, positions)
    return _offsets_by_character(source, text, positions)


def _offsets_by_word(
    words: Sequence[re.Match[str]], source_words: Sequence[re.Match[str]], positions: Sequence[int]
) -> list[int]:
    """Map positions where clean text and source hold the same words, whatever the blanks between them."""
    starts = [word.start() for word in words]
    offsets = []
    for position in positions:
        index = bisect_right(starts, position) - 1
        offsets.append(source_words[index].start() + position - starts[index])
    return offsets


def _offsets_by_character(source: str, text: str, positions: Sequence[int]) -> list[int]:
    """Map positions by one walk through both, over markup that only the source has."""
    offsets = []
    wanted = iter(positions)
    target = next(wanted)
    place = 0
    for position, character in enumerate(text):
        found = place
        if not character.isspace():
            while found < len(source) and source[found].isspace():
                found += 1
            if source[found : found + 1] != character:
                hit = -1 if character == "," else source.find(character, found, found + _MAX_MARKUP_CHARS)
                found = hit if hit >= 0 else place
        while position >= target:
            offsets.append(found)
            target = next(wanted, len(text) + 1)
        if not character.isspace() and source[found : found + 1] == character:
            place = found + 1
    return offsets
