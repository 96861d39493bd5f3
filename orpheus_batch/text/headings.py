"""Which lines look like the heading of a chapter, taken by themselves.

Whether a candidate is one (and not a line of a table of contents) depends on its neighbours and is decided in
`orpheus_batch.text.chapters`.
"""

import re
from dataclasses import dataclass

from orpheus_batch.text.blocks import Block

MAX_TITLE_CHARS = 100
"""longer lines are prose"""

VOLUME, BOOK, PART, ACT, CHAPTER, NUMBERED_TITLE, NUMBER = range(7)
"""Levels of headings, outermost first. Numbers without a word are headings only where no chapter is named."""

_LEVELS = {
    "volume": VOLUME,
    "vol": VOLUME,
    "book": BOOK,
    "part": PART,
    "act": ACT,
}
_KEYWORDS = (
    "volume|vol|book|part|act|chapter|chap|letter|stave|canto|scene|section|episode|adventure|lecture|sermon|"
    "night|day|story|tale|fytte|fit|stanza|essay|lesson"
)
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ORDINAL = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|"
    "(?:thir|four|fif|six|seven|eigh|nine)teenth|(?:twen|thir|for|fif|six|seven|eigh|nine)tieth|last"
)
ROMAN = r"(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,4})(?:XC|XL|L?X{0,4})(?:IX|IV|V?I{0,4})"
_NUMBER_WORD = rf"(?:{_TEENS}|(?:{_TENS})(?:[- ](?:{_UNITS}|{_ORDINAL}))?|{_UNITS})"
_NUMBER = rf"(?:{ROMAN}|\d{{1,4}}|(?i:{_NUMBER_WORD})|(?i:the\s+(?:(?:{_TENS})[- ])?(?:{_ORDINAL})))"
_SEPARATOR = r"(?:\s*[.:\]—–-]+\s*|\s+)"
_LABELLED = re.compile(
    rf"(?P<label>(?P<keyword>{'|'.join(word.capitalize() for word in _KEYWORDS.split('|'))}"
    rf"|{_KEYWORDS.upper()})\.?\s+(?P<number>{_NUMBER}|[ivxlc]+))(?![A-Za-z'’])"
    rf"(?P<separator>{_SEPARATOR})?(?P<title>\S.*)?"
)
_ORDINAL_FIRST = re.compile(
    rf"(?P<label>(?i:(?:the\s+)?(?P<number>(?:(?:{_TENS})[- ])?(?:{_ORDINAL})))\s+"
    rf"(?P<keyword>{'|'.join(word.capitalize() for word in _KEYWORDS.split('|'))}|{_KEYWORDS.upper()}))"
    r"\b(?P<separator>\s*[.:—–-]+)?\s*(?P<title>\S.*)?"
)
_NUMBERED = re.compile(
    rf"(?P<number>{ROMAN}|\d{{1,3}})(?:[.:)](?:\s+|\s*[—–-]+\s*)|\s*[—–]\s*|\s+-+\s*)(?P<title>\S.*)"
)
_BARE_NUMBER = re.compile(rf"[_*(—–-]*\s*(?P<number>{ROMAN}|\d{{1,3}})\s*[.:]?\s*[_*)—–-]*")

_NAMED_WORDS = (
    "PROLOGUE|EPILOGUE|PREFACE|INTRODUCTION|INTRODUCTORY|FOREWORD|AFTERWORD|POSTSCRIPT|PREAMBLE|PRELUDE|INTERLUDE|"
    "CONCLUSION|APPENDIX|PREFATORY|ADVERTISEMENT|PROEM|FINALE|CODA|ENVOI|L'ENVOI|ARGUMENT|DRAMATIS PERSONAE"
)
_NAMED_ALONE = re.compile(
    rf"(?i:(?:an?\s+|the\s+|author[’']s\s+|general\s+|editor[’']s\s+|translator[’']s\s+)?"
    rf"(?:{_NAMED_WORDS}|(?:author|editor|translator|publisher)[’']s\s+(?:note|preface|foreword)"
    r"|to\s+the\s+reader|a\s+note|biographical\s+note)"
    rf"(?:\s+(?:chapter|note|remarks|{ROMAN}|[A-Z\d]))?)\s*[.:]?"
)
_NAMED_CAPITALS = re.compile(rf"[^a-z]*\b(?:{_NAMED_WORDS})\b[^a-z]*")
_CONTENTS = re.compile(
    r"(?i:(?:the\s+)?(?:table\s+of\s+)?contents(?:\s+of\s+(?:the\s+)?(?:first|second|third|this|volume|vol)\b.{0,30})?)"
    r"\s*[.:]?"
)
_SKIPPED = (
    (
        re.compile(
            r"(?i:(?:list\s+of\s+|full[- ]page\s+)?(?:illustrations|plates|maps|figures|tables))\s*[.:]?"
        ),
        "list of illustrations",
    ),
    (re.compile(r"(?:(?i:(?:general\s+)?index)|INDEX\b[^a-z]{0,40})\s*[.:]?"), "index"),
    (re.compile(r"\[?(?i:(?:appendix\s+)?(?:foot|end)notes)\s*[.:]?\]?|NOTES\s*[.:]?"), "footnotes"),
    (
        re.compile(r"(?i:bibliography|errata|corrigenda|list\s+of\s+authorities)\s*[.:]?"),
        "bibliography or errata",
    ),
    (re.compile(r"[\[_*]*(?i:transcribers?[’']?s?\s+notes?)\s*[.:]?[\]_*]*"), "transcriber's note"),
    (
        re.compile(r"(?i:(?:other\s+)?(?:books|works|novels)\s+by\s+(?:the\s+same\s+author|.{3,40}))\s*[.:]?"),
        "advertisement",
    ),
)
_SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "but",
        "by",
        "de",
        "del",
        "der",
        "des",
        "du",
        "en",
        "et",
        "for",
        "from",
        "in",
        "into",
        "la",
        "le",
        "les",
        "nor",
        "of",
        "off",
        "on",
        "onto",
        "or",
        "out",
        "over",
        "per",
        "so",
        "than",
        "that",
        "the",
        "this",
        "to",
        "under",
        "up",
        "upon",
        "via",
        "von",
        "with",
        "without",
        "who",
        "which",
        "whom",
        "how",
        "why",
        "what",
        "when",
        "where",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "it",
        "its",
        "his",
        "her",
        "my",
        "our",
        "their",
        "your",
        "he",
        "she",
        "they",
        "i",
        "we",
        "you",
    ]
)
_EMPHASIS = re.compile(r"^[_*~\[\s]+|[_*~\]\s]+$")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WORD_VALUES = {word: value for value, word in enumerate((*_UNITS.split("|"), *_TEENS.split("|")), start=1)} | {
    word: 10 * value for value, word in enumerate(_TENS.split("|"), start=2)
}
_ORDINAL_VALUES = {
    word: value
    for value, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
        ],
        start=1,
    )
} | {
    word: 10 * value
    for value, word in enumerate(
        ["twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth", "ninetieth"],
        start=2,
    )
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A block that may begin with a heading."""

    level: int
    label: str
    """"CHAPTER I", "Prologue"; empty for a Markdown or listed title"""
    title: str
    """on the same line; empty if there is none"""
    value: int | None
    """the number, where there is one"""

    @property
    def key(self) -> str:
        """What a line of a table of contents shares with the heading it points to."""
        return title_key(f"{self.label} {self.title}" if self.level != NUMBERED_TITLE else self.title)


def _bare(line: str) -> str:
    """Return a line without emphasis and brackets around it; empty if it is too long for a heading."""
    return _EMPHASIS.sub("", line) if len(line) <= MAX_TITLE_CHARS else ""


def match_heading(block: Block) -> Candidate | None:
    """Return the heading that the first line of a block may be."""
    line = _bare(block.lines[0].text)
    if not line:
        return None
    return _match_labelled(line, block) or _match_numbered(line, block) or _match_named(line, block)


def is_label_line(line: str) -> bool:
    """Say whether a line is nothing but "CHAPTER IV." or the like."""
    match = _LABELLED.fullmatch(_bare(line))
    return bool(match) and not (match["title"] or "").strip(" .:")


def is_bare_number(line: str) -> bool:
    """Say whether a line is nothing but a roman or small arabic number."""
    return bool(_BARE_NUMBER.fullmatch(line))


def is_contents_heading(block: Block) -> bool:
    """Say whether a block is the one line "Contents"."""
    return len(block.lines) == 1 and bool(_CONTENTS.fullmatch(_bare(block.lines[0].text)))


def skipped_section(block: Block) -> str:
    """Return why the section that a block heads is not read (an index, say); empty if it is."""
    if len(block.lines) > 1:
        return ""
    line = _bare(block.lines[0].text)
    for pattern, reason in _SKIPPED:
        if pattern.fullmatch(line):
            return reason
    return ""


def is_capitals(text: str) -> bool:
    """Say whether a text has at least two letters and none of them small."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) >= 2 and not any(character.islower() for character in letters)


def is_title_like(text: str) -> bool:
    """Say whether a line could be a title: short, in capitals or title case, and no sentence."""
    text = _bare(text)
    if not text or text[-1] in ",;" or not any(c.isalpha() for c in text):
        return False
    if is_capitals(text):
        return True
    if text[0] in "\"'“‘«" or not (text[0].isupper() or text[0].isdigit()):
        return False
    words = _WORD.findall(text)
    if text[-1] in ".!?:\"'”’" and (len(words) < 2 or not _is_title_case(words)):
        return False
    return _is_title_case(words) or (len(text) <= 70 and text[-1].isalnum())


def _is_title_case(words: list[str]) -> bool:
    return bool(words) and all(word[0].isupper() or word.lower() in _SMALL_WORDS for word in words)


def title_key(text: str) -> str:
    """Return a title without case, punctuation, leaders and page number, to compare it with another.

    A text too long for a title gives an empty key.
    """
    if len(text) > 2 * MAX_TITLE_CHARS:
        return ""
    text = re.sub(r"(?:\s*\.){3,}\s*\d*\s*$|\s{2,}\d+\s*$|[\s.]{3,}(?=\d+\s*$)\d+\s*$", "", text.strip())
    return " ".join(re.findall(r"[^\W_]+", text.lower().replace("’", "'").replace("'", "")))


def roman_value(text: str) -> int:
    """Return the value of a roman number in capitals."""
    values = [_ROMAN_VALUES[character] for character in text]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))


def number_value(text: str) -> int | None:
    """Return the value of "XIV", "14", "fourteen" or "the fourteenth"; None where it has none."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    if re.fullmatch(ROMAN, text.upper()) and text.upper() and (text.isupper() or text.islower()):
        return roman_value(text.upper())
    total = 0
    for word in re.split(r"[-\s]+", text.lower().removeprefix("the ").strip()):
        value = _WORD_VALUES.get(word, _ORDINAL_VALUES.get(word))
        if value is None:
            return None
        total += value
    return total or None


def _match_labelled(line: str, block: Block) -> Candidate | None:
    for pattern in (_LABELLED, _ORDINAL_FIRST):
        match = pattern.fullmatch(line)
        if not match:
            continue
        label = match["label"].strip()
        title = _EMPHASIS.sub("", match["title"] or "").strip(" .:") and (match["title"] or "").strip()
        separated = bool(re.search(r"[.:\]—–-]|\s{2}", match["separator"] or ""))
        if title.startswith("of ") and pattern is _ORDINAL_FIRST and is_title_like(title[3:]):
            label, title = f"{match['label'].strip()} {title}", ""
        if title and not (is_title_like(title) or (separated and len(block.lines) <= 2 and title[0].isupper())):
            continue
        if title and not separated and len(block.lines) > 3:
            continue
        keyword = match["keyword"].lower()
        level = _LEVELS.get(keyword, CHAPTER)
        return Candidate(level, label, title, number_value(match["number"]))
    return None


def _match_named(line: str, block: Block) -> Candidate | None:
    if len(block.lines) > 2 or not line[0].isupper():
        return None
    capitals = is_capitals(line)
    if _NAMED_ALONE.fullmatch(line) and (capitals or _is_title_case(_WORD.findall(line))):
        return Candidate(CHAPTER, line.rstrip(" .:"), "", None)
    if capitals and len(line.split()) <= 8 and _NAMED_CAPITALS.fullmatch(line):
        return Candidate(CHAPTER, line.rstrip(" .:"), "", None)
    return None


def _match_numbered(line: str, block: Block) -> Candidate | None:
    first = block.lines[0].text
    match = _BARE_NUMBER.fullmatch(first)
    if match:
        alone = len(block.lines) == 1 or (len(block.lines) == 2 and is_title_like(block.lines[1].text))
        value = number_value(match["number"])
        return Candidate(NUMBER, match["number"], "", value) if alone and value else None
    match = _NUMBERED.fullmatch(line)
    if match and is_title_like(match["title"]) and all(is_title_like(text.text) for text in block.lines[1:]):
        value = number_value(match["number"])
        return Candidate(NUMBERED_TITLE, match["number"], match["title"].strip(), value) if value else None
    return None
