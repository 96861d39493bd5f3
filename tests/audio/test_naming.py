"""File names: in order, readable, and allowed everywhere."""

from pathlib import Path

import pytest

from orpheus_batch.audio.encode import chapter_filename
from orpheus_batch.audio.naming import part_path


@pytest.mark.parametrize(
    ("index", "count", "title", "expected"),
    [
        (0, 12, "Down the Rabbit-Hole", "01 - Down the Rabbit-Hole.mp3"),
        (11, 12, "Alice’s Evidence", "12 - Alice’s Evidence.mp3"),
        (0, 150, "One", "001 - One.mp3"),
        (0, 1, "", "01 - Chapter 1.mp3"),
        (4, 9, " \n\t ", "05 - Chapter 5.mp3"),
        (4, 9, "...", "05 - Chapter 5.mp3"),
        (0, 1, "Chapter I: The Door", "01 - Chapter I - The Door.mp3"),
        (0, 1, "AC/DC \\ a|b", "01 - AC-DC - a-b.mp3"),
        (0, 1, 'Who? "Me" *now* <so>', "01 - Who 'Me' now (so).mp3"),
        (0, 1, "Ends with dots...", "01 - Ends with dots.mp3"),
        (0, 1, "two\nlines\x00 and\x1b a bell\x07", "01 - two lines and a bell.mp3"),
        (0, 1, "\u202egnp.exe", "01 - gnp.exe.mp3"),
        (0, 1, "CON", "01 - CON.mp3"),
        (0, 1, "../../etc/passwd", "01 - etc-passwd.mp3"),
        (0, 1, "第一章 門", "01 - 第一章 門.mp3"),
        (0, 1, "cafe\u0301", "01 - caf\u00e9.mp3"),
        (0, 1, "half a \ud800 surrogate", "01 - half a surrogate.mp3"),
    ],
)
def test_names(index, count, title, expected):
    """What is forbidden on some filesystem is replaced, spelling otherwise kept, numbers padded."""
    assert expected == chapter_filename(index, count, title)


@pytest.mark.parametrize("title", ["x" * 500, "é" * 500, "章" * 500, "👩‍👩‍👧" * 100, "e\u0323\u0302" * 300])
def test_long_titles_are_cut_at_a_character(title):
    """At most 120 bytes of UTF-8, no half character, and still a name."""
    name = chapter_filename(0, 1, title)
    assert 100 <= len(name.encode()) <= 120
    assert name.startswith("01 - ") and name.endswith(".mp3")


def test_parts():
    """One part keeps the chapter's name; several are numbered inside it."""
    path = Path("/out/01 - A.b.mp3")
    assert path == part_path(path, 1, 1)
    assert Path("/out/01 - A.b (part 2).mp3") == part_path(path, 2, 3)
