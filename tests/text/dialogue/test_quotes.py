"""Quoted speech is found: marks of every kind, one inside another, over paragraphs; apostrophes are none."""

import pytest
from dialogue_helpers import quoted

from orpheus_batch.text.dialogue.quotes import find_quotations, judge_style


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Well,” he said, “come in.”", ["“Well,”", "“come in.”"]),
        ('"Well," he said, "come in."', ['"Well,"', '"come in."']),
        ("«Well,» he said, «come in.»", ["«Well,»", "«come in.»"]),
        ("„Well,“ he said, „come in.“", ["„Well,“", "„come in.“"]),
        ("``Well,'' he said, ``come in.''", ["``Well,''", "``come in.''"]),
        ("‘Well,’ he said, ‘come in.’", ["‘Well,’", "‘come in.’"]),
        ("'Well,' he said, 'come in.'", ["'Well,'", "'come in.'"]),
        ("He stopped.“Well,”he said.", ["“Well,”"]),
        ('He said--"Come in."', ['"Come in."']),
        ('"I was--" he began.', ['"I was--"']),
        ("(“I only wish it was,” he said to himself.)", ["“I only wish it was,”"]),
    ],
)
def test_marks_of_every_kind(text, expected):
    """Curly, straight, angled, low, single, as typewriters and TeX have them."""
    assert [expected] == quoted(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“He said ‘no’ to me,” she cried.", ["“He said ‘no’ to me,”"]),
        ("\"He said 'no' to me,\" she cried.", ["\"He said 'no' to me,\""]),
        ("‘He said “no” to me,’ she cried.", ["‘He said “no” to me,’"]),
        ("'He said \"no\" to me,' she cried. 'Yes.'", ["'He said \"no\" to me,'", "'Yes.'"]),
        ("“‘Go,’ said he.”", ["“‘Go,’ said he.”"]),
    ],
)
def test_a_quotation_in_a_quotation_belongs_to_it(text, expected):
    """The outer speaker reads all of it."""
    assert [expected] == quoted(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("‘I don’t know,’ said Tom, ‘it’s late.’", ["‘I don’t know,’", "‘it’s late.’"]),
        ("'I don't know,' said Tom. 'It's late.'", ["'I don't know,'", "'It's late.'"]),
        ("'The boys' hats are gone,' said Tom.", ["'The boys' hats are gone,'"]),
        ("'I saw 'em go, and 'tis late,' said Tom.", ["'I saw 'em go, and 'tis late,'"]),
        ("'I'm goin' home,' said Tom. He took the boys' hats.", ["'I'm goin' home,'"]),
        ("'That 'orse is lame,' said Tom.", ["'That 'orse is lame,'"]),
        ("He lived in the '90s. 'Well,' said Tom.", ["'Well,'"]),
        ("'Twas night. The dogs' bowls were empty. 'Come,' he said.", ["'Come,'"]),
        ("The ‘ghost’ was a sheet. ‘Come,’ he said.", ["‘ghost’", "‘Come,’"]),
    ],
)
def test_apostrophes_are_no_marks(text, expected):
    """In a book that speaks in single marks: elisions, plurals, dropped letters, years."""
    assert [expected] == quoted(text)


def test_apostrophes_in_a_book_of_double_marks():
    """Single marks are looked at in books of single marks alone."""
    assert [["“’Tis the boys’ own,”"]] == quoted("“’Tis the boys’ own,” he said. 'Twas late.")


def test_speech_over_paragraphs():
    """An opening mark on every paragraph, a closing one on the last."""
    found = find_quotations(["“One.", "“Two.", "“Three,” he said.", "“Four.”"], "double")
    assert [(False, True), (True, True), (True, False), (False, False)] == [
        (of_text[0].continues, of_text[0].goes_on) for of_text in found
    ]
    assert not any(of_text[0].broken for of_text in found)


def test_single_marked_speech_over_paragraphs():
    """The plural's apostrophe does not end the first paragraph's speech."""
    first = "‘We found the boys’ hats that morning in the old barn, all of them wet."
    found = find_quotations([first, "‘Then we went home,’ he said."], "single")
    assert [(False, True), (True, False)] == [(f[0].continues, f[0].goes_on) for f in found]


def test_a_poem_within_speech():
    """Paragraphs without marks between the opening and the closing one are spoken too."""
    assert [["“You know the song:"], ["Twinkle, twinkle, little bat!"], ["Do you not?”"], ["“No.”"]] == quoted(
        "“You know the song:", "Twinkle, twinkle, little bat!", "Do you not?” he asked.", "“No.”"
    )


def test_marks_that_do_not_pair_are_told():
    """Opened and never closed; closed and never opened; opened twice."""
    for paragraphs in (["“Well, he said.", "He left."], ["Well,” he said.", "He left."], ["“A. “B,” he said."]):
        found = find_quotations(paragraphs, "double")
        assert found[0][0].broken
    assert not find_quotations(["“A. “B,” he said."], "double")[0][1].broken


def test_the_style_is_the_books():
    """One paragraph of nested marks does not make a book of single ones; dashes need company."""
    assert "double" == judge_style(["“A,” he said.", "“B.”", "“I said ‘no’ and ‘go’.”"])
    assert "single" == judge_style(["‘A,’ he said.", "‘B.’", "‘I said “no”.’"])
    assert "dash" == judge_style(["— A, he said.", "— B.", "— C.", "He left."])
    assert "double" == judge_style(["— An old man —", "“B.”"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("— Come up, Alice called out. She ran.", ["— Come up,"]),
        ("—Hola —said the Hatter—. Come in.", ["—Hola", "Come in."]),
        ("— Well, I said so, you know.", ["— Well, I said so, you know."]),
        ("-- Not I! he cried, and went.", ["-- Not I!"]),
        ("– Yes.", ["– Yes."]),
    ],
)
def test_dashes(text, expected):
    """The narrator's words inside are told by their verb; what follows a sentence of his is his."""
    assert expected == quoted("— A.", "— B.", "— C.", text)[-1]


def test_no_text_and_odd_text():
    """Nothing is found in nothing, and stray marks end no search."""
    assert [[], []] == quoted("", "No marks.")
    assert [[]] == quoted("He stood 5' 11\" tall.")
    for text in ("”", "“", '"', "'", "‘’", "““””", '" " "', "— "):
        quoted(text, text)


@pytest.mark.parametrize("mark", ["“", "”", '"', "'", "‘", "’", '" ', " '", "''", "“a”", "— "])
def test_many_marks_take_no_time(mark):
    """Linear in the text: with the square of a hundred thousand this would not end."""
    assert quoted(mark * 100_000) is not None
