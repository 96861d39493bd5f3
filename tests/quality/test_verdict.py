"""Verdicts and how they add up."""

import numpy as np

from orpheus_batch.quality.verdict import Problem, Verdict, combine, judge


def test_one_problem_anywhere_fails_the_take():
    """Stream and audio are judged apart; the take needs both."""
    tokens = np.arange(7)
    stream = judge([], blemish=0.25, usable_token_ids=tokens)
    audio = judge([Problem("clipped", 3.0), Problem("too quiet", 8.0)])
    both = combine([stream, audio])
    assert (False, ("clipped", "too quiet"), -11.25) == (both.ok, both.problems, both.score)
    assert tokens is both.usable_token_ids
    assert combine([stream]).ok


def test_nothing_to_say_is_a_perfect_take():
    """The neutral element, so that checks may be left out."""
    expected = Verdict(ok=True, problems=(), score=0.0)
    found = combine([])
    assert (expected.ok, expected.problems, expected.score) == (found.ok, found.problems, found.score)
    assert found.usable_token_ids is None
