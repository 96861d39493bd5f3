"""Finds quoted speech in paragraphs: curly, straight and angled marks, single ones, dashes.

A book has one kind of outer mark, judged over all of it; whatever stands inside is part of the speech. A mark
that opens and never closes is speech that goes on if the next paragraph opens with a mark again, as printers do;
else it is *broken*, and what it holds is nobody's. Who speaks is not known here. Linear in the text.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from orpheus_batch.text.abbreviations import words
from orpheus_batch.text.dialogue.dashes import dashed_speech
from orpheus_batch.text.dialogue.quotation import Quotation, Style

MIN_DASHES = 3
"""paragraphs that begin with a dash, from which on a book without other marks is taken to speak by them"""

MAX_WORDS = 2
"""of a phrase set in single marks that ends like a plural's apostrophe (the boys')"""

MAX_VERSES = 12
"""paragraphs of a poem or letter that speech quotes without marks of its own"""

_MARKUP = " _*(["
_DOUBLE = re.compile(r"[“”„‟\"«»＂]|``|''")
_CLOSERS = {"“": '”"', "„": '“”"', "‟": '”"', "«": "»", "»": "«", '"': '"”', "＂": '＂"', "``": "''"}
_LETTERS = re.compile(r"[^\W\d_]+")
_SINGLE = re.compile(r"[‘’‚‛']")
_DASH = re.compile(r"\s*(?:[—–―]|--|- )\s*(?=[^\W_]|[“\"‘'¿¡…])")
_BEFORE_OPEN = " \t([{—–-―/"
_AFTER_CLOSE = " \t)]},.;:!?…—–-―’'\"”“_*|/"
_ENDS_SPEECH = ',.!?…—–-;:”"'
_ELISIONS = words(
    "tis twas twere twill twould tisn twasn em im er un is ere eard ave as ad ow alf ouse ome ead and n til till "
    "cause cos cuz coz bout round neath gainst mong tween kay cept nother nuff stead ud ull s d ll re ve m t pon ware "
    "mid way fore bus phone flu gator possum scuse spect spose zactly"
)
"""words written with an apostrophe for their first letter"""


def judge_style(paragraphs: Sequence[str]) -> Style:
    """Return which marks a book's speech stands in: those that come first in most of its paragraphs.

    Args:
        paragraphs: All of it: the marks within a quotation never come first, but one paragraph may hold anything.
    """
    double = single = dashes = 0
    for text in paragraphs:
        first = next((m.start() for m in _DOUBLE.finditer(text) if _opens(text, m.start(), m.end())), len(text))
        other = next((m.start() for m in _SINGLE.finditer(text) if _opens_single(text, m.start())), len(text))
        double += first < other
        single += other < first
        dashes += _DASH.match(text) is not None
    if dashes >= MIN_DASHES and dashes > max(double, single):
        return "dash"
    return "single" if single > double else "double"


def find_quotations(paragraphs: Sequence[str], style: Style) -> list[list[Quotation]]:
    """Find the speech of consecutive paragraphs.

    Args:
        paragraphs: Each on one line, as they follow each other in a chapter.
        style: Of the book.

    Returns:
        For each paragraph its quotations, in order, without overlap.
    """
    if style == "dash":
        begins = [_DASH.match(text) for text in paragraphs]
        return [
            dashed_speech(text, match.end()) if match else []
            for text, match in zip(paragraphs, begins, strict=True)
        ]
    found = []
    for index, text in enumerate(paragraphs):
        if style == "double":
            found.append(_double(text))
        else:
            follower = paragraphs[index + 1].lstrip(_MARKUP) if index + 1 < len(paragraphs) else ""
            found.append(_single(text, follower[:1] in ("‘", "'") and _opens_single(follower, 0)))
    for index in range(len(found)):
        if not found[index] or not found[index][-1].goes_on:
            continue
        after = index + 1
        while after < min(len(found), index + MAX_VERSES) and not found[after]:
            after += 1
        closes = (
            after < len(found) and bool(found[after]) and found[after][0].broken and not found[after][0].start
        )
        if closes and after > index + 1:
            for between in range(index + 1, after):
                found[between] = [Quotation(0, len(paragraphs[between]), continues=True, goes_on=True)]
        if closes or _begins_quoted(paragraphs, found, index + 1):
            follower = found[index + 1]
            broken = follower[0].broken and follower[0].start > 0
            follower[0] = replace(follower[0], continues=True, broken=broken)
        else:
            found[index][-1] = replace(found[index][-1], goes_on=False, broken=True)
    return found


def _begins_quoted(paragraphs: Sequence[str], found: Sequence[list[Quotation]], index: int) -> bool:
    """Say whether a paragraph begins inside speech."""
    if index >= len(paragraphs) or not found[index]:
        return False
    return not paragraphs[index][: found[index][0].start].strip(_MARKUP)


def _double(text: str) -> list[Quotation]:
    found: list[Quotation] = []
    start, closers = -1, ""
    for match in _DOUBLE.finditer(text):
        mark, first, last = match.group(), match.start(), match.end()
        if start < 0:
            if _opens(text, first, last):
                start, closers = first, _CLOSERS.get(mark, "")
            elif mark in '”"»' and not found and text[:first].strip() and not text[first - 1].isdigit():
                found.append(Quotation(0, last, broken=True))
            continue
        if mark in closers and not (mark in '"＂' and _only_opens(text, first, last)):
            found.append(Quotation(start, last))
            start = -1
        elif (
            mark in _CLOSERS
            and mark not in "»"
            and _opens(text, first, last)
            and not _is_nested(text, start, first)
        ):
            found.append(Quotation(start, first, broken=True))
            start, closers = first, _CLOSERS[mark]
    if start >= 0:
        found.append(Quotation(start, len(text), goes_on=True))
    return found


def _opens(text: str, first: int, last: int) -> bool:
    """Say whether a double mark can open speech: nothing or a blank before it, a word after it."""
    mark = text[first:last]
    if mark in ("”", "''") or last >= len(text) or text[last].isspace():
        return False
    if mark in "“„‟«``":
        return True
    before = text[first - 1] if first else " "
    return before in _BEFORE_OPEN or (before in "‘'_*" and text[last].isalnum())


def _only_opens(text: str, first: int, last: int) -> bool:
    """Say whether a straight mark inside speech can't close it: blank before, word after."""
    return first > 0 and text[first - 1].isspace() and last < len(text) and text[last].isalnum()


def _is_nested(text: str, start: int, first: int) -> bool:
    """Say whether a second opening mark stands in the middle of a sentence of the speech."""
    before = text[start + 1 : first].rstrip()
    return bool(before) and (before[-1].isalnum() or before[-1] in "‘'(")


def _single(text: str, resumed: bool) -> list[Quotation]:
    """Find single quotations.

    A mark after a letter closes only where no mark after punctuation does: it may be an apostrophe (the boys').

    Args:
        text: A paragraph.
        resumed: The next one opens with a mark, so that speech may go on into it.
    """
    found: list[Quotation] = []
    weak = start = -1
    for match in _SINGLE.finditer(text):
        place = match.start()
        if start < 0:
            if _opens_single(text, place):
                start, weak = place, -1
        elif _closes_single(text, place):
            if text[place - 1] in _ENDS_SPEECH:
                found.append(Quotation(start, place + 1))
                start = -1
            elif weak < 0:
                weak = place
        elif weak >= 0 and _opens_single(text, place) and _strong_before(text, place):
            if not _is_elision(text, start):
                found.append(Quotation(start, weak + 1))
            start, weak = place, -1
    if start < 0 or (_is_elision(text, start) and not resumed):
        return found
    plural = weak >= 0 and text[weak - 1] in "sn" and len(text[start:weak].split()) > MAX_WORDS
    if weak >= 0 and not (resumed and plural):
        return [*found, Quotation(start, weak + 1)]
    return [*found, Quotation(start, len(text), goes_on=True)]


def _opens_single(text: str, place: int) -> bool:
    """Say whether a single mark opens speech: at a word's beginning, and no apostrophe."""
    mark = text[place]
    after = text[place + 1 : place + 2]
    before = text[place - 1] if place else " "
    if mark == "’" or not after or after.isspace() or not (before in _BEFORE_OPEN or before in '“"_*'):
        return False
    if after.isdigit() and re.match(r"\d0?s?\b", text[place + 1 : place + 5]):
        return False
    if _is_elision(text, place):
        return _strong_before(text, place) and (mark == "‘" or after.isupper())
    return True


def _is_elision(text: str, place: int) -> bool:
    """Say whether the mark may stand for a word's first letter: 'tis, 'em."""
    word = _LETTERS.match(text, place + 1)
    return word is not None and word.group().lower() in _ELISIONS


def _strong_before(text: str, place: int) -> bool:
    """Say whether a sentence or clause of the narrator's ends before a mark."""
    before = text[:place].rstrip(" —–-")
    return not before or before[-1] in ".,!?:;’'”\"…)"


def _closes_single(text: str, place: int) -> bool:
    """Say whether a single mark can close speech: at a word's end."""
    if text[place] in "‘‚‛" or not place or text[place - 1].isspace():
        return False
    after = text[place + 1 : place + 2]
    return not after or after in _AFTER_CLOSE
