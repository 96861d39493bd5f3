"""Segments speak with the voices of the cast: cut where the voice changes and nowhere else, every character once."""

import dataclasses

import pytest
from dialogue_helpers import Stage
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Book, Boundary, Chapter, SkippedSpan
from orpheus_batch.pipeline.books import make_plan
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.testing import make_text_pack
from orpheus_batch.text.dialogue.roster import Roster, Speaker
from orpheus_batch.text.dialogue.turns import Turn, find_turns, with_voices
from orpheus_batch.text.segment import check_coverage, plan_book
from orpheus_batch.text.split import SentenceSplitter
from orpheus_batch.voices import Voice

LINE = "“I am not so sure of that,” said Alice, who was looking at the tea-table, “not as sure as you are.”"
OTHER = "“It is always six o’clock in this place, and never any later than that,” said the Hatter with a sigh."


def test_quotations_are_cut_out_of_their_sentence(tmp_path):
    """With a short pause inside the sentence, and the sentence's own at its end."""
    stage = Stage(tmp_path, f"{LINE}\n\n{OTHER}\n")
    assert [
        ("leah", '"I am not so sure of that,"'),
        ("tara", "said Alice, who was looking at the tea-table,"),
        ("leah", '"not as sure as you are."'),
        ("leo", '"It is always six o\'clock in this place, and never any later than that,"'),
        ("tara", "said the Hatter with a sigh."),
    ] == [(voice, text.replace("’", "'")) for voice, text in stage.segments()]
    config = stage.config()
    (plan,) = make_plan(stage.book(config), pack_of(config), config, "f")
    pauses = PauseConfig()
    assert [pauses.clause_s, pauses.clause_s, pauses.paragraph_s, pauses.clause_s, pauses.chapter_s] == [
        segment.pause_after_s for segment in plan.segments
    ]
    assert Boundary.CLAUSE is plan.segments[0].boundary


def test_one_voice_cuts_nothing(tmp_path):
    """A cast of the narrator alone, and one whose characters share its voice, plan as no cast does."""
    text = f"{LINE}\n\n{OTHER}\n"
    plain = Stage(tmp_path, text, cast=None).segments()
    assert plain == Stage(tmp_path, text, cast="narrator: tara\n").segments()
    assert plain == Stage(tmp_path, text, cast="characters: {Alice: tara, Hatter: }\n").segments()


def test_short_pieces_join_their_own_voice_alone(tmp_path):
    """“No.” may join what the same speaker says next, never what the narrator does."""
    stage = Stage(
        tmp_path, "“No. I won’t. You can’t make me do it at all,” said Alice. She sat down. It was late.\n"
    )
    assert [
        ("leah", "“No. I won’t. You can’t make me do it at all,”"),
        ("tara", "said Alice. She sat down. It was late."),
    ] == [
        (voice, text.replace('"', "“", 1).replace('"', "”").replace("'", "’"))
        for voice, text in stage.segments()
    ]


def test_the_narrator_of_the_cast_and_the_voice_option(tmp_path):
    """The option goes before the file, as everywhere."""
    stage = Stage(tmp_path, f"{LINE}\n", cast="narrator: mia\ncharacters: {Alice: leah}\n")
    assert {"mia", "leah"} == {voice for voice, _ in stage.segments()}
    assert {"zoe", "leah"} == {voice for voice, _ in stage.segments(voice="zoe")}


def test_others_speak_by_their_gender(tmp_path):
    """An old man and a lady who are not in the cast."""
    stage = Stage(
        tmp_path,
        "“Where is it that you are going to?” asked the old man.\n\n“I am going home now,” said the lady.\n",
    )
    assert ["zac", "tara", "jess", "tara"] == [voice for voice, _ in stage.segments()]


def test_marks_and_voices_go_together(tmp_path):
    """A pause and a tag inside a quotation stay in its voice."""
    stage = Stage(tmp_path, "“I am not <laugh> so sure of it [pause 1s] at all,” said Alice.\n")
    assert [
        ("leah", '"I am not <laugh> so sure of it,'),
        ("leah", 'at all,"'),
        ("tara", "said Alice."),
    ] == stage.segments()


def test_headings_are_the_narrators(tmp_path):
    """Even one in quotation marks."""
    stage = Stage(tmp_path, f"CHAPTER I. “SAID ALICE”\n\n{LINE}\n")
    assert "tara" == stage.segments()[0][0]


PIECES = [
    "“", "”", '"', "'", "‘", "’", "«", "»", "„", "—", "--", "said Alice", "Alice", "he said", ",", ".", "?", "!", "I",
    "don’t", "the boys’ hats", "“No,”", "'Yes,'", "‘Go,’ said he.", "\n", "\n\n", "\n\n", "    ", "_em_",
    "[1]", "[pause 1s]", "<giggle>",
    "* * *", "CHAPTER I", "Mr. Smith", "x" * 90, "5", "…", "(", ")", "¿", "``", "''", "\u200b", "\u00a0",
]  # fmt: skip
QUOTED = st.lists(st.sampled_from([*PIECES, " ", " ", " "]), max_size=60).map("".join)
PEOPLE = [(Speaker("Alice", "female"), ("Alice",)), (Speaker("Smith", "male"), ("Smith", "he"))]


def _book(text: str) -> Book:
    half = text.find("\n\n") + 2 if "\n\n" in text else 0
    parts = [part for part in (text[:half], text[half:]) if part]
    chapters, start = [], 3
    for index, part in enumerate(parts):
        chapters.append(Chapter(index, "", part, start, min(2, len(part)) * index))
        start += len(part)
    return Book("", "", "en", "b.txt", "", start, tuple(chapters), (SkippedSpan(0, 3, "header"),))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(QUOTED, st.integers(0, 7))
@example("“A,” said Alice. “B.”\n\n“C", 1)
@example("‘Alice’s boys’ hats,’ said he. 'No", 3)
@example('"\n\n"\n\n"', 7)
def test_every_character_is_covered_once_whoever_speaks(text, salt):
    """Quotation marks of every kind, paired or not; voices given to turns at random; `check_coverage` proves it."""
    if not text:
        return
    book = _book(text)
    pack = make_text_pack(None, min_chars=10, max_chars=60)
    pack = dataclasses.replace(pack, voices=tuple(Voice(name, "en", "") for name in ("text", "leo", "leah")))
    seen: list[list[Turn]] = []

    def voice_of(turn: Turn) -> str:
        return ["", "leo", "leah"][(turn.paragraph * 7 + turn.index * 3 + salt) % 3]

    def casting(book, sentences):
        turns = find_turns(book, sentences, lambda mentions, narration: Roster(PEOPLE))
        seen.extend(turns)
        return [
            with_voices(chapter, of_chapter, own, voice_of)
            for chapter, of_chapter, own in zip(book.chapters, sentences, turns, strict=True)
        ]

    plans = plan_book(
        book, pack=pack, voice="text", model_fingerprint="f", pauses=PauseConfig(), casting=casting
    )
    check_coverage(book, plans)
    for chapter, turns in zip(book.chapters, seen, strict=True):
        assert len({turn.place for turn in turns}) == len(turns)
        assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
        assert all(
            chapter.source_start <= turn.start < chapter.source_start + len(chapter.text) for turn in turns
        )


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(QUOTED)
def test_turns_hold_every_word_once(text):
    """What the turns of a chapter say is what its sentences say."""
    chapter = Chapter(0, "", text, 0, 0)
    book = Book("", "", "en", "b.txt", "", len(text), (chapter,), ())
    sentences = SentenceSplitter().split_chapter(chapter)
    (turns,) = find_turns(book, [sentences], lambda mentions, narration: Roster(PEOPLE))
    words = " ".join(sentence.text for sentence in sentences if not sentence.skip_reason)
    assert "".join(words.split()) == "".join("".join(turn.text for turn in turns).split())


@pytest.mark.parametrize("voice", ["leo", ""])
def test_a_segment_never_mixes_voices(voice, tmp_path):
    """Whatever is said by one voice stays in segments of that voice, over a whole scene."""
    scene = "\n\n".join([LINE, OTHER, "“No.”", "“Yes.”", f"Then they were quiet. {OTHER}"])
    stage = Stage(tmp_path, scene, cast=f"characters: {{Alice: leah, Hatter: {voice or 'dan'}}}\n")
    lines = stage.casting().lines
    spoken = {line.turn.text: line.voice or "tara" for line in lines}
    for segment_voice, text in stage.segments():
        plain = text.replace('"', "").replace("'", "").strip(",. ")
        homes = {
            v
            for words, v in spoken.items()
            if plain[:20] in words.replace("“", "").replace("”", "").replace("’", "")
        }
        assert not homes or segment_voice in homes
