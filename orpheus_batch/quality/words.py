"""How many words a recogniser heard otherwise, and how many of them in a row.

Both texts go through Whisper's own normaliser first (`transformers`: the English one, or the basic one with the
letters of Chinese and Japanese as words), so that spelling, capitals, punctuation, numbers in figures and "um" do not
count; before it brackets are taken off (it would drop what is in them), after it the parts of a number are joined, for
"nine forty-five" may be written 9:45, 9.45 or 945. Tags such as <laugh> are no words, and "someone" is "some one". It
knows no audio.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_BRACKETS = str.maketrans("()[]", "    ")
_TAG = re.compile(r"<[^<>]{1,30}>")
_NUMBER_PARTS = re.compile(r"(?<=\d)[ .](?=\d)")
_LETTER_LANGUAGES = ("zh", "ja", "th", "lo", "my", "yue")
"""written without blanks between words"""

Edit = tuple[str, str]
"""a word of the text and the one that was heard for it; "" where there is none"""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What the comparison of a text with what was heard came to."""

    num_words: int
    """of the text"""
    num_wrong: int
    """replaced, dropped and invented ones, the fewest that explain what was heard"""
    longest_run: int
    """of these, the most in a row, counted in words of the text or of what was heard, whichever are more"""

    @property
    def rate(self) -> float:
        """Wrong words for each word of the text; above 1 where many were invented."""
        return self.num_wrong / max(1, self.num_words)


def normaliser_name(language: str) -> str:
    """Return what both texts go through before they are compared, for people."""
    return f"Whisper's {'English' if language == 'en' else 'basic'} normaliser, parts of a number joined"


def compare_words(said: str, heard: str, language: str = "en") -> WordErrors:
    """Compare a text with what was heard of it, word by word.

    Args:
        said: As the model was given it.
        heard: As the recogniser wrote it.
        language: BCP 47 primary tag; it chooses the normaliser.
    """
    normalize = _normaliser(language)
    reference, hypothesis = normalize(said).split(), normalize(heard).split()
    num_wrong = longest_run = 0
    for run in _wrong_runs(reference, hypothesis):
        num_wrong += len(run)
        in_said, in_heard = ([word for word in side if word] for side in zip(*run, strict=True))
        longest_run = max(longest_run, len(in_said), len(in_heard))
    return WordErrors(len(reference), num_wrong, longest_run)


def _wrong_runs(said: list[str], heard: list[str]) -> Iterator[list[Edit]]:
    """Yield the edits between two words that are right, unless they come to the same letters: someone, some one."""
    for is_equal, edits in itertools.groupby(_alignment(said, heard), lambda edit: edit[0] == edit[1]):
        run = list(edits)
        if not is_equal and "".join(word for word, _ in run) != "".join(word for _, word in run):
            yield run


def _alignment(said: list[str], heard: list[str]) -> list[Edit]:
    """Return the fewest edits that make one of the other, words that stay included, in order.

    Wagner and Fischer, "The String-to-String Correction Problem", JACM 21 (1974).
    """
    costs = [list(range(len(heard) + 1))]
    for i, word in enumerate(said, 1):
        above, row = costs[-1], [i]
        for j, other in enumerate(heard, 1):
            row.append(min(above[j - 1] + (word != other), above[j] + 1, row[j - 1] + 1))
        costs.append(row)
    i, j = len(said), len(heard)
    edits = []
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            edits.append((said[i], heard[j]))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            edits.append((said[i], ""))
        else:
            j -= 1
            edits.append(("", heard[j]))
    return edits[::-1]


@functools.cache
def _normaliser(language: str) -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    if language == "en":
        plain = EnglishTextNormalizer({})
    else:
        plain = BasicTextNormalizer(split_letters=language in _LETTER_LANGUAGES)

    def normalize(text: str) -> str:
        return _NUMBER_PARTS.sub("", plain(_TAG.sub(" ", text).translate(_BRACKETS)))

    return normalize
