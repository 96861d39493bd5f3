"""Where sentences end within one paragraph: rules around Punkt.

Works on one line of clean text. Punkt knows abbreviations; it does not know that a question inside a quotation
is followed by "asked Alice", that "1." opens a list, or that a title stands before a name. Those cases are
decided here, in the order of `_ends_sentence`; what no rule decides is left to Punkt. Linear in the text.
"""

import re
from typing import TYPE_CHECKING

from orpheus_batch.text.abbreviations import (
    AFTER_COMMA,
    AFTER_NAME,
    AFTER_NUMBER,
    BEFORE_NAME,
    BEFORE_NUMBER,
    DATES,
    MAY_END,
    NEVER_LAST,
    SPEECH_VERBS,
    STARTERS,
)
from orpheus_batch.text.punkt import FOLD_QUOTES

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

_TERMINAL = re.compile(
    r"(?P<mark>(?:—|-{2,4})(?=[\"”’])|…[.…!?]{0,20}|\.(?: ?\.){1,20}[!?]{0,20}|[.!?]{1,20})"
    r"(?P<close>[\"'”’»)\]}]*)(?=\s|$|[“«])"
    r"|(?P<wide>[。！？｡।॥]+[」』”’）》]*)"
)
_OPENERS = "\"'“‘«([{*_„‚¿¡"
_DASHES = "-–—"
_LAST_WORD = re.compile(r"[^\s“”\"‘(\[{«—]*$")
_NEXT_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_MULTI_PERIOD = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,3}")
_ATTRIBUTION = re.compile(
    r"(?:I|(?:[A-Z][\w'’-]*\.?)(?: (?:of|the|de|von|van|[A-Z][\w'’-]*\.?)){0,5})"
    rf" (?:\w+ly )?(?:{SPEECH_VERBS})\b"
)
_LIST_MARK = re.compile(r"(?:(?<=\s)|^)(?P<mark>\d{1,3}|[a-z])(?P<kind>\.\)|\)|\.)(?=\s+\S)")
_NUMERAL = re.compile(r"\d{1,4}|[ivxlcIVXLC]{1,7}|[a-zA-Z]")
_BULLET = re.compile(r"[•⁃‣▪◦●]")
_BRACKETED = re.compile(r"\([^()]{0,300}\)|\[[^\[\]]{0,300}\]")
_FIRST_PERSON = frozenset({"I", "I'm", "I'd", "I'll", "I've", "I’m", "I’d", "I’ll", "I’ve"})
_CONTEXT_CHARS = 200
"""how far back the words before a mark are looked at"""
_PUNKT_REACH = 40
"""characters that Punkt sees before and after a mark: the words beside it, which are all it uses"""
_MIN_WORDS_AFTER_TIME = 4
""""At 5 a.m." is no sentence: so many words make one"""


def sentence_ends(text: str, tokenizer: "PunktSentenceTokenizer") -> list[int]:
    """Find where sentences end.

    Args:
        text: One paragraph on one line.
        tokenizer: Punkt, for what no rule decides.

    Returns:
        Offsets just after the last visible character of each sentence, ascending; the end of ``text`` is not
        among them.
    """
    items = _list_breaks(text)
    brackets = [(match.start(), match.end()) for match in _BRACKETED.finditer(text)]
    ends = []
    item = bracket = 0
    sentence_start = 0
    for match in _TERMINAL.finditer(text):
        end = match.end()
        rest = _skip_spaces(text, end)
        if rest >= len(text):
            break
        while bracket < len(brackets) and brackets[bracket][1] < end:
            bracket += 1
        if bracket < len(brackets) and brackets[bracket][0] < match.start() and end < brackets[bracket][1]:
            continue
        while item < len(items) and items[item] <= match.start():
            sentence_start = max(sentence_start, items[item])
            item += 1
        verdict = _ends_sentence(text, match, rest, sentence_start)
        if verdict is None:
            verdict = _punkt_ends(text, match, rest, tokenizer)
        if verdict:
            ends.append(end)
            sentence_start = rest
    return sorted({*ends, *items})


def _punkt_ends(text: str, match: re.Match[str], rest: int, tokenizer: "PunktSentenceTokenizer") -> bool:
    """Ask Punkt about one mark.

    It sees the words around it alone: time stays linear, and an edit acts locally.
    """
    start = max(0, match.start() - _PUNKT_REACH)
    if start:
        start = text.find(" ", start, match.start()) + 1 or start
    window = text[start : rest + _PUNKT_REACH].translate(FOLD_QUOTES)
    mark, end = match.end("mark") - start, match.end() - start
    return any(mark <= stop <= end for _, stop in tokenizer.span_tokenize(window))


def _ends_sentence(  # noqa: PLR0911 (a decision list, first rule that knows)
    text: str, match: re.Match[str], rest: int, sentence_start: int
) -> bool | None:
    """Judge one terminal mark; None leaves it to Punkt.

    Args:
        text: The paragraph.
        match: Of `_TERMINAL`.
        rest: Where the text goes on after the mark.
        sentence_start: Where the sentence that the mark may end begins.
    """
    if match["wide"] or rest == match.end():
        return True  # an ideographic full stop, or a quotation that opens at once: no blank is needed
    after = rest
    while after < len(text) and text[after] in _OPENERS:
        after += 1
    if after >= len(text):
        return False
    dashed = text[after] in _DASHES
    while after < len(text) and (text[after] in _DASHES or text[after] == " "):
        after += 1
    first = text[after : after + 1]
    if not first or first.islower() or first in ",;:.…":
        return False
    if dashed and match["mark"][-1] == "." and not match["close"]:
        return True
    next_match = _NEXT_WORD.match(text, after)
    next_word = next_match.group() if next_match else ""
    quoted = any(character in "\"'”’»" for character in match["close"])
    if quoted and _ATTRIBUTION.match(text, after) and next_word.lower() not in STARTERS - {"i"}:
        return False
    mark = match["mark"]
    if text[match.start() - 1 : match.start()] == "[" and match["close"][:1] == "]":
        return False  # "[...]": words left out by an editor
    num_dots = mark.count(".") + 3 * mark.count("…")
    if num_dots >= 3 and mark[-1] not in "!?":
        return not (num_dots == 3 and not quoted and next_word in _FIRST_PERSON)
    if mark != ".":
        return True
    return _full_stop(text, match.start(), first, next_word, sentence_start, bool(match["close"]))


def _full_stop(  # noqa: PLR0911 (likewise)
    text: str, position: int, first: str, next_word: str, sentence_start: int, closed: bool
) -> bool | None:
    """Judge a single full stop by the word before it and the one after."""
    found = _LAST_WORD.search(text, max(sentence_start, position - 40), position)
    word = found.group() if found else ""
    folded = word.lower().lstrip("'’")
    starter = next_word.lower().replace("’", "'") in STARTERS
    word_start = position - len(word)
    before = text[max(sentence_start, word_start - _CONTEXT_CHARS) : word_start].split()
    if not word:
        return None
    numeral = _BULLET.sub("", word)
    if not any(part[0].isalnum() for part in before) and _NUMERAL.fullmatch(numeral):
        return False  # "1. The first item", "IV. The Man"
    if first.isdigit() and (folded in BEFORE_NUMBER or folded in MAY_END):
        return False
    previous = before[-1] if before else ""
    if word in BEFORE_NAME:
        after_name = word in AFTER_NAME and bool(before) and before[-1][:1].isalnum() and before[-1][-1] != ","
        named = after_name and (before[-1][0].isupper() or before[-1][0].isdigit()) and len(before) > 1
        return starter and not closed if named else False
    if len(word) == 1 and word.isalpha() and word.isupper():
        return starter and (previous[:1].islower() or closed)
    if folded in NEVER_LAST:
        return False
    if folded in ("a.m", "p.m"):
        return len(before) + 1 >= _MIN_WORDS_AFTER_TIME and next_word not in DATES
    measured = folded in AFTER_NUMBER and previous[-1:].isdigit()
    placed = word in AFTER_COMMA and previous[-1:] == ","
    if folded in MAY_END or measured or placed or _MULTI_PERIOD.fullmatch(word):
        return starter
    if word.replace(",", "").replace(".", "").lstrip("$£€").isdigit():
        return True
    return None


def _list_breaks(text: str) -> list[int]:
    """Return ends of items of a list that runs on in one paragraph: "1) eggs 2) ham", bullets."""
    bullets = [match.start() for match in _BULLET.finditer(text)]
    if bullets and bullets[0] <= 1:
        return [_back_over_spaces(text, start) for start in bullets[1:]]
    breaks = []
    expected: str | None = None
    kind = ""
    for match in _LIST_MARK.finditer(text):
        mark = match["mark"]
        if expected is None:
            if match.start() != 0:
                return []
            kind = match["kind"]
        elif mark != expected or match["kind"] != kind:
            continue
        else:
            breaks.append(_back_over_spaces(text, match.start()))
        expected = str(int(mark) + 1) if mark.isdigit() else chr(ord(mark) + 1)
    return breaks


def _back_over_spaces(text: str, position: int) -> int:
    while position > 0 and text[position - 1].isspace():
        position -= 1
    return position


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
