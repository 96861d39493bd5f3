"""Scripts: who speaks what as a CSV, corrected, and read back against the book."""

import csv
import io
import logging

import pytest
from dialogue_helpers import Stage

from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.pipeline.books import make_plan
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.pipeline.script import export_script
from orpheus_batch.text.dialogue.script import COLUMNS

TEXT = """CHAPTER I

The March Hare and the Hatter were having tea under a tree in front of the house that afternoon.

“Have some wine,” the Hatter said in an encouraging tone.

Alice looked all round the table, but there was nothing on it but tea.

“I don’t see any wine in here,” she remarked.

“There isn’t any,” came the answer.
"""


@pytest.fixture
def stage(tmp_path) -> Stage:
    return Stage(tmp_path, TEXT)


def _export(stage: Stage) -> list[dict[str, str]]:
    export_script(stage.book_file, stage.script_file, stage.config(), overwrite=True)
    return list(csv.DictReader(io.StringIO(stage.script_file.read_text(encoding="utf-8-sig"))))


def _write(stage: Stage, rows: list[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    stage.script_file.write_text(out.getvalue(), encoding=encoding)


def test_a_script_holds_every_turn(stage):
    """Place, speaker, voice, the book's words, and how it is known."""
    rows = _export(stage)
    assert list(COLUMNS) == list(rows[0])
    assert [
        ("c1.p1.1", "narrator", "tara", "CHAPTER I", "narration"),
        ("c1.p3.1", "Hatter", "leo", "“Have some wine,”", "named: the Hatter said"),
        ("c1.p5.1", "Alice", "leah", "“I don’t see any wine in here,”", "pronoun: she remarked"),
        ("c1.p6.1", "unknown", "tara", "“There isn’t any,”", "not clear: came the answer."),
    ] == [tuple(rows[i].values()) for i in (0, 2, 5, 7)]
    words = " ".join(row["text"] for row in rows).split()
    assert TEXT.split() == words


def test_an_unchanged_script_changes_nothing(stage):
    """Exported and read back, the plan is the same, segment by segment."""
    before = stage.segments()
    _export(stage)
    assert before == stage.segments()


def test_a_corrected_speaker(stage):
    """Gets the voice of the cast; every other segment stays as it was."""
    before = stage.segments()
    rows = _export(stage)
    rows[7] |= {"speaker": "March Hare", "voice": ""}
    _write(stage, rows)
    after = stage.segments()
    assert [("dan", '"There isn\'t any,"'), ("tara", "came the answer.")] == [
        s for s in after if s not in before
    ]
    assert [("tara", '"There isn\'t any," came the answer.')] == [s for s in before if s not in after]


def test_with_a_cast_the_speaker_decides(stage, caplog):
    """A voice that was left as it stood is overruled, and said to be."""
    rows = _export(stage)
    rows[7]["speaker"] = "the Mad Hatter"
    _write(stage, rows)
    with caplog.at_level(logging.WARNING):
        assert ("leo", '"There isn\'t any,"') in stage.segments()
    assert "1 lines, the first of them line 9, have another voice" in caplog.text


def test_without_a_cast_the_voice_decides(tmp_path, caplog):
    """Anyone may be the speaker; one with two voices is told."""
    stage = Stage(tmp_path, TEXT, cast=None)
    rows = _export(stage)
    assert {"tara"} == {row["voice"] for row in rows}
    rows[2] |= {"voice": "leo"}
    rows[7] |= {"speaker": "Hatter", "voice": "zac"}
    _write(stage, rows)
    with caplog.at_level(logging.WARNING):
        segments = stage.segments()
    assert {("leo", '"Have some wine,"'), ("zac", '"There isn\'t any,"')} <= set(segments)
    assert "Hatter speaks with several voices: leo in 1, zac in 1 lines" in caplog.text


def test_anybody_whom_the_book_names_may_be_the_speaker(tmp_path):
    """One who is not in the cast but speaks elsewhere, with the voice of such."""
    stage = Stage(tmp_path, TEXT + "\nCHAPTER II\n\n“Is that so, then?” asked the old woman.\n")
    rows = _export(stage)
    rows[7] |= {"speaker": "old woman", "voice": ""}
    _write(stage, rows)
    assert ("jess", '"There isn\'t any,"') in stage.segments()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"text": "“Have some tea,”"},
            r"line 4: at c1.p3.1 the script has ““Have some tea,”” and the book ““Have",
        ),
        ({"place": "c9.p9.9"}, "line 4: the book has no place 'c9.p9.9'"),
        ({"place": "c1.p1.1"}, "line 4: the place c1.p1.1 stands in line 2 already"),
        ({"speaker": "Hater"}, "line 4: nobody in .*cast.yaml is called 'Hater'; did you mean 'Hatter'"),
        ({"voice": "leon"}, "line 4: the pack 'orpheus-3b' has no voice 'leon'; did you mean 'leo'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(stage, change, said):
    """Changed words, places, unknown names and voices."""
    rows = _export(stage)
    rows[2] |= change
    _write(stage, rows)
    with pytest.raises(InputError, match=said):
        stage.segments()


def test_a_missing_line_is_told(stage):
    """Nothing is read by a voice that nobody chose."""
    rows = _export(stage)
    del rows[2]
    _write(stage, rows)
    with pytest.raises(InputError, match=r"has no line for c1.p3.1, .*: 1 of \d+ are missing"):
        stage.segments()


def test_a_changed_book_is_told(stage):
    """One word of it is enough."""
    _export(stage)
    stage.book_file.write_text(TEXT.replace("encouraging", "odd"), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 5: at c1.p3.2 .* export it again"):
        stage.segments()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_files_as_spreadsheets_write_them(stage, delimiter):
    """Semicolons, tabs, a byte-order mark, columns and lines in another order, blank lines."""
    before = stage.segments()
    rows = _export(stage)
    rows = [
        {name: row[name] for name in ("text", "place", "how", "voice", "speaker")} for row in reversed(rows)
    ]
    _write(stage, rows, delimiter, "utf-8-sig")
    stage.script_file.write_text(stage.script_file.read_text(encoding="utf-8-sig") + "\n\n", encoding="utf-8")
    assert before == stage.segments()


def test_formulas_are_marked_and_taken_back(tmp_path):
    """No cell begins as a formula would; what is read back is what the book has."""
    lines = (
        "CHAPTER I",
        "=1+1 is two, and so on.",
        "'=2 is odd.",
        "+3 is more. - Or less.",
        "@SUM says “-x” to it.",
    )
    text = "\n\n".join(lines)
    stage = Stage(tmp_path, text)
    before = stage.segments()
    rows = _export(stage)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@|%\t\r" and cell]
    assert ["'=1+1 is two, and so on.", "''=2 is odd."] == [row["text"] for row in rows[1:3]]
    assert before == stage.segments()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"place,words\nc1.p1.1,x\n", "line 1: a script has the columns place, speaker, voice, text, how"),
        (b"place,text\nc1.p1.1,x\n", "line 1: a script has the columns"),
        ("place,speaker,text\nc1.p1.1,é,x\n".encode("latin-1"), "is not UTF-8; save it as"),
        (b'place,speaker,text\nc1.p1.1,,"x', "has no line for|line 2"),
        (b"\x00\x00", "line 1"),
    ],
)
def test_files_that_are_no_scripts(stage, content, said):
    """One line that says what it should be."""
    stage.script_file.write_bytes(content)
    with pytest.raises(InputError, match=said):
        stage.segments()


def test_nothing_is_written_over(stage):
    """A script that somebody corrected is worth more than a command repeated by mistake."""
    _export(stage)
    with pytest.raises(InputError, match="is there already"):
        export_script(stage.book_file, stage.script_file, stage.config())
    with pytest.raises(InputError, match="can't write"):
        export_script(stage.book_file, stage.folder / "no" / "script.csv", stage.config(text__script=None))


def test_a_script_is_of_one_book(stage):
    """Two books and one script can't fit."""
    from orpheus_batch.pipeline import preview_books

    _export(stage)
    with pytest.raises(ConfigError, match="belongs to a single book"):
        preview_books([stage.book_file, stage.folder / "other.txt"], stage.config())


def test_an_exported_script_fits_a_plan_without_a_cast(stage):
    """Names of the book instead of the cast's; the voices are the narrator's."""
    config = stage.config(text__cast=None)
    report = export_script(stage.book_file, None, config)
    assert (3, 1) == (report.num_quotations, report.num_attributed)
    assert ("Hatter", 1) in report.speakers
    plans = make_plan(stage.book(config), pack_of(config), config, "f")
    assert {"tara"} == {segment.voice for plan in plans for segment in plan.segments}
