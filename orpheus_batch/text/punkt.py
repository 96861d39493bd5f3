"""Punkt's parameters: shipped as JSON, refined on a book without supervision.

Punkt: Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary Detection", Computational Linguistics
32(4), 2006, as NLTK implements it. Nothing is downloaded. What it can't know (quotations, lists, titles before
names) is in `orpheus_batch.text.boundaries`.
"""

import json
import re
from collections import Counter
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

DATA_FILE = "english.json"
MIN_ABBREVIATED = 5
MIN_RATIO = 0.9
_WORD_AND_STOP = re.compile(r"([^\W\d_]+)(\.?)")
_LETTERS_AND_STOPS = re.compile(r"[^\W\d_](?:\.[^\W\d_]{1,3})*")
_SHORT_WORD = re.compile(r"[^\W\d_]{2,6}")
_RUN_OF_MARKS = re.compile(r"([^\w\s])\1{3,}")
_LONG_LINE = re.compile(r"([^\n]{2000}\S*) ")
_LONG_TOKEN = re.compile(r"\S{80,}")
MAX_REFINE_CHARS = 400_000
"""of a long book, so much from its beginning is learned from: names and abbreviations recur"""

FOLD_QUOTES = str.maketrans("“”„‟‘’‚‛«»…–—", '""""\'\'\'\'""---')
"""one character for one, so that offsets hold; Punkt's own tokens know straight quotes alone"""


def load_tokenizer(book_text: str = "") -> "PunktSentenceTokenizer":
    """Return a Punkt tokenizer with the shipped parameters, refined on ``book_text``.

    Args:
        book_text: The book's own words; empty for the shipped parameters alone.

    Returns:
        The tokenizer; equal texts give equal tokenizers.
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    shipped = _shipped()
    parameters = PunktParameters()
    parameters.abbrev_types = set(shipped["abbreviations"])
    parameters.sent_starters = set(shipped["sentence_starters"])
    parameters.collocations = {tuple(pair) for pair in shipped["collocations"]}
    for word, flags in shipped["orthographic_context"].items():
        parameters.add_ortho_context(word, flags)
    if book_text:
        learned = learn(book_text[:MAX_REFINE_CHARS])
        parameters.abbrev_types |= learned.abbrev_types
        parameters.collocations |= learned.collocations
        parameters.sent_starters |= learned.sent_starters
        for word, flags in learned.ortho_context.items():
            parameters.add_ortho_context(word, flags)
    return PunktSentenceTokenizer(parameters)


def learn(text: str) -> "PunktParameters":
    """Train Punkt on ``text`` without supervision and return what it found.

    Abbreviations that are words are taken out again: Punkt takes "tea" for one where tea is drunk at the
    end of three sentences. A word is believed to be an abbreviation if nine of ten times, and five times at
    least, a full stop follows it.
    """
    from nltk.tokenize.punkt import PunktTrainer

    plain = plain_words(text)
    trainer = PunktTrainer()
    trainer.train(plain, finalize=True)
    parameters = trainer.get_params()
    stops: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for word, stop in _WORD_AND_STOP.findall(plain):
        totals[word.lower()] += 1
        stops[word.lower()] += bool(stop)
    parameters.abbrev_types = {
        word
        for word in parameters.abbrev_types
        if _LETTERS_AND_STOPS.fullmatch(word)
        or (_SHORT_WORD.fullmatch(word) and stops[word] >= max(MIN_ABBREVIATED, MIN_RATIO * totals[word]))
    }
    return parameters


def plain_words(text: str) -> str:
    """Return ``text`` as Punkt's trainer is to see it: no curly quotes, emphasis or monstrous tokens.

    NLTK's patterns take quadratic time on thousands of marks in a row, which hostile files have, and its guard
    against that gives up on a line that takes five seconds, as one of a megabyte may: lines are kept short.
    """
    text = _RUN_OF_MARKS.sub(r"\1\1\1", text.translate(FOLD_QUOTES).replace("_", ""))
    return _LONG_LINE.sub(r"\1\n", _LONG_TOKEN.sub(" ", text))


@lru_cache(maxsize=1)
def _shipped() -> dict:
    file = resources.files("orpheus_batch.text") / "data" / DATA_FILE
    return json.loads(file.read_text(encoding="utf-8"))
