"""What `normalize` changes in a text, by which rule, with the place of each change in the text.

For people and proofs: the changes, put into the text at their spans, give exactly what is spoken.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from orpheus_batch.text.lexicon import Respelling, respell
from orpheus_batch.text.normalize import normalize

LEXICON_RULE = "lexicon ({})"
"""rule of a respelling, with the file and line of its entry"""
MAX_COMPARED = 40_000
"""product of two lengths in tokens that are compared; what lies between the equal ends of longer ones is one change"""
_TOKEN = re.compile(r"[^\W\d_]+|\d+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """One stretch that is spoken otherwise than it is written."""

    start: int
    end: int
    """one past the last character, offsets into the text that was given; equal to ``start`` for what is put in"""
    written: str
    spoken: str
    rules: tuple[str, ...]
    """that touched it, in order"""


class _Origins:
    """Where each character of a text on its way came from."""

    def __init__(self, text: str):
        self.spans = [(index, index + 1, True) for index in range(len(text))]
        self.touched: list[tuple[str, int, int]] = []

    def trace(self, rule: str, before: str, after: str) -> None:
        """Follow one rule."""
        old, new = _TOKEN.findall(before), _TOKEN.findall(after)
        spans: list[tuple[int, int, bool]] = []
        starts = [0]
        for token in old:
            starts.append(starts[-1] + len(token))
        for what, i, j, k, m in _joined(old, _differences(old, new)):
            covered = self.spans[starts[i] : starts[j]]
            if what == "equal":
                spans += covered
                continue
            low, high = self._extent(covered, starts[i])
            spans += [(low, high, False)] * sum(map(len, new[k:m]))
            self.touched.append((rule, low, high))
        self.spans = spans

    def respell(self, found: Sequence[Respelling]) -> None:
        """Follow a lexicon, whose finds say where they stand."""
        spans: list[tuple[int, int, bool]] = []
        position = 0
        for find in found:
            spans += self.spans[position : find.start]
            spans += [(find.start, find.end, False)] * len(find.spoken)
            self.touched.append((LEXICON_RULE.format(find.entry.place), find.start, find.end))
            position = find.end
        self.spans = spans + self.spans[position:]

    def _extent(self, covered: list[tuple[int, int, bool]], position: int) -> tuple[int, int]:
        if covered:
            return min(span[0] for span in covered), max(span[1] for span in covered)
        place = self.spans[position - 1][1] if position else 0
        return place, place


def _differences(old: list[str], new: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield what `difflib` does; a text of a million tokens would keep it busy for hours."""
    first, last = 0, 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    inner_old, inner_new = old[first : len(old) - last], new[first : len(new) - last]
    yield "equal", 0, first, 0, first
    if len(inner_old) * len(inner_new) > MAX_COMPARED:
        yield "replace", first, len(old) - last, first, len(new) - last
    else:
        matcher = SequenceMatcher(None, inner_old, inner_new, autojunk=False)
        for what, i, j, k, m in matcher.get_opcodes():
            yield what, i + first, j + first, k + first, m + first
    yield "equal", len(old) - last, len(old), len(new) - last, len(new)


def _joined(
    old: list[str], steps: Iterator[tuple[str, int, int, int, int]]
) -> list[tuple[str, int, int, int, int]]:
    """Make one change of two that only a blank parts: "5 km" is "five kilometers", not each of them."""
    joined: list[tuple[str, int, int, int, int]] = []
    for step in steps:
        if step[1] == step[2] and step[3] == step[4]:
            continue
        apart = len(joined) > 1 and joined[-1][0] == "equal" and step[0] != "equal"
        if apart and old[joined[-1][1] : joined[-1][2]] == [" "]:
            joined.pop()
            first = joined.pop()
            joined.append(("replace", first[1], step[2], first[3], step[4]))
        else:
            joined.append(step)
    return joined


def explain(
    text: str,
    *,
    alphabet: str | None,
    tags: tuple[str, ...],
    heading: bool = False,
    words: bool = False,
    found: Sequence[Respelling] = (),
    finish: Callable[[str], str] | None = None,
) -> tuple[str, list[Change]]:
    """Return what is spoken, and how it came about.

    Args:
        text: As for `normalize`.
        alphabet: As for `normalize`.
        tags: As for `normalize`.
        heading: As for `normalize`.
        words: As for `normalize`.
        found: What a lexicon respells in it, before all else.
        finish: What puts the last punctuation to it, after all else.

    Returns:
        The spoken form, and changes whose spans ascend without overlap; everything between them is spoken as it
        is written.
    """
    origins = _Origins(text)
    origins.respell(found)
    written = respell(text, found)
    spoken = normalize(written, alphabet=alphabet, tags=tags, heading=heading, words=words, trace=origins.trace)
    if finish is not None and (finished := finish(spoken)) != spoken:
        origins.trace("last mark", spoken, finished)
        spoken = finished
    spans = origins.spans if spoken else []
    changes = []
    source = place = 0
    for index, (start, _, kept) in enumerate([*spans, (len(text), len(text), True)]):
        if not kept or start < source:
            continue
        if start > source or index > place:
            rules = [rule for rule, low, high in origins.touched if low <= start and high >= source]
            named = tuple(dict.fromkeys(rules)) or ("nothing to pronounce",)
            changes.append(Change(source, start, text[source:start], spoken[place:index], named))
        source, place = start + 1, index + 1
    return spoken, changes
