"""A stretch of speech, and the kinds of marks that a book puts around it."""

from dataclasses import dataclass
from typing import Literal

Style = Literal["double", "single", "dash"]


@dataclass(frozen=True, slots=True)
class Quotation:
    """A stretch of one paragraph between marks."""

    start: int
    """its opening mark, or the paragraph's first character where it goes on from the one before"""
    end: int
    """one past its closing mark, or the paragraph's end"""
    continues: bool = False
    """begun in the paragraph before"""
    goes_on: bool = False
    """not closed here: the next paragraph goes on with it"""
    broken: bool = False
    """opened and never closed, or closed and never opened"""
