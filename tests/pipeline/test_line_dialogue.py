"""A cast on the whole line: all voices through one engine, and a corrected script renders what it corrects."""

import csv
import io
import json

import pytest
from click.testing import CliRunner
from line_helpers import Line

from orpheus_batch.cli import cli
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import preview_books, render_books
from orpheus_batch.pipeline.script import export_script

TEXT = """# The Tea

“Have some more of it,” said the Hatter to everybody at the table.

“There is no more of it to be had,” said Alice, and she looked into the pot.

“Then have some less,” came the answer from the end of the table.

The clock struck six, as it had done all day. [pause 1.5s] Nobody looked up at it.
"""
CAST = "narrator: one\ncharacters: {Alice: two, Hatter: one}\n"


@pytest.fixture
def line(tmp_path) -> Line:
    line = Line(tmp_path)
    line.book.write_text(TEXT, encoding="utf-8")
    (tmp_path / "cast.yaml").write_text(CAST, encoding="utf-8")
    return line


def _config(line: Line, **overrides):
    return line.config(text__cast=str(line.folder / "cast.yaml"), **overrides)


def _spoken(line: Line) -> list[tuple[str, str, float]]:
    with Ledger.open(next(line.out.glob("*/ledger.sqlite")).parent, read_only=True) as ledger:
        segments = [piece.segment for piece in ledger.chapter_pieces(0)]
    return [(segment.voice, segment.text, segment.pause_after_s) for segment in segments]


def test_all_voices_go_through_one_engine(line):
    """Alice's words in her voice, the others' in the narrator's; the marked pause is in the ledger."""
    report = render_books([line.book], line.out, _config(line), factories=line.factories)
    assert 0 == report.exit_code
    assert 1 == line.made.count("engine")
    spoken = _spoken(line)
    assert ["two"] == [voice for voice, text, _ in spoken if text.startswith('"There is no more')]
    assert {"one", "two"} == {voice for voice, _, _ in spoken}
    assert [1.5] == [pause_s for _, text, pause_s in spoken if text.startswith("The clock")]


def test_one_corrected_line_renders_one_line(line):
    """The quotation, and the words beside it that are now a segment of their own; every other take stays."""
    render_books([line.book], line.out, _config(line), factories=line.factories)
    before = {(voice, text) for voice, text, _ in _spoken(line)}
    line.take_logs()
    script = line.folder / "script.csv"
    export_script(line.book, script, _config(line))
    unchanged = _config(line, text__script=str(script))
    render_books([line.book], line.out, unchanged, factories=line.factories)
    assert ([], []) == line.take_logs()

    rows = list(csv.DictReader(io.StringIO(script.read_text(encoding="utf-8-sig"))))
    (row,) = [row for row in rows if row["text"].startswith("“Then have")]
    assert "unknown" == row["speaker"]
    row |= {"speaker": "Alice", "voice": ""}
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    script.write_text(out.getvalue(), encoding="utf-8")
    report = render_books([line.book], line.out, unchanged, factories=line.factories)
    assert 0 == report.exit_code
    generated, _ = line.take_logs()
    after = {(voice, text) for voice, text, _ in _spoken(line)}
    new = {("two", '"Then have some less,"'), ("one", "came the answer from the end of the table.")}
    assert new == after - before
    assert len(new) == len(generated)


def test_a_wrong_cast_or_script_stops_before_anything_is_made(line):
    """One line each, and no model loaded."""
    (line.folder / "cast.yaml").write_text("narrator: tow\n", encoding="utf-8")
    result = CliRunner().invoke(
        cli,
        [
            "render",
            str(line.book),
            "-o",
            str(line.out),
            "--model",
            str(line.pack),
            "--cast",
            f"{line.folder}/cast.yaml",
        ],
    )
    assert 1 == result.exit_code
    assert "line 1: the pack 'light' has no voice 'tow'; did you mean 'two'" in result.output
    (line.folder / "script.csv").write_text(
        "place,speaker,text\nc1.p1.1,narrator,The Coffee\n", encoding="utf-8"
    )
    report = render_books(
        [line.book],
        line.out,
        line.config(text__script=str(line.folder / "script.csv")),
        factories=line.factories,
    )
    assert "line 2: at c1.p1.1 the script has “The Coffee” and the book “The Tea”" in report.books[0].error
    assert [] == line.made


def test_plan_tells_who_speaks_how_much_and_which_marks_to_look_at(line):
    """Turns, segments and time by speaker; what is unknown is the narrator's."""
    line.book.write_text(TEXT + "\nIt was <giggle> funny, as she said.\n", encoding="utf-8")
    (book,) = preview_books([line.book], _config(line)).books
    who = {("narrator", "one"), ("Alice", "two"), ("Hatter", "one"), ("unknown", "one")}
    assert who == {(speaker.name, speaker.voice) for speaker in book.speakers}
    assert (3, 2) == (book.num_quotations, book.num_attributed)
    assert book.num_segments == sum(speaker.num_segments for speaker in book.speakers)
    assert book.audio_s == pytest.approx(sum(speaker.audio_s for speaker in book.speakers))
    arguments = ["plan", str(line.book), "--model", str(line.pack), "--cast", str(line.folder / "cast.yaml")]
    shown = CliRunner().invoke(cli, arguments)
    assert 0 == shown.exit_code, shown.output
    assert "of 3 quotations 2 are attributed (67 %)" in shown.output
    assert "<giggle> in “" in shown.output
    assert "the voice has no tags at all" in shown.output
    assert 4 == len(json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)["books"][0]["speakers"])


def test_the_script_command(line):
    """To stdout, to a file, with a cast to begin with; nothing is written over."""
    base = ["script", str(line.book), "--model", str(line.pack)]
    shown = CliRunner().invoke(cli, base)
    assert 0 == shown.exit_code, shown.output
    assert "place,speaker,voice,text,how" in shown.output
    out, cast = line.folder / "s.csv", line.folder / "new.yaml"
    written = CliRunner().invoke(cli, [*base, "-o", str(out), "--new-cast", str(cast), "--json"])
    assert 0 == written.exit_code, written.output
    assert 3 == json.loads(written.output)["num_quotations"]
    assert cast.read_text(encoding="utf-8").startswith("# Who speaks in")
    again = CliRunner().invoke(cli, [*base, "-o", str(out)])
    assert 1 == again.exit_code
    assert "--force" in again.output
    assert 0 == CliRunner().invoke(cli, [*base, "-o", str(out), "--force", "-q"]).exit_code
