"""Which sections of a book are read: what the user includes and excludes, by title, kind or number.

Numbers are those of the chapters as they are found without these options, so that they mean the same whatever
else is chosen.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from orpheus_batch.errors import InputError
from orpheus_batch.text.chapters import Section

EXCLUDED = "excluded"
_NUMBERS = re.compile(r"(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?")


def choose_sections(
    sections: Sequence[Section], include: Sequence[str], exclude: Sequence[str]
) -> list[Section]:
    """Apply ``--include`` and ``--exclude``.

    Args:
        sections: As they were found.
        include: Sections to read that are left out: a title or a kind ("copyright page"), ``*`` for anything,
        capitals alike.
        exclude: Chapters to leave out: a title likewise, a number or a range ("10-12").

    Returns:
        The same spans; what is excluded has the reason "excluded".

    Raises:
        InputError: One of them fits nothing; says what there is.
    """
    chosen = list(sections)
    chapters = [index for index, section in enumerate(sections) if not section.skip_reason]
    left_out = [index for index, section in enumerate(sections) if section.skip_reason]
    for wanted in include:
        names = {index: (sections[index].title, sections[index].skip_reason) for index in left_out}
        for index in _matching("include", wanted, names):
            section = sections[index]
            title = section.title or section.skip_reason.capitalize()
            chosen[index] = replace(
                section, title=title, skip_reason="", heading_end=max(section.heading_end, section.start)
            )
    for unwanted in exclude:
        numbers = _NUMBERS.fullmatch(unwanted.strip())
        if numbers is not None:
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            if not 1 <= first <= last <= len(chapters):
                raise InputError(f"can't exclude {unwanted}: the book has chapters 1 to {len(chapters)}")
            found = chapters[first - 1 : last]
        else:
            found = _matching("exclude", unwanted, {index: (sections[index].title,) for index in chapters})
        for index in found:
            chosen[index] = replace(sections[index], skip_reason=EXCLUDED)
    return chosen


def _matching(what: str, wanted: str, names: dict[int, tuple[str, ...]]) -> list[int]:
    pattern = _fold(wanted)
    found = [i for i, own in names.items() if any(fnmatchcase(_fold(name), pattern) for name in own if name)]
    if not found:
        known = list(dict.fromkeys(name for own in names.values() for name in own if name))
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4) or known[:5]
        hint = f"; there is: {', '.join(map(repr, near))}" if near else ""
        raise InputError(f"nothing to {what} is called {wanted!r}{hint}")
    return found


def _fold(name: str) -> str:
    return " ".join(name.lower().replace("’", "'").replace("[", "(").replace("]", ")").split())
