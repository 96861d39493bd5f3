"""English numbers that are more than a number: money, units, fractions, telephone numbers; dates are apart.

Each rule is one pattern and what is said for it; `NUMBER_RULES` is the order in which they are tried. They see
straight quotes and "—" for every dash. What no rule takes is left to `orpheus_batch.text.numbers`.
"""

import re

from orpheus_batch.text.english_dates import DATE_RULES, TO, Rule, counted
from orpheus_batch.text.numbers import cardinal, digit_words, number_words, ordinal

_N = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"

_CURRENCY = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₽": ("rouble", "roubles", "kopeck", "kopecks"),
    "₩": ("won", "won", "jeon", "jeon"),
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
    one, many, _, _ = _CURRENCY[match["sign"]]
    country = _COUNTRY.get(match["country"] or "", "")
    amount, upper = match["amount"].replace(",", ""), (match["upper"] or "").replace(",", "")
    scale = match["scale"] or _SCALE.get((match["short"] or "").lower(), "")
    if match["thing"]:
        return f"{number_words(amount)} {f'{scale} ' if scale else ''}{one} {match['thing']}"
    if upper and not scale and "." in amount + upper:
        return f"{_sum(amount, match['sign'], country)} to {_sum(upper, match['sign'], country)}"
    if upper or scale:
        words = f"{number_words(amount)} to {number_words(upper)}" if upper else number_words(amount)
        return f"{words} {f'{scale} ' if scale else ''}{country}{many}"
    return _sum(amount, match["sign"], country)


def _sum(amount: str, sign: str, country: str) -> str:
    """Read one amount: 3.50 and 3.5 are "three dollars and fifty cents", 3.125 "three point one two five dollars"."""
    one, many, cent, cents = _CURRENCY[sign]
    whole, _, fraction = amount.partition(".")
    if len(fraction) > 2:
        return f"{number_words(amount)} {country}{many}"
    large = f"{number_words(whole or '0')} {country}{one if whole == '1' else many}"
    if not fraction or not int(fraction):
        return large
    value = int(fraction.ljust(2, "0"))
    small = f"{cardinal(value)} {cent if value == 1 else cents}"
    return f"{large} and {small}" if whole and int(whole) else small


def _pounds(match: re.Match[str]) -> str:
    """Read "L500" and "500l.", as books wrote pounds without the sign; the stop stays where the sentence may end."""
    stop = "." if match.groupdict().get("last") is not None else ""
    return f"{number_words(match[1])} {'pound' if match[1] == '1' else 'pounds'}{stop}"


_UNITS: dict[str, tuple[str, str]] = {}
for _names, _one, _many in (
    ("km kms", "kilometer", ""), ("cm cms", "centimeter", ""), ("mm", "millimeter", ""), ("nm", "nanometer", ""),
    ("µm μm", "micrometer", ""), ("m", "meter", ""), ("mi", "mile", ""), ("yd yds", "yard", ""),
    ("ft", "foot", "feet"), ("kg kgs KG", "kilogram", ""), ("mg", "milligram", ""), ("g gm gms", "gram", ""),
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
    ("psi", "pound per square inch", "pounds per square inch"), ("doz", "dozen", "dozen"), ("kt kts kn", "knot", ""),
):  # fmt: skip
    for _name in _names.split():
        _UNITS[_name] = (_one, _many or f"{_one}s")
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_POWERS = {"²": "square", "2": "square", "³": "cubic", "3": "cubic", "sq": "square", "cu": "cubic"}


def _unit(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    power = _POWERS.get((match["before"] or match["power"] or "").rstrip(". "), "")
    words = _amount(match["amount"])
    if match["upper"]:
        words += f" to {number_words(match['upper'])}"
    alone = match["amount"] == "1" and not match["upper"] and not match["scale"]
    thing = match["article"] and re.match(r"[ -][a-z]", match.string[match.end() :])
    named = one if alone or match["joint"] == "-" or thing else many
    return f"{match['article'] or ''}{words}{match['scale'] or ''} {f'{power} ' if power else ''}{named}"


def _amount(text: str) -> str:
    """Read a number, a fraction, or both: "4 1/2" is "four and a half"."""
    mixed = re.fullmatch(r"(?:(\d+)[ -])?(\d+)/(\d+)", text)
    if mixed is None:
        return number_words(text)
    words = fraction_words(int(mixed[2]), int(mixed[3]))
    return f"{number_words(mixed[1])} and {words}" if mixed[1] else words


def _inches(match: re.Match[str]) -> str:
    return f"{_amount(match[1])} {'inch' if match[1] == '1' else 'inches'}"


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
            words += f" {counted(digits, unit)}"
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


_BOOK_SIZES = {"4to": "quarto", "8vo": "octavo", "12mo": "duodecimo", "16mo": "sextodecimo"}
_SAYINGS = {"24/7": "twenty-four seven", "9/11": "nine eleven", "50/50": "fifty-fifty", "50-50": "fifty-fifty"}
_RATIO = r"[1-9]\d{0,2}/[1-9]\d{0,2}"
NUMBER_RULES: tuple[Rule, ...] = (
    ("long number", re.compile(r"\d{37,}"), lambda m: f" {digit_words(m.group())} "),
    ("telephone", re.compile(
        r"(?<![\w.,-])(?:\+\d{1,3}(?:[ .-]?\(?\d{2,4}\)?){2,5}|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[.-]\d{4}"
        r"|\d{3}-\d{4}|\d{3}-\d\d-\d{4})(?![\w-]|[.,]\d)"), _telephone),
    ("minus", re.compile(r"(?<![\w)\]\"'.,-])-(?=[$£€]?\d)"), lambda _: "minus "),
    ("book number", re.compile(r"(?<![\w-])97[89](?:[- ]?\d){10}(?![\w-])"), _telephone),
    ("post code", re.compile(r"(?<=\b[A-Z]{2} )\d{5}(?:-\d{4})?\b(?!,\d)"), _telephone),
    *DATE_RULES,
    ("version", re.compile(r"(?<![\w.])\d{1,4}(?:\.\d{1,4}){2,3}(?![\w]|\.\d)"), _dotted),
    ("ratio", re.compile(r"\b(ratio|odds|scale)((?: is| was)?(?: of)?) (\d{1,6}):(\d{1,6})\b"),
     lambda m: f"{m[1]}{m[2]} {number_words(m[3])} to {number_words(m[4])}"),
    ("money", re.compile(
        rf"(?P<country>\b(?:US|AU|A|CA|C|HK))?(?P<sign>[$£€¥₹₽₩])\s?(?P<amount>{_N}|\.\d\d?(?!\d))(?:{TO}[$£€¥₹₽₩]?(?P<upper>{_N}))?"
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
    ("book size", re.compile(r"(?<!\w)(4to|8vo|12mo|16mo)\b\.?(?P<last>(?=[\"')]*$))?"), lambda m: (
        f"{_BOOK_SIZES[m[1]]}{'.' if m['last'] is not None else ''}")),
    ("degrees", re.compile(
        rf"({_N}) ?[°º](?: ?(?P<minutes>\d{{1,2}})'(?: ?(?P<seconds>\d{{1,2}})\")?)?"
        r"(?: ?(?P<kind>[CFNSEW])\b(?:\.(?=,))?)?"), _degrees),
    ("inches", re.compile(rf"(?<![\w.,/])((?:\d{{1,4}}[ -])?{_RATIO}|{_N}) in\.(?=\s|$|[,;)])"), _inches),
    ("unit", re.compile(
        rf"(?<![\w.,/-])(?P<article>\b[Aa]n? )?(?P<amount>(?:\d{{1,4}}[ -])?{_RATIO}|{_N})(?:{TO}(?P<upper>{_N}))?"
        r"(?P<scale> (?:hundred|thousand|million|billion))?(?P<joint> ?|-)"
        rf"(?P<before>(?:sq|cu)\.? )?(?P<unit>{_UNIT})(?P<power>[²³23])?"
        r"(?![\w/'])(?:\.(?!\s*$|\s+[A-Z]|[\"')]))?"), _unit),
    ("saying", re.compile(r"(?<![\w/.,-])(?:24/7|9/11|50[/-]50)(?![\w/-]|[.,]\d)"), lambda m: _SAYINGS[m.group()]),
    ("fraction", re.compile(rf"(?:(?<![\d.,])({_N})[ -]?)?([{''.join(_SIGNS)}])"), _fraction_sign),
    ("fraction", re.compile(
        r"(?<![\w/.,])(?:(?P<whole>\d{1,4})[ -])?(?P<above>\d{1,3})/(?P<below>\d{1,3})(?![\w/]|[.,]\d)"), _fraction),
    ("times", re.compile(r"(?<=\d) ?[x×] ?(?=\d+(?:\.\d+)? ?=)"), lambda _: " times "),
    ("by", re.compile(r"(?<=\d) ?[x×] ?(?=\d)"), lambda _: " by "),
)  # fmt: skip
"""tried in this order; each match is replaced by words, so that no later rule sees its digits"""
