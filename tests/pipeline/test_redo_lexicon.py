"""Another take of a sentence, with the lexicon that its book was rendered with."""

import pytest
from line_helpers import Line

from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline import render_books
from orpheus_batch.pipeline.after import redo_segment


def test_redo_keeps_to_the_lexicon_from_anywhere(tmp_path, monkeypatch):
    """The ledger holds its whole path; where the file is gone, that is told and nothing is spoken otherwise."""
    line = Line(tmp_path)
    lexicon = tmp_path / "names.csv"
    lexicon.write_text("clock,klok\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    render_books([line.book], line.out, line.config(text__lexicon=["names.csv"]), factories=line.factories)
    line.take_logs()
    monkeypatch.chdir("/")
    redone = redo_segment(line.out, find="A klok was ticking", factories=line.factories)
    assert redone.is_new
    assert 1 == len(line.take_logs()[0])
    lexicon.unlink()
    with pytest.raises(ConfigError, match=r"can't read the lexicon .*names.csv"):
        redo_segment(line.out, find="A klok was ticking", factories=line.factories)
    assert [] == line.take_logs()[0]
