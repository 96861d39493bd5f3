"""Sentences end where a reader ends them, and every character belongs to one."""

import pytest

from orpheus_batch.data import Boundary, Chapter
from orpheus_batch.text.paragraphs import SCENE_BREAK
from orpheus_batch.text.punkt import DATA_FILE, load_tokenizer
from orpheus_batch.text.split import SentenceSplitter

SPLITTER = SentenceSplitter()


def _split(text: str, heading_length: int = 0) -> list[tuple[str, Boundary, str]]:
    chapter = Chapter(0, "", text, 0, heading_length)
    return [(s.text, s.boundary, s.skip_reason) for s in SPLITTER.split_chapter(chapter)]


@pytest.mark.parametrize(
    "text",
    [
        # titles, initials, abbreviations
        "Mr. and Mrs. Dale went in. | Dr. No. 7 of St. Giles followed. | Nobody spoke.",
        "He met J. R. Ward and Capt. A. B. Nemo. | They dined.",
        "It was sent to Messrs. Day & Co. of Leeds. | It came back.",
        "We sat in the U.S. Senate till 5 p.m. Tuesday and slept. | It rained.",
        "She left at 9 a.m. | The train was late.",
        "Bring pens, ink, etc. and wait. | Bring pens, ink, etc. | Then wait.",
        "See vol. 3, p. 12 and fig. 4. | Now go on.",
        "He came on Jan. 5 and left on Oct. 9. | So I am told.",
        "So I am. | Holmes laughed.",
        "They went to Mass. | Father Brown stayed.",
        "He was born in Salem, Mass. and died in Reno, Nev. | He wrote nothing.",
        "It weighed 5 lbs. 6 oz. and shone. | He bought it.",
        "Louis XIV. was king. | He danced.",
        "The answer is no. | Ask again.",
        "We make a pair, she and I. | Did you know?",
        # numbers
        "It cost $3.50 in 1876. | It was cheap.",
        "Version 2.0.1 is out. | Take it.",
        # dialogue
        '"Who is it?" asked Anna. | "Nobody," said he.',
        '"Who is it?" Anna asked. | "Nobody!" she cried.',
        '"Go!" Mr. Dale of the Yard shouted. | They went.',
        '"Who is it?" | She turned away.',
        "“Stop!” cried I. | “Why?” | “Because I say so.”",
        "He said, ‘It is late.’ and rose. | Then he sat.",
        'She wrote "The end." | The book was done.',
        '"Well--" he began. | "No!"',
        "“If you please, sir—” | The Rabbit ran. | “But—” Alice said.",
        # ellipses, dashes, brackets
        "I thought ... well, never mind. | Go on.",
        "Wait. . . . | There it is.",
        '"Fancying myself! . . ." cried Anna. | "What? ... it is late."',
        "He paused… then he ran. | She paused… | Then she ran.",
        "I know . . . I always knew it. | Good.",
        "It was (he swore it was. Truly!) the same man. | He knew.",
        "The text [...] goes on. | It ends.",
        "He was--so they said. | Then--nothing.",
        # lists
        "1. Eggs and ham | 2. Bread and wine | 3. Salt",
        "a) the first | b) the second | c) the third",
        "• one thing | • another thing",
        # others
        "Write to a.b@example.org. | Look at www.example.org/a.b.html. | Done.",
        "Hurrah!! | What?! | Yes.",
        "吾輩は猫である。 | 名前はまだ無い。",
        "“First.” | “Second.”",
    ],
)
def test_sentences(text: str) -> None:
    """The bars are where the sentences end; without them the splitter must find them again."""
    expected = text.split(" | ")
    assert expected == SPLITTER.split_text(" ".join(expected))


def test_missing_blank_between_quotations() -> None:
    """A closing quotation mark against an opening one parts two sentences all the same."""
    assert ["“No.”", "“Yes.”"] == SPLITTER.split_text("“No.”“Yes.”")


def test_wrapped_lines_are_joined() -> None:
    """A line wrap ends nothing, not after "Mr.", not before a capital, not at a hyphen or a dash."""
    text = (
        "Nobody in the town had ever been inside the tall narrow house of Mr.\n"
        "Dale, which stood on the quiet side of the market square, on the left-\n"
        "hand corner, where--as the oldest people still remembered very well--\n"
        "Baron Osric had lived, and where, said\nthe rest, he lived still."
    )
    assert [
        "Nobody in the town had ever been inside the tall narrow house of Mr. Dale, which stood on the quiet "
        "side of the market square, on the left-hand corner, where--as the oldest people still remembered very "
        "well--Baron Osric had lived, and where, said the rest, he lived still."
    ] == SPLITTER.split_text(text)


def test_paragraphs_end_sentences() -> None:
    """A blank line ends a sentence without punctuation; an indent does where blank lines are wanting."""
    assert ["He began", "and stopped"] == SPLITTER.split_text("He began\n\nand stopped")
    flush = "This is a paragraph of the usual kind, wrapped at about seventy-two characters\nand over."
    text = (
        f"{flush}\n    Here another begins with an indent, as printers did of old, and it runs on\nfor a while."
    )
    assert 2 == len(SPLITTER.split_text(text))
    assert Boundary.PARAGRAPH is _split(text)[0][1]


def test_a_paragraph_a_line() -> None:
    """In a text without wraps every line end ends a paragraph."""
    long = (
        "This line is as long as a paragraph because it is one, and nobody has wrapped it at any margin, " * 2
    )
    assert [long.strip(), "“Yes,” he said", "and left"] == SPLITTER.split_text(
        f"{long}\n“Yes,” he said\nand left"
    )


def test_verse_lines_are_not_glued() -> None:
    """A line of verse without punctuation at its end gets a comma: a pause, no run-on and no full stop."""
    text = "Open the door,\n  And listen!\nOnly the wind's muffled roar\n  And the glisten\nOf tears in June."
    assert [
        "Open the door, And listen!",
        "Only the wind's muffled roar, And the glisten, Of tears in June.",
    ] == SPLITTER.split_text(text)


def test_heading_is_a_sentence_of_its_own() -> None:
    """Its lines are joined with full stops between label and title, the title's own wraps with blanks."""
    text = "CHAPTER I\n\nTHE WIDE\nROAD\n\nHe walked on."
    assert [
        ("CHAPTER I. THE WIDE ROAD", Boundary.HEADING, ""),
        ("He walked on.", Boundary.CHAPTER, ""),
    ] == _split(text, text.index("\n\nHe"))


def test_headings_inside_a_chapter() -> None:
    """A number or capitals alone on a line are followed by a longer pause."""
    assert [
        ("One.", Boundary.PARAGRAPH, ""),
        ("II.", Boundary.HEADING, ""),
        ("Two.", Boundary.PARAGRAPH, ""),
        ("THE LETTER", Boundary.HEADING, ""),
        ("Three.", Boundary.CHAPTER, ""),
    ] == _split("One.\n\nII.\n\nTwo.\n\nTHE LETTER\n\nThree.")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("* * *", SCENE_BREAK),
        ("       *       *       *", SCENE_BREAK),
        ("-----", SCENE_BREAK),
        ("#", SCENE_BREAK),
        ("[Illustration]", "illustration"),
        ("[Illustration: A cat.\n\nIt sleeps.]", "illustration"),
        ("[Footnote 3: See the\nappendix.]", "footnote"),
        ("[Footnote A: One.\n\nAnd two.\n\nAnd three.]", "footnote"),
        ("[Sidenote: Rome]", "sidenote"),
        ("[Transcriber's note: sic]", "transcriber's note"),
        ("[Pg 12]", "page number"),
        ("{12}", "page number"),
    ],
)
def test_what_is_not_read_has_a_reason(block: str, reason: str) -> None:
    """Between two paragraphs that are read; a note over several paragraphs is left out whole."""
    pieces = _split(f"Before it.\n\n{block}\n\nAfter it.")
    assert ["Before it.", "After it."] == [text for text, _, why in pieces if not why]
    assert {reason} == {why for _, _, why in pieces if why}


def test_a_note_within_a_paragraph_is_left_out_alone() -> None:
    """What stands around it is read, with a short pause at most, and nothing is dropped without a reason."""
    text = "In Lyons he was born, where Licinus [Footnote: A Gallic slave. See Dion.] was king. It rained."
    assert [
        ("In Lyons he was born, where Licinus", Boundary.CLAUSE, ""),
        ("[Footnote: A Gallic slave. See Dion.]", Boundary.CLAUSE, "footnote"),
        ("was king.", Boundary.SENTENCE, ""),
        ("It rained.", Boundary.CHAPTER, ""),
    ] == _split(text)
    assert ["He ran.", "And so on."] == SPLITTER.split_text("He ran. [Illustration: a cat]\n\nAnd so on.")
    assert ["He ran."] == SPLITTER.split_text("[Illustration: a cat] He ran.")


def test_an_open_bracket_does_not_swallow_the_chapter() -> None:
    """A note that is never closed costs its own paragraph and no more."""
    assert ["After it.", "[Later.]"] == SPLITTER.split_text("[Illustration: a cat\n\nAfter it.\n\n[Later.]")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("It was _very_ odd.", "It was very odd."),
        ("_Un_important, said he.", "Unimportant, said he."),
        ("On May 1_st_ it rained.", "On May 1st it rained."),
        ("A **bold** and *slanted* `word`.", "A bold and slanted word."),
        ("See [the map](http://x.org/a_b) now.", "See the map now."),
        ("See ![a map](map.png) now.", "See now."),
        ("The moon[1] rose.[12]", "The moon rose."),
        ("He [Pg 4] ran.", "He ran."),
        ("A [Greek: logos] spoke.", "A logos spoke."),
        ("snake_case stays, 2 * 3 too.", "snake_case stays, 2 * 3 too."),
        ("co\u00adop\u200berate", "cooperate"),
        ("Two   blanks\tand\u00a0more.", "Two blanks and more."),
    ],
)
def test_marks_are_taken_off(source: str, text: str) -> None:
    """Emphasis, links, footnote markers and invisible characters are not words."""
    assert [text] == SPLITTER.split_text(source)


def test_spans_tile_over_marks_and_blanks() -> None:
    """White space goes to the sentence before it, marks to the sentence they stand in."""
    source = "_One._  Two.[1]\n\n* * *\n\n*Three.*\n"
    sentences = SPLITTER.split_chapter(Chapter(0, "", source, 7, 0))
    assert ["_One._  ", "Two.[1]\n\n", "* * *\n\n", "*Three.*\n"] == [
        source[s.start - 7 : s.end - 7] for s in sentences
    ]


def test_a_book_teaches_its_abbreviations() -> None:
    """An abbreviation that only this book uses, a hundred times, no longer ends sentences before a name."""
    text = "The old Brth. Anselm met Brth. Cuthbert near Brth. Oswald here. Then we all went to eat. " * 60
    question = "He saw Brth. Anselm."
    assert 2 == len(SPLITTER.split_text(question))
    taught = SentenceSplitter(load_tokenizer(text))
    assert 1 == len(taught.split_text(question))


def test_shipped_parameters_are_small_and_no_words() -> None:
    """They travel in every wheel; an ordinary word among the abbreviations would glue sentences together."""
    from importlib import resources

    file = resources.files("orpheus_batch.text") / "data" / DATA_FILE
    assert len(file.read_bytes()) < 300_000
    tokenizer = load_tokenizer()
    words = {"he", "it", "so", "me", "no", "go", "am", "us", "him", "her", "them", "door", "said", "man"}
    assert set() == words & tokenizer._params.abbrev_types
