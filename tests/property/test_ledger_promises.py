"""Whatever is done to a ledger, in any order: no take is lost, none is changed, the choice is the rule's."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.records import SegmentState, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.testing import make_plan

TEXTS = [f"text {i}" for i in range(5)]
CHAPTERS = st.lists(st.lists(st.sampled_from(TEXTS), max_size=4), min_size=1, max_size=3)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside a model of it: dictionaries, and the rules in a few lines of Python."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = Ledger.open(self.folder)
        self.plans = []
        self.takes = {}  # segment_id -> takes in order; also of segments that the plan has dropped
        self.retake_from = {}
        self.state = {}

    def teardown(self):
        self.ledger.close()
        shutil.rmtree(self.folder)

    @rule(chapters=CHAPTERS)
    def plan(self, chapters):
        book, self.plans = make_plan(*chapters)
        planned = {s.segment_id for plan in self.plans for s in plan.segments}
        num_known = len(planned & set(self.takes))
        diff = self.ledger.record_plan(book, self.plans, {}, {})
        for segment_id in planned - set(self.takes):
            self.takes[segment_id], self.retake_from[segment_id] = [], 0
            self.state[segment_id] = SegmentState.PENDING
        assert (len(planned), num_known) == (diff.num_segments, diff.num_kept)

    @precondition(lambda self: self.takes)
    @rule(data=st.data(), max_attempts=st.integers(1, 3))
    def record(self, data, max_attempts):
        segment_id = data.draw(st.sampled_from(sorted(self.takes)))
        known = self.takes[segment_id]
        take = Take(
            segment_id=segment_id,
            attempt=len(known),
            seed=0,
            token_ids=np.array(data.draw(st.lists(st.integers(0, 99), max_size=9)), dtype=np.int32),
            finish_reason="stop",
            engine="fake",
            problems=(),
            score=data.draw(st.sampled_from([-2.0, -1.0, 0.0])),
            accepted=data.draw(st.booleans()),
            num_audio_s=data.draw(st.sampled_from([0.0, 1.0])),
        )
        known.append(take)
        failed = self.ledger.record_takes([take], max_attempts=max_attempts)
        num_tries = len(known) - self.retake_from[segment_id]
        if any(t.accepted for t in known[self.retake_from[segment_id] :]):
            self.state[segment_id] = SegmentState.ACCEPTED
        elif num_tries < max_attempts:
            self.state[segment_id] = SegmentState.PENDING
        else:
            has_older = any(t.accepted for t in known)
            self.state[segment_id] = SegmentState.ACCEPTED if has_older else SegmentState.FAILED
        assert ([segment_id] if self.state[segment_id] is SegmentState.FAILED else []) == failed

    @precondition(lambda self: any(self.takes.values()))
    @rule(data=st.data())
    def record_something_else_under_a_known_number(self, data):
        segment_id = data.draw(st.sampled_from(sorted(i for i, takes in self.takes.items() if takes)))
        known = data.draw(st.sampled_from(self.takes[segment_id]))
        other = Take(
            segment_id, known.attempt, 0, np.append(known.token_ids, 7), "stop", "fake", (), 9.0, True, 9.0
        )
        try:
            self.ledger.record_takes([other], max_attempts=1)
        except LedgerError:
            return
        raise AssertionError("a recorded take was changed")

    @precondition(lambda self: self.takes)
    @rule(data=st.data())
    def retake(self, data):
        segment_id = data.draw(st.sampled_from(sorted(self.takes)))
        assert len(self.takes[segment_id]) == self.ledger.request_retake(segment_id)
        self.retake_from[segment_id] = len(self.takes[segment_id])
        self.state[segment_id] = SegmentState.PENDING

    @precondition(lambda self: self.takes)
    @rule(data=st.data())
    def give_up(self, data):
        segment_id = data.draw(st.sampled_from(sorted(self.takes)))
        self.ledger.mark_failed(segment_id, "why not")
        self.state[segment_id] = SegmentState.FAILED

    @rule()
    def reopen(self):
        self.ledger.close()
        self.ledger = Ledger.open(self.folder)

    @invariant()
    def no_take_is_lost_or_changed(self):
        for segment_id, expected in self.takes.items():
            found = self.ledger.takes(segment_id)
            assert [t.attempt for t in expected] == [t.attempt for t in found]
            for one, other in zip(expected, found, strict=True):
                np.testing.assert_array_equal(one.token_ids, other.token_ids)

    @invariant()
    def the_best_take_is_heard(self):
        for segment_id, takes in self.takes.items():
            audible = [t for t in takes if t.num_audio_s > 0]
            accepted = [t for t in audible if t.accepted]
            expected = accepted[-1].attempt if accepted else None
            if audible and not accepted:
                expected = max(audible, key=lambda t: (t.score, -t.attempt)).attempt
            chosen = self.ledger.chosen_take(segment_id)
            assert expected == (chosen.attempt if chosen else None)

    @invariant()
    def pending_is_what_the_plan_still_wants(self):
        in_order = dict.fromkeys(s.segment_id for plan in self.plans for s in plan.segments)
        expected = [
            (i, len(self.takes[i]), len(self.takes[i]) - self.retake_from[i])
            for i in in_order
            if self.state[i] is SegmentState.PENDING
        ]
        assert expected == [(p.segment.segment_id, p.attempt, p.num_tries) for p in self.ledger.pending()]
        assert min((attempt for _, attempt, _ in expected), default=None) == self.ledger.next_attempt()

    @invariant()
    def every_place_of_the_plan_is_a_piece(self):
        for plan in self.plans:
            pieces = self.ledger.chapter_pieces(plan.chapter_index)
            assert list(plan.segments) == [piece.segment for piece in pieces]
            assert [self.state[s.segment_id] for s in plan.segments] == [piece.state for piece in pieces]
            is_settled = all(piece.state is not SegmentState.PENDING for piece in pieces)
            assert is_settled == self.ledger.chapter_is_settled(plan.chapter_index)


LedgerMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_ledger_promises = LedgerMachine.TestCase
