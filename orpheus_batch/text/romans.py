"""Roman numbers where they are sure to be numbers: after "Chapter", after a king's name, alone in a heading."""

import re

from orpheus_batch.text.headings import ROMAN, number_value
from orpheus_batch.text.numbers import cardinal, ordinal, year

_AFTER_WORD = re.compile(
    r"\b(?P<word>(?i:chapter|chap\.|ch\.|book|part|volume|vol\.|act|scene|canto|stave|letter|section|sect\.|number|article|"
    r"figure|fig\.|plate|psalm|appendix|lesson|lecture))(?P<gap>\s+)(?P<number>(?!I[ ])[IVXLC]+|[ivxlc]{2,}"
    r"|I(?= (?:of|and|to|or|is|was|in)\b)|I(?=\.\s+[a-z]))(?![\w'])(?:\.(?=\s+[a-z]))?"
)
_JOINT = re.compile(r"(,? (?:and|to|or|through) |, |\s?[—-]\s?)")
_LISTED = re.compile(
    r"\b(?P<word>(?i:chapters|parts|books|volumes|vols\.|acts|scenes|sections|figures|plates|wars))\s+"
    r"(?P<list>[IVXLC]+(?:(?:,? (?:and|to|or|through) |, |\s?[—-]\s?)[IVXLC]+)+)(?![\w'])"
)
_GREAT_WAR = re.compile(r"\bWW(I{1,2})\b")
_CLASS = re.compile(r"\b(Type|Class|Phase|Stage|Grade|Category) I(?= [a-z])")
_EXPANDED = {"chap.": "chapter", "ch.": "chapter", "vol.": "volume", "fig.": "figure", "sect.": "section"}
_AFTER_KING = re.compile(
    r"\b(?P<king>Henry|Louis|Charles|George|Edward|William|James|Richard|John|Philip|Pius|Leo|Francis|Napoleon|Frederick|"
    r"Alexander|Nicholas|Gregory|Innocent|Benedict|Paul|Clement|Boniface|Urban|Elizabeth|Catherine|Mary|Ivan|Peter|"
    r"Alfonso|Ferdinand|Otto|Wilhelm|Rameses|Ramses|Ptolemy|Christian|Gustavus|Haakon|Robert|David|Malcolm|Sixtus|Julius)"
    r"(?: the)? (?P<number>[IVX]{2,}|[VX])(?:th)?(?!\w|'(?!s\b))"
)
_ALONE = re.compile(rf"\b(?=[IVX]{{2,}}\b){ROMAN}\b(?!')")
_AFTER_WAR = re.compile(r"\b(World War) I\b(?!')")
_FIRST = re.compile(
    r"\b((?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser) [A-Z][a-z]+|[A-Z][a-z]{3,}(?= I of [A-Z]))"
    r" I\b(?!['’]| (?:am|have|had|was born|will|shall|think|love|know)\b)"
)
_OF_CENTURY = re.compile(
    rf"\b(?=[IVX]+(?:th|st|nd|rd)?\b)({ROMAN})(?:th|st|nd|rd)?(?= (?:[Cc]entur|[Dd]ynast|[Ll]egion))"
)
_ORDINAL = re.compile(rf"\b(?=[IVXLC]{{2,}}th\b)({ROMAN})th\b")
_LONG = re.compile(rf"\b(?=[MDCLXVI]{{4,}}\b)({ROMAN})\b(?!['’])")
_IN_HEADING = re.compile(rf"(?:(?<=^)|(?<=[.,:(] ))(?![LCDM]\b){ROMAN}(?=[.:)]|\s*$|\s+[-—–])")
_MAYBE = re.compile(r"[IVXLCDM](?:th\b|(?![a-z]))|\s[ivxlc]{2}")


def read_romans(text: str, heading: bool = False) -> str:
    """Put roman numbers into words.

    Args:
        text: A sentence.
        heading: It is a heading: numbers that stand first or alone are read, "I" too.
    """
    if not _MAYBE.search(text):
        return text
    text = _LISTED.sub(_list, text)
    text = _AFTER_WORD.sub(_after_word, text)
    text = _AFTER_KING.sub(
        lambda m: f"{m['king']} the {_capital(ordinal(number_value(m['number']) or 0))}", text
    )
    text = _GREAT_WAR.sub(lambda match: f"World War {'One' if match[1] == 'I' else 'Two'}", text)
    text = _AFTER_WAR.sub(r"\1 One", text)
    text = _CLASS.sub(r"\1 One", text)
    text = _FIRST.sub(r"\1 the First", text)
    text = _OF_CENTURY.sub(lambda m: ordinal(number_value(m[1]) or 0), text)
    text = _ORDINAL.sub(lambda m: ordinal(number_value(m[1]) or 0), text)
    text = _LONG.sub(_year_or_number, text)
    if heading:
        text = _IN_HEADING.sub(_spoken, text)
    return _ALONE.sub(_spoken, text)


def _after_word(match: re.Match[str]) -> str:
    value = number_value(match["number"])
    word = match["word"]
    pronoun = match["number"] == "I" and word.isalpha() and word.islower() and not match.group().endswith(".")
    if value is None or pronoun:
        return match.group()  # "the scene I was about to witness"
    if word.lower() in _EXPANDED:
        expanded = _EXPANDED[word.lower()]
        word = expanded.capitalize() if word[0].isupper() else expanded
    spoken = cardinal(value)
    return f"{word}{match['gap']}{_capital(spoken) if word[0].isupper() else spoken}"


def _list(match: re.Match[str]) -> str:
    """Read "Parts I, II and III" and "Chapters I-IV"."""
    said = []
    for piece in _JOINT.split(match["list"]):
        value = number_value(piece) if piece.isalpha() else None
        if value is not None:
            said.append(_capital(cardinal(value)) if match["word"][0].isupper() else cardinal(value))
        else:
            said.append(" to " if piece.strip() in ("-", "—") else piece)
    word = {"Vols.": "Volumes", "vols.": "volumes"}.get(match["word"], match["word"])
    return f"{word} {''.join(said)}"


def _spoken(match: re.Match[str]) -> str:
    value = number_value(match.group()) if match.group() else None
    return match.group() if value is None else _capital(cardinal(value))


def _year_or_number(match: re.Match[str]) -> str:
    value = number_value(match[1]) or 0
    return year(value) if 1100 <= value < 2100 else _capital(cardinal(value))


def _capital(words: str) -> str:
    """Capitalise as titles do: "Twenty-One"."""
    return re.sub(r"[a-z]+", lambda match: match.group().capitalize(), words)
