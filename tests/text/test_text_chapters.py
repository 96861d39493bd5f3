"""Headings of every kind become chapters, and nothing else does."""

import pytest

from orpheus_batch.text.blocks import iter_blocks
from orpheus_batch.text.chapters import find_chapters
from orpheus_batch.text.headings import match_heading, number_value, title_key

PROSE = (
    "The road went on between the hedges for a mile or more, and nobody who walked along it that\n"
    "evening could have said where it led, or who had made it, or why it was so very wide.\n"
    "\n"
    '"I do not know," said the old man, "but I have walked it all my life."\n'
)


def _book(*parts: str, gap: str = "\n\n\n") -> str:
    return gap.join(part if part != "~" else PROSE for part in parts)


def _titles(text: str, **options: object) -> list[str]:
    return [s.title for s in find_chapters(text, 0, len(text), **options) if not s.skip_reason]


def _skips(text: str) -> list[str]:
    return [s.skip_reason for s in find_chapters(text, 0, len(text)) if s.skip_reason]


@pytest.mark.parametrize(
    ("first", "second", "titles"),
    [
        ("CHAPTER I.", "CHAPTER II.", ["CHAPTER I", "CHAPTER II"]),
        ("Chapter One", "Chapter Two", ["Chapter One", "Chapter Two"]),
        ("CHAPTER THE FIRST", "CHAPTER THE SECOND", ["CHAPTER THE FIRST", "CHAPTER THE SECOND"]),
        ("THE FIRST CHAPTER", "THE SECOND CHAPTER", ["THE FIRST CHAPTER", "THE SECOND CHAPTER"]),
        ("Chapter 1: The Road", "Chapter 2: The Hill", ["Chapter 1: The Road", "Chapter 2: The Hill"]),
        ("Chapter 1 - The Road", "Chapter 2 - The Hill", ["Chapter 1: The Road", "Chapter 2: The Hill"]),
        ("Chapter 1 The Road", "Chapter 2 The Hill", ["Chapter 1: The Road", "Chapter 2: The Hill"]),
        ("CHAPTER I.\nThe Road", "CHAPTER II.\nThe Hill", ["CHAPTER I: The Road", "CHAPTER II: The Hill"]),
        ("CHAPTER I\n\nTHE ROAD", "CHAPTER II\n\nTHE HILL", ["CHAPTER I: THE ROAD", "CHAPTER II: THE HILL"]),
        (
            "CHAPTER I\n\n_The Road_",
            "CHAPTER II\n\n_The Hill_",
            ["CHAPTER I: The Road", "CHAPTER II: The Hill"],
        ),
        ("I", "II", ["I", "II"]),
        ("_I_\n\nTHE ROAD", "_II_\n\nTHE HILL", ["I: THE ROAD", "II: THE HILL"]),
        ("1", "2", ["1", "2"]),
        ("I. THE ROAD", "II. THE HILL", ["I: THE ROAD", "II: THE HILL"]),
        ("1. The Road", "2. The Hill", ["1: The Road", "2: The Hill"]),
        ("LETTER I", "LETTER II", ["LETTER I", "LETTER II"]),
        ("STAVE ONE", "STAVE TWO", ["STAVE ONE", "STAVE TWO"]),
        ("Canto the First", "Canto the Second", ["Canto the First", "Canto the Second"]),
        ("[BOOK I. INSCRIPTIONS]", "[BOOK II]", ["BOOK I: INSCRIPTIONS", "BOOK II"]),
        ("Prologue", "Epilogue", ["Prologue", "Epilogue"]),
        ("PREFACE TO THE SECOND EDITION", "AFTERWORD", ["PREFACE TO THE SECOND EDITION", "AFTERWORD"]),
    ],
)
def test_kinds_of_headings(first: str, second: str, titles: list[str]) -> None:
    """Each kind, twice, with prose between: two chapters with these titles and nothing skipped."""
    text = _book(first, "~", second, "~")
    assert titles == _titles(text)
    assert [] == _skips(text)


@pytest.mark.parametrize(
    "line",
    [
        "Part one of the plan was to go to town.",
        "Chapter and verse were quoted.",
        "I am here.",
        "I. The thing was done at last.",
        "Chapter I never saw",
        "Introduction of the new man",
        "Mix",
        "chapter 4",
        "Book I had read before,",
        '"Chapter One," he read.',
    ],
)
def test_prose_is_no_heading(line: str) -> None:
    """Lines that begin as a heading does and go on as a sentence."""
    assert None is match_heading(next(iter_blocks(line)))


def test_parts_join_the_chapter_that_follows() -> None:
    """The first chapter of a part bears the part's name; the others don't; numbering may begin again."""
    text = _book("PART ONE", "CHAPTER I\nThe Road", "~", "CHAPTER II", "~", "PART TWO", "CHAPTER I", "~")
    assert ["PART ONE, CHAPTER I: The Road", "CHAPTER II", "PART TWO, CHAPTER I"] == _titles(text)


def test_three_levels_nest() -> None:
    """Volume, book and chapter at one place make one heading."""
    text = _book("VOLUME I", "BOOK THE FIRST", "CHAPTER I", "~", "CHAPTER II", "~")
    assert ["VOLUME I, BOOK THE FIRST, CHAPTER I", "CHAPTER II"] == _titles(text)


def test_a_part_with_words_of_its_own_is_a_chapter() -> None:
    """Prose between the part's heading and the chapter's must not be lost in a title."""
    text = _book("PART ONE", "~", "CHAPTER I", "~", "CHAPTER II", "~")
    assert ["PART ONE", "CHAPTER I", "CHAPTER II"] == _titles(text)


def test_numbers_below_chapters_are_no_chapters() -> None:
    """Sections within stories keep their place inside them."""
    text = _book("I. A SCANDAL", "I.", "~", "II.", "~", "II. A LEAGUE", "I.", "~", "II.", "~")
    assert ["I: A SCANDAL", "II: A LEAGUE"] == _titles(text)


def test_numbers_out_of_sequence_are_no_chapters() -> None:
    """A page number alone on a line, or a year, is not a chapter."""
    assert [""] == _titles(_book("~", "123", "~", "1", "~", "1876", "~"))


def test_contents_are_not_ten_empty_chapters() -> None:
    """The lines of the table are one skipped span; the chapters are those of the book."""
    table = "CONTENTS\n\n" + "\n".join(f" CHAPTER {number}.   Title Number {number}" for number in range(1, 11))
    text = _book(
        "THE ROAD", table, *(part for n in range(1, 11) for part in (f"CHAPTER {n}.\nTitle Number {n}", "~"))
    )
    assert [f"CHAPTER {n}: Title Number {n}" for n in range(1, 11)] == _titles(text)
    assert ["title page", "table of contents"] == _skips(text)


def test_contents_with_an_entry_a_paragraph_and_summaries() -> None:
    """Each entry looks like a heading with prose below it; it comes again, and that is the chapter."""
    summary = "The hero's birth and education--He makes a voyage--\n  Is cast away--Meets with a learned man."
    table = "CONTENTS.\n\n\n" + "\n\n".join(f"CHAPTER {n}.\n\n{summary}" for n in ("I", "II", "III"))
    text = _book(
        table, "APPEAL TO THE PUBLIC.", *(p for n in ("I", "II", "III") for p in (f"CHAPTER {n}.", "~"))
    )
    text = text.replace("APPEAL TO THE PUBLIC.\n\n\n", f"\n\n\nAPPEAL TO THE PUBLIC.\n\n\n{PROSE}\n\n\n")
    assert ["APPEAL TO THE PUBLIC", "CHAPTER I", "CHAPTER II", "CHAPTER III"] == _titles(text)
    assert ["table of contents"] == _skips(text)


def test_contents_without_the_word() -> None:
    """A block of headings and nothing else is a table of contents too."""
    table = "\n".join(f"CHAPTER {number}. The Road" for number in ("I", "II", "III"))
    text = _book(table, "CHAPTER I", "~", "CHAPTER II", "~", "CHAPTER III", "~")
    assert ["CHAPTER I", "CHAPTER II", "CHAPTER III"] == _titles(text)


def test_titles_that_only_the_contents_know() -> None:
    """A line that the table lists is a heading where it stands alone, whatever its case and page number."""
    table = "Contents\n\n    The Wide Road . . . . . 7\n    A Hill and a Valley      23\n    HOMEWARD, 41"
    text = _book(table, "THE WIDE ROAD", "~", "A HILL AND A VALLEY", "~", "Homeward", "~")
    assert ["THE WIDE ROAD", "A HILL AND A VALLEY", "Homeward"] == _titles(text)


def test_capitals_after_a_wide_gap_in_a_book_that_names_no_chapter() -> None:
    """Stories in a collection; a cry in capitals between paragraphs is none."""
    text = _book(
        "~",
        "THE YELLOW TULIP",
        "~",
        "THE CLOUD",
        f"{PROSE}\nSTOP THIEF!\n\n{PROSE}",
        "THE MAN",
        "~",
        gap="\n\n\n\n",
    )
    assert ["Opening", "THE YELLOW TULIP", "THE CLOUD", "THE MAN"] == _titles(text)


def test_front_matter() -> None:
    """Title page and lists are skipped with a reason; a dedication in prose is kept under its heading."""
    text = _book(
        "THE ROAD\n\nBY\n\nANN AUTHOR\n\n1907",
        f"TO MY MOTHER.\n\n{PROSE}",
        "CONTENTS\n\nI. One Thing\nII. Another\n\nINDEX",
        "LIST OF ILLUSTRATIONS\n\nThe road by night\n\nThe road by day",
        "CHAPTER I",
        "~",
        "CHAPTER II",
        "~",
        gap="\n\n\n\n\n",
    )
    assert ["TO MY MOTHER", "CHAPTER I", "CHAPTER II"] == _titles(text)
    assert ["title page", "table of contents", "index", "list of illustrations"] == _skips(text)


def test_back_matter() -> None:
    """Index and footnotes after the last chapter are not read."""
    text = _book(
        "CHAPTER I", "~", "CHAPTER II", "~", "FOOTNOTES:", "[1] See above.", "INDEX", "Aachen, 5\nBath, 7"
    )
    assert ["CHAPTER I", "CHAPTER II"] == _titles(text)
    assert ["footnotes", "index"] == _skips(text)


def test_a_bibliography_in_the_front_does_not_swallow_the_book() -> None:
    """In the first half a skipped section ends at the next wide gap."""
    text = _book(
        "INTRODUCTION", "~", "BIBLIOGRAPHY\n\nBall, A. P.: The Satire", "SENECA", *["~"] * 6, gap="\n\n\n\n\n"
    )
    titles = _titles(text)
    assert "INTRODUCTION" == titles[0]
    assert 2 == len(titles)
    assert "bibliography or errata" in _skips(text)


def test_first_line_of_prose_is_no_title() -> None:
    """A quotation, or a sentence, right after a label belongs to the chapter."""
    text = _book(
        "CHAPTER I\n\n“Who goes there?”\n\nNobody answered.", "CHAPTER II\n\nHe went home.\n\nThen it rained."
    )
    assert ["CHAPTER I", "CHAPTER II"] == _titles(text)


def test_a_paragraph_a_line() -> None:
    """A text with no blank lines, each paragraph one long line."""
    long = PROSE.replace("\n", " ") * 2
    text = f"Chapter 1\n{long}\n{long}\nChapter 2\n{long}\n"
    assert ["Chapter 1", "Chapter 2"] == _titles(text)


def test_a_label_without_a_blank_line_before_it() -> None:
    """It begins a chapter where the line before it ends a sentence, and not where it ends one itself."""
    text = f"CHAPTER I.\n{PROSE}CHAPTER II.\n{PROSE}as we have seen in\nChapter I.\n"
    assert ["CHAPTER I", "CHAPTER II"] == _titles(text)


def test_heading_ends_where_the_prose_begins() -> None:
    """Label and title are the heading, blank lines between them included; the first word of prose is not."""
    text = f"CHAPTER I.\n\nTHE WIDE\nROAD\n\n\n{PROSE}"
    (section,) = find_chapters(text, 0, len(text))
    assert "CHAPTER I.\n\nTHE WIDE\nROAD" == text[section.start : section.heading_end]
    assert "CHAPTER I: THE WIDE ROAD" == section.title


def test_markdown_headings() -> None:
    """The outermost level that occurs twice makes chapters; code is no heading; setext counts."""
    text = f"# The Book\n\n## One\n\n{PROSE}\n```\n## not this\n```\n\n### Sub\n\n{PROSE}\nTwo\n---\n\n{PROSE}"
    assert ["One", "Two"] == _titles(text, markdown=True)
    assert ["The Book", "One", "Two"] == _titles(text.replace("Book\n\n", f"Book\n\n{PROSE}\n"), markdown=True)
    assert ["One", "Two"] == _titles(f"# One\n{PROSE}\n# *Two*\n{PROSE}", markdown=True)


def test_markdown_without_headings_falls_back_to_words() -> None:
    """A .md file may be plain text."""
    assert ["Chapter 1", "Chapter 2"] == _titles(_book("Chapter 1", "~", "Chapter 2", "~"), markdown=True)


def test_pattern_replaces_the_rules() -> None:
    """The lines that match, and no others, however like headings."""
    text = _book("CHAPTER I", "~", "Kapitel 1", "~", "Kapitel 2 und Schluss", "~")
    assert ["CHAPTER I", "Kapitel 1", "Kapitel 2 und Schluss"] == _titles(
        text, chapter_pattern=r"Kapitel \d+.*"
    )


def test_blank_text_has_no_sections() -> None:
    """Nothing but blanks."""
    assert [] == find_chapters(" \n\n ", 0, 4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("XIV", 14),
        ("iv", 4),
        ("12", 12),
        ("the Twenty-first", 21),
        ("forty-two", 42),
        ("THE FIRST", 1),
        ("x1", None),
    ],
)
def test_number_value(text: str, value: int | None) -> None:
    """Numbers as headings write them."""
    assert value == number_value(text)


def test_title_key_forgets_what_a_table_of_contents_adds() -> None:
    """Case, punctuation, leaders and page numbers."""
    assert title_key("The Queen’s Croquet-Ground") == title_key("THE QUEEN'S CROQUET-GROUND . . . . 61")
