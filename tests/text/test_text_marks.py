"""Pauses and emotion tags that a text carries: heard, or taken out with their reason, and never read aloud."""

import pytest

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Boundary, Chapter, ChapterPlan
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.marks import (
    BAD_PAUSE,
    EARLY_PAUSE,
    FOREIGN_TAG,
    LONG_PAUSE,
    MAX_PAUSE_S,
    PAUSE,
    UNKNOWN_TAG,
    advice,
    find_marks,
)
from orpheus_batch.text.segment import plan_chapter
from orpheus_batch.text.split import SentenceSplitter

SPLITTER = SentenceSplitter()
ORPHEUS_TAGS = ("<laugh>", "<chuckle>", "<sigh>", "<cough>", "<sniffle>", "<groan>", "<yawn>", "<gasp>")


def _plan(text: str, tags: tuple[str, ...] = (), heading_length: int = 0) -> ChapterPlan:
    chapter = Chapter(0, "", text, 0, heading_length)
    return plan_chapter(
        chapter,
        SPLITTER.split_chapter(chapter),
        pack=make_text_pack(BUILTIN_ALPHABET, tags=tags, min_chars=10),
        voice="text",
        model_fingerprint="f",
        pauses=PauseConfig(),
    )


def _heard(text: str, tags: tuple[str, ...] = ()) -> list[tuple[str, float]]:
    return [(segment.text, segment.pause_after_s) for segment in _plan(text, tags).segments]


def _skipped(text: str, tags: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(text[span.start : span.end].strip(), span.reason) for span in _plan(text, tags).skipped]


@pytest.mark.parametrize(
    ("mark", "pause_s"),
    [
        ("[pause 1.5s]", 1.5),
        ("[pause 800ms]", 0.8),
        ("[pause 2 seconds]", 2.0),
        ("[Pause: 0,5 sec]", 0.5),
        ("[PAUSE=1S]", 1.0),
        ("[pause .25s]", 0.25),
        ("[pause 0s]", 0.0),
    ],
)
def test_a_pause_is_heard_as_silence(mark, pause_s):
    """In seconds or milliseconds, as people write them; it stands in for the pause that would be there."""
    text = f"He knocked at the door. {mark} Nobody answered him."
    assert [("He knocked at the door.", pause_s), ("Nobody answered him.", 2.0)] == _heard(text)
    assert [(mark, PAUSE)] == _skipped(text)


def test_a_pause_inside_a_sentence():
    """What is before it goes on, so it ends with a comma; what stands after it keeps the sentence's end."""
    text = "She opened the old box [pause 1s] and found nothing."
    assert [("She opened the old box,", 1.0), ("and found nothing.", 2.0)] == _heard(text)
    assert Boundary.CLAUSE is _plan(text).segments[0].boundary


def test_punctuation_after_a_pause_stays_with_the_words():
    """A question remains one, and a quotation is closed where it was opened."""
    assert ("Who was at the door?", 1.0) == _heard("Who was at the door [pause 1s]? She wondered.")[0]
    assert '"Well now,"' == _heard("“Well now [pause 1s]” he said to her.")[0][0]


def test_a_pause_between_paragraphs_and_after_the_last_word():
    """It replaces the paragraph's and the chapter's own; pauses side by side add up."""
    text = "It was dark in there.\n\n[pause 3s] [pause 500ms]\n\nIt was cold in there. [pause 4s]"
    assert [("It was dark in there.", 3.5), ("It was cold in there.", 4.0)] == _heard(text)


def test_long_pauses_are_cut_and_said_to_be():
    """One that is too long, and many that are too long together: no text makes a day of silence."""
    assert [(LONG_PAUSE, MAX_PAUSE_S)] == [(m.reason, m.pause_s) for m in find_marks("[pause 90000s]", ())]
    text = "It was dark in there. " + "[pause 6s] " * 3
    assert [("It was dark in there.", MAX_PAUSE_S)] == _heard(text)
    assert [PAUSE, LONG_PAUSE] == [reason for _, reason in _skipped(text)]


def test_a_pause_before_the_first_word_is_reported():
    """There is nothing that it could follow."""
    assert [("[pause 1s]", EARLY_PAUSE)] == _skipped("[pause 1s] It was dark in there.")


@pytest.mark.parametrize(
    "mark",
    ["[pause]", "[pause 2]", "[pause -1s]", "[pause 1.2.3s]", "[pause two seconds]", "[pause 5 minutes]"],
)
def test_a_malformed_pause_is_reported_and_not_read(mark):
    """Its words are nobody's speech."""
    text = f"He knocked at the door. {mark} Nobody answered him."
    assert ["He knocked at the door.", "Nobody answered him."] == [spoken for spoken, _ in _heard(text)]
    assert [(mark, BAD_PAUSE)] == _skipped(text)


def test_an_unclosed_pause_is_malformed_and_takes_no_words_with_it():
    """The bracket was forgotten; what follows is the book."""
    text = "He knocked at the door [pause 3s and waited there."
    assert ["He knocked at the door,", "and waited there."] == [spoken for spoken, _ in _heard(text)]
    assert [("[pause 3s", BAD_PAUSE)] == _skipped(text)


def test_brackets_with_other_words_are_the_books_own():
    """Stage directions, editors' notes, names."""
    for text in (
        "He drank [pausing to breathe] and drank.",
        "A [paused] clock.",
        "[Paused 3s]",
        "Write <Name>.",
    ):
        assert [] == find_marks(text, ())


def test_the_voices_own_tags_stay_where_they_are():
    """In the middle of a sentence, unchanged."""
    text = "Well <laugh> I never <sigh> saw the like of it."
    assert [("Well <laugh> I never <sigh> saw the like of it.", 2.0)] == _heard(text, ORPHEUS_TAGS)
    assert [] == _skipped(text, ORPHEUS_TAGS)


def test_a_tag_that_the_voice_lacks_is_taken_out_with_the_reason():
    """Its span is skipped, not swallowed by a sentence."""
    text = "Well, I never saw it <laugh>. He went on with his work."
    assert ["Well, I never saw it.", "He went on with his work."] == [spoken for spoken, _ in _heard(text)]
    assert ("<laugh>", FOREIGN_TAG) == _skipped(text)[0]


@pytest.mark.parametrize("tag", ["<laughs>", "<giggle>", "<happy>", "</laugh>", "<LAUGH>", "<chuckel>"])
def test_wrong_tags_are_taken_out_and_reported(tag):
    """Orpheus would read them as words."""
    text = f"{tag} I never saw the like of it."
    assert ["I never saw the like of it."] == [spoken for spoken, _ in _heard(text, ORPHEUS_TAGS)]
    assert [(tag, UNKNOWN_TAG)] == _skipped(text, ORPHEUS_TAGS)


@pytest.mark.parametrize(
    "word", ["<head>", "<type>", "<triplet>", "<url>", "<yourname>", "<Name>", "<custom_token_5>"]
)
def test_other_words_in_brackets_are_the_books_own(word):
    """A manual speaks of its placeholders, and of elements of HTML; they are read as words, as control tokens are."""
    assert [] == find_marks(f"Put {word} there, <|eot_id|>, 3 < x > 2", ORPHEUS_TAGS)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("<laughs>", "did you mean <laugh>?"),
        ("<laughing>", "did you mean <laugh>?"),
        ("<chuckel>", "did you mean <chuckle>?"),
        ("<GASP>", "did you mean <gasp>?"),
        ("<happy>", "the voice has <laugh> <chuckle>"),
        ("[pause 2]", "write [pause 2s]"),
        ("[pause long]", "write [pause 1.5s] or [pause 800ms]"),
    ],
)
def test_advice_names_what_was_meant(mark, said):
    """The nearest tag, or what there is; a pause with its unit."""
    assert said in advice(mark, ORPHEUS_TAGS)


def test_advice_without_any_tags():
    """Of the built-in voice."""
    assert "the voice has no tags at all" == advice("<laugh>", ())


def test_marks_in_a_heading():
    """The heading is still spoken as one."""
    plan = _plan("CHAPTER IV [pause 3s]\n\nIt was dark in there.", heading_length=23)
    assert [("Chapter Four.", 3.0), ("It was dark in there.", 2.0)] == [
        (s.text, s.pause_after_s) for s in plan.segments
    ]


def test_many_brackets_take_no_time():
    """Linear in the text."""
    assert 20_000 == len(find_marks("[pause 1s][[[[[ < <a " * 20_000, ()))
