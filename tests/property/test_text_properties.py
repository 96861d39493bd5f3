"""What holds for any text whatsoever, from the file to the segments."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Boundary, Chapter, Sentence
from orpheus_batch.errors import InputError
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.clauses import cut_points
from orpheus_batch.text.markup import clean
from orpheus_batch.text.normalize import normalize
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import check_coverage, plan_book, plan_chapter
from orpheus_batch.text.split import SentenceSplitter

SPLITTER = SentenceSplitter()
PIECES = [
    *(
        "CHAPTER I.",
        "Chapter One: The Boy",
        "II.",
        "PART TWO",
        "Contents",
        "CONTENTS",
        "PREFACE",
        "The Boy",
        "THE END",
    ),
    *(
        "* * *",
        "---",
        "[Illustration: A cat]",
        "[Footnote 1: See",
        "# Title",
        "=====",
        "\n\n",
        "\n\n\n\n",
        "\n",
        "    ",
    ),
    *(
        "Mr. Smith said.",
        "“Who?”",
        "asked he.",
        '"Go!"',
        "_em_",
        "**b**",
        "[a](b)",
        "![a](b)",
        "1. one 2. two",
        "p. 5.",
    ),
    *(
        "a.m.",
        "U.S.",
        ". . .",
        "…",
        "—",
        "--",
        "it was",
        "He went to the door, and",
        "rabbit-",
        "<laugh>",
        "<b>",
        "&",
    ),
    *("[pause 1.5s]", "[pause]", "[pause 2", "<giggle>", "[pause 99s]"),
    *("5", "£3.50", "XIV", "FBI", "é", "漢字。", "\u00ad", "\u200b", "\x01", "\t", "😀", "Title: X", "x"),
    "*** START OF THE PROJECT GUTENBERG EBOOK X ***",
    "*** END OF THE PROJECT GUTENBERG EBOOK X ***",
    "The Project Gutenberg EBook of X, by Y",
]
BOOKISH = st.lists(st.sampled_from([*PIECES, " ", " ", "\n", "y" * 30]), max_size=60).map(" ".join)
ANY_TEXT = st.one_of(st.text(max_size=400), BOOKISH)
WORDS = ["the", "a", "old", "man", "went", "home", "and", "then", "came", "back", "again", "quickly"]
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=40)
ORDINARY_SENTENCE = SENTENCE.filter(lambda words: 25 <= len(" ".join(words)) <= 65)
slow_machine = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def _chapter(text: str, heading_length: int = 0) -> Chapter:
    return Chapter(index=3, title="", text=text, source_start=1000, heading_length=heading_length)


def _plan(text: str, **options: object):
    pack = make_text_pack(BUILTIN_ALPHABET, min_chars=20, max_chars=80)
    chapter = _chapter(text)
    return plan_chapter(
        chapter,
        SPLITTER.split_chapter(chapter),
        pack=pack,
        voice="text",
        model_fingerprint="f",
        pauses=PauseConfig(),
        **options,
    )


@slow_machine
@given(ANY_TEXT, st.integers(0, 20))
@example("", 0)
@example("* * *", 5)
@example("_a_\n\n\n", 0)
def test_sentences_tile_the_chapter(text: str, heading_length: int) -> None:
    """No character is lost, doubled or empty-spanned, whatever the text; the last sentence ends the chapter."""
    chapter = _chapter(text, min(heading_length, len(text)))
    sentences = SPLITTER.split_chapter(chapter)
    position = chapter.source_start
    for index, sentence in enumerate(sentences):
        assert index == sentence.index
        assert position == sentence.start
        assert sentence.end > sentence.start or not text
        position = sentence.end
    assert chapter.source_start + len(text) == position
    assert Boundary.CHAPTER is sentences[-1].boundary


@slow_machine
@given(ANY_TEXT)
@example("a" * 300)
@example("*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nCHAPTER I\n\nText.\n\nEnd of Project Gutenberg's X")
def test_a_book_is_covered_exactly_once(text: str) -> None:
    """From the file to the plan; `check_coverage` counts characters, so a lost blank line would show."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "book.txt"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            book = read_book(file)
        except InputError:
            return
    pack = make_text_pack(BUILTIN_ALPHABET, min_chars=20, max_chars=80)
    plans = plan_book(book, pack=pack, voice="text", model_fingerprint="f", pauses=PauseConfig())
    check_coverage(book, plans)
    assert len(book.chapters) == len(plans)
    for plan in plans:
        for segment in plan.segments:
            assert 0 < len(segment.text) <= 80
            assert set(segment.text) <= set(BUILTIN_ALPHABET)
            assert segment.text.rstrip("\"')")[-1] in ".!?,;:-"


@slow_machine
@given(ANY_TEXT, st.sampled_from([(), ("<laugh>", "<sigh>")]), st.booleans())
@example("<laugh><laugh", ("<laugh>",), False)
def test_normalised_text_keeps_to_the_alphabet(text: str, tags: tuple[str, ...], heading: bool) -> None:
    """Characters of the alphabet and the pack's own tags, and nothing a tokenizer would have to guess at."""
    spoken = normalize(text, alphabet=BUILTIN_ALPHABET, tags=tags, heading=heading)
    for tag in tags:
        spoken = spoken.replace(tag, "")
    assert set() == set(spoken) - set(BUILTIN_ALPHABET)


@slow_machine
@given(st.text(alphabet="ab c,.;—-漢\n", max_size=300), st.integers(1, 40))
@example("a - ", 1)
def test_no_piece_is_cut_inside_a_word(text: str, max_chars: int) -> None:
    """Every cut is after a blank, a dash or between ideographs; pieces fit unless they are one word."""
    cuts = cut_points(text, max_chars)
    for cut in cuts:
        before, after = text[cut - 1], text[cut]
        assert before.isspace() or before in "-—" or (before == after == "漢"), (text, cut)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        piece = text[start:end].strip()
        assert len(piece) <= max_chars or not cut_points(piece, len(piece) - 1), piece


@slow_machine
@given(ANY_TEXT)
def test_clean_text_points_back_to_its_characters(text: str) -> None:
    """Each visible character of the clean line is the source's character at the offset it names."""
    cleaned = clean(text, 0, len(text))
    for position, character in enumerate(cleaned.text):
        if not character.isspace():
            assert character == text[cleaned.source_offset(position)]


@slow_machine
@given(st.lists(SENTENCE, min_size=3, max_size=14), st.data())
def test_an_edit_stays_local(sentences: list[list[str]], data: st.DataObject) -> None:
    """One sentence edited changes the segments around it; those beyond three joins' reach stay as they were.

    Packing a paragraph from its start would pass every other test and shift all that follows the edit.
    """
    edited = data.draw(st.integers(0, len(sentences) - 1))
    replacement = data.draw(SENTENCE)
    assume(replacement != sentences[edited])
    before = _plan(_paragraph(sentences))
    after = _plan(_paragraph([*sentences[:edited], replacement, *sentences[edited + 1 :]]))
    starts = _starts(sentences)
    reach = 9  # three rounds of joins with a neighbour on each side
    low = 1000 + starts[max(0, edited - reach)]
    high = 1000 + starts[min(len(sentences), edited + reach + 1)]
    growth = len(_paragraph([replacement])) - len(_paragraph([sentences[edited]]))
    kept_before = [s.text for s in before.segments if s.end <= low or s.start >= high]
    kept_after = [s.text for s in after.segments if s.end <= low or s.start >= high + growth]
    assert kept_before == kept_after


@slow_machine
@given(st.lists(ORDINARY_SENTENCE, min_size=3, max_size=8), st.data())
def test_editing_a_sentence_of_ordinary_length_changes_its_segments_alone(
    sentences: list[list[str]], data: st.DataObject
) -> None:
    """Where no sentence is short enough to join or long enough to cut, every other segment keeps its id."""
    edited = data.draw(st.integers(0, len(sentences) - 1))
    before = _plan(_paragraph(sentences))
    sentences[edited] = [*sentences[edited], "indeed"]
    after = _plan(_paragraph(sentences))
    start = 1000 + _starts(sentences)[edited]
    end = 1000 + _starts(sentences)[edited + 1]
    others_after = {s.segment_id for s in after.segments if s.end <= start or s.start >= end}
    assert others_after <= {s.segment_id for s in before.segments}


def _paragraph(sentences: list[list[str]]) -> str:
    return " ".join(f"{' '.join(words).capitalize()}." for words in sentences)


def _starts(sentences: list[list[str]]) -> list[int]:
    starts = [0]
    for words in sentences:
        starts.append(starts[-1] + len(" ".join(words)) + 2)
    starts[-1] -= 1
    return starts


@pytest.mark.parametrize("boundary", list(Boundary))
@slow_machine
@given(text=st.text(min_size=1, max_size=200))
def test_any_sentence_object_can_be_planned(boundary: Boundary, text: str) -> None:
    """Sentences from elsewhere (a lexicon, a correction) need not be substrings of the source."""
    chapter = _chapter("z" * 50)
    sentence = Sentence(3, 0, text, 1000, 1050, boundary)
    pack = make_text_pack(None, max_chars=20, min_chars=5)
    plan = plan_chapter(
        chapter, [sentence], pack=pack, voice="text", model_fingerprint="", pauses=PauseConfig()
    )
    spans = sorted((s.start, s.end) for s in (*plan.segments, *plan.skipped))
    position = 1000
    for start, end in spans:
        assert position == start
        position = end
    assert 1050 == position
