"""A recogniser hears every take; what it hears wrong is taken again, with others, and never one at a time."""

import json

import pytest
from corpus_helpers import corpus, manifest, sentences, write_table
from line_helpers import Line
from prompts_helpers import manifest as prompts_manifest
from prompts_helpers import render, write

from orpheus_batch.errors import ConfigError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import render_books
from orpheus_batch.testing import FakeRecogniser

ASR = {"asr__recogniser": "auto"}
GARBAGE = "blah blah blah"


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def spoiled(texts: list[str], *wrong: int) -> list[str]:
    return [GARBAGE if index in wrong else text for index, text in enumerate(texts)]


@pytest.mark.parametrize("deterministic", [True, False])
def test_misheard_rows_are_taken_again_together(line, deterministic):
    """Two of four rows at first, both in one batch; then their second takes are good."""
    texts = sentences(4)
    line.recogniser = FakeRecogniser([*spoiled(texts, 1, 3), texts[1], texts[3]])
    line.max_batch_size = 1  # the fake yields in order, then
    report = render(
        line,
        write(line, "text\n" + "".join(f'"{text}"\n' for text in texts)),
        overrides=ASR | {"engine__deterministic": deterministic},
    )
    assert (4, 0, 6, 0.0) == (report.num_done, report.num_failed, report.num_takes, report.word_error_rate)
    assert [4, 2] == line.recogniser.batches
    rows = prompts_manifest(line)
    assert ["1", "2", "1", "2"] == [row["attempts"] for row in rows]
    assert {"0.0"} == {row["word_error_rate"] for row in rows}
    assert ["recogniser", "engine", "codec"] == line.made


def test_row_that_stays_wrong_fails_with_what_was_heard(line):
    """The best take is in the file, its rate in the manifest, the reason says what was heard."""
    text = sentences(1)[0]
    line.recogniser = FakeRecogniser([GARBAGE, "The red lamp was number", "blah"])
    report = render(line, write(line, f'text\n"{text}"\n'), overrides=ASR | {"quality__max_attempts": 3})
    assert (0, 1, 3, None) == (report.num_done, report.num_failed, report.exit_code, report.word_error_rate)
    (row,) = prompts_manifest(line)
    assert ("failed", "3") == (row["status"], row["attempts"])
    assert "5 of 9 words wrong; heard: “The red lamp was number”" == row["reason"]
    assert pytest.approx(5 / 9, abs=1e-4) == float(row["word_error_rate"])
    assert (line.out / row["file"]).is_file()


def test_words_of_a_long_row_are_summed(line):
    """Two segments, one of them with a word wrong."""
    text = "It rained all day. And then the sun came out over the hills."
    line.recogniser = FakeRecogniser(["It rained all day.", "And then the sun came out over the mills."])
    render(line, write(line, f'text\n"{text}"\n'), overrides=ASR)
    assert pytest.approx(1 / 13, abs=1e-4) == float(prompts_manifest(line)[0]["word_error_rate"])


def test_corpus_keeps_what_was_heard(line):
    """Rate, words and recogniser in shards and Parquet; failed items in none; the card says it all."""
    texts = sentences(6)
    slip = texts[2].replace("number", "lumber")
    line.recogniser = FakeRecogniser([*texts[:2], slip, texts[3], GARBAGE, texts[5], GARBAGE])
    report = corpus(
        line, write_table(line, 6), engine__block_size=8, quality__max_attempts=2, corpus__voices="one", **ASR
    )
    assert (5, 1, 0) == (report.num_items, report.num_failed, report.exit_code)
    assert [6, 1] == line.recogniser.batches
    rows = {row["text"]: row for row in manifest(line.out)}
    assert set(texts) - {texts[4]} == set(rows)
    assert {"fake recogniser"} == {row["recogniser"] for row in rows.values()}
    num_words = len(texts[2].split())
    assert (slip, pytest.approx(1 / num_words, abs=1e-4)) == (
        rows[texts[2]]["heard"],
        rows[texts[2]]["word_error_rate"],
    )
    assert 0.0 == rows[texts[0]]["word_error_rate"]
    assert ([], ["misheard"]) == (rows[texts[0]]["quality_flags"], rows[texts[2]]["quality_flags"])
    assert 0 < report.word_error_rate < 1 / num_words
    card = (line.out / "README.md").read_text(encoding="utf-8")
    assert f"fake recogniser heard {report.word_error_rate:.1%} of the words otherwise" in card
    assert (line.out / "pictures" / "word_error_rate.png").is_file()
    assert report.word_error_rate == json.loads((line.out / "last-night.json").read_text())["word_error_rate"]


def test_books_are_heard_too(line):
    """The same check on the same line: a misheard segment is taken again in a block of such."""
    line.book.write_text(" ".join(sentences(8)), encoding="utf-8")
    line.recogniser = FakeRecogniser([*spoiled(sentences(8), 2, 5), sentences(8)[2], sentences(8)[5]])
    (book,) = render_books([line.book], line.out, line.config(**ASR), factories=line.factories).books
    assert ((), [4, 4, 2]) == (book.failures, line.recogniser.batches)
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        (again,) = ledger.find_segments(text="number two")
        takes = ledger.takes(again.segment_id)
        assert [False, True] == [take.accepted for take in takes]
        assert (GARBAGE, 9) == (takes[0].measurements["heard"], takes[0].measurements["num_words"])


def test_nothing_to_do_needs_no_recogniser(line):
    """And rows that nobody heard have no rate."""
    path = write(line)
    render(line, path)
    line.made = []
    render(line, path, overrides=ASR)
    assert [] == line.made
    assert {""} == {row["word_error_rate"] for row in prompts_manifest(line)}


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_word_error_rate", 0.0), ("max_wrong_run", 0), ("processes", 0), ("recogniser", "ears")],
)
def test_wrong_settings(line, key, value):
    """Refused with the name of the setting."""
    with pytest.raises(ConfigError, match=f"asr.{key}"):
        line.config(**{f"asr__{key}": value})
