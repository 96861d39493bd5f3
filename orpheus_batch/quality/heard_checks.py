"""Judges a take by what a recogniser heard of it: too many words wrong, or too many in a row.

A rate over the whole segment hides a stretch of garbage in a long one, so the longest wrong run counts by itself. A
recogniser errs too, and most of all on single words: one wrong word is never a fault. It does not hear a clipped
last syllable, which `audio_checks` look for.
"""

from typing import Any

from orpheus_batch.config import AsrConfig
from orpheus_batch.quality.verdict import Problem, Verdict, judge
from orpheus_batch.quality.words import WordErrors, compare_words

_MAX_SHOWN_CHARS = 120


def check_heard(text: str, heard: str, language: str, config: AsrConfig) -> tuple[Verdict, dict[str, Any]]:
    """Judge a take.

    Args:
        text: As the model was given it.
        heard: As the recogniser wrote it.
        language: Of both.
        config: Limits.

    Returns:
        The verdict, without tokens, and what a ledger keeps of it: ``heard``, ``num_words`` and ``num_wrong_words``.
    """
    errors = compare_words(text, heard, language)
    measured = {"heard": heard, "num_words": errors.num_words, "num_wrong_words": errors.num_wrong}
    shown = heard if len(heard) <= _MAX_SHOWN_CHARS else f"{heard[: _MAX_SHOWN_CHARS - 1]}…"
    return judge(_problems(errors, shown, config), blemish=min(0.999, errors.rate)), measured


def _problems(errors: WordErrors, heard: str, config: AsrConfig) -> list[Problem]:
    if errors.num_words == 0:
        return []
    if not heard.strip():
        return [Problem("nothing was heard of it", 20.0)]
    if errors.num_wrong > max(1.0, config.max_word_error_rate * errors.num_words):
        severity = 2.0 + 10.0 * min(1.0, errors.rate)
        what = f"{errors.num_wrong} of {errors.num_words} words wrong"
    elif errors.longest_run > config.max_wrong_run:
        severity = 2.0 + min(8.0, errors.longest_run)
        what = f"{errors.longest_run} words in a row wrong"
    else:
        return []
    return [Problem(f"{what}; heard: “{heard}”", severity)]
