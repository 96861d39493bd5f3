"""What `normalize` changes in a text, by which rule, with the place of each change in the text.

For people and proofs: the changes, put into the text at their spans, give exactly what is spoken.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from orpheus_batch.text.lexicon import Respelling, respell
from orpheus_batch.text.normalize import normalize

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
        for what, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
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
            self.touched.append((f"lexicon ({find.entry.place})", find.start, find.end))
            position = find.end
        self.spans = spans + self.spans[position:]

    def _extent(self, covered: list[tuple[int, int, bool]], position: int) -> tuple[int, int]:
        if covered:
            return min(span[0] for span in covered), max(span[1] for span in covered)
        place = self.spans[position - 1][1] if position else 0
        return place, place


def explain(
    text: str,
    *,
    alphabet: str | None,
    tags: tuple[str, ...],
    heading: bool = False,
    found: Sequence[Respelling] = (),
    finish: Callable[[str], str] | None = None,
) -> tuple[str, list[Change]]:
    """Return what is spoken, and how it came about.

    Args:
        text: As for `normalize`.
        alphabet: As for `normalize`.
        tags: As for `normalize`.
        heading: As for `normalize`.
        found: What a lexicon respells in it, before all else.
        finish: What puts the last punctuation to it, after all else.

    Returns:
        The spoken form, and changes whose spans ascend without overlap; everything between them is spoken as it
        is written.
    """
    origins = _Origins(text)
    origins.respell(found)
    written = respell(text, found)
    spoken = normalize(written, alphabet=alphabet, tags=tags, heading=heading, trace=origins.trace)
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
