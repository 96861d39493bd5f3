"""Words in capitals: which are words, to be given ordinary case, and which are acronyms, to be left.

A model of characters has hardly seen capitals in a row. "ORANGE MARMALADE" is two words, "NASA" and "FBI" are
not.
"""

import re

from orpheus_batch.text.abbreviations import STARTERS, words

_WORD = re.compile(r"(?<![A-Za-z.])(?<![A-Za-z]')(?:[A-Z][A-Z']*[A-Z]|[A-Z]'[A-Z]+)(?![A-Za-z])")
_AT_START = re.compile(r"(?:^|[.!?:]\s?)[\"'( ]*$")
_IN_TITLE = re.compile(r"[A-Z](?:[A-Z']*[A-Z])?")
_SPEAKABLE = re.compile(r"(?=[A-Z]*[AEIOUY])[A-Z]{4,}|[^AEIOU][AEIOUY][^AEIOU]|[^AEIOU][^AEIOU][AEIOUY]")
"""four letters with a vowel; three as in PIP or SHE"""

_ACRONYMS = words(
    "NASA NATO UNESCO UNICEF AIDS OPEC ASCII FBI CIA USA BBC CNN NBC ABC CBS IBM USSR NAACP YMCA YWCA HMS "
    "USS RMS TV UK EU UN PC CD DVD DNA RNA IQ PHD MD DC NYPD LAPD UFO GPS HIV ATM CEO CFO CTO API URL HTTP "
    "HTTPS HTML PDF MP MPH KGB VIP MIT GOP POW KKK LSD NRA NYC RAF RIP SUV TNT WWI WWII XML BBS MSS ESQ ISBN"
)
_ACRONYMS_OR_WORDS = words("PM AD BC OK SOS PR HR ID AI SS")
"""acronyms among ordinary words; words where all is in capitals"""
_COUNTRY = re.compile(r"\b(?:the|The) $")
""""the US" is a country, "see US" is not"""
_SHORT_WORDS = words(
    "AN AS AT BE BY DO GO HE IF IN IS MY NO OF OH ON OR SO TO UP WE MR DR ST LA DE ALL AND ANY ARE ART ASK "
    "ATE ACT AGE AIR ARM ASH EAR EAT EGG ELF END EYE ICE ILL INN ITS OAK OAR OFF OIL OLD ONE OUR OUT OWL OWN "
    "APE USE MRS YOU SEA TEA PEA BEE SEE TOO ZOO DUE RUE SUE LIE DIE TIE PIE TOE FOE WOE HOE DEE EVE IVY"
)
_SMALL_IN_TITLE = words("A AN AND AS AT BUT BY FOR FROM IN INTO NOR OF ON OR THE TO UPON WITH")


def lower_capitals(text: str) -> str:
    """Give words in capitals within a sentence an initial capital alone; leave acronyms.

    Args:
        text: With straight apostrophes.
    """
    return _WORD.sub(_lower, text)


def title_case(text: str) -> str:
    """Return a text in capitals as a title is written: THE END OF PIP becomes The End of Pip."""
    out: list[str] = []
    for word in text.split(" "):
        core = "".join(character for character in word if character.isalpha())
        first = not out or out[-1][-1:] in ".:!?"
        if core in _SMALL_IN_TITLE and not first:
            out.append(word.lower())
        elif core in _ACRONYMS or "." in word.rstrip(".,:;!?\"')"):
            out.append(word)
        else:
            out.append(_IN_TITLE.sub(lambda match: match.group().capitalize(), word))
    return " ".join(out)


def _lower(match: re.Match[str]) -> str:
    word = match.group()
    core = word.replace("'", "")
    before = match.string[max(0, match.start() - 4) : match.start()]
    if core in _ACRONYMS or core in _ACRONYMS_OR_WORDS or (core == "US" and _COUNTRY.search(before)):
        return word
    common = word.lower() in STARTERS
    if common and not _AT_START.search(before):
        return word.lower()
    if common or "'" in word or core in _SHORT_WORDS or _SPEAKABLE.fullmatch(core):
        return word.capitalize()
    return word
