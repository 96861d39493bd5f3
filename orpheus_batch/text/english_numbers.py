"""English numbers that are more than a number: dates, times, money, units, fractions, telephone numbers.

Each rule is one pattern and what is said for it; `NUMBER_RULES` is the order in which they are tried. They see
straight quotes and "—" for every dash. What no rule takes is left to `orpheus_batch.text.numbers`.
"""

import re
from collections.abc import Callable

from orpheus_batch.text.numbers import cardinal, digit_words, number_words, ordinal, year

Rule = tuple[str, re.Pattern[str], "Callable[[re.Match[str]], str]"]

_N = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_END = r"(?![\d/]|[.,:]\d)"
_TO = r"\s?[—-]\s?"

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_MONTH_OF = {m[:3].lower(): m for m in _MONTHS} | {"sept": "September"}
_MONTH = (
    r"(?P<month>" + "|".join(_MONTHS) + r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)(?:\.|(?=\s\d)))"
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
    """Read a year of any age: 476 is "four seventy-six"."""
    value = int(text)
    if value < 100 or value % 1000 == 0 or value >= 2100:
        return cardinal(value)
    return year(value)


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


def _military(match: re.Match[str]) -> str:
    hours, minutes = match[1], match[2]
    words = f"{'oh ' if hours[0] == '0' else ''}{cardinal(int(hours))}"
    return f"{words} {'hundred' if minutes == '00' else cardinal(int(minutes))} hours"


def _duration(match: re.Match[str]) -> str:
    parts = [
        _counted(match[n], unit) for n, unit in ((1, "hour"), (2, "minute"), (3, "second")) if int(match[n])
    ]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "zero"


def _counted(digits: str, unit: str) -> str:
    return f"{cardinal(int(digits))} {unit}{'' if int(digits) == 1 else 's'}"


_CURRENCY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("rouble", "roubles", "kopeck", "kopecks"),
}
_COUNTRY = {
    "US": "U.S. ",
    "A": "Australian ",
    "AU": "Australian ",
    "C": "Canadian ",
    "CA": "Canadian ",
    "HK": "Hong Kong ",
}
_SCALE = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "tn": "trillion"}


def _money(match: re.Match[str]) -> str:
    one, many, cent, cents = _CURRENCY[match["sign"]]
    country = _COUNTRY.get(match["country"] or "", "")
    amount, upper = match["amount"].replace(",", ""), (match["upper"] or "").replace(",", "")
    scale = match["scale"] or _SCALE.get((match["short"] or "").lower(), "")
    whole, _, fraction = amount.partition(".")
    if match["thing"]:
        return f"{number_words(amount)} {f'{scale} ' if scale else ''}{one} {match['thing']}"
    if upper:
        words = f"{number_words(amount)} to {number_words(upper)}"
    elif scale or len(fraction) not in (0, 2):
        words = number_words(amount)
    elif not fraction or not int(fraction):
        return f"{number_words(whole)} {country}{one if whole == '1' else many}"
    else:
        small = f"{cardinal(int(fraction))} {cent if int(fraction) == 1 else cents}"
        large = f"{number_words(whole)} {country}{one if whole == '1' else many}"
        return small if not int(whole) else f"{large} and {small}"
    return f"{words} {f'{scale} ' if scale else ''}{country}{many}"


def _pounds(match: re.Match[str]) -> str:
    """Read "L500" and "500l.", as books wrote pounds without the sign; the stop stays where the sentence may end."""
    stop = "." if match.groupdict().get("last") is not None else ""
    return f"{number_words(match[1])} {'pound' if match[1] == '1' else 'pounds'}{stop}"


_UNITS: dict[str, tuple[str, str]] = {}
for _names, _one, _many in (
    ("km kms", "kilometer", ""), ("cm cms", "centimeter", ""), ("mm", "millimeter", ""), ("nm", "nanometer", ""),
    ("µm μm", "micrometer", ""), ("m", "meter", ""), ("mi", "mile", ""), ("yd yds", "yard", ""),
    ("ft", "foot", "feet"), ("kg kgs", "kilogram", ""), ("mg", "milligram", ""), ("g gm gms", "gram", ""),
    ("lb lbs", "pound", ""), ("oz", "ounce", ""), ("cwt", "hundredweight", "hundredweight"),
    ("ml mL", "milliliter", ""), ("cl", "centiliter", ""), ("l L", "liter", ""), ("gal gals", "gallon", ""),
    ("pt pts", "pint", ""), ("qt qts", "quart", ""), ("tsp", "teaspoon", ""), ("tbsp", "tablespoon", ""),
    ("mph", "mile per hour", "miles per hour"), ("km/h kmh kph", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"), ("ft/s", "foot per second", "feet per second"),
    ("rpm", "revolution per minute", "revolutions per minute"), ("mpg", "mile per gallon", "miles per gallon"),
    ("hr hrs", "hour", ""), ("min mins", "minute", ""), ("sec secs", "second", ""), ("ms", "millisecond", ""),
    ("yr yrs", "year", ""), ("mo mos", "month", ""), ("wk wks", "week", ""), ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"), ("MHz", "megahertz", "megahertz"), ("GHz", "gigahertz", "gigahertz"),
    ("kB KB", "kilobyte", ""), ("MB", "megabyte", ""), ("GB", "gigabyte", ""), ("TB", "terabyte", ""),
    ("W", "watt", ""), ("kW", "kilowatt", ""), ("MW", "megawatt", ""), ("kWh", "kilowatt hour", ""), ("V", "volt", ""),
    ("hp", "horsepower", "horsepower"), ("dB", "decibel", ""), ("ha", "hectare", ""), ("kcal", "kilocalorie", ""),
    ("psi", "pound per square inch", "pounds per square inch"), ("doz", "dozen", "dozen"),
):  # fmt: skip
    for _name in _names.split():
        _UNITS[_name] = (_one, _many or f"{_one}s")
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_POWERS = {"²": "square", "2": "square", "³": "cubic", "3": "cubic", "sq": "square", "cu": "cubic"}


def _unit(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    power = _POWERS.get((match["before"] or match["power"] or "").rstrip(". "), "")
    singular = match["amount"] == "1" or match["joint"] == "-"
    return f"{number_words(match['amount'])} {f'{power} ' if power else ''}{one if singular else many}"


def _inches(match: re.Match[str]) -> str:
    return f"{number_words(match[1])} {'inch' if match[1] == '1' else 'inches'}"


_DEGREES = {
    "C": " Celsius",
    "F": " Fahrenheit",
    "N": " north",
    "S": " south",
    "E": " east",
    "W": " west",
    "": "",
}


def _degrees(match: re.Match[str]) -> str:
    words = f"{number_words(match[1])} degree{'' if match[1] == '1' else 's'}"
    for digits, unit in ((match["minutes"], "minute"), (match["seconds"], "second")):
        if digits:
            words += f" {_counted(digits, unit)}"
    return words + _DEGREES[match["kind"] or ""]


_SIGNS = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8), "⅐": (1, 7),
    "⅑": (1, 9), "⅒": (1, 10),
}  # fmt: skip
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def fraction_words(above: int, below: int) -> str:
    """Return a fraction in words: 1/2 is "a half", 5/8 "five eighths"."""
    one, many = _DENOMINATORS.get(below) or (ordinal(below), f"{ordinal(below)}s")
    if above == 1:
        return f"{'one' if below > 4 else 'a'} {one}"
    return f"{cardinal(above)} {many}"


def _fraction_sign(match: re.Match[str]) -> str:
    words = fraction_words(*_SIGNS[match[2]])
    return f"{number_words(match[1])} and {words}" if match[1] else words


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match["above"]), int(match["below"])
    if not 0 < above < below or below > 1000 or (below in (7, 11) and not match["whole"] and above > 4):
        return match.group()
    words = fraction_words(above, below)
    return f"{number_words(match['whole'])} and {words}" if match["whole"] else words


def _telephone(match: re.Match[str]) -> str:
    groups = [digit_words(group) for group in re.findall(r"\d+", match.group())]
    return f"{'plus ' if match.group().startswith('+') else ''}{', '.join(groups)}"


def _dotted(match: re.Match[str]) -> str:
    groups = match.group().split(".")
    joint = " dot " if len(groups) == 4 else " point "
    return joint.join(number_words(group) for group in groups)


_MANY = (
    "feet|men|women|people|miles|pages|years|soldiers|ships|horses|words|copies|acres|tons|books|times|souls|troops|"
    "dollars|pounds|francs|yards|votes|children|prisoners|students|employees|meters|metres|kilometers|degrees|calories"
)
NUMBER_RULES: tuple[Rule, ...] = (
    ("long number", re.compile(r"\d{37,}"), lambda m: f" {digit_words(m.group())} "),
    ("telephone", re.compile(
        r"(?<![\w.,-])(?:\+\d{1,3}(?:[ .-]?\(?\d{2,4}\)?){2,5}|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[.-]\d{4}"
        r"|\d{3}-\d{4}|\d{3}-\d\d-\d{4})(?![\w-]|[.,]\d)"), _telephone),
    ("minus", re.compile(r"(?<![\w)\]\"'.,-])-(?=[$£€]?\d)"), lambda _: "minus "),
    ("book number", re.compile(r"(?<![\w-])97[89](?:[- ]?\d){10}(?![\w-])"), _telephone),
    ("post code", re.compile(r"(?<=\b[A-Z]{2} )\d{5}(?:-\d{4})?\b(?!,\d)"), _telephone),
    ("version", re.compile(r"(?<![\w.])\d{1,4}(?:\.\d{1,4}){2,3}(?![\w]|\.\d)"), _dotted),
    ("date", re.compile(rf"(?<![\w-])(?P<year>1[1-9]\d\d|20\d\d)-(?P<month>0[1-9]|1[0-2])-{_DAY}(?![\w-])"), _iso),
    ("date", re.compile(r"(?<![\w/])(\d{1,2})/(\d{1,2})/(\d{4}|\d\d)(?![\w/])"), _slashed),
    ("date", re.compile(
        rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?(?:{_TO}(?P<last>[12]\d|3[01]|[1-9])(?:st|nd|rd|th)?)?"
        rf"(?:,? {_YEAR})?(?!\w|%|[.,:/]\d)"), _month_day),
    ("date", re.compile(
        rf"(?<![\w.,:/-])(?P<the>[Tt]he )?{_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR})?(?!\w)"), _day_month),
    ("month", re.compile(rf"\b{_MONTH}(?= \d{{4}}\b)"), lambda m: _month(m["month"])),
    ("weekday", re.compile(r"\b(Mon|Tues?|Wed|Thurs?|Thu|Fri|Sat|Sun)\.(?=,? (?:[A-Z][a-z]+ )?(?:\d|[a-z]+t[hy]))"),
     lambda m: _DAYS[m[1][:3].lower()]),
    ("era", re.compile(r"(?<![\d.,])(\d{1,4})(?= ?(?:A\.D\.|B\.C\.|C\.E\.|AD\b|BCE?\b|CE\b))"),
     lambda m: _old_year(m[1])),
    ("era", re.compile(r"(?<=\bA\.D\. )(\d{1,4})\b(?![.,]\d)|(?<=\bAD )(\d{1,4})\b(?![.,]\d)"),
     lambda m: _old_year(m.group())),
    ("years", re.compile(rf"(?<![\w.,-])(1[1-9]\d\d|20\d\d){_TO}(\d{{4}}|\d\d)(?![\w-]|[.,]\d)"), _year_range),
    ("decade", re.compile(r"(?<!\d)'?\b([2-9]0)'?s\b"), _decade),
    ("year", re.compile(r"(?<!\w)'(\d\d)(?![\w'\"]|[.,]\d)"), lambda m: (
        f"oh {cardinal(int(m[1]))}" if m[1][0] == "0" and m[1] != "00" else cardinal(int(m[1])))),
    ("year", re.compile(
        r"(?<=\b(?:[Ii]n|of|by) )(10\d\d)(?![\w%]|[.,]\d| (?:" + _MANY + r")\b)"), lambda m: year(int(m[1]))),
    ("count", re.compile(rf"(?<![\d.,$£€])(1[1-9]\d[1-9]|20[1-9]\d)(?= (?:{_MANY})\b)"), lambda m: cardinal(int(m[1]))),
    ("time", re.compile(
        r"(?<![\d.:])(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minutes>[0-5]\d))? ?(?P<half>[ap]\.? ?m\b\.?|[AP]\.?M\b\.?)"),
     _hour_half),
    ("time", re.compile(r"(?<![\d:])12:00 (?=noon\b|midnight\b)"), lambda _: "twelve "),
    ("time", re.compile(r"(?<!\d)([01]\d|2[0-4])([0-5]\d) (?:hours|hrs?\b\.?)"), _military),
    ("time", re.compile(r"(?<![\d:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\d:])"), _duration),
    ("ratio", re.compile(r"\b(ratio|odds|scale)((?: is| was)?(?: of)?) (\d{1,6}):(\d{1,6})\b"),
     lambda m: f"{m[1]}{m[2]} {number_words(m[3])} to {number_words(m[4])}"),
    ("money", re.compile(
        rf"(?P<country>\b(?:US|AU|A|CA|C|HK))?(?P<sign>[$£€¥₹₽])\s?(?P<amount>{_N})(?:{_TO}[$£€¥₹₽]?(?P<upper>{_N}))?"
        r"(?: (?P<scale>hundred|thousand|million|billion|trillion)\b(?! dollars)|(?P<short>k|K|mn?|M|bn?|B|tn)\b)?"
        r"(?:[ -](?P<thing>bill|note|coin|ticket|bet|prize|fine|reward)\b)?"), _money),
    ("old money", re.compile(r"(?<![\w.,£$'-])L\.?(\d{1,3}(?:,\d{3})+|\d{2,6})(?![\w/]|[.,]\d)"), _pounds),
    ("old money", re.compile(rf"(?<![\w.,£$-])({_N})l\.(?!\w)(?P<last>(?=\s+[A-Z]|[\"')]*$))?"), _pounds),
    ("money", re.compile(rf"({_N}) ?¢"), lambda m: f"{number_words(m[1])} cent{'' if m[1] == '1' else 's'}"),
    ("money", re.compile(rf"(?<![\w.,])({_N})p\b(?!\.\w)"), lambda m: f"{number_words(m[1])} pence"),
    ("money", re.compile(rf"\b(USD|EUR|GBP) ?({_N})|({_N}) (USD|EUR|GBP)\b"), lambda m: (
        f"{number_words(m[2] or m[3])} "
        f"{ {'USD': 'U.S. dollars', 'EUR': 'euros', 'GBP': 'pounds'}[m[1] or m[4]] }")),
    ("height", re.compile(r"(?<![\w.,])(\d{1,2})' ?(\d{1,2})\"(?!\w)"),
     lambda m: f"{cardinal(int(m[1]))} foot {cardinal(int(m[2]))}"),
    ("degrees", re.compile(
        rf"({_N}) ?°(?: ?(?P<minutes>\d{{1,2}})'(?: ?(?P<seconds>\d{{1,2}})\")?)?(?: ?(?P<kind>[CFNSEW])\b)?"),
     _degrees),
    ("inches", re.compile(rf"(?<![\w.,])({_N}) in\.(?=\s|$|[,;)])"), _inches),
    ("unit", re.compile(
        rf"(?<![\w.,/])(?P<amount>{_N})(?P<joint> ?|-)(?P<before>(?:sq|cu)\.? )?(?P<unit>{_UNIT})(?P<power>[²³23])?"
        r"(?![\w/'])(?:\.(?!\s*$|\s+[A-Z]|[\"')]))?"), _unit),
    ("fraction", re.compile(rf"(?:(?<![\d.,])({_N})[ -]?)?([{''.join(_SIGNS)}])"), _fraction_sign),
    ("fraction", re.compile(
        r"(?<![\w/.,])(?:(?P<whole>\d{1,4})[ -])?(?P<above>\d{1,3})/(?P<below>\d{1,3})(?![\w/]|[.,]\d)"), _fraction),
    ("by", re.compile(r"(?<=\d) ?[x×] ?(?=\d)"), lambda _: " by "),
)  # fmt: skip
"""tried in this order; each match is replaced by words, so that no later rule sees its digits"""
