"""`orpheus-batch text`: what it shows, in which detail, and what it says of a lexicon and a language."""

import json

import pytest
from click.testing import CliRunner
from line_helpers import write_light_pack

from orpheus_batch.cli import cli

BOOK = (
    "# The Sea\n\nDr. Ahab had 7 dogs. “Yes.” He left them.\n\n* * *\n\n# The Hill\n\nNothing is here at all.\n"
)


@pytest.fixture
def book(tmp_path):
    write_light_pack(tmp_path / "pack")
    file = tmp_path / "book.md"
    file.write_text(BOOK, encoding="utf-8")
    return file


def run(book, *arguments):
    return CliRunner().invoke(
        cli, ["text", str(book), "--model", str(book.parent / "pack"), *map(str, arguments)]
    )


def test_words_that_change_are_shown_with_their_rule_and_place(book):
    """By default no sentence that merely loses its curly quotes; what is left out has its reason."""
    result = run(book)
    assert 0 == result.exit_code, result.output
    assert "[11:32] Dr. Ahab had 7 dogs.\n    → Doctor Ahab had seven dogs." in result.stdout
    assert "[11:14] “Dr.” → “Doctor”  title" in result.stdout
    assert "[24:25] “7” → “seven”  number" in result.stdout
    assert "left out: scene break “* * *”" in result.stdout
    assert "Yes" not in result.stdout
    assert "1  The Sea: words changed in 1 of 4 sentences" in result.stdout
    assert "title (1), number (1)" in result.stdout


def test_more_is_shown_on_demand_and_fewer_chapters(book):
    """Chapters by number, range and title; a wrong one is told in one line."""
    assert "“ → " not in run(book).stdout
    changes = run(book, "--show", "changes", "--chapter", "1").stdout
    assert "Yes" in changes
    assert "He left them." not in changes
    assert "Nothing" not in changes
    everything = run(book, "--show", "all", "--chapter", "The H*", "--chapter", "2-2").stdout
    assert "Nothing is here at all." in everything
    assert "Ahab" not in everything
    wrong = run(book, "--chapter", "3")
    assert 1 == wrong.exit_code
    assert f"Error: {book}: can't show 3: the book has chapters 1 to 2\n" == wrong.stderr


def test_json_and_a_lexicon(book):
    """Each change with its line in the lexicon; entries that are never met are named."""
    lexicon = book.parent / "names.csv"
    lexicon.write_text("word,say\nAhab,Ay-hab\nIshmael,Ish-mail\n", encoding="utf-8")
    result = run(book, "--lexicon", lexicon, "--json")
    (tree,) = json.loads(result.stdout)["books"]
    (first, scene), second = (chapter["readings"] for chapter in tree["chapters"])
    assert ("Doctor Ay-hab had seven dogs.", "scene break") == (first["spoken"], scene["skip_reason"])
    assert [] == second
    rules = [rule for change in first["changes"] for rule in change["rules"]]
    assert f"lexicon ({lexicon}, line 2)" in rules
    assert [f"Ishmael ({lexicon}, line 3)"] == tree["unmet"]
    assert 1 == tree["rules"]["lexicon"]
    assert f"never meets: Ishmael ({lexicon}, line 3)" in run(book, "--lexicon", lexicon).stdout
    lexicon.write_text("word,say\nAhab,ʔ\n", encoding="utf-8")
    refused = run(book, "--lexicon", lexicon)
    assert 1 == refused.exit_code
    assert f"Error: {lexicon}, line 2: “ʔ” holds ʔ" in refused.stderr


def test_a_language_that_is_not_english_is_told(book):
    """By `text` and by `plan`: what is not done for it."""
    book.write_text(f"---\nlanguage: de\n---\n\n{BOOK}", encoding="utf-8")
    assert "note: the book is in German and the voice 'one' speaks English" in run(book).stdout
    plan = CliRunner().invoke(cli, ["plan", str(book), "--model", str(book.parent / "pack")])
    assert "note: numbers, dates and abbreviations of German are not put into words" in plan.stdout


def test_a_cast_shows_who_speaks(book):
    """What the narrator does not say has its voice before it; the sentences are those of the render."""
    book.write_text("# One\n\n“Two dogs,” said Ahab. “And 7 cats.” They left.\n", encoding="utf-8")
    cast = book.parent / "cast.yaml"
    cast.write_text("narrator: one\ncharacters:\n  Ahab: two\n", encoding="utf-8")
    shown = run(book, "--cast", cast, "--show", "all").stdout
    assert "(two) “Two dogs,”" in shown
    assert "(two) “And 7 cats.”" in shown
    assert "] said Ahab." in shown
