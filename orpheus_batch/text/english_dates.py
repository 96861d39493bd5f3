"""English dates and times: days, months, years, decades, centuries before and after Christ, hours.

Each rule is one pattern and what is said for it; `DATE_RULES` is the order in which they are tried, before money and
units (`orpheus_batch.text.english_numbers`). They see straight quotes and "—" for every dash.
"""

import re
from collections.abc import Callable

from orpheus_batch.text.numbers import cardinal, ordinal, year

Rule = tuple[str, re.Pattern[str], "Callable[[re.Match[str]], str]"]

TO = r"\s?[—-]\s?"

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_MONTH_OF = {m[:3].lower(): m for m in _MONTHS} | {"sept": "September"}
_SHORT = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
_VERBS = ("March", "May")
"""in small letters they are months only before a year"""
_SMALL = "|".join(month.lower() for month in _MONTHS if month not in _VERBS)
_MONTH = (
    rf"(?P<month>{'|'.join(_MONTHS)}|{'|'.join(_MONTHS).upper()}|{_SMALL}"
    rf"|(?:{_SHORT}|{_SHORT.upper()}|{_SHORT.lower().replace('mar|', '')})(?:\.|(?=[\s-]\d))"
    r"|(?:march|may)(?=(?: \d{1,2}(?:st|nd|rd|th)?)?,? (?:1[1-9]|20)\d\d\b))"
)
_DAY = r"(?P<day>[12]\d|3[01]|0?[1-9])"
_YEAR = r"(?P<year>1\d{3}|20\d\d)"
_DAYS = {
    d[:3].lower(): d for d in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
}


def _month(text: str) -> str:
    return _MONTH_OF.get(text.rstrip(".").lower()[:4].rstrip("."), "") or _MONTH_OF[text[:3].lower()]


def _month_day(match: re.Match[str]) -> str:
    words = f"{_month(match['month'])} {ordinal(int(match['day']))}"
    if match["last"]:
        words += f" to {ordinal(int(match['last']))}"
    return words + (f", {year(int(match['year']))}" if match["year"] else "")


def _day_month(match: re.Match[str]) -> str:
    article = "" if match["the"] else "the "
    words = f"{match['the'] or ''}{article}{ordinal(int(match['day']))} of {_month(match['month'])}"
    return words + (f", {year(int(match['year']))}" if match["year"] else "")


def _dotted_day(match: re.Match[str]) -> str:
    """Read 15.1.2020, which only Europe writes: the day goes first."""
    return f"the {ordinal(int(match['day']))} of {_MONTHS[int(match[2]) - 1]}, {year(int(match['year']))}"


def _iso(match: re.Match[str]) -> str:
    month = _MONTHS[int(match["month"]) - 1]
    return f"{month} {ordinal(int(match['day']))}, {year(int(match['year']))}"


def _slashed(match: re.Match[str]) -> str:
    first, second, last = int(match[1]), int(match[2]), int(match[3])
    if len(match[3]) == 2:
        last += 1900 if last >= 30 else 2000
    if 1 <= first <= 12 and 1 <= second <= 31:
        return f"{_MONTHS[first - 1]} {ordinal(second)}, {year(last)}"
    if 1 <= second <= 12 and 1 <= first <= 31:
        return f"the {ordinal(first)} of {_MONTHS[second - 1]}, {year(last)}"
    return match.group()


def _old_year(text: str) -> str:
    """Read a year of any age, up to four digits: 476 is "four seventy-six"."""
    value = int(text)
    return cardinal(value) if value < 100 or value % 1000 == 0 else year(value)


def _year_range(match: re.Match[str]) -> str:
    first, last = int(match[1]), match[2]
    return f"{year(first)} to {year(int(last)) if len(last) == 4 else cardinal(int(last))}"


def _decade(match: re.Match[str]) -> str:
    words = cardinal(int(match[1]))
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _hour_half(match: re.Match[str]) -> str:
    """Read a time with a.m. or p.m.: "7:05pm" is "seven oh five p.m."."""
    half = f"{match['half'][0].lower()}.m."
    minutes = match["minutes"] or "00"
    words = cardinal(int(match["hour"]))
    if int(minutes):
        words += f" {'oh ' if minutes[0] == '0' else ''}{cardinal(int(minutes))}"
    return f"{words} {half}"


def _from_hour(match: re.Match[str]) -> str:
    """Read the first of "5-7 p.m."; the second is left to the next rule."""
    minutes = match[2] or "00"
    words = cardinal(int(match[1]))
    if int(minutes):
        words += f" {'oh ' if minutes[0] == '0' else ''}{cardinal(int(minutes))}"
    return f"{words} to "


def _military(match: re.Match[str]) -> str:
    hours, minutes = match[1], match[2]
    words = f"{'oh ' if hours[0] == '0' else ''}{cardinal(int(hours))}"
    return f"{words} {'hundred' if minutes == '00' else cardinal(int(minutes))} hours"


def _duration(match: re.Match[str]) -> str:
    parts = [
        counted(match[n], unit) for n, unit in ((1, "hour"), (2, "minute"), (3, "second")) if int(match[n])
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "zero"


def counted(digits: str, unit: str) -> str:
    """Return how many of something in words: "two hours"."""
    return f"{cardinal(int(digits))} {unit}{'' if int(digits) == 1 else 's'}"


MANY = (
    "feet|men|women|people|miles|pages|years|soldiers|ships|horses|words|copies|acres|tons|books|times|souls|troops|"
    "dollars|pounds|francs|yards|votes|children|prisoners|students|employees|meters|metres|kilometers|degrees|calories"
)
_AFTER_ORDINAL = r"(?<=\d(?:st|nd|rd|th))"
DATE_RULES: tuple[Rule, ...] = (
    ("date", re.compile(
        rf"(?<![\w/-])(?P<year>1[1-9]\d\d|20\d\d)(?P<mark>[/-])(?P<month>0?[1-9]|1[0-2])(?P=mark){_DAY}(?![\w/-])"),
     _iso),
    ("date", re.compile(r"(?<![\w/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])"), _slashed),
    ("date", re.compile(r"(?<![\w-])([0-3]\d)-([0-3]\d)-(1[1-9]\d\d|20\d\d)(?![\w-])"), _slashed),
    ("date", re.compile(
        rf"(?<![\w.]){_DAY}\.(0?[1-9]|1[0-2])\.(?P<year>1[1-9]\d\d|20\d\d)(?!\w|\.\d)"), _dotted_day),
    ("date", re.compile(
        rf"\b{_MONTH}[ -]{_DAY}(?:st|nd|rd|th)?(?:{TO}(?P<last>[12]\d|3[01]|[1-9])(?:st|nd|rd|th)?(?!\d))?"
        rf"(?:(?:,? |-){_YEAR})?(?!\w|%|[.,:/]\d)"), _month_day),
    ("date", re.compile(
        rf"(?<![\w.,:/-])(?P<the>[Tt]he )?{_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)"), _day_month),
    ("month", re.compile(rf"\b{_MONTH}(?= \d{{4}}\b)"), lambda m: _month(m["month"])),
    ("weekday", re.compile(
        r"\b(Mon|Tues?|Wed|Thurs?|Thu|Fri|Sat|Sun)\.?(?:(?<=\.)(?=,? (?:[A-Z][a-z]+ )?(?:\d|[a-z]+t[hy]))"
        rf"|(?={TO}(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)))"),
     lambda m: _DAYS[m[1][:3].lower()]),
    ("range", re.compile(rf"(?<=day){TO}(?=(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b)"), lambda _: " to "),
    ("century", re.compile(
        rf"{_AFTER_ORDINAL} c\.(?!\w)(?P<last>(?=[\"')]*$))?"),
     lambda m: " century." if m["last"] is not None else " century"),
    ("range", re.compile(rf"{_AFTER_ORDINAL}{TO}(?=\d+(?:st|nd|rd|th)\b)"), lambda _: " to "),
    ("era", re.compile(r"(?<![\d.,])(\d{1,4})(?= ?(?:A\.D\b|B\.C\b|C\.E\b|AD\b|BCE?\b|CE\b))"),
     lambda m: _old_year(m[1])),
    ("era", re.compile(r"(?<=\bA\.D\. )(\d{1,4})\b(?![.,]\d)|(?<=\bAD )(\d{1,4})\b(?![.,]\d)"),
     lambda m: _old_year(m.group())),
    ("years", re.compile(rf"(?<![\w.,-])(1[1-9]\d\d|20\d\d){TO}(\d{{4}}|\d\d)(?![\w-]|[.,]\d)"), _year_range),
    ("range", re.compile(rf"(?<=\d0s){TO}(?='?\d0s\b|\d{{3}}0s\b)"), lambda _: " to "),
    ("decade", re.compile(r"(?<!\d)'?\b([2-9]0)'?s\b"), _decade),
    ("year", re.compile(r"(?<!\w)'(\d\d)(?![\w'\"]|[.,]\d)"), lambda m: (
        f"oh {cardinal(int(m[1]))}" if m[1][0] == "0" and m[1] != "00" else cardinal(int(m[1])))),
    ("year", re.compile(
        r"(?:(?<=\b[Ii]n )|(?<=\b(?:of|by) )|(?<=\b(?:year|from) )|(?<=\bsince ))"
        r"(10\d\d)(?![\w%]|[.,]\d| (?:" + MANY + r")\b)"), lambda m: year(int(m[1]))),
    ("count", re.compile(rf"(?<![\d.,$£€])(1[1-9]\d[1-9]|20[1-9]\d)(?= (?:{MANY})\b)"), lambda m: cardinal(int(m[1]))),
    ("time", re.compile(
        rf"(?<![\w.,:/-])(1[0-2]|[1-9])(?::([0-5]\d))?{TO}"
        r"(?=(?:1[0-2]|[1-9])(?::[0-5]\d)? ?(?:[ap]\.? ?m\b|[AP]\.?M\b))"), _from_hour),
    ("time", re.compile(
        r"(?<![\d.:])(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minutes>[0-5]\d))? ?(?P<half>[ap]\.? ?m\b\.?|[AP]\.?M\b\.?)"),
     _hour_half),
    ("range", re.compile(rf"(?<=[ap]\.m\.){TO}(?={'|'.join(map(cardinal, range(1, 13)))}\b)"), lambda _: " to "),
    ("time", re.compile(r"(?<![\d:])12:00 (?=noon\b|midnight\b)"), lambda _: "twelve "),
    ("time", re.compile(r"(?<!\d)([01]\d|2[0-4])([0-5]\d) (?:hours|hrs?\b\.?)"), _military),
    ("time", re.compile(r"(?<![\d:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\d:])"), _duration),
)  # fmt: skip
"""tried in this order, before all other rules of numbers"""
