"""Words that a recogniser heard otherwise: how many, and how many in a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus_batch.quality.words import WordErrors, compare_words

WORDS = st.lists(st.sampled_from(["red", "door", "lamp", "old", "hill"]), max_size=12)


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("The old door stood open.", "the old door stood open", (5, 0, 0)),
        ("The old door stood open.", "the old floor stood", (5, 2, 1)),
        ("Old door.", "", (2, 2, 2)),
        ("Red.", "red door lamp", (1, 2, 2)),
        ("Red lamp on the hill by the old road.", "red lamp on a sunny day in old rome", (9, 5, 4)),
        ("", "", (0, 0, 0)),
        ("", "noise", (0, 1, 1)),
    ],
)
def test_words_are_counted(said, heard, expected):
    """Replaced, dropped and invented ones; case and punctuation are nothing."""
    assert WordErrors(*expected) == compare_words(said, heard)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("The train leaves at nine forty-five.", "The train leaves at 9:45"),
        ("The train leaves at nine forty-five.", "the train leaves at 9.45."),
        ("He paid one thousand two hundred dollars.", "He paid $1,200."),
        ("He came (they said) late.", "he came they said late"),
        ("Well <laugh> I do not know.", "Well, I don't know."),
        ("If someone has stolen the bed-room.", "If some one has stolen the bedroom"),
        ("It was on the twenty-first of May.", "It was on the 21st of May."),
    ],
)
def test_another_way_to_write_the_same_is_no_error(said, heard):
    """Figures, contractions, brackets, tags."""
    assert 0 == compare_words(said, heard).num_wrong


@pytest.mark.parametrize(
    ("language", "said", "heard", "num_words"),
    [
        ("fr", "L'été, déjà !", "l été déjà", 3),
        ("zh", "你好，世界。", "你好世界", 4),
        ("de", "Über Äpfel", "über äpfel", 2),
    ],
)
def test_other_languages(language, said, heard, num_words):
    """Accents stay; where no blanks part words, letters count."""
    assert WordErrors(num_words, 0, 0) == compare_words(said, heard, language)


@given(WORDS, WORDS)
def test_counts_are_those_of_jiwer(said, heard):
    """The field's own tool; and a run is no longer than all errors, nor shorter than one where there is any."""
    jiwer = pytest.importorskip("jiwer")
    found = compare_words(" ".join(said), " ".join(heard))
    assert len(said) == found.num_words
    if said:
        known = jiwer.process_words(" ".join(said), " ".join(heard) or "")
        assert known.substitutions + known.deletions + known.insertions == found.num_wrong
    assert min(1, found.num_wrong) <= found.longest_run <= found.num_wrong
