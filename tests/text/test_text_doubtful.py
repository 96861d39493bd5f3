"""Words to listen to first: what is known, what is not, and the sheet that becomes a lexicon."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.errors import InputError
from orpheus_batch.text.doubtful import FOREIGN_BITS, DoubtfulWords, write_sheet
from orpheus_batch.text.explain import Change
from orpheus_batch.text.known import is_known, known_words, oddness
from orpheus_batch.text.lexicon_file import load_lexicon
from orpheus_batch.text.readings import Reading


@pytest.mark.parametrize(
    "word",
    [
        *(
            "house",
            "Houses",
            "HOUSE",
            "colour",
            "color",
            "don't",
            "'tis",
            "tis",
            "John",
            "London",
            "naïve",
            "o'clock",
        ),
        *("headfirst", "whalemen", "unharmed", "darkening", "shipwards", "stopping", "penniless"),
    ],
)
def test_common_words_names_and_what_is_made_of_them_are_known(word):
    """British and American, in any case, inflected and compound."""
    assert is_known(word)


@pytest.mark.parametrize(
    "word", ["Queequeg", "harpooneer", "Bildad", "tendinous", "dey", "Dvořák", "", "john'll'd"]
)
def test_others_are_not(word):
    """However near they come to a word."""
    assert not is_known(word)


def test_the_list_is_what_the_page_says():
    """91,000 words; small enough to ship."""
    assert 90_000 < len(known_words()) < 92_000
    assert not any(word.endswith("'s") for word in known_words())


def test_foreign_spelling_is_told_by_its_letters():
    """Most English words lie below the bound, most foreign ones above."""
    english = ["walking", "thought", "strengths", "house", "rhythm", "bonhomie", "knight"]
    foreign = ["szczecin", "Dvořák", "nguyen", "xhosa", "jeune", "Straße"]
    assert max(map(oddness, english)) < FOREIGN_BITS < min(map(oddness, foreign))


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_has_an_oddness(text):
    """A finite one, in bits; unknown letters cost most."""
    assert 0 < oddness(text) < 60
    assert is_known(text) in (True, False)


def _read(*texts, changes=()):
    found = DoubtfulWords()
    readings = [Reading(100 * n, 100 * n + len(t), t, t, "v", changes=changes) for n, t in enumerate(texts)]
    found.add(3, "The Sea", [*readings, Reading(0, 9, "Xyzzyqq", "", "v", "footnote")])
    return found


def test_kinds_counts_and_contexts():
    """Names by their capitals within sentences; the form, the place and the words around where it stands first."""
    found = _read(
        "Queequeg saw Queequeg’s harpooneer.",
        "Harpooneer! The harpooneer of HMS Queequeg was tendinous, and read Straße, the szlachta and Dvořák.",
        "QUEEQUEG AND THE HARPOONEER",
    ).words()
    assert [
        ("Queequeg", "name", 4), ("harpooneer", "rare", 4), ("Dvořák", "name", 1), ("HMS", "letters", 1),
        ("Straße", "name", 1), ("szlachta", "foreign", 1), ("tendinous", "rare", 1),
    ] == [(w.word, w.kind, w.count) for w in found]  # fmt: skip
    queequeg = found[0]
    assert (3, "The Sea", 0, "Queequeg saw Queequeg’s harpooneer.") == (
        queequeg.chapter, queequeg.chapter_title, queequeg.start, queequeg.context,
    )  # fmt: skip
    assert found[3].context.startswith("Harpooneer! The harpooneer of HMS Queequeg was")
    assert found[3].context.endswith("…")


def test_a_name_may_begin_with_a_particle():
    """The capital stands behind the apostrophe."""
    assert [("d'Orsay", "name")] == [(w.word, w.kind) for w in _read("At the station d’Orsay we met.").words()]


def test_what_a_rule_or_a_lexicon_says_otherwise_is_settled():
    """Mr., numbers and respelt words are not on the list; a mere change of quotes or accents settles nothing."""
    respelt = Change(3, 11, "Queequeg", "Kwee-kweg", ("lexicon (names.yaml, line 1)",))
    accent = Change(20, 26, "Dvořák", "Dvorak", ("alphabet",))
    found = _read("Mr. Queequeg and Mrs. Dvořák.", changes=(respelt, accent))
    assert ["Dvořák"] == [word.word for word in found.words()]
    assert 2 == found.num_words


def test_the_sheet_is_a_lexicon_once_it_is_filled_in(tmp_path):
    """Empty lines do nothing; a sheet that is there, perhaps filled in, is not written over."""
    file = tmp_path / "names.csv"
    words = _read('Queequeg met Bildad, "Peleg" and all.').words()
    write_sheet(file, words)
    assert () == load_lexicon([file]).entries
    with file.open(encoding="utf-8", newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert ["Bildad", "Peleg", "Queequeg"] == [row["word"] for row in rows]
    assert ("name", "1", "3", "0", words[0].context) == tuple(
        rows[0][name] for name in ("why", "count", "chapter", "place", "context")
    )
    file.write_text(
        file.read_text(encoding="utf-8").replace("Queequeg,,", "Queequeg,Kwee-kweg,"), encoding="utf-8"
    )
    assert [("Queequeg", "Kwee-kweg")] == [(e.written, e.spoken) for e in load_lexicon([file]).entries]
    with pytest.raises(InputError, match="is there already, and may hold what you filled in"):
        write_sheet(file, words)
    with pytest.raises(InputError, match="can't write"):
        write_sheet(tmp_path / "none" / "x.csv", words)
