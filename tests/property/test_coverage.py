"""Nothing is lost in silence: for any text and lexicon, what was spoken, skipped and failed is the whole book, once."""

import sqlite3
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_text_properties import ANY_TEXT, PIECES

from orpheus_batch.config import PauseConfig
from orpheus_batch.errors import InputError
from orpheus_batch.ledger.records import Take
from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.testing import BUILTIN_ALPHABET, make_text_pack
from orpheus_batch.text.explain import explain
from orpheus_batch.text.lexicon import Lexicon, LexiconEntry, respell
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import plan_book
from orpheus_batch.voices import Voice

PACK = make_text_pack(BUILTIN_ALPHABET, min_chars=20, max_chars=60)
WORDS = [piece for piece in [*PIECES, "He", "the door", "y" * 30, "0", "a"] if any(map(str.isalnum, piece))]
SPOKEN = st.sampled_from(
    ["", "Her-my-oh-nee", "a b c", "5", "—", "<laugh>", "é", "x" * 40, "He said. And then?"]
)
ENTRIES = st.lists(
    st.one_of(
        st.builds(LexiconEntry, st.sampled_from(WORDS), SPOKEN, st.just("names.yaml, line 1")),
        st.builds(
            LexiconEntry,
            st.sampled_from([r"\w+", r"[.,]", r"(?<=e)\s", r"\b\w", r".+", r"\d"]),
            SPOKEN,
            st.just("names.yaml, line 2"),
            st.just(True),
        ),
    ),
    max_size=4,
)
slow_machine = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=60
)


@slow_machine
@given(ANY_TEXT, ENTRIES, st.randoms(use_true_random=False))
@example("He went to the door, and " * 9 + ".", [LexiconEntry("the door", "x" * 40, "n, line 1")], None)
@example("A a.\n\n* * *\n\nThe door.", [LexiconEntry(".+", "", "n, line 1", True)], None)
def test_spoken_skipped_and_failed_spans_are_the_whole_book(text, entries, random):
    """In the ledger, after every segment was accepted or failed; characters are counted, not words."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "book.txt"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            book = read_book(file)
        except InputError:
            return
        plans = plan_book(
            book,
            pack=PACK,
            voice="text",
            model_fingerprint="f",
            pauses=PauseConfig(),
            lexicon=Lexicon(entries),
        )
        with Ledger.open(Path(folder)) as ledger:
            ledger.record_plan(book, plans, {}, {})
            for pending in ledger.pending(limit=10_000):
                name = pending.segment.segment_id
                ledger.record_takes([_take(name, random is None or random.random() < 0.7)], max_attempts=1)
        with sqlite3.connect(Path(folder) / LEDGER_NAME) as database:
            spans = database.execute(
                "SELECT source_start, source_end, state FROM places JOIN segments ON places.segment = segments.key "
                "UNION ALL SELECT source_start, source_end, reason FROM skipped ORDER BY 1"
            ).fetchall()
        database.close()
    position = 0
    for start, end, what in spans:
        assert position == start < end
        assert what not in ("", "pending")
        position = end
    assert book.num_source_chars == position


def _take(segment_id: str, accepted: bool) -> Take:
    problems = () if accepted else ("too short",)
    return Take(
        segment_id, 0, 0, np.zeros(7, np.int32), "stop", "fake", problems, float(accepted), accepted, 0.1
    )


@slow_machine
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)), ENTRIES)
@example(
    "ca\u00adfe\u0301 a", [LexiconEntry("café", "x", "n, line 1"), LexiconEntry(r"\w", "y", "n, line 2", True)]
)
def test_changes_of_a_lexicon_put_into_the_text_give_what_is_spoken(text, entries):
    """Its finds lie in order within the text, and with all other changes they make the spoken words of the written."""
    respeller = Lexicon(entries).respeller(Voice("text", "en", ""))
    found = respeller.find(text) if respeller else []
    position = 0
    for find in found:
        assert position <= find.start < find.end <= len(text)
        position = find.end
    spoken, changes = explain(text, alphabet=BUILTIN_ALPHABET, tags=("<laugh>",), found=found)
    built, position = "", 0
    for change in changes:
        assert position <= change.start <= change.end
        assert text[change.start : change.end] == change.written
        built += text[position : change.start] + change.spoken
        position = change.end
    assert spoken == built + text[position:]
    assert explain(respell(text, found), alphabet=BUILTIN_ALPHABET, tags=("<laugh>",))[0] == spoken
