"""English words that are written short: titles, streets, abbreviations, addresses of the web, emoji.

What stands around an abbreviation decides: "Dr. Smith" is a doctor, "Elm Dr." a drive. Mr., Mrs. and Ms. stay as they
are: that is how every voice has learned them.
"""

import re
import unicodedata

from orpheus_batch.text.english_numbers import Rule
from orpheus_batch.text.numbers import digit_words

_BEFORE_NAME = {
    "Dr": "Doctor", "Drs": "Doctors", "St": "Saint", "Sts": "Saints", "Prof": "Professor", "Rev": "Reverend",
    "Capt": "Captain", "Col": "Colonel", "Gen": "General", "Lt": "Lieutenant", "Lieut": "Lieutenant", "Maj": "Major",
    "Sgt": "Sergeant", "Cpl": "Corporal", "Pvt": "Private", "Adm": "Admiral", "Cmdr": "Commander", "Gov": "Governor",
    "Sen": "Senator", "Rep": "Representative", "Pres": "President", "Hon": "Honorable", "Supt": "Superintendent",
    "Insp": "Inspector", "Mt": "Mount", "Ft": "Fort", "Mme": "Madame", "Mlle": "Mademoiselle", "Fr": "Father",
    "Bp": "Bishop", "Brig": "Brigadier", "Ste": "Sainte",
}  # fmt: skip
_AFTER_NAME = {
    "Dr": "Drive", "St": "Street", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane", "Sq": "Square",
    "Hwy": "Highway", "Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Co": "Company", "Inc": "Incorporated",
    "Ltd": "Limited", "Corp": "Corporation", "Bros": "Brothers", "Dept": "Department", "Univ": "University",
    "Assn": "Association", "Bldg": "Building", "Mts": "Mountains", "Pl": "Place", "Ct": "Court",
}  # fmt: skip
_ANYWHERE = {
    "etc": "et cetera", "vs": "versus", "e.g": "for example", "i.e": "that is", "viz": "namely", "cf": "compare",
    "approx": "approximately", "dept": "department", "govt": "government", "misc": "miscellaneous", "ca": "circa",
    "ibid": "ibidem", "incl": "including", "esp": "especially", "et al": "et alii",
}  # fmt: skip
_BEFORE_NUMBER = {
    "p": "page", "pp": "pages", "vol": "volume", "vols": "volumes", "ch": "chapter", "chap": "chapter", "fig": "figure",
    "figs": "figures", "sec": "section", "sect": "section", "art": "article", "ll": "lines", "c": "circa", "v": "verse",
    "ver": "verse", "ed": "edition", "para": "paragraph", "eq": "equation", "pt": "part", "bk": "book",
    "b": "born", "d": "died", "fl": "flourished", "tel": "telephone", "ext": "extension", "apt": "apartment",
}  # fmt: skip
_STATES = {
    "Mass": "Massachusetts", "Conn": "Connecticut", "Penn": "Pennsylvania", "Pa": "Pennsylvania", "Va": "Virginia",
    "Ky": "Kentucky", "Tenn": "Tennessee", "Ill": "Illinois", "Wis": "Wisconsin", "Mich": "Michigan",
    "Minn": "Minnesota",
    "Calif": "California", "Cal": "California", "Wash": "Washington", "Colo": "Colorado", "Ariz": "Arizona",
    "Tex": "Texas",
    "Fla": "Florida", "Ala": "Alabama", "Miss": "Mississippi", "Vt": "Vermont", "Md": "Maryland", "Neb": "Nebraska",
    "Nev": "Nevada", "Okla": "Oklahoma", "Mo": "Missouri", "Ga": "Georgia", "Ark": "Arkansas", "Ind": "Indiana",
}  # fmt: skip
_LAST = r"(?P<last>(?=[\"')]*$))?"


def _alternatives(words: dict[str, str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def _stop(match: re.Match[str], words: str) -> str:
    """Keep the full stop where it ends the sentence too."""
    return f"{words}." if match["last"] is not None else words


def _after_name(match: re.Match[str]) -> str:
    """Read "Elm Dr." as a drive, and "said the Dr." as a doctor: no street is called "the"."""
    before = match.string[: match.start()].rstrip(" ,&").rpartition(" ")[2]
    doctor = match["short"] == "Dr" and before[:1].islower()
    return _stop(match, "Doctor" if doctor else _AFTER_NAME[match["short"]])


def _any_case(match: re.Match[str]) -> str:
    words = _ANYWHERE[match["short"].lower()]
    return _stop(match, words[0].upper() + words[1:] if match["short"][0].isupper() else words)


def _reference(match: re.Match[str]) -> str:
    if match["short"] in ("B", "C", "D", "V", "P"):
        return match.group()  # an initial
    words = _BEFORE_NUMBER[match["short"].lower()]
    return f"{words.capitalize() if match['short'][0].isupper() else words} "


def _address(match: re.Match[str]) -> str:
    """Read an e-mail or web address: "a.b@c.org" is "a dot b at c dot org"."""
    text = re.sub(r"^(?:https?://)?", "", match.group(), flags=re.I).rstrip("/")
    text = re.sub(r"^www\.", "w w w dot ", text, flags=re.I)
    for mark, word in (("@", "at"), (".", "dot"), ("/", "slash"), ("-", "dash"), ("_", "underscore"), (":", "colon"),
                       ("?", "question mark"), ("=", "equals"), ("&", "and"), ("#", "hash"), ("~", "tilde"),
                       ("%", "percent"), ("+", "plus")):  # fmt: skip
        text = text.replace(mark, f" {word} ")
    text = re.sub(r"\d+", lambda digits: f" {digit_words(digits.group())} ", text)
    return " ".join(text.split())


_EMOJI = {
    "☀": "sun",
    "❤": "heart",
    "☁": "cloud",
    "☂": "umbrella",
    "☎": "telephone",
    "☕": "coffee",
    "⚡": "lightning",
}
"""whose names in Unicode nobody would say"""
_NOT_SAID = re.compile(r"^(?:black|white|heavy) | (?:sign|symbol)$|[^a-z ]")


def _emoji(match: re.Match[str]) -> str:
    """Read an emoji by its name: 👍 is "thumbs up"."""
    name = _EMOJI.get(match[1]) or _NOT_SAID.sub("", unicodedata.name(match[1], "").lower())
    return f" {name} " if name else " "


_TLD = r"(?:com|org|net|edu|gov|info|io|uk|de|fr|eu|us|co|ca|au|biz)"
ADDRESS_RULES: tuple[Rule, ...] = (
    ("address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}\b"), _address),
    ("address", re.compile(r"\bhttps?://[^\s<>\"')\]]{1,300}[\w/]", re.I), _address),
    ("address", re.compile(
        rf"(?<![\w@.-])(?:www\.[\w-]{{1,64}}(?:\.[\w-]{{1,64}}){{1,4}}|[\w-]{{2,64}}\.{_TLD})\b(?:/[\w./-]{{0,300}}\w)?(?!\.\w)",
        re.I), _address),
    ("tag", re.compile(r"(?<![\w#])#(?=[A-Za-z])"), lambda _: "hashtag "),
    ("emoji", re.compile(
        "([\U0001f300-\U0001f3fa\U0001f400-\U0001faff\u2600-\u26ff\u2764])[\U0001f3fb-\U0001f3ff]{0,4}"), _emoji),
)  # fmt: skip
"""tried before anything else sees their dots and slashes"""
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"


def _power(match: re.Match[str]) -> str:
    minus = "minus " if match[1] else ""
    return f" to the power of {minus}{''.join(str(_RAISED.index(digit)) for digit in match[2])} "


WORD_RULES: tuple[Rule, ...] = (
    ("footnote marker", re.compile(rf"(?:(?<=[A-Za-z]{{3}})|(?<=[.,;:!?\"')]))[{_RAISED}]{{1,3}}(?!\w)"), lambda _: ""),
    ("power", re.compile(rf"(?<=[\d)A-Za-z])(⁻?)(?!(?<!⁻)[²³](?![{_RAISED}]))([{_RAISED}]{{1,4}})"), _power),
    ("index", re.compile(f"[{_LOWERED}]+"), lambda m: f" {''.join(str(_LOWERED.index(d)) for d in m.group())} "),
    ("era", re.compile(r"\b(A\. D|B\. C)\.(?!\s[A-Z]\.)"), lambda m: m.group().replace(" ", "")),
    ("symbol", re.compile(r"§§\s?(?=\d)"), lambda _: "sections "),
    ("abbreviation", re.compile(rf"&c\b\.?{_LAST}"), lambda m: _stop(m, "et cetera")),
    ("reference", re.compile(rf"\b(?P<short>(?i:{_alternatives(_BEFORE_NUMBER)}))\.\s?(?=\d)"), _reference),
    ("abbreviation", re.compile(rf"(?<![\w.])(?P<short>(?i:{_alternatives(_ANYWHERE)}))\.(?!\w){_LAST}"), _any_case),
    ("state", re.compile(rf"(?<=, )(?P<short>{_alternatives(_STATES)})\.(?!\w){_LAST}"),
     lambda m: _stop(m, _STATES[m["short"]])),
    ("abbreviation", re.compile(
        rf"(?<=\d )(?P<name>[A-Z]\w+ )(?P<short>{_alternatives(_AFTER_NAME)})\.(?!\w){_LAST}"),
     lambda m: m["name"] + _stop(m, _AFTER_NAME[m["short"]])),
    ("title", re.compile(rf"\b(?P<short>{_alternatives(_BEFORE_NAME)})\.\s?(?=[A-Z])"),
     lambda m: f"{_BEFORE_NAME[m['short']]} "),
    ("abbreviation", re.compile(rf"(?<=[\w,&] )(?P<short>{_alternatives(_AFTER_NAME)})\.(?!\w){_LAST}"),
     _after_name),
)  # fmt: skip
"""a street or a rank stands after its name, a title before one: what another word in capitals follows is a title,
unless a capitalised word or a number stands before it as well"""
