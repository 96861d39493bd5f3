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
        for number in _named("exclude", unwanted, [sections[index].title for index in chapters]):
            index = chapters[number]
            chosen[index] = replace(sections[index], skip_reason=EXCLUDED)
    return chosen


def chosen_chapters(titles: Sequence[str], wanted: Sequence[str], path: str) -> list[int]:
    """Return the indices of the chapters that are asked for; all if none is.

    Args:
        titles: Of all chapters.
        wanted: Numbers from 1, ranges ("10-12") or titles, ``*`` for anything.
        path: Of the book, for messages.

    Raises:
        InputError: One of them fits nothing; says what there is.
    """
    if not wanted:
        return list(range(len(titles)))
    try:
        return sorted({index for what in wanted for index in _named("show", what, titles)})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _named(what: str, wanted: str, titles: Sequence[str]) -> list[int]:
    """Return the indices of chapters by number, range or title."""
    numbers = _NUMBERS.fullmatch(wanted.strip())
    if numbers is None:
        return _matching(what, wanted, {index: (title,) for index, title in enumerate(titles)})
    first, last = int(numbers[1]), int(numbers[2] or numbers[1])
    if not 1 <= first <= last <= len(titles):
        raise InputError(f"can't {what} {wanted}: the book has chapters 1 to {len(titles)}")
    return list(range(first - 1, last))


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
