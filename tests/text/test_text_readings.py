"""Before and after: sentences as they are spoken, each change at its place in the source."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Chapter
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.lexicon import Lexicon, LexiconEntry
from orpheus_batch.text.markup import clean
from orpheus_batch.text.readings import is_of_words, read_chapter
from orpheus_batch.text.segment import plan_chapter
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.text.utterance import source_places

PACK = make_text_pack(BUILTIN_ALPHABET, min_chars=1, max_chars=80)
SPLITTER = SentenceSplitter()
LEXICON = Lexicon([LexiconEntry("Ahab", "Ay-hab", "names.yaml, line 1")])


def _read(text, heading_length=0):
    chapter = Chapter(0, "", text, 100, heading_length)
    sentences = SPLITTER.split_chapter(chapter)
    options = {"pack": PACK, "voice": "text", "lexicon": LEXICON}
    readings = list(read_chapter(chapter, sentences, max_chars=80, **options))
    plan = plan_chapter(chapter, sentences, model_fingerprint="f", pauses=PauseConfig(), **options)
    return readings, plan


def test_before_after_and_why():
    """Markup is not in the words, but the spans count it; what is not read has its reason."""
    text = "CHAPTER II\n\nOn _May 5_, Dr. Ahab paid him back then £3.\n\n* * *\n\nHe left.\n"
    readings, _ = _read(text, 10)
    shown = [(text[r.start - 100 : r.end - 100].strip(), r.written, r.spoken, r.skip_reason) for r in readings]
    assert [
        ("CHAPTER II", "CHAPTER II", "Chapter Two.", ""),
        (
            "On _May 5_, Dr. Ahab paid him back then £3.",
            "On May 5, Dr. Ahab paid him back then £3.",
            "On May fifth, Doctor Ay-hab paid him back then three pounds.",
            "",
        ),
        ("* * *", "* * *", "", "scene break"),
        ("He left.", "He left.", "He left.", ""),
    ] == shown
    changes = [(text[c.start - 100 : c.end - 100], c.spoken, c.rules) for c in readings[1].changes]
    assert [
        ("5", "fifth", ("date",)),
        ("Dr.", "Doctor", ("title",)),
        ("Ahab", "Ay-hab", ("lexicon (names.yaml, line 1)",)),
        ("£3", "three pounds", ("money",)),
    ] == changes
    assert [True, True, False, False] == [r.changes_words for r in readings]


def test_a_long_sentence_is_shown_in_its_parts():
    """Each with the mark that is put at its end, and changes at their own places."""
    text = "The old road went on between the hedges for 12 miles or more, and nobody knew where it led, or who made it"
    readings, plan = _read(text)
    assert [s.text for s in plan.segments] == [r.spoken for r in readings]
    assert [("12", "twelve"), ("", ".")] == [
        (text[c.start - 100 : c.end - 100], c.spoken) for r in readings for c in r.changes
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=80)
@given(
    st.lists(
        st.sampled_from(
            [
                "Ahab",
                "_May 5_",
                "[3]",
                "£3.50",
                "“No”—",
                "\n",
                "\n\n",
                "<happy>",
                "[pause 1s]",
                "word " * 9,
                "ca\u00adfé",
                "x.",
            ]
        ),
        max_size=14,
    ).map(" ".join)
)
@example("[pause 1s] Ahab [3] <happy> . _May 5_")
def test_readings_tile_the_chapter_and_are_what_is_planned(text):
    """So the view can't differ from the run; changes lie within their reading and say what stands there."""
    readings, plan = _read(text)
    position = 100
    for reading in readings:
        assert position == reading.start
        position = reading.end
        for change in reading.changes:
            assert reading.start <= change.start <= change.end <= reading.end
            here = clean(text, change.start - 100, change.end - 100).text
            assert change.written.split() == here.split() or not change.written.isalnum()
    assert 100 + len(text) == position
    said = " ".join(r.spoken for r in readings if not r.skip_reason)
    assert said.split() == " ".join(s.text for s in plan.segments).split()


@pytest.mark.parametrize(
    ("written", "spoken", "words"),
    [("“", '"', False), ("NO", "No", False), ("5", "five", True), ("é", "e", True), ("x", "", True)],
)
def test_punctuation_and_case_are_no_words(written, spoken, words):
    """What the default view leaves out."""
    from orpheus_batch.text.explain import Change

    assert words == is_of_words(Change(0, 1, written, spoken, ("rule",)))


def test_places_are_found_once_a_sentence(monkeypatch):
    """Once a part, which looked over the whole sentence each time, a line of 40,000 characters took as many seconds."""
    calls = []

    def counted(source, text, positions):
        calls.append(len(positions))
        return source_places(source, text, positions)

    monkeypatch.setattr("orpheus_batch.text.readings.source_places", counted)
    readings, _ = _read("1 " * 2_000)
    assert len(readings) > 10
    assert 1 == len(calls)
