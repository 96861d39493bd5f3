"""Which words any English voice can be trusted with, and how English a spelling looks.

The list is SCOWL's up to size 60: 91,000 words, names and contractions. `training/known_words.py` makes it; its notice
lies beside it in ``text/data``. How a voice really speaks is not known here.
"""

import gzip
import math
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from orpheus_batch.text.abbreviations import words

LIST = Path(__file__).parent / "data" / "english_words.txt.gz"
_PREFIXES = words("un re over under out non fore mis inter semi anti counter up down")
_SUFFIXES = words(
    "s es ed d ing er ers est ly ness nesses less like ish y ful fully able ward wards man men ism ist th"
)
_OLD = words("tis twere twould ta'en d'ye shouldst couldst wouldst wert might'st can'st")
"""of every other old book, and not on the list"""
_MIN_STEM = 4


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """Return the list, in the case that words have within a sentence."""
    return frozenset(gzip.decompress(LIST.read_bytes()).decode().split("\n"))


def is_known(word: str) -> bool:
    """Say whether a word is on the list, or plainly made of words on it.

    Args:
        word: Letters and apostrophes; with a capital where the text has it, accents or not.
    """
    return _is_listed(word) or _is_derived(word.lower())


def _is_listed(word: str) -> bool:
    listed = known_words()
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    word = word.removeprefix("'")
    forms = (word, word.lower(), word.capitalize(), f"'{word.lower()}")
    return any(form in listed or form in _OLD for form in forms)


@lru_cache(maxsize=1 << 16)
def _is_derived(word: str) -> bool:
    listed = known_words()
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= _MIN_STEM:
            if stem in listed or f"{stem}e" in listed or (stem[-1] == "i" and f"{stem[:-1]}y" in listed):
                return True
            if stem[-1] == stem[-2] and stem[:-1] in listed:
                return True
    for prefix in _PREFIXES:
        if (
            word.startswith(prefix)
            and len(word) - len(prefix) >= _MIN_STEM
            and word.removeprefix(prefix) in listed
        ):
            return True
    return any(
        word[:cut] in listed and word[cut:] in listed for cut in range(_MIN_STEM, len(word) - _MIN_STEM + 1)
    )


def oddness(word: str) -> float:
    """Return how unlike English a spelling is, in bits a letter: "walking" 2.6, "rhythm" 4.4, "szczecin" 9.

    Source: letters given the two before them, counted over the list, with Witten and Bell's interpolation (1991).
    """
    padded = f"  {word.lower()} "
    counts = _letter_counts()
    bits = 0.0
    for index in range(2, len(padded)):
        probability = 1e-3
        for size in (0, 1, 2):
            context = padded[index - size : index]
            seen, kinds = counts.seen[context], counts.kinds[context]
            if seen:
                own = counts.grams[context + padded[index]]
                probability = (own + kinds * probability) / (seen + kinds)
        bits -= math.log2(probability)
    return bits / (len(padded) - 2)


@dataclass(frozen=True, slots=True)
class _LetterCounts:
    grams: Counter[str]
    """of one, two and three letters"""
    seen: Counter[str]
    """grams that begin with these letters, all but their last"""
    kinds: Counter[str]
    """different ones of these"""


@lru_cache(maxsize=1)
def _letter_counts() -> _LetterCounts:
    padded = [f"  {word} " for word in known_words() if word.islower() and word.isascii()]
    grams: Counter[str] = Counter()
    for size in (1, 2, 3):
        grams.update(text[end - size : end] for text in padded for end in range(3, len(text) + 1))
    seen: Counter[str] = Counter()
    for gram, count in grams.items():
        seen[gram[:-1]] += count
    return _LetterCounts(grams, seen, Counter(gram[:-1] for gram in grams))
