"""Cuts a sentence that is too long for one breath of the model at its best clause boundaries.

Knows punctuation, conjunctions and lengths in characters; nothing of normalisation or audio.
"""

import re

from orpheus_batch.text.abbreviations import BEFORE_NAME, BEFORE_NUMBER, NEVER_LAST

_CUT = re.compile(
    r"(?P<strong>(?<=[.!?;:])[\"'”’)\]]*\s+|(?<=[.!?;:])[\"'”’)\]]*(?:--+|[—–])(?:[\"'”’)\]]+(?=\s))?\s*|[。！？；：][」』”’]*)"
    r"|(?P<dash>\s*(?:--+|[—–])(?:[\"'”’)\]]+(?=\s))?\s*|\s-\s)"
    r"|(?P<comma>(?<=,)[\"'”’)\]]*\s+|[、，][」』”’]*|(?<=[\"”)\]])\s+)"
    r"|(?P<conjunction>\s+(?=(?:and|but|or|nor|yet|so|for|because|although|though|while|whilst|when|where|which|who|"
    r"whom|whose|that|than|if|unless|until|till|since|before|after|as|with|without)\b))"
    r"|(?P<space>\s+)"
    r"|(?P<wide>(?<=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])(?=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]))"
)
_PENALTY = {"strong": 0.0, "dash": 0.15, "comma": 0.2, "conjunction": 0.45, "space": 0.9, "wide": 0.9}
"""Added to the squared distance from an even cut, in units of the even length: a comma is worth moving a cut by
some 40 % of a piece, a mere space is the last resort. Set by ear on Sherlock Holmes."""
_AFTER_ABBREVIATION = 3.0
"""of a cut between "St." and "John": worse than the worst elsewhere, for "St." alone is a street"""
_ABBREVIATION = re.compile(r"(?<![^\W_])([A-Za-z](?:\.?[A-Za-z]){0,7})\.$")
_LONGEST_ABBREVIATION = 20


def cut_points(text: str, max_chars: int) -> list[int]:
    """Choose where to cut ``text`` so that no piece is longer than ``max_chars``, if words allow it.

    Args:
        text: One sentence.
        max_chars: Longest piece, in characters, blanks at its ends left out.

    Returns:
        Offsets where a new piece begins, ascending; empty if ``text`` fits. A word longer than ``max_chars``
        stays whole.
    """
    length = len(text.rstrip())
    candidates = [
        (match.end(), _penalty(match), _first_blank(match)) for match in _CUT.finditer(text, 0, length)
    ]
    cuts: list[int] = []
    start, index = 0, 0
    while length - start > max_chars:
        target = (length - start) / -(-(length - start) // max_chars)
        while index < len(candidates) and candidates[index][0] <= start:
            index += 1
        best, best_cost = -1, float("inf")
        for number in range(index, len(candidates)):
            position, penalty, first_blank = candidates[number]
            if position >= length:
                break
            size = len(text[start:position].rstrip())
            if size > max_chars:
                if best < 0:  # a word longer than the limit stays whole, but takes no dash along
                    best = first_blank if first_blank > start else position
                break
            cost = ((position - start - target) / target) ** 2 + penalty
            if size and cost < best_cost:
                best, best_cost = position, cost
        if best < 0:
            break
        cuts.append(best)
        start = best
    return cuts


def _first_blank(match: re.Match[str]) -> int:
    """Return where the blanks end that a match begins with, or the match itself if it begins with none."""
    num_blanks = len(match[0]) - len(match[0].lstrip())
    return match.start() + num_blanks if num_blanks else match.end()


def _penalty(match: re.Match[str]) -> float:
    if match.string[match.start() - 1 : match.start()] == "." and _goes_on(match.string, match):
        return _AFTER_ABBREVIATION
    return _PENALTY[match.lastgroup or "space"]


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Say whether the full stop before a match is of an abbreviation or an initial that wants what follows it."""
    found = _ABBREVIATION.search(text, max(0, match.start() - _LONGEST_ABBREVIATION), match.start())
    if found is None:
        return False
    word = found[1]
    if text[match.end() : match.end() + 1].isdigit() and word.lower() in BEFORE_NUMBER:
        return True
    return len(word) == 1 or word in BEFORE_NAME or word in NEVER_LAST
