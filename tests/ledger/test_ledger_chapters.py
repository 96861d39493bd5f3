"""Chapters in the ledger: settled or not, encoded or not, and which files are theirs."""

import dataclasses
import hashlib

import numpy as np
import pytest

from orpheus_batch.data import Cue
from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.records import EncodedChapter, EncodedFile, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.testing import make_plan


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path) as opened:
        yield opened


def planned(ledger, *chapters):
    book, plans = make_plan(*chapters)
    ledger.record_plan(book, plans, {}, {})
    return [[s.segment_id for s in plan.segments] for plan in plans]


def take(segment_id, attempt=0, *, accepted=True, score=-0.1, first=5):
    tokens = np.arange(first, first + 7, dtype=np.int32)
    return Take(segment_id, attempt, attempt, tokens, "stop", "fake", (), score, accepted, 2.0)


def written(ledger, name, content=b"audio"):
    (ledger.folder / name).write_bytes(content)
    return EncodedFile(name, len(content), hashlib.sha256(content).hexdigest(), 12.5)


def test_a_chapter_is_settled_when_its_last_segment_is(ledger):
    """Failed counts as settled: the run goes on without it."""
    (first, second), (third,) = planned(ledger, ["a", "b"], ["c"])
    assert not ledger.chapter_is_settled(0)
    ledger.record_takes([take(first)], max_attempts=1)
    assert not ledger.chapter_is_settled(0)
    ledger.record_takes([take(second, accepted=False)], max_attempts=1)
    assert ledger.chapter_is_settled(0)
    assert not ledger.chapter_is_settled(1)
    row, other = ledger.chapters()
    assert (0, "Chapter 1", 2, 2, 1, 4.0, None) == (
        row.index, row.title, row.num_segments, row.num_settled, row.num_failed, row.num_audio_s, row.encoded,
    )  # fmt: skip
    assert (1, 0) == (other.num_segments, other.num_settled)
    assert third == ledger.pending()[0].segment.segment_id


def test_a_chapter_with_nothing_to_say_is_settled(ledger):
    """All of it skipped, say: it must not hold up the run, nor vanish from the list."""
    planned(ledger, ["a"], [], ["b"])
    assert ledger.chapter_is_settled(1)
    assert [1, 0, 1] == [row.num_segments for row in ledger.chapters()]
    assert [] == ledger.chapter_pieces(1)


def test_an_unknown_chapter_is_an_error(ledger):
    """Else an empty chapter would be stitched in silence."""
    planned(ledger, ["a"])
    for ask in (ledger.chapter_is_settled, ledger.chapter_pieces, lambda i: ledger.recipe_sha256(i, {})):
        with pytest.raises(LedgerError, match="no chapter 7"):
            ask(7)


def test_the_recipe_follows_everything_that_is_heard(ledger):
    """Another take, another setting, another order: each a new recipe; the same again: the same."""
    ((a, b),) = planned(ledger, ["a", "b"])
    ledger.record_takes([take(a), take(b)], max_attempts=4)
    recipe = ledger.recipe_sha256(0, {"bitrate_kbps": 96, "title": "x"})
    assert recipe == ledger.recipe_sha256(0, {"title": "x", "bitrate_kbps": 96})
    assert recipe != ledger.recipe_sha256(0, {"bitrate_kbps": 128, "title": "x"})
    ledger.request_retake(a)
    ledger.record_takes([take(a, 1)], max_attempts=4)
    retaken = ledger.recipe_sha256(0, {"bitrate_kbps": 96, "title": "x"})
    assert recipe != retaken
    planned(ledger, ["b", "a"])
    assert retaken != ledger.recipe_sha256(0, {"bitrate_kbps": 96, "title": "x"})


def test_the_recipe_follows_the_pauses(ledger):
    """Longer pauses need no model, but the file again."""
    book, plans = make_plan(["a"])
    recipes = set()
    for pause_after_s in (0.35, 0.5):
        segment = dataclasses.replace(plans[0].segments[0], pause_after_s=pause_after_s)
        ledger.record_plan(book, [dataclasses.replace(plans[0], segments=(segment,))], {}, {})
        recipes.add(ledger.recipe_sha256(0, {}))
    assert 2 == len(recipes)


def test_the_recipe_is_the_same_in_another_folder(tmp_path):
    """Nothing of the file's own history (keys, order of arrival) may enter it, or resumed runs would differ."""
    recipes = []
    for name, order in (("one", 1), ("two", -1)):
        with Ledger.open(tmp_path / name) as ledger:
            if order < 0:
                planned(ledger, ["something else", "b"])
            ((a, b),) = planned(ledger, ["a", "b"])
            for segment_id in (a, b)[::order]:
                ledger.record_takes([take(segment_id)], max_attempts=4)
            recipes.append(ledger.recipe_sha256(0, {}))
    assert recipes[0] == recipes[1]


def test_an_encoded_chapter_is_known_by_recipe_and_files(ledger):
    """Done means: this recipe, and the files still there with these bytes."""
    ((a,),) = planned(ledger, ["a"])
    file = written(ledger, "01 - One.mp3")
    assert not ledger.is_encoded(0, "recipe")
    ledger.mark_encoded(0, "recipe", [file], [Cue(a, 0, 12_000, 48_000)])
    assert EncodedChapter("recipe", (file,)) == ledger.encoded(0)
    assert ledger.is_encoded(0, "recipe")
    assert not ledger.is_encoded(0, "another recipe")
    (ledger.folder / file.name).write_bytes(b"AUDIO")  # as long as before: the size alone would not tell
    assert not ledger.is_encoded(0, "recipe")
    (ledger.folder / file.name).unlink()
    assert not ledger.is_encoded(0, "recipe")


def test_a_file_that_is_not_there_is_not_marked(ledger):
    """The mark comes last; before the rename there is nothing to mark."""
    planned(ledger, ["a"])
    file = written(ledger, "01.mp3")
    for content in (None, b"cut"):
        (ledger.folder / file.name).unlink(missing_ok=True)
        if content is not None:
            (ledger.folder / file.name).write_bytes(content)
        with pytest.raises(LedgerError, match=r"01\.mp3 is not there as it was encoded"):
            ledger.mark_encoded(0, "recipe", [file], [])
    assert ledger.encoded(0) is None


def test_files_of_an_old_title_are_superseded(ledger):
    """Else a renamed chapter would leave two files for the listener to wonder at."""
    planned(ledger, ["a"], ["b"])
    old, new, other = (written(ledger, name) for name in ("01 - Old.mp3", "01 - New.mp3", "02 - B.mp3"))
    ledger.mark_encoded(0, "r", [old], [])
    ledger.mark_encoded(1, "r", [other], [])
    ledger.mark_encoded(0, "r2", [new], [])
    assert [old] == ledger.superseded_files()
    ledger.forget_files([old.name, other.name])  # a file in use is not forgotten
    assert [] == ledger.superseded_files()
    assert (other,) == ledger.encoded(1).files
    planned(ledger, ["a"])
    assert [other] == ledger.superseded_files()
    assert ledger.encoded(1) is None


def test_a_name_taken_over_leaves_its_chapter_unfinished(ledger):
    """Two chapters can't own one file: the first must be encoded again under another name."""
    planned(ledger, ["a"], ["b"])
    ledger.mark_encoded(0, "r", [written(ledger, "x.mp3")], [])
    ledger.mark_encoded(1, "r", [written(ledger, "x.mp3", b"other")], [])
    assert ledger.encoded(0) is None
    assert ledger.is_encoded(1, "r")


def test_suspects_come_worst_first_with_their_time(ledger):
    """A segment without any audio leads; the time is where the chapter's file has it."""
    ((a, b, c),) = planned(ledger, ["a", "b", "c"])
    takes = [take(a, score=-0.2), take(b, accepted=False, score=-6.0)]
    ledger.record_takes(takes, max_attempts=1)
    ledger.mark_failed(c, "no letters")
    ledger.mark_encoded(0, "r", [written(ledger, "x.mp3")], [Cue(a, 0, 0, 24_000), Cue(b, 1, 36_000, 24_000)])
    found = ledger.suspects(3)
    assert [("c", None, None), ("b", -6.0, 1.5), ("a", -0.2, 0.0)] == [
        (s.text, s.score, s.start_s) for s in found
    ]
    assert ["c"] == [s.text for s in ledger.suspects(1)]


def test_the_summary_counts_each_thing_once(ledger):
    """Segments are distinct, places and audio are not: a refrain is heard twice."""
    (a, _, b, c), _ = planned(ledger, ["a", "a", "b", "c"], ["d"])
    ledger.record_takes([take(a), take(b, accepted=False)], max_attempts=1)
    summary = ledger.summary()
    assert ("Tiny Book", "Nobody", 2, 0) == (
        summary.title, summary.author, summary.num_chapters, summary.num_chapters_encoded,
    )  # fmt: skip
    assert (5, 4) == (summary.num_places, summary.num_segments)
    assert (1, 1, 2) == (summary.num_accepted, summary.num_failed, summary.num_pending)
    assert (2, 6.0) == (summary.num_takes, summary.num_audio_s)
    assert c not in {s.segment_id for s in ledger.suspects(9)}


def test_an_empty_ledger_has_a_summary(ledger):
    """A run killed before its plan was recorded can be asked for its status too."""
    assert (0, 0.0, "") == (ledger.summary().num_places, ledger.summary().num_audio_s, ledger.summary().title)
