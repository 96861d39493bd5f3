"""From the book's words to what is spoken: only characters that the model has learned.

With an alphabet (the built-in voice): typography folded, numbers in words, capitals lowered, symbols named,
accents taken off where the alphabet lacks them, the rest dropped. A dash becomes a comma, which is the pause
that a narrator makes of it. Without an alphabet (Orpheus, whose tokenizer reads anything): numbers, abbreviations
and symbols in words if that is asked for; else blanks, quotation marks, control characters, angle brackets and
headings alone.

It does not know sentences, and it has no lexicon.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from orpheus_batch.text.capitals import lower_capitals, title_case
from orpheus_batch.text.english_numbers import NUMBER_RULES, Rule
from orpheus_batch.text.english_words import ADDRESS_RULES, WORD_RULES
from orpheus_batch.text.headings import is_capitals
from orpheus_batch.text.numbers import numbers_to_words
from orpheus_batch.text.romans import read_romans

EMOTION_TAGS = ("<laugh>", "<chuckle>", "<sigh>", "<cough>", "<sniffle>", "<groan>", "<yawn>", "<gasp>")
"""Orpheus's tags; a pack without them drops them. Source: the model's card."""

FOLDED_CHARACTERS = {
    **dict.fromkeys("‘’‚‛′‵ʼ＇`´", "'"),
    **dict.fromkeys("“”„‟″‶«»「」『』＂", '"'),
    **dict.fromkeys("\t\n\v\f\r\u0085\u00a0\u1680\u202f\u205f\u3000\u2028\u2029", " "),
    **{chr(code): " " for code in range(0x2000, 0x200B)},
}
_TYPOGRAPHY = {
    **dict.fromkeys("‐‑‒⁃−", "-"),
    **dict.fromkeys("–—―﹘", "—"),
    **dict.fromkeys("[{（［【", "("),
    **dict.fromkeys("]}）］】", ")"),
    **dict.fromkeys("¿¡®™", ""),
    **{"…": "...", "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"},
    **{
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
    },
    **{"ł": "l", "Ł": "L", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ſ": "s"},
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢǫ", "abcdefghijklmnopqrstuvwyzq", strict=True)),  # small capitals
    **{"，": ", ", "。": ". ", "、": ", ", "！": "! ", "？": "? ", "：": ": ", "；": "; "},
}
_SYMBOLS = {
    **dict.fromkeys("~/\\|•·*_^<>", " "),
    **{"&": " and ", "@": " at ", "%": " percent ", "+": " plus ", "=": " equals ", "×": " times ", "#": " "},
    **{
        "÷": " divided by ",
        "§": " section ",
        "¶": " paragraph ",
        "°": " degrees ",
        "№": " number ",
        "©": " copyright ",
    },
    **{
        "£": " pounds ",
        "€": " euros ",
        "$": " dollars ",
        "¥": " yen ",
        "¢": " cents ",
        "²": " squared ",
        "³": " cubed ",
    },
    **{
        "±": " plus or minus ",
        "≈": " about ",
        "≤": " at most ",
        "≥": " at least ",
        "≠": " is not ",
        "√": " root of ",
    },
    **{"∞": " infinity ", "‰": " per mille ", "→": " to ", "₹": " rupees ", "µ": " micro ", "π": " pi "},
}

INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)
_RUN_OF_MARKS = re.compile(r"([^\w\s])\1{3,}")
_ANGLE = re.compile(r"<\s*/?\s*\|?([^<>|]{0,200})\|?\s*/?\s*>")
_SAFE = frozenset(" !\"'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_WORK = re.compile(
    r"[A-Z]['A-Z]|--|\s-|-\s|\.\s?\.|\s[,.;:!?)]|[,;:]\s?[,.;:!?]|[.!?(\"']\s?[,;:]|\(\s|\w\.?\s[IVXLCivxlc]+\b|\bNo\."
    r"|\b[A-Z][a-z]{1,5}\.(?!$)|\b(?:Rd|St|Dr|Ave|Blvd|Co|Inc|Ltd|Jr|Sr|etc|vs|viz|cf|approx|al|e\.g|i\.e)\.|\w\.\w{2}"
)
"""What a sentence of safe characters may hold that still has to be changed"""
_PLAIN = re.compile(r"[^\W\d_]*(?:[\s.,;:!?\"'()\[\]—–…-]+[^\W\d_]*)*")
"""letters and punctuation: nothing in it to put into words"""
_NUMBER_SIGN = re.compile(r"(?:#|\bNos?\.|№|N°)\s?(?=\d)|\bnos?\.\s(?=\d)")
_RANGE = re.compile(r"(?<=\d)\s?[—-]\s?(?=\d)")
_COLON = re.compile(r"(?<!\d)(\d{1,3}):(\d{1,3})(?!\d)")
_PENCE = re.compile(
    r"(?<![\w'-])(?<!the )(?<!his )(?<!her )(?<!my )(?<!our )(?<!eir )(?<!rly )(?<!ate )"
    r"(?P<count>\d{1,3})(?P<coin>[sd])\.(?P<last>(?=\s+[A-Z]|[\"')]*$))?"
)
_MANUSCRIPT = re.compile(r"\bMS(S?)\.(?!\w)")
_OVER = re.compile(r"(?<=\d)/(?=\d)")
_ELLIPSIS = re.compile(r"\.(?:\s?\.)+(\s?)(?=(\w?))")
_DASH_AT_CLOSE = re.compile(r"\s*(?<![—-])(?:—+|-{2,})([\"')]+)(?=\s|$|[,.;:!?])")
_DASH = re.compile(r"\s*(?:—+|-{2,}|(?<=\s)-(?=\s))(?:\s*(?:—|-{2,}|-\s))*\s*")
_TIDY = (
    (re.compile(r"\(\s*[,.;:!?]*\s*\)"), " "),
    (re.compile(r"\s+([,.;:!?)])"), r"\1"),
    (re.compile(r"\(\s+"), "("),
    (re.compile(r"([,;:])(?:\s*[,;:])+"), r"\1"),
    (re.compile(r"([!?(])\s*[,;:](?=\s|$|[\"')])"), r"\1"),
    (re.compile(r"[,;:]\s*(?=[.!?])"), ""),
    (re.compile(r"(^|\s)([\"'(]+)\s*[,;:]\s*"), r"\1\2"),
    (re.compile(r"\.{4,}"), "..."),
)
_FINAL = frozenset([*".!?>…。！？", ""])
"""what an utterance may end with; the last is for a text of quotation marks alone"""
_PUNCTUATION = frozenset(".!?,;:->…，。！？；：、—")
_LETTER = re.compile(r"[^\W\d_]")


def normalize(
    text: str,
    *,
    alphabet: str | None,
    tags: tuple[str, ...],
    heading: bool = False,
    words: bool = False,
    trace: "Trace | None" = None,
) -> str:
    """Return a sentence as it is spoken.

    Args:
        text: One line of the book's words.
        alphabet: The model's characters; None: any.
        tags: The model's emotion tags; they pass through verbatim.
        heading: Read roman numbers that stand alone.
        words: Put numbers, abbreviations and symbols into words without an alphabet too.
        trace: Hears of every rule that changes something; see `orpheus_batch.text.explain`.

    Returns:
        Characters of ``alphabet``, and ``tags``, alone; empty where nothing can be pronounced.
    """
    steps = _Steps(text, trace)
    steps.to("typography", INVISIBLE.sub("", unicodedata.normalize("NFC", text)).translate(_folded()))
    text = steps.to("tidying", _RUN_OF_MARKS.sub(r"\1\1\1", steps.text))
    if "<" not in text and ">" not in text:
        spoken = _spoken(text, alphabet, heading, words, trace)
        speaks = bool(_LETTER.search(spoken))
    else:
        parts = [part for part in _split_tags(text, tags) if part.strip()]
        said = [part if part in tags else _spoken(part, alphabet, heading, words) for part in parts]
        spoken = " ".join(word for word in said if word)
        steps.to("tags and brackets", spoken)
        speaks = any(word in tags or _LETTER.search(word) for word in said)
    if not speaks and (alphabet is not None or not any(character.isalnum() for character in spoken)):
        return ""
    return spoken


def end_with_stop(text: str) -> str:
    """Return ``text`` with a full stop where no punctuation ends it: Orpheus repeats a title without one.

    A comma, colon, semicolon or hyphen at the end gives way to the stop; a closing quotation mark stays last.
    """
    core = text.rstrip("\"' ")
    tail = text[len(core) :].strip()
    if core.rstrip("\"') ")[-1:] in _FINAL:
        return text
    core = core.rstrip(",;:- ")
    return f"{core}.{tail}" if core else text


def end_with_comma(text: str) -> str:
    """Return ``text`` with a comma where no punctuation ends it: the end of a piece that goes on."""
    core = text.rstrip("\"' ")
    if not core or core[-1] in _PUNCTUATION:
        return text
    return f"{core},{text[len(core) :].strip()}"


def _split_tags(text: str, tags: tuple[str, ...]) -> list[str]:
    """Cut out the pack's tags; drop other emotion tags; take the brackets off everything else."""
    known = "|".join(re.escape(tag) for tag in sorted(tags, key=len, reverse=True))
    pieces = re.split(f"({known})", text) if known else [text]
    return [piece if piece in tags else _without_brackets(piece) for piece in pieces]


def _without_brackets(text: str) -> str:
    for tag in EMOTION_TAGS:
        text = text.replace(tag, " ")
    text = _ANGLE.sub(lambda match: f" {match[1].replace('_', ' ')} ", text)
    return text.replace("<", " ").replace(">", " ")


Trace = Callable[[str, str, str], None]
"""hears of a rule's name, the text before it and the text after it, where it changed something"""


def _spoken(
    text: str, alphabet: str | None, heading: bool, words: bool = False, trace: Trace | None = None
) -> str:
    """Speak a text without tags and angle brackets."""
    steps = _Steps(text, trace)
    steps.to("blanks", " ".join(text.split()))
    capitals = is_capitals(steps.text) and (heading or " " in steps.text)
    if alphabet is None:
        if words:
            _speak_words(steps, heading)
        elif heading:
            steps.to("roman number", read_romans(steps.text, heading))
        if heading:
            steps.to("capitals", title_case(steps.text) if capitals else lower_capitals(steps.text))
        return steps.text
    allowed = _characters(alphabet)
    if not heading and _SAFE >= set(steps.text) <= allowed and not _WORK.search(steps.text):
        return steps.to("tidying", steps.text.lstrip(",;:.- ").rstrip(" ("))
    steps.apply(ADDRESS_RULES)
    steps.to("typography", steps.text.translate(_typography()))
    steps.to("roman number", read_romans(steps.text, heading))
    steps.apply(WORD_RULES)
    if not allowed >= set(steps.text) <= _SAFE:
        _speak_symbols(steps)
    steps.to("dots", _ELLIPSIS.sub(lambda match: "... " if match[1] or match[2] else "...", steps.text))
    steps.to("dash", _DASH.sub(_pause, _DASH_AT_CLOSE.sub(_pause_at_close, steps.text)))
    steps.to("alphabet", _only(steps.text, allowed))
    manuscript = _MANUSCRIPT.sub(lambda match: "manuscripts" if match[1] else "manuscript", steps.text)
    steps.to("abbreviation", manuscript)
    steps.to("capitals", title_case(steps.text) if capitals else lower_capitals(steps.text))
    text = steps.text
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return steps.to("tidying", " ".join(text.split()).lstrip(",;:.- ").rstrip(" ("))


def _speak_words(steps: "_Steps", heading: bool) -> None:
    """Put what is not a word into words, for a model that reads punctuation and any letter."""
    steps.apply(ADDRESS_RULES)
    dashes = steps.text.translate(_dashes())
    if dashes != steps.text and any(character.isdecimal() for character in dashes):
        steps.to("typography", dashes)
    steps.to("roman number", read_romans(steps.text, heading))
    steps.apply(WORD_RULES)
    if not _PLAIN.fullmatch(steps.text):
        _speak_symbols(steps)


class _Steps:
    """A text on its way, rule by rule."""

    def __init__(self, text: str, trace: Trace | None):
        self.text = text
        self._trace = trace

    def to(self, rule: str, text: str) -> str:
        """Go on with what a rule has made of it."""
        if self._trace is not None and text != self.text:
            self._trace(rule, self.text, text)
        self.text = text
        return text

    def apply(self, rules: Sequence[Rule]) -> None:
        """Apply rules that are a pattern and its replacement."""
        for name, pattern, replacement in rules:
            self.to(name, pattern.sub(replacement, self.text))


def _speak_symbols(steps: _Steps) -> None:
    """Put numbers and symbols into words."""
    steps.to("old money", _PENCE.sub(_pence, steps.text))
    if any(character.isdecimal() or character in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒" for character in steps.text):
        digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in steps.text)
        steps.to("digits", digits)
        steps.to("number sign", _NUMBER_SIGN.sub(_number_sign, steps.text))
        steps.apply(NUMBER_RULES)
        steps.to("fraction", _OVER.sub(" over ", steps.text))
        steps.to("time", _COLON.sub(_clock, steps.text))
        steps.to("range", _RANGE.sub(" to ", steps.text))
        steps.to("number", numbers_to_words(steps.text))
    steps.to("symbol", " ".join(steps.text.translate(_symbols()).split()))


def _pause(match: re.Match[str]) -> str:
    """Make a comma of a dash, where no other mark stands before it."""
    return " " if _after_mark(match) else ", "


def _pause_at_close(match: re.Match[str]) -> str:
    """Make a comma of the dash of interrupted speech, before the closing quotation mark."""
    return match[1] if _after_mark(match) else f",{match[1]}"


def _after_mark(match: re.Match[str]) -> bool:
    """Say whether punctuation stands before a match, closing quotation marks between them or not."""
    before = match.string[max(0, match.start() - 4) : match.start()].rstrip("\"') ")
    return before[-1:] in _PUNCTUATION or match.start() == 0


def _number_sign(match: re.Match[str]) -> str:
    word = "numbers " if match.group().rstrip(". ").endswith("s") else "number "
    return word.capitalize() if match.start() == 0 else word


def _clock(match: re.Match[str]) -> str:
    """Read "10:05" as a time, and anything else with a colon as two numbers."""
    hours, minutes = int(match[1]), int(match[2])
    if hours > 24 or minutes > 59 or len(match[2]) != 2:
        return f"{match[1]}, {match[2]}"
    if minutes == 0:
        return f"{hours} o'clock"
    return f"{hours} oh {minutes}" if minutes < 10 else f"{hours} {minutes}"


def _pence(match: re.Match[str]) -> str:
    """Read "10s." and "6d." of old money; the stop stays where the sentence may end."""
    one, many = ("shilling", "shillings") if match["coin"] == "s" else ("penny", "pence")
    stop = "." if match["last"] is not None else ""
    return f"{match['count']} {one if match['count'] == '1' else many}{stop}"


def _only(text: str, allowed: frozenset[str]) -> str:
    """Fold accents that the alphabet lacks, and drop what is still outside it."""
    if allowed >= set(text):
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


@lru_cache(maxsize=8)
def _characters(alphabet: str) -> frozenset[str]:
    return frozenset(alphabet)


@lru_cache(maxsize=1)
def _folded() -> dict[int, str]:
    return str.maketrans(FOLDED_CHARACTERS)


@lru_cache(maxsize=1)
def _dashes() -> dict[int, str]:
    return str.maketrans({**dict.fromkeys("‐‑‒⁃−", "-"), **dict.fromkeys("–—―﹘", "—")})


@lru_cache(maxsize=1)
def _typography() -> dict[int, str]:
    return str.maketrans(_TYPOGRAPHY)


@lru_cache(maxsize=1)
def _symbols() -> dict[int, str]:
    return str.maketrans(_SYMBOLS)
