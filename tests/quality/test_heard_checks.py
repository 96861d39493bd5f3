"""What was heard of a take makes it good or bad."""

import pytest

from orpheus_batch.config import AsrConfig
from orpheus_batch.quality.heard_checks import check_heard

LONG = (
    "one day in the old house on the hill by the sea a lamp was lit and nobody could say who had lit it or why"
)


@pytest.mark.parametrize(
    ("text", "heard", "problem"),
    [
        ("Rain before seven.", "Rain before eleven.", ""),
        ("Yes.", "Yeah.", ""),
        ("Rain before seven.", "Lane before eleven.", "2 of 3 words wrong; heard: “Lane before eleven.”"),
        ("Rain before seven.", " ", "nothing was heard of it"),
        (LONG, LONG.replace("a lamp was lit", "blah blah blah blah"), "4 words in a row wrong"),
        (LONG, LONG.replace("old", "odd").replace("hill", "mill").replace("lamp", "ramp"), ""),
        ("***", "hm", ""),
    ],
)
def test_what_is_wrong(text, heard, problem):
    """One word never is; a stretch of garbage is, though it be a small share of a long segment."""
    verdict, measured = check_heard(text, heard, "en", AsrConfig())
    assert (not problem, heard) == (verdict.ok, measured["heard"])
    assert problem in "; ".join(verdict.problems)


def test_better_of_two_takes():
    """The fewer words wrong, the higher the score, among good takes and bad ones."""
    heard = ["red old lamp road", "red old lamp rode", "red oak ramp rode", "rid oak ramp rode"]
    scores = [check_heard("Red old lamp road.", words, "en", AsrConfig())[0].score for words in heard]
    assert sorted(scores, reverse=True) == scores
    assert 4 == len(set(scores))


def test_limits_are_the_configuration_s():
    """A stricter rate, a looser run."""
    config = AsrConfig(max_word_error_rate=0.05, max_wrong_run=9)
    assert not check_heard(LONG, LONG.replace("old house", "odd horse"), "en", config)[0].ok
    assert check_heard(LONG, LONG.replace("a lamp was lit", "x x x x"), "en", AsrConfig(max_wrong_run=9))[0].ok
