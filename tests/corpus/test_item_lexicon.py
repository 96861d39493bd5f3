"""A lexicon for prompts and corpora: what is said changes, texts, ids and the rest do not."""

import pytest
from corpus_helpers import audio_by_id, corpus, manifest, write_table
from line_helpers import Line
from prompts_helpers import render, write

from orpheus_batch.errors import ConfigError


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


@pytest.fixture
def lexicon(tmp_path) -> dict:
    file = tmp_path / "names.csv"
    file.write_text("word,say,voice\nchair,chayr,\ntable,taybl,two\nlamp,lammp,\n", encoding="utf-8")
    return {"text__lexicon": [str(file)]}


def test_prompts_speak_the_touched_rows_again_and_no_others(line, lexicon):
    """An entry for one voice holds in its rows alone; the manifest keeps the row's own words."""
    table = write(line)
    render(line, table)
    line.take_logs()
    render(line, table, overrides=lexicon)
    generated, _ = line.take_logs()
    assert 2 == len(generated)  # rows a and b, each in its voice
    assert "A table, and a chair." in (line.out / "manifest.csv").read_text(encoding="utf-8")
    render(line, table, overrides=lexicon)
    assert [] == line.take_logs()[0]


def test_a_wrong_lexicon_is_told_before_anything_is_made(line, tmp_path):
    """In one line, with its place."""
    (tmp_path / "bad.csv").write_text("word,say,mood\n", encoding="utf-8")
    for make in (
        lambda more: render(line, write(line), overrides=more),
        lambda more: corpus(line, write_table(line), **more),
    ):
        with pytest.raises(ConfigError, match=r"bad.csv, line 1: unknown column 'mood'"):
            make({"text__lexicon": [str(tmp_path / "bad.csv")]})
    assert [] == line.take_logs()[0]


def test_a_corpus_keeps_its_texts_and_ids_under_a_lexicon(tmp_path, lexicon):
    """The transcript is what the text says, not how it was respelt; only the touched items sound otherwise."""
    plain, respelt = Line(tmp_path / "plain"), Line(tmp_path / "respelt")
    corpus(plain, write_table(plain))
    corpus(respelt, write_table(respelt), **lexicon)
    before, after = ({row["id"]: row["text"] for row in manifest(line.out)} for line in (plain, respelt))
    assert before == after
    one, other = audio_by_id(plain.out), audio_by_id(respelt.out)
    assert one.keys() == other.keys()
    touched = {key for key in one if one[key] != other[key]}
    assert touched == {key for key, text in before.items() if "lamp" in text}
    assert 0 < len(touched) < len(one)
