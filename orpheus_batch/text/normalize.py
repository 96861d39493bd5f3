"""From the book's words to what is spoken: only characters that the model has learned.

With an alphabet (the built-in voice): typography folded, numbers in words, capitals lowered, symbols named,
accents taken off where the alphabet lacks them, the rest dropped. Without one (Orpheus, whose tokenizer reads
anything): blanks, quotation marks, control characters, angle brackets and headings alone.

It does not know sentences, and it has no lexicon.
"""

import re
import unicodedata
from functools import lru_cache

from orpheus_batch.text.headings import is_capitals, number_value
from orpheus_batch.text.numbers import cardinal, numbers_to_words

EMOTION_TAGS = ("<laugh>", "<chuckle>", "<sigh>", "<cough>", "<sniffle>", "<groan>", "<yawn>", "<gasp>")
"""Orpheus's tags; a pack without them drops them. Source: the model's card."""

_QUOTES = {
    **dict.fromkeys("‘’‚‛′‵ʼ＇`´", "'"),
    **dict.fromkeys("“”„‟″‶«»「」『』＂", '"'),
}
_SPACES = dict.fromkeys(
    "\t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000",
    " ",
)
_TYPOGRAPHY = {
    "…": "...",
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "⁃": "-",
    "−": "-",
    "–": "–",
    "—": "—",
    "―": "—",
    "﹘": "—",
    "ﬀ": "ff",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "ﬃ": "ffi",
    "ﬄ": "ffl",
    "ﬅ": "st",
    "ﬆ": "st",
    "Æ": "Ae",
    "æ": "ae",
    "Œ": "Oe",
    "œ": "oe",
    "ß": "ss",
    "ẞ": "SS",
    "ø": "o",
    "Ø": "O",
    "đ": "d",
    "Đ": "D",
    "ł": "l",
    "Ł": "L",
    "ð": "th",
    "Ð": "Th",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "ſ": "s",
    "¿": "",
    "¡": "",
    "[": "(",
    "]": ")",
    "{": "(",
    "}": ")",
    "（": "(",
    "）": ")",
    "，": ", ",
    "。": ". ",
    "、": ", ",
    "！": "! ",
    "？": "? ",
    "：": ": ",
    "；": "; ",
}
_SYMBOLS = {
    "&": " and ",
    "@": " at ",
    "%": " percent ",
    "+": " plus ",
    "=": " equals ",
    "×": " times ",
    "÷": " divided by ",
    "§": " section ",
    "¶": " paragraph ",
    "°": " degrees ",
    "№": " number ",
    "©": " copyright ",
    "®": "",
    "™": "",
    "£": " pounds ",
    "€": " euros ",
    "$": " dollars ",
    "¥": " yen ",
    "¢": " cents ",
    "~": " ",
    "/": " ",
    "\\": " ",
    "|": " ",
    "½": " and a half ",
    "¼": " and a quarter ",
    "¾": " and three quarters ",
    "⅓": " and a third ",
    "⅔": " and two thirds ",
    "²": " squared ",
    "³": " cubed ",
    "±": " plus or minus ",
    "•": " ",
    "·": " ",
    "*": " ",
    "_": " ",
    "^": " ",
    "<": " ",
    ">": " ",
}
_FRACTION_ALONE = re.compile(r"(?<!\d)(?<!\d )([½¼¾⅓⅔])")
_FRACTIONS = {"½": "a half", "¼": "a quarter", "¾": "three quarters", "⅓": "a third", "⅔": "two thirds"}
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_ANGLE = re.compile(r"<\s*/?\s*\|?([^<>|]*)\|?\s*/?\s*>")
_DASH = re.compile(r"\s*(?:—+|–(?!\d)|(?<=\s)–|-{2,}|(?<=\s)-(?=\s))[\s—–-]*")
_DASH_AT_CLOSE = re.compile(r"\s*(?:—+|-{2,})([\"')]+)(?=\s|$|[,.;:!?])")
_RANGE = re.compile(r"(?<=\d)\s?[–-]\s?(?=\d)")
_ELLIPSIS = re.compile(r"\.(?:\s?\.)+")
_HASH_NUMBER = re.compile(r"#\s?(?=\d)")
_NUMBERED_WORD = re.compile(
    r"\b(?P<word>chapter|chap\.|book|part|volume|vol\.|act|scene|canto|stave|letter|section|number|no\.|article|figure|"
    r"fig\.|plate|psalm)(?P<gap>\s+)(?P<number>[IVXLC]+|[ivxlc]{2,})(?![\w'])",
    re.IGNORECASE,
)
_EXPANSIONS = {"chap.": "chapter", "vol.": "volume", "no.": "number", "fig.": "figure"}
_BARE_ROMAN = re.compile(r"[IVXLC]+(?=[.:)]?(?:\s|$))")
_CAPITALS = re.compile(r"\b[A-Z][A-Z'’]*[A-Z]\b|\b(?<![.'])[A-Z]{2,}\b")
_SPEAKABLE_CAPITALS = re.compile(r"(?=[A-Z]*[AEIOUY])[A-Z]{4,}")
_ACRONYMS = frozenset(
    ["NASA", "NATO", "UNESCO", "UNICEF", "AIDS", "OPEC", "ASCII", "FBI", "CIA", "USA", "BBC", "CNN", "NBC", "ABC", "CBS", "IBM", "USSR", "NAACP", "YMCA", "YWCA", "HMS", "USS", "RMS", "BC", "AD", "AM", "PM", "TV", "UK", "US", "EU", "UN", "PC", "CD", "DVD", "DNA", "RNA", "IQ", "ID", "OK", "PHD", "MD", "DC", "NYPD", "LAPD", "WWII", "WWI", "ESQ", "MSS", "MS", "VIP", "UFO", "GPS", "HIV", "ATM", "CEO", "CFO", "CTO", "PR", "HR", "IT", "AI", "API", "URL", "HTTP", "HTTPS", "HTML", "PDF", "SOS", "MP", "MPH", "KGB", "SS"]
)
_SHORT_WORDS = frozenset(
    ["A", "AM", "AN", "AND", "ANY", "ARE", "AS", "AT", "AWAY", "BE", "BAD", "BED", "BIG", "BOY", "BUT", "BY", "CAN", "DAY", "DID", "DIE", "DO", "DON", "EAT", "END", "FAR", "FEW", "FOR", "FUN", "GET", "GO", "GOD", "GOT", "HAD", "HAS", "HE", "HER", "HEY", "HIM", "HIS", "HIT", "HOT", "HOW", "IF", "IN", "IS", "IT", "ITS", "LAW", "LET", "LIE", "LOW", "MAN", "MAY", "ME", "MEN", "MET", "MR", "MRS", "MY", "NEW", "NO", "NOR", "NOT", "NOW", "OF", "OFF", "OH", "OLD", "ON", "ONE", "OR", "OUR", "OUT", "OWN", "PUT", "RAN", "RED", "RUN", "SAW", "SAY", "SEA", "SET", "SHE", "SIN", "SIR", "SIT", "SIX", "SO", "SON", "SUN", "TEN", "THE", "TO", "TOO", "TOP", "TRY", "TWO", "UP", "US", "WAR", "WAS", "WAY", "WE", "WHO", "WHY", "WON", "YES", "YET", "YOU", "ACT", "ART", "AGE", "AIR", "ALL", "ASK", "BAR", "BOX", "CAT", "CUT", "DOG", "DR", "EAR", "EYE", "FAT", "FIT", "FOG", "FOX", "GUN", "HAT", "ICE", "ILL", "JOB", "JOY", "KEY", "KING", "LAD", "LAY", "LED", "LEG", "LOT", "MAD", "MAP", "MUD", "NIGHT", "PAY", "PIG", "RAT", "ROW", "SAD", "SKY", "TAX", "TEA", "VAN", "WET", "WIN", "ST", "ELF", "OWL", "APE", "BAT", "BEE", "COW", "HEN", "RUE"]
)
_SMALL_IN_TITLE = frozenset(["A", "AN", "AND", "AS", "AT", "BUT", "BY", "FOR", "FROM", "IN", "INTO", "NOR", "OF", "ON", "OR", "THE", "TO", "UPON", "WITH"])
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?)])")
_DOUBLED = re.compile(r"([,;:])(?:\s*[,;:])+")
_COMMA_AFTER = re.compile(r"([.!?(])\s*[,;:](?=\s|$|[\"'])")
_COMMA_BEFORE = re.compile(r"[,;:]\s*(?=[.!?])")
_EMPTY_BRACKETS = re.compile(r"\(\s*[,.;:!?]*\s*\)")
_LETTER = re.compile(r"[^\W\d_]")


def normalize(text: str, *, alphabet: str | None, tags: tuple[str, ...], heading: bool = False) -> str:
    """Return a sentence as it is spoken.

    Args:
        text: One line of the book's words.
        alphabet: The model's characters; None: any.
        tags: The model's emotion tags; they pass through verbatim.
        heading: Read roman numbers that stand alone, and give it the case of a title.

    Returns:
        Characters of ``alphabet`` and ``tags`` alone; empty where nothing can be pronounced.
    """
    text = unicodedata.normalize("NFC", text)
    text = _INVISIBLE.sub("", text).translate(_folding())
    if "<" not in text:
        spoken = _plain(text, alphabet, heading)
    else:
        parts = _split_tags(text, tags)
        spoken = " ".join(
            part if part in tags else _plain(part, alphabet, heading) for part in parts if part.strip()
        )
    spoken = " ".join(spoken.split())
    if not _LETTER.search(spoken) and not any(tag in spoken for tag in tags):
        return "" if alphabet is not None or not any(c.isalnum() for c in spoken) else spoken
    return spoken


def end_with_stop(text: str) -> str:
    """Return ``text`` with a full stop where no punctuation ends it: models repeat a title without one."""
    bare = text.rstrip("\"')")
    if bare.endswith(">") or not bare:
        return text
    if bare[-1] in ".!?":
        return text
    if bare[-1] in ",;:-":
        return bare.rstrip(",;:- ") + "." + text[len(bare) :] if bare.rstrip(",;:- ") else text
    return bare + "." + text[len(bare) :]


def _split_tags(text: str, tags: tuple[str, ...]) -> list[str]:
    """Cut out the pack's tags; drop other emotion tags; take the brackets off everything else."""
    known = "|".join(re.escape(tag) for tag in sorted(tags, key=len, reverse=True))
    pieces = re.split(f"({known})", text) if known else [text]
    dropped = set(EMOTION_TAGS) - set(tags)
    out = []
    for piece in pieces:
        if piece in tags:
            out.append(piece)
            continue
        for tag in dropped:
            piece = piece.replace(tag, " ")
        out.append(_ANGLE.sub(lambda match: f" {match[1].replace('_', ' ')} ", piece))
    return out


def _plain(text: str, alphabet: str | None, heading: bool) -> str:
    text = text.replace("<", " ").replace(">", " ")
    if heading and is_capitals(text):
        text = _title_case(_read_romans(text, heading))
    else:
        text = _read_romans(text, heading)
    if alphabet is None:
        return text
    text = text.translate(_typography())
    text = _lower_capitals(text)
    text = _FRACTION_ALONE.sub(lambda match: _FRACTIONS[match[1]], text)
    text = _HASH_NUMBER.sub("number ", text)
    if any(character.isdigit() for character in text):
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
        text = numbers_to_words(_RANGE.sub(" to ", text))
    text = text.translate(_symbols())
    text = _ELLIPSIS.sub("... ", text)
    text = _DASH_AT_CLOSE.sub(r",\1", text)
    text = _DASH.sub(", ", text)
    text = _only(text, alphabet)
    return _tidy(text)


def _only(text: str, alphabet: str) -> str:
    """Fold accents that the alphabet lacks, and drop what is still outside it."""
    allowed = _allowed(alphabet)
    if not set(text) - allowed:
        return text
    out = []
    for character in text:
        if character in allowed:
            out.append(character)
            continue
        for part in unicodedata.normalize("NFKD", character):
            if part in allowed:
                out.append(part)
            elif part.swapcase() in allowed:
                out.append(part.swapcase())
    return "".join(out)


def _tidy(text: str) -> str:
    """Mend the punctuation that folding leaves behind."""
    text = _EMPTY_BRACKETS.sub(" ", text)
    text = _SPACE_BEFORE.sub(r"\1", text)
    text = _DOUBLED.sub(r"\1", text)
    text = _COMMA_AFTER.sub(r"\1", text)
    text = _COMMA_BEFORE.sub("", text)
    return " ".join(text.split()).lstrip(",;:.- ")


def _read_romans(text: str, heading: bool) -> str:
    """Read "Chapter XIV" and, in a heading, "XIV." and "I. The Title"."""

    def numbered(match: re.Match[str]) -> str:
        value = number_value(match["number"])
        if value is None:
            return match.group()
        word = _EXPANSIONS.get(match["word"].lower(), match["word"])
        if word is not match["word"] and match["word"][0].isupper():
            word = word.capitalize()
        spoken = cardinal(value)
        if match["word"][0].isupper():
            spoken = "-".join(part.capitalize() for part in spoken.split("-"))
        return f"{word}{match['gap']}{spoken}"

    text = _NUMBERED_WORD.sub(numbered, text)
    if heading:
        text = re.sub(
            rf"(?:^|(?<=[.,:] ))({_BARE_ROMAN.pattern})",
            lambda match: (
                cardinal(number_value(match[1]) or 0).capitalize() if number_value(match[1]) else match[1]
            ),
            text,
        )
    return text


def _title_case(text: str) -> str:
    words = text.split(" ")
    out = []
    for number, word in enumerate(words):
        core = re.sub(r"[^A-Z]", "", word)
        if number and core in _SMALL_IN_TITLE and words[number - 1][-1:] not in ".:":
            out.append(word.lower())
        elif core in _ACRONYMS or "." in word.rstrip(".,:;!?") or not core:
            out.append(word)
        else:
            out.append(re.sub(r"[^\W\d_]+(?:['’][^\W\d_]+)*", lambda m: m.group().capitalize(), word))
    return " ".join(out)


def _lower_capitals(text: str) -> str:
    """Give words in capitals the case of ordinary words; leave acronyms."""

    def lower(match: re.Match[str]) -> str:
        word = match.group()
        core = word.replace("'", "").replace("’", "")
        if core in _ACRONYMS:
            return word
        if core in _SHORT_WORDS or _SPEAKABLE_CAPITALS.fullmatch(core):
            return word.capitalize() if len(core) > 3 or core not in _SMALL_IN_TITLE else word.lower()
        return word

    return _CAPITALS.sub(lower, text)


@lru_cache(maxsize=8)
def _allowed(alphabet: str) -> frozenset[str]:
    return frozenset(alphabet)


@lru_cache(maxsize=1)
def _folding() -> dict[int, str]:
    return str.maketrans({**_QUOTES, **_SPACES})


@lru_cache(maxsize=1)
def _typography() -> dict[int, str]:
    return str.maketrans(_TYPOGRAPHY)


@lru_cache(maxsize=1)
def _symbols() -> dict[int, str]:
    return str.maketrans(_SYMBOLS)
