"""Sentences become segments: joined, cut, named, and every character accounted for."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Boundary, Chapter, ChapterPlan, Sampling, SkippedSpan
from orpheus_batch.errors import ConfigError, CoverageError
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.clauses import cut_points
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import check_coverage, plan_book, plan_chapter, segment_id
from orpheus_batch.text.split import SentenceSplitter

PACK = make_text_pack(BUILTIN_ALPHABET, min_chars=40, max_chars=120)
PAUSES = PauseConfig(clause_s=0.1, sentence_s=0.2, paragraph_s=0.3, heading_s=0.4, chapter_s=0.5)
SPLITTER = SentenceSplitter()
LONG = "The old road went on between the high hedges for a mile or more"


def _plan(text: str, heading_length: int = 0, **options: object) -> ChapterPlan:
    chapter = Chapter(0, "A Title", text, 0, heading_length)
    options = {"pack": PACK, "voice": "text", "model_fingerprint": "f", "pauses": PAUSES} | options
    return plan_chapter(chapter, SPLITTER.split_chapter(chapter), **options)


def _texts(text: str, **options: object) -> list[str]:
    return [segment.text for segment in _plan(text, **options).segments]


def test_ordinary_sentences_are_segments() -> None:
    """One each, in order, with their source spans and the pause of what follows."""
    text = f"{LONG}.  {LONG}!\n\n{LONG}?"
    plan = _plan(text)
    assert [(0, 0, 66, 0.2), (1, 66, 132, 0.3), (2, 132, 196, 0.5)] == [
        (s.index, s.start, s.end, s.pause_after_s) for s in plan.segments
    ]
    assert [Boundary.SENTENCE, Boundary.PARAGRAPH, Boundary.CHAPTER] == [s.boundary for s in plan.segments]
    assert ("A Title", ()) == (plan.title, plan.skipped)


def test_short_sentences_join_within_the_paragraph() -> None:
    """With the shorter neighbour, never across a paragraph's end, and never beyond the limit."""
    assert [f"{LONG}. He ran.", f"{LONG}."] == _texts(f"{LONG}. He ran.\n\n{LONG}.")
    assert ['"No."', f"{LONG}."] == _texts(f'"No."\n\n{LONG}.')
    assert ["No. Yes. He went in.", f"{LONG}."] == _texts(f"No. Yes. He went in.\n\n{LONG}.")
    assert [f"{LONG} and {LONG[:40]}.", "He ran away."] == _texts(f"{LONG} and {LONG[:40]}. He ran away.")


@pytest.mark.parametrize(
    "short", ["St. John", "Dr. Snodhead", "J. Smith", "vol. 12", "i.e. himself", "Mr. Day"]
)
def test_no_cut_between_an_abbreviation_and_its_word(short: str) -> None:
    """ "The Vision of St." would be read as a street's, and "this same Dr." as a drive's."""
    text = f"{LONG} and through the wood to {short} and then {LONG.lower()} than it ever had before"
    for max_chars in range(30, 130):
        pieces = [segment.text for segment in _plan(text, min_chars=1, max_chars=max_chars).segments]
        assert not any(
            piece.rstrip(",").endswith(("Street", "Drive", "J.", "vol.", "i.e.", "Mr.")) for piece in pieces
        )


def test_long_sentences_are_cut_at_clauses() -> None:
    """At a semicolon or a comma near the middle rather than at the limit; each piece ends in punctuation."""
    text = f"{LONG}, as roads will; and nobody who walked along it could say where it led, or who had made it."
    assert [
        f"{LONG}, as roads will;",
        "and nobody who walked along it could say where it led, or who had made it.",
    ] == _texts(text)
    plan = _plan(text)
    assert [Boundary.CLAUSE, Boundary.CHAPTER] == [s.boundary for s in plan.segments]
    assert "and nobody" == text[plan.segments[1].start :][:10]
    assert 0.1 == plan.segments[0].pause_after_s


def test_a_piece_without_punctuation_gets_a_comma() -> None:
    """Where only a conjunction offers itself; the voice must not fall as at a sentence's end."""
    pieces = _texts(f"{LONG} and nobody who had ever walked along it could say where it came from at all")
    assert 2 == len(pieces)
    assert pieces[0].endswith(",")
    assert pieces[1].startswith("and nobody")
    assert pieces[1].endswith(".")


def test_cut_counts_what_is_spoken() -> None:
    """Digits grow when they are spoken: the limit holds for the words."""
    pieces = _texts("There were 1,234,567 stars and 7,654,321 suns, 3,333,333 moons and 4,444,444 worlds.")
    assert 2 < len(pieces)
    assert all(len(piece) <= 120 for piece in pieces)


def test_cut_points_back_through_markup() -> None:
    """Links and emphasis in the source don't shift where a piece is said to begin."""
    text = (
        f"_{LONG}_[1], as [roads](http://example.org/a,b) will; *and nobody* who walked it could tell me why."
    )
    plan = _plan(text)
    assert "*and nobody*" in text[plan.segments[0].end - 1 : plan.segments[1].end]
    assert plan.segments[0].end == plan.segments[1].start


def test_a_monstrous_word_is_skipped_with_a_reason() -> None:
    """A word longer than a segment can't be spoken whole and is not cut; what surrounds it is spoken."""
    plan = _plan(f"See {'x' * 500} for the rest of this very interesting and quite remarkable story.")
    assert ["See,", "for the rest of this very interesting and quite remarkable story."] == [
        s.text for s in plan.segments
    ]
    assert ["a word longer than 120 characters"] == [span.reason for span in plan.skipped]


def test_text_without_blanks_is_cut_between_ideographs() -> None:
    """Chinese has no blanks to cut at; punctuation first, any ideograph else."""
    pack = make_text_pack(None, min_chars=2, max_chars=20)
    pieces = _texts("天" * 15 + "，" + "地" * 15 + "玄" * 30 + "。", pack=pack)
    assert "天" * 15 + "，" == pieces[0]
    assert all(len(piece) <= 20 for piece in pieces)


def test_headings_stand_alone_and_are_spoken_as_titles() -> None:
    """However short; with a full stop, words for numbers, and the pause of a heading."""
    plan = _plan(f"CHAPTER XIV\n\nTHE ROAD\n\n{LONG}.", heading_length=21)
    assert ["Chapter Fourteen. The Road.", f"{LONG}."] == [s.text for s in plan.segments]
    assert 0.4 == plan.segments[0].pause_after_s


def test_a_chapter_that_is_a_heading_alone() -> None:
    """It is read as a heading though the chapter ends with it."""
    plan = _plan("_IV_", heading_length=4)
    assert [("Four.", Boundary.CHAPTER)] == [(s.text, s.boundary) for s in plan.segments]


def test_a_scene_break_lengthens_the_pause() -> None:
    """The asterisks are skipped with their reason, and heard as silence."""
    plan = _plan(f"{LONG}.\n\n* * *\n\n{LONG}!\n\n* * *\n")
    assert [0.4, 0.5] == [s.pause_after_s for s in plan.segments]
    assert ["scene break", "scene break"] == [span.reason for span in plan.skipped]
    assert Boundary.CHAPTER is plan.segments[-1].boundary


def test_what_can_not_be_pronounced_is_skipped() -> None:
    """A paragraph in a script that the alphabet lacks."""
    plan = _plan(f"{LONG}.\n\n漢字。\n\n漢字。\n\n{LONG}.")
    assert [SkippedSpan(66, 76, "no pronounceable characters")] == list(plan.skipped)


def test_ids_name_content() -> None:
    """Equal text shares an id wherever it stands; everything that changes the sound changes it."""
    plan = _plan(f"{LONG}.\n\n{LONG}.")
    assert plan.segments[0].segment_id == plan.segments[1].segment_id
    sampling = Sampling(0.6, 0.9, 1.1)
    ids = {
        segment_id("a", "tara", "f", sampling, 0),
        segment_id("b", "tara", "f", sampling, 0),
        segment_id("a", "leo", "f", sampling, 0),
        segment_id("a", "tara", "g", sampling, 0),
        segment_id("a", "tara", "f", Sampling(0.7, 0.9, 1.1), 0),
        segment_id("a", "tara", "f", sampling, 1),
        segment_id("at", "ara", "f", sampling, 0),
    }
    assert 7 == len(ids)
    assert 64 == len(segment_id("\ud800", "tara", "f", sampling, 0))


def test_ids_do_not_depend_on_pauses_or_limits() -> None:
    """Pauses change later without a model."""
    other = PauseConfig(0.9, 0.9, 0.9, 0.9, 0.9)
    assert [s.segment_id for s in _plan(f"{LONG}.").segments] == [
        s.segment_id for s in _plan(f"{LONG}.", pauses=other).segments
    ]


def test_limits_are_checked() -> None:
    """Before anything is planned."""
    with pytest.raises(ConfigError, match="segments of 50 to 40 characters"):
        _plan(LONG, min_chars=50, max_chars=40)
    with pytest.raises(ConfigError, match="max_chars must be at least 20"):
        _plan(LONG, min_chars=1, max_chars=10)
    with pytest.raises(ConfigError, match="has no voice 'nobody'"):
        _plan(LONG, voice="nobody")


def _book(tmp_path: Path):
    file = tmp_path / "book.txt"
    file.write_text(
        f"CHAPTER I\n\n{LONG}. He ran.\n\nCHAPTER II\n\n{LONG}.\n\n* * *\n\n{LONG}.\n", encoding="utf-8"
    )
    return read_book(file)


def test_a_book_is_planned_and_covered(tmp_path: Path) -> None:
    """Two chapters; the plan of each bears its title."""
    plans = plan_book(_book(tmp_path), pack=PACK, voice="text", model_fingerprint="f", pauses=PAUSES)
    assert ["CHAPTER I", "CHAPTER II"] == [plan.title for plan in plans]
    assert [2, 3] == [len(plan.segments) for plan in plans]


def test_a_lost_or_doubled_character_is_found(tmp_path: Path) -> None:
    """The check is worth nothing unless it fails when one character is missing."""
    book = _book(tmp_path)
    plans = plan_book(book, pack=PACK, voice="text", model_fingerprint="f", pauses=PAUSES)
    first = plans[0].segments[0]

    def with_first(**changes: int) -> list[ChapterPlan]:
        segments = (dataclasses.replace(first, **changes), *plans[0].segments[1:])
        return [dataclasses.replace(plans[0], segments=segments), *plans[1:]]

    with pytest.raises(CoverageError, match="left out"):
        check_coverage(book, with_first(start=first.start + 1))
    with pytest.raises(CoverageError, match="left out"):
        check_coverage(book, with_first(end=first.end - 1))
    with pytest.raises(CoverageError, match="covered twice"):
        check_coverage(book, with_first(end=first.end + 1))
    with pytest.raises(CoverageError, match=r"left out|ends at character"):
        check_coverage(book, plans[:1])


def test_one_edited_sentence_changes_one_segment() -> None:
    """In a long paragraph of ordinary sentences every other id stays: only one is rendered again."""
    sentences = [f"{LONG}, said number {number} of them all." for number in range(40)]
    before = _plan(" ".join(sentences))
    sentences[20] = f"{LONG}, said somebody else entirely."
    after = _plan(" ".join(sentences))
    changed = {s.segment_id for s in after.segments} - {s.segment_id for s in before.segments}
    assert 40 == len(after.segments)
    assert 1 == len(changed)


def test_an_edit_that_is_not_wrapped_again_changes_one_segment() -> None:
    """A long line in a wrapped paragraph is an edit, no sign that every line is a paragraph."""
    lines = [
        "The old road went on between the high hedges for a mile or two. The",
        "wind blew over it all day long.",
    ] * 9
    before = _plan("\n".join(lines))
    lines[6] = (
        lines[6].replace("The", "The rain had begun to fall by then, and nobody was about, and then the")
        + " wide"
    )
    after = _plan("\n".join(lines))
    changed = {s.segment_id for s in after.segments} - {s.segment_id for s in before.segments}
    assert len(lines[6]) > 160
    assert 0 < len(changed) <= 4


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("one two three four", ["one two ", "three four"]),
        ("one two, three four", ["one two, ", "three four"]),
        ("one; two, three four", ["one; two, ", "three four"]),
        ("onetwothreefour five", ["onetwothreefour ", "five"]),
        ("one--two three four", ["one--", "two ", "three four"]),
        ("short", ["short"]),
    ],
)
def test_cut_points(text: str, pieces: list[str]) -> None:
    """Best clause near the even cut, for pieces of at most ten characters."""
    cuts = [0, *cut_points(text, 10), len(text)]
    assert pieces == [text[a:b] for a, b in itertools.pairwise(cuts)]
