"""The ledger's plan and takes: what is pending, what is heard, and what is never changed."""

import dataclasses

import numpy as np
import pytest

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.records import PlanDiff, SegmentState, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.testing import make_plan


def take(segment_id, attempt=0, *, accepted=True, score=-0.1, num_frames=2):
    """A take whose tokens differ from those of every other (segment, attempt)."""
    start = int(segment_id[:4], 16) + attempt
    return Take(
        segment_id=segment_id,
        attempt=attempt,
        seed=attempt,
        token_ids=np.arange(start, start + 7 * num_frames, dtype=np.int32),
        finish_reason="stop",
        engine="fake",
        problems=() if accepted else (f"take {attempt} is bad",),
        score=score,
        accepted=accepted,
        num_audio_s=num_frames * 2048 / 24000,
    )


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "book") as opened:
        yield opened


def planned(ledger, *chapters, **options):
    book, plans = make_plan(*chapters, **options)
    diff = ledger.record_plan(book, plans, {"seed": 0}, {"name": "tiny"})
    return diff, plans


def ids(plans):
    return {s.text: s.segment_id for plan in plans for s in plan.segments}


def test_equal_texts_share_one_segment(ledger):
    """Places are many to one: a refrain is generated once and heard at each place."""
    diff, plans = planned(ledger, ["a", "refrain"], ["b", "refrain"])
    assert PlanDiff(num_places=4, num_segments=3, num_new=3, num_kept=0, num_dropped=0) == diff
    assert ["a", "refrain", "b"] == [p.segment.text for p in ledger.pending()]
    ledger.record_takes([take(ids(plans)["refrain"])], max_attempts=4)
    assert [[None, 0], [None, 0]] == [[p.attempt for p in ledger.chapter_pieces(i)] for i in (0, 1)]


def test_the_plan_comes_back_as_it_went_in(ledger):
    """Every field of every segment survives, so a resumed run stitches and prompts the same."""
    _, plans = planned(ledger, ["a", "b"], ["ünïcode “quotes”"])
    for plan in plans:
        assert list(plan.segments) == [piece.segment for piece in ledger.chapter_pieces(plan.chapter_index)]


def test_changing_one_sentence_leaves_the_others_takes(ledger):
    """One new segment, one dropped, and only the new one pending."""
    _, plans = planned(ledger, ["a", "b", "c"])
    ledger.record_takes([take(segment_id) for segment_id in ids(plans).values()], max_attempts=4)
    diff, _ = planned(ledger, ["a", "B", "c"])
    assert PlanDiff(num_places=3, num_segments=3, num_new=1, num_kept=2, num_dropped=1) == diff
    assert ["B"] == [p.segment.text for p in ledger.pending()]


def test_a_dropped_sentence_that_comes_back_is_not_generated_again(ledger):
    """Takes are content; a plan without the text must not delete them."""
    _, plans = planned(ledger, ["a", "b"])
    ledger.record_takes([take(ids(plans)["b"])], max_attempts=4)
    planned(ledger, ["a"])
    assert ["a"] == [p.segment.text for p in ledger.pending()]
    diff, _ = planned(ledger, ["a", "b"])
    assert 0 == diff.num_new
    assert ["a"] == [p.segment.text for p in ledger.pending()]


def test_an_unchanged_plan_changes_nothing(ledger):
    """The short way for a known plan reports what the long way would."""
    planned(ledger, ["a", "b", "a"])
    diff, _ = planned(ledger, ["a", "b", "a"])
    assert PlanDiff(num_places=3, num_segments=2, num_new=0, num_kept=2, num_dropped=0) == diff


def test_the_unchanged_plan_still_takes_the_new_configuration(ledger):
    """A digest over segments alone must not keep an old bitrate on record."""
    book, plans = make_plan(["a"])
    ledger.record_plan(book, plans, {"bitrate": 96}, {})
    ledger.record_plan(dataclasses.replace(book, title="New"), plans, {"bitrate": 128}, {})
    assert {"bitrate": 128} == ledger.facts()["config"]
    assert "New" == ledger.summary().title


def test_a_changed_pause_reaches_the_pieces(ledger):
    """A pause is part of the plan's digest, though not of any segment's id."""
    book, plans = make_plan(["a"])
    ledger.record_plan(book, plans, {}, {})
    longer = dataclasses.replace(plans[0].segments[0], pause_after_s=1.5)
    ledger.record_plan(book, [dataclasses.replace(plans[0], segments=(longer,))], {}, {})
    assert 1.5 == ledger.chapter_pieces(0)[0].segment.pause_after_s


def test_one_id_for_two_texts_is_refused(ledger):
    """Else one of them would be spoken with the other's words, in silence; the old plan stays."""
    book, plans = make_plan(["a", "b"])
    ledger.record_plan(book, plans, {}, {})
    first, second = plans[0].segments
    clash = dataclasses.replace(
        plans[0], segments=(first, dataclasses.replace(second, segment_id=first.segment_id))
    )
    with pytest.raises(LedgerError, match="two different texts"):
        ledger.record_plan(book, [clash], {}, {})
    assert ["a", "b"] == [p.segment.text for p in ledger.pending()]


def test_pending_pages_and_filters(ledger):
    """Pages by position see each segment once, also when the first pages are settled meanwhile."""
    _, plans = planned(ledger, [f"text {i}" for i in range(10)])
    ids_in_order = [s.segment_id for s in plans[0].segments]
    first = ledger.pending(limit=4)
    ledger.record_takes([take(p.segment.segment_id) for p in first], max_attempts=4)
    rest = ledger.pending(after=first[-1].position, limit=100)
    assert ids_in_order == [p.segment.segment_id for p in first + rest]
    ledger.record_takes([take(ids_in_order[5], accepted=False)], max_attempts=4)
    assert [ids_in_order[5]] == [p.segment.segment_id for p in ledger.pending(attempt=1)]
    assert 0 == ledger.next_attempt()
    assert 5 == len(ledger.pending(attempt=0))


def test_a_bad_take_asks_for_the_next(ledger):
    """Attempts count up until one is accepted."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    assert [] == ledger.record_takes([take(segment_id, 0, accepted=False)], max_attempts=3)
    assert [(1, 1)] == [(p.attempt, p.num_tries) for p in ledger.pending()]
    ledger.record_takes([take(segment_id, 1)], max_attempts=3)
    assert [] == ledger.pending()
    assert ledger.next_attempt() is None
    assert 1 == ledger.chosen_take(segment_id).attempt


def test_the_best_take_is_kept_of_a_segment_that_stays_bad(ledger):
    """Not the last: the highest score, and the earliest of equals, so that the choice is always the same."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    takes = [
        take(segment_id, i, accepted=False, score=score) for i, score in enumerate((-9.0, -2.0, -2.0, -5.0))
    ]
    assert [segment_id] == ledger.record_takes(takes, max_attempts=4)
    assert 1 == ledger.chosen_take(segment_id).attempt
    (failure,) = ledger.failures()
    assert (segment_id, 4, ("take 1 is bad",)) == (failure.segment_id, failure.num_takes, failure.problems)


def test_a_take_without_audio_is_never_heard(ledger):
    """An engine's error may leave nothing to decode, whatever its score says."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    empty = dataclasses.replace(
        take(segment_id, 0, accepted=False, score=0.0), num_audio_s=0.0, finish_reason="error"
    )
    ledger.record_takes([empty], max_attempts=1)
    assert ledger.chosen_take(segment_id) is None
    assert SegmentState.FAILED == ledger.chapter_pieces(0)[0].state


def test_the_same_take_twice_is_recorded_once(ledger):
    """A block that was recorded just before a crash may be handed in again."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    ledger.record_takes([take(segment_id)], max_attempts=4)
    ledger.record_takes([take(segment_id)], max_attempts=4)
    assert 1 == len(ledger.takes(segment_id))


@pytest.mark.parametrize(
    "change",
    [{"token_ids": np.arange(14, dtype=np.int32)}, {"seed": 99}, {"finish_reason": "length"}],
    ids=["tokens", "seed", "finish_reason"],
)
def test_a_recorded_take_is_never_changed(ledger, change):
    """Another stream under a known number is refused, and the rest of its batch with it."""
    _, plans = planned(ledger, ["a", "b"])
    known = ids(plans)
    ledger.record_takes([take(known["a"])], max_attempts=4)
    with pytest.raises(LedgerError, match="never changed"):
        ledger.record_takes([take(known["b"]), dataclasses.replace(take(known["a"]), **change)], max_attempts=4)
    assert [] == ledger.takes(known["b"])
    np.testing.assert_array_equal(take(known["a"]).token_ids, ledger.chosen_take(known["a"]).token_ids)


def test_a_take_comes_back_as_it_went_in(ledger):
    """Every field, numpy scalars included, which SQLite would not take as they are."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    given = dataclasses.replace(
        take(segment_id, 0, accepted=False, score=np.float32(-2.5)),
        accepted=np.bool_(False),
        seed=np.int64(5),
        problems=("too “long”", "loop"),
        measurements={"ratio": 1.5},
    )
    ledger.record_takes([given], max_attempts=4)
    (found,) = ledger.takes(segment_id)
    np.testing.assert_array_equal(given.token_ids, found.token_ids)
    fields = [f.name for f in dataclasses.fields(Take) if f.name != "token_ids"]
    assert [getattr(given, name) for name in fields] == [getattr(found, name) for name in fields]


def test_unknown_segments_and_bad_scores_are_refused(ledger):
    """Both would be bugs elsewhere; neither may enter."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    with pytest.raises(LedgerError, match="no segment"):
        ledger.record_takes([take("beef")], max_attempts=4)
    with pytest.raises(LedgerError, match="not a number"):
        ledger.record_takes([take(segment_id, score=float("nan"))], max_attempts=4)


def test_a_retake_replaces_what_was_accepted(ledger):
    """`redo`: the newest accepted take wins, even with a lower score; the old one stays on record."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    ledger.record_takes([take(segment_id, 0, score=-0.01)], max_attempts=4)
    assert 1 == ledger.request_retake(segment_id)
    assert 1 == ledger.request_retake(segment_id)  # asked twice, wanted once
    assert [(1, 0)] == [(p.attempt, p.num_tries) for p in ledger.pending()]
    assert 0 == ledger.chosen_take(segment_id).attempt
    ledger.record_takes([take(segment_id, 1, score=-0.5)], max_attempts=4)
    assert 1 == ledger.chosen_take(segment_id).attempt
    assert [0, 1] == [t.attempt for t in ledger.takes(segment_id)]


def test_a_retake_that_fails_keeps_what_was_accepted(ledger):
    """Asking for something better must not lose something good; and its tries are counted afresh."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    ledger.record_takes([take(segment_id, 0)], max_attempts=2)
    ledger.request_retake(segment_id)
    assert [] == ledger.record_takes([take(segment_id, 1, accepted=False, score=-3.0)], max_attempts=2)
    assert [(2, 1)] == [(p.attempt, p.num_tries) for p in ledger.pending()]
    assert [] == ledger.record_takes([take(segment_id, 2, accepted=False, score=-3.0)], max_attempts=2)
    assert [] == ledger.pending()
    assert [] == ledger.failures()
    assert 0 == ledger.chosen_take(segment_id).attempt


def test_a_changed_max_attempts_is_followed_both_ways(ledger):
    """A crash between the last take and a lower limit must not leave a segment pending for ever, nor a higher
    limit leave it failed."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    ledger.record_takes([take(segment_id, i, accepted=False) for i in range(2)], max_attempts=4)
    ledger.apply_max_attempts(2)
    assert [segment_id] == [f.segment_id for f in ledger.failures()]
    ledger.apply_max_attempts(3)
    assert [2] == [p.attempt for p in ledger.pending()]


def test_a_segment_that_cannot_be_spoken_fails_with_its_reason(ledger):
    """It has no take to speak for it, so the reason stands in its place; a retake clears it."""
    _, plans = planned(ledger, ["a"])
    (segment_id,) = ids(plans).values()
    ledger.mark_failed(segment_id, "the prompt is too long")
    ledger.apply_max_attempts(4)
    assert [("the prompt is too long",)] == [f.problems for f in ledger.failures()]
    assert ("the prompt is too long",) == ledger.chapter_pieces(0)[0].problems
    ledger.request_retake(segment_id)
    assert [0] == [p.attempt for p in ledger.pending()]


def test_overrides_lead_to_the_last_words(ledger):
    """A respelling of a respelling is still found by the words of the book."""
    ledger.set_override("Cholmondeley.", "Chumley.")
    ledger.set_override("Chumley.", "Chumlee.")
    assert {"Cholmondeley.": "Chumlee.", "Chumley.": "Chumlee."} == ledger.overrides()
    ledger.set_override("Chumlee.", "Cholmondeley.")
    assert "Cholmondeley." not in ledger.overrides()


def test_everything_is_there_after_reopening(tmp_path):
    """Plan, takes, states and overrides live in the file, not in the object."""
    with Ledger.open(tmp_path) as ledger:
        _, plans = planned(ledger, ["a", "b"])
        ledger.record_takes([take(ids(plans)["a"])], max_attempts=4)
        ledger.set_override("b", "bee")
        before = ledger.summary(), ledger.chapters(), ledger.pending(), ledger.overrides()
    with Ledger.open(tmp_path, read_only=True) as ledger:
        assert before == (ledger.summary(), ledger.chapters(), ledger.pending(), ledger.overrides())


def test_segments_are_found_by_id_and_by_words(ledger):
    """For `redo`: a prefix of an id as `status` shows it, or a part of the text, wildcards taken literally."""
    _, plans = planned(ledger, ["Call me Ishmael.", "100% of it_"])
    segment_id = ids(plans)["Call me Ishmael."]
    assert [segment_id] == [s.segment_id for s in ledger.find_segments(id_prefix=segment_id[:12])]
    assert ["Call me Ishmael."] == [s.text for s in ledger.find_segments(text="Ishmael")]
    assert ["100% of it_"] == [s.text for s in ledger.find_segments(text="%")]
    assert [] == ledger.find_segments(text="Ahab")


def test_the_pending_queries_use_their_indexes(ledger):
    """A scan of a million rows for each block of 128 would go unnoticed on a small book."""
    for where in ("s.position > 5", "s.position > 5 AND s.num_takes = 0"):
        plan = ledger._database.rows(
            f"EXPLAIN QUERY PLAN SELECT s.key FROM segments s JOIN places p ON p.position = s.position "
            f"WHERE s.state = 'pending' AND {where} ORDER BY s.position LIMIT 10"
        )
        steps = " / ".join(row[3] for row in plan)
        assert "SEARCH s USING INDEX segments_" in steps or "SEARCH s USING COVERING INDEX segments_" in steps
        assert "TEMP B-TREE" not in steps
