"""Normalisation, case by case, and the record of what it changed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orpheus_batch.testing import BUILTIN_ALPHABET
from orpheus_batch.text.explain import explain
from orpheus_batch.text.normalize import normalize

CASES = [
    line.split("\t")
    for line in (Path(__file__).parent / "normalization_cases.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("category", sorted({case[0] for case in CASES}))
def test_every_case_of_the_table(category):
    """What is written on the left is read as it stands on the right."""
    wrong = {
        written: spoken
        for kind, written, wanted in CASES
        if kind == category and (spoken := normalize(written, alphabet=BUILTIN_ALPHABET, tags=())) != wanted
    }
    assert {} == wrong


def test_the_table_is_a_table():
    """At least 300 cases, none twice, so that the score is of what it says."""
    assert len(CASES) >= 300
    assert len({written for _, written, _ in CASES}) == len(CASES)


PIECES = [
    "Dr. Smith",
    "Elm St.",
    "£3.50",
    "XIV",
    "May 5, 1876",
    "—",
    "...",
    "“",
    "IT",
    "a@b.com",
    "😀",
    "½",
    "5 km",
    "\u00ad",
    "e\u0301",
]
TEXTS = st.one_of(
    st.text(max_size=80), st.lists(st.sampled_from([*PIECES, " ", "word", "."]), max_size=12).map("".join)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(TEXTS, st.booleans(), st.sampled_from([BUILTIN_ALPHABET, None]))
@example("On May 5, 1876, Dr. Day paid £3.50.", False, None)
@example("<laugh> 5 <b>", False, BUILTIN_ALPHABET)
def test_changes_put_into_the_text_give_what_is_spoken(text, heading, alphabet):
    """So nothing is changed that is not recorded, and nothing is recorded that was not changed."""
    more = {"alphabet": alphabet, "tags": ("<laugh>",), "heading": heading, "words": True}
    spoken, changes = explain(text, **more)
    assert spoken == normalize(text, **more)
    built, position = "", 0
    for change in changes:
        assert position <= change.start <= change.end
        assert change.written == text[change.start : change.end]
        assert change.rules
        built += text[position : change.start] + change.spoken
        position = change.end
    assert built + text[position:] == spoken


def test_a_change_names_its_rule_and_place():
    """Told apart from the text around it, which stays the book's own."""
    _, changes = explain("On May 5, Dr. Day left.", alphabet=BUILTIN_ALPHABET, tags=())
    found = [(change.start, change.written, change.spoken, change.rules) for change in changes]
    assert [(7, "5", "fifth", ("date",)), (10, "Dr.", "Doctor", ("title",))] == found


@pytest.mark.parametrize(
    "piece",
    [
        "9",
        "1,",
        "1/",
        "1-",
        "5-5 ",
        "1/1 ",
        "a 1 ",
        "jan 1 ",
        "1.1.",
        "x@y.",
        "1:",
        "Dr. ",
        "5' ",
        "$1 ",
        "11,111,",
    ],
)
@pytest.mark.timeout(20)
def test_no_rule_takes_for_ever(piece):
    """Ten thousand digits took a minute before long numbers were spelled first."""
    for alphabet in (BUILTIN_ALPHABET, None):
        normalize(piece * (10_000 // len(piece)), alphabet=alphabet, tags=(), words=True)
