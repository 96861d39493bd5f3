"""Whatever stands in a table: no traceback, and no row without a line in the manifest."""

import csv
import io
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from line_helpers import Line

from orpheus_batch.corpus.prompts import render_prompts
from orpheus_batch.corpus.rows import TableFormat, read_rows
from orpheus_batch.errors import InputError
from orpheus_batch.ledger.items import ItemLedger

WORDS = st.sampled_from(
    ["Good morning.", "It rained", "the end of it all, and then", "x", "1,234 times!", "“Yes”"]
)
ODD = st.text(
    st.one_of(
        st.sampled_from('",;\t|\n\r\\/.\x00\ufeff\u2028\u202eé'),
        st.characters(codec="utf-8"),
    ),
    max_size=12,
)
IDS = st.one_of(st.just(""), st.sampled_from(["a", "b", "A", "../a", "/a", "a/b", "con"]), ODD)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.one_of(WORDS, WORDS, ODD),
            "id": IDS,
            "voice": st.sampled_from(["", "", "one", "two", "three"]),
            "seed": st.sampled_from(["", "", "1", "-1", "1e3", "x"]),
            "format": st.sampled_from(["", "", "wav", "exe"]),
        }
    ),
    max_size=12,
)
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MANY = settings(FEW, max_examples=150)


def run(name: str, content: bytes) -> tuple[Line, list[dict]]:
    """Render a table on the fakes in a folder of its own; return its manifest."""
    line = Line(Path(tempfile.mkdtemp()))
    file = line.folder / name
    file.write_bytes(content)
    render_prompts(str(file), line.out, line.config(quality__max_attempts=1), factories=line.factories)
    lines = (line.out / "manifest.jsonl").read_text(encoding="utf-8").split("\n")
    return line, [json.loads(row) for row in lines if row]


def check_files(line: Line, rows: list[dict]) -> None:
    """Every finished row has a file of its own, inside the folder, and there is no other."""
    named = [row["file"] for row in rows if row["file"]]
    made = {str(path.relative_to(line.out)) for path in line.out.rglob("*.wav")}
    assert set(named) == made
    assert len(named) == len(set(named))
    assert [] == list(line.folder.glob("*.wav"))
    assert {"done", "bad", "failed"} >= {row["status"] for row in rows}
    assert all(row["reason"] for row in rows if row["status"] != "done")


@FEW
@given(rows=ROWS, delimiter=st.sampled_from([",", "\t", ";", "|"]), end=st.sampled_from(["\n", "\r\n"]))
def test_every_csv_row_has_a_manifest_line(rows, delimiter, end):
    """Rows as another program would write them, with any characters in them."""
    sink = io.StringIO()
    writer = csv.DictWriter(
        sink, ["text", "id", "voice", "seed", "format"], delimiter=delimiter, lineterminator=end
    )
    writer.writeheader()
    writer.writerows(rows)
    line, found = run("table.csv", sink.getvalue().encode())
    assert len(rows) == len(found)
    check_files(line, found)


@FEW
@given(rows=ROWS)
def test_every_jsonl_row_has_a_manifest_line(rows):
    """Likewise in JSON."""
    line, found = run("table.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    assert len(rows) == len(found)
    check_files(line, found)


@MANY
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".txt", ".parquet", ""]))
@example(b'text\n"\xff', ".csv")
@example(b"text\n\x00", ".csv")
@example(b"[" * 100_000, ".jsonl")
def test_any_bytes_are_read_or_refused_in_words(content, suffix):
    """As whatever they claim to be."""
    file = Path(tempfile.mkdtemp()) / f"table{suffix}"
    file.write_bytes(content)
    try:
        rows = list(read_rows(str(file), TableFormat()))
    except InputError as error:
        assert str(file) in str(error)
    else:
        assert [row.line for row in rows] == sorted({row.line for row in rows})


@MANY
@given(st.lists(st.sampled_from(['"', "a", ",", "\n", "\r\n", '""', "b c", ";"]), max_size=60).map("".join))
def test_every_line_of_quotation_marks_is_in_some_row(body):
    """However quotation marks are spread: each line that is not blank begins a row or lies inside one."""
    file = Path(tempfile.mkdtemp()) / "table.csv"
    file.write_bytes(f"text,id\n{body}\n".encode())
    rows = list(read_rows(str(file), TableFormat()))
    starts = [row.line for row in rows]
    lines = body.replace("\r\n", "\n").split("\n")
    filled = [number for number, line in enumerate(lines, 2) if line]
    assert starts == sorted(set(starts))
    assert (starts[:1] or [0]) == (filled[:1] or [0])
    joined = sum(row.values.get(name, "").count("\n") for row in rows for name in ("text", "id"))
    if not any(row.problem for row in rows):
        assert len(filled) <= len(rows) + joined


def test_manifest_follows_the_ledger_over_pages(tmp_path, monkeypatch):
    """More rows than are read at a time, bad ones among them."""
    monkeypatch.setattr("orpheus_batch.ledger.item_reports.PAGE_ROWS", 3)
    line = Line(tmp_path)
    file = line.folder / "table.csv"
    table = "".join(f"r{i},{'Some words.' if i % 3 else ''}\n" for i in range(10))
    file.write_text("id,text\n" + table, encoding="utf-8")
    render_prompts(str(file), line.out, line.config(), factories=line.factories)
    with ItemLedger.open(line.out, read_only=True) as ledger:
        rows = list(ledger.manifest_rows(1))
    assert [f"r{i}" for i in range(10)] == [row.item_id for row in rows]
    assert [i % 3 == 0 for i in range(10)] == [row.status == "bad" for row in rows]
