"""What a check thinks of a take, and how the opinions of several checks become one.

Scores order the takes of a segment and nothing else. A verdict without problems scores in (-1, 0]; each problem
costs at least 1, so a take with fewer or lighter problems stands above one with more or graver ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a take."""

    text: str
    """in words, with the numbers that made it one"""
    severity: float
    """at least 1, at most 100; 1 is hardly heard, 10 spoils the segment, 100 leaves nothing to hear"""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The outcome of a check."""

    ok: bool
    """good enough to be accepted"""
    problems: tuple[str, ...]
    """empty if and only if ``ok``"""
    score: float
    """higher is better"""
    usable_token_ids: np.ndarray | None = None
    """int32 [7F]: what of the stream can be decoded; None from a check that does not look at tokens"""


def judge(
    problems: Iterable[Problem], *, blemish: float = 0.0, usable_token_ids: np.ndarray | None = None
) -> Verdict:
    """Build a verdict.

    Args:
        problems: What is wrong.
        blemish: How far a take without problems is from the ideal, in [0, 1); it orders good takes.
        usable_token_ids: int32 [7F], where the check looks at tokens.
    """
    found = tuple(problems)
    return Verdict(
        ok=not found,
        problems=tuple(problem.text for problem in found),
        score=-sum(problem.severity for problem in found) - blemish,
        usable_token_ids=usable_token_ids,
    )


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return one verdict: all problems in order, scores added, the first usable tokens that any has."""
    found = tuple(verdicts)
    return Verdict(
        ok=all(verdict.ok for verdict in found),
        problems=tuple(problem for verdict in found for problem in verdict.problems),
        score=float(sum(verdict.score for verdict in found)),
        usable_token_ids=next((v.usable_token_ids for v in found if v.usable_token_ids is not None), None),
    )
