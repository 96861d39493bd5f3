"""Numbers in words, as they are read aloud in English prose.

Whole numbers, decimals, ordinals, years, dollars and pounds, per cent. Dates, times, ranges, units and
fractions are read digit group by digit group. No library: `inflect`, the permissive one, takes 2.5 s of CPU to
import.
"""

import re
from functools import lru_cache

_MAX_DIGITS = 36
"""longer numbers are read digit by digit"""

_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *(
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ),
]
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = [
    *("", "thousand", "million", "billion", "trillion", "quadrillion"),
    *("quintillion", "sextillion", "septillion", "octillion", "nonillion", "decillion"),
]
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_DIGITS = 36
"""longer numbers are read digit by digit"""

_DIGITS = r"\d+(?:,\d{3})+|\d+"
_PATTERN = re.compile(
    rf"(?P<money>[$£€])\s?(?P<amount>{_DIGITS})(?:\.(?P<cents>\d\d)(?!\d))?"
    r"(?P<scale> (?:hundred|thousand|million|billion)\b)?"
    rf"|(?P<ordinal>{_DIGITS})(?:[Ss][Tt]|[NnRr][Dd]|[Tt][Hh]|(?<=[23])d)\b"
    r"|\b(?P<decade>(?:1[1-9]|20)\d0)['’]?s\b"
    rf"|(?<![\d.,])(?P<year>(?:1[1-9]|20)\d\d)(?![\d%]|[.,]\d)"
    r"|(?<![\dA-Za-z])\.(?P<decimals>\d+)"
    rf"|(?P<whole>{_DIGITS})(?:\.(?P<fraction>\d+))?(?P<percent>\s?%)?"
)
_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
}


def numbers_to_words(text: str) -> str:
    """Return ``text`` with every run of ASCII digits in words."""
    if not re.search(r"[0-9]", text):
        return text
    return _PATTERN.sub(_read, text)


@lru_cache(maxsize=4096)
def cardinal(value: int) -> str:
    """Return a whole number in [0, 10^36) in words: 276 is "two hundred and seventy-six"."""
    if value < 1000:
        return _below_thousand(value)
    words = []
    for power in range(len(_SCALES) - 1, -1, -1):
        group = value // 1000**power % 1000
        if group and power:
            words.append(f"{_below_thousand(group)} {_SCALES[power]}")
        elif group:
            words.append(f"and {_below_thousand(group)}" if group < 100 else _below_thousand(group))
    return " ".join(words)


def ordinal(value: int) -> str:
    """Return an ordinal in words: 21 is "twenty-first"."""
    words = cardinal(value)
    head, separator, last = words.rpartition("-") if "-" in words.rpartition(" ")[2] else words.rpartition(" ")
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head}{separator}{last}"


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    tens = _TENS[rest // 10] + (f"-{_ONES[rest % 10]}" if rest % 10 else "")
    small = _ONES[rest] if rest < 20 else tens
    if not hundreds:
        return small
    return f"{_ONES[hundreds]} hundred" + (f" and {small}" if rest else "")


@lru_cache(maxsize=4096)
def year(value: int) -> str:
    """Return a year from 1100 to 2099 as it is read: 1876 is "eighteen seventy-six"."""
    century, rest = divmod(value, 100)
    if 2000 <= value < 2010 or value % 1000 == 0:
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def _read(match: re.Match[str]) -> str:
    words = _words(match)
    before = match.string[max(0, match.start() - 2) : match.start()]
    joined = before[-1:].isalnum() or (before[-1:] == "." and before[:1].isalpha())  # "S.W.1"
    after = match.string[match.end() : match.end() + 1]
    return f"{' ' if joined else ''}{words}{' ' if after.isalnum() else ''}"


def _words(match: re.Match[str]) -> str:  # noqa: PLR0911 (one a kind of number)
    if match["money"]:
        one, many, cent, cents = _MONEY[match["money"]]
        amount = match["amount"].replace(",", "")
        number = _whole(amount)
        if match["scale"]:
            return f"{number}{match['scale']} {many}"
        words = f"{number} {one if amount == '1' else many}"
        if match["cents"] and int(match["cents"]):
            words += f" and {cardinal(int(match['cents']))} {cent if match['cents'] == '01' else cents}"
        return words
    if match["ordinal"]:
        digits = match["ordinal"].replace(",", "")
        return ordinal(int(digits)) if len(digits) <= _MAX_DIGITS else _one_by_one(digits)
    if match["decade"]:
        word = year(int(match["decade"]))
        return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    if match["year"]:
        return year(int(match["year"]))
    if match["decimals"]:
        return f"point {_one_by_one(match['decimals'])}"
    words = _whole(match["whole"].replace(",", ""))
    if match["fraction"]:
        words += f" point {_one_by_one(match['fraction'])}"
    return f"{words} percent" if match["percent"] else words


def number_words(digits: str) -> str:
    """Return "1,234.5" in words: a number in digits, with or without commas and a decimal point."""
    whole, _, fraction = digits.replace(",", "").partition(".")
    words = _whole(whole) if whole else "zero"
    return f"{words} point {_one_by_one(fraction)}" if fraction else words


def digit_words(digits: str) -> str:
    """Return digits one by one, nought as "oh"."""
    return _one_by_one(digits)


def _whole(digits: str) -> str:
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return _one_by_one(digits)
    return cardinal(int(digits))


def _one_by_one(digits: str) -> str:
    return " ".join("oh" if digit == "0" else cardinal(int(digit)) for digit in digits)
