"""Tables as people and programs break them: nothing ends in a traceback, no row is lost without a line."""

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from line_helpers import Line

from orpheus_batch.corpus.items import Speaker, Wisher
from orpheus_batch.corpus.manifest import write_manifests
from orpheus_batch.corpus.planner import TablePlanner
from orpheus_batch.corpus.prompts import render_prompts
from orpheus_batch.corpus.rows import TableFormat, read_rows
from orpheus_batch.errors import InputError
from orpheus_batch.ledger.items import ItemLedger
from orpheus_batch.pipeline.models import pack_of

COLUMNS = ("text", "id", "voice", "seed", "temperature", "format", "filename")
CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "one", "two", "wav", ".mp3", "1", "-5", "nan", "1e400", "9" * 30, "../x", "/", "~", "*"]
    ),
    st.sampled_from(
        ["Hello there.", "It rained. It rained again.", "<laugh>", "a\u0301", "\u202e", "\x00", "CON"]
    ),
    st.text(st.characters(exclude_characters='\r\n"', exclude_categories=("Cs",)), max_size=12),
)
HEADERS = st.lists(st.sampled_from(COLUMNS[1:]), unique=True).map(lambda names: [*names, "text"])
FRAGMENTS = st.sampled_from(
    [
        *'",;\t|\n\r\x00\ufeffé a{}:[\u2028',
        '""',
        "\r\n",
        "text",
        "id",
        "Hello there.",
        '{"text": "Hello."}',
        "PAR1",
    ]
)


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Line:
    return Line(tmp_path_factory.mktemp("tables"))


def manifest_of(line: Line, content: bytes, suffix: str) -> list[dict[str, str]]:
    """Plan a table, speak nothing, and return its manifest."""
    with tempfile.TemporaryDirectory(dir=line.folder) as folder:
        file = Path(folder) / f"table{suffix}"
        file.write_bytes(content)
        config = line.config()
        pack = pack_of(config)
        with ItemLedger.open(Path(folder) / "out") as ledger:
            source, _ = ledger.open_source("table", "")
            wisher = Wisher(pack, "one", "wav", [])
            planner = TablePlanner(ledger, source, wisher, Speaker(pack, "model", config.pauses, 0))
            planner.plan(read_rows(str(file), TableFormat()), "")
            write_manifests(ledger.folder, ledger.manifest_rows(source))
        with (Path(folder) / "out" / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
            rows = list(csv.DictReader(manifest))
        num_read = sum(1 for _ in read_rows(str(file), TableFormat()))
    assert num_read == len(rows)
    return rows


@given(
    st.lists(FRAGMENTS, max_size=40),
    st.sampled_from(["", "text\n", "id,text\n", "id;text;voice\n", '"text\n']),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".txt", ".parquet", ""]),
    st.sampled_from(["utf-8", "utf-16", "latin-1"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_the_file(line, fragments, header, suffix, encoding):
    """It is a table, with a line in the manifest for each row, or it is refused in words."""
    try:
        rows = manifest_of(line, (header + "".join(fragments)).encode(encoding, "replace"), suffix)
    except InputError:
        return
    lines = [int(row["line"]) for row in rows]
    assert sorted(set(lines)) == lines
    assert {row["status"] for row in rows} <= {"planned", "bad"}
    assert all(row["reason"] for row in rows if row["status"] == "bad")


@given(
    HEADERS.filter(lambda header: len(header) > 1),  # in one column, a delimiter parts nothing
    st.lists(st.lists(CELLS, min_size=1, max_size=9), max_size=8),
    st.sampled_from(",;\t|"),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_without_quotes_every_line_is_a_row(line, header, rows, delimiter):
    """Too many cells or too few, odd characters, ids that repeat: each line stands in the manifest, in order."""
    content = "\n".join(delimiter.join(cells) for cells in [header, *rows])
    found = manifest_of(line, content.encode(), ".csv")
    with_content = [number for number, text in enumerate(content.split("\n")[1:], 2) if text]
    assert with_content == [int(row["line"]) for row in found]


@given(
    HEADERS,
    st.lists(st.lists(CELLS | st.just('a "quoted"\nline'), min_size=7, max_size=7), min_size=1, max_size=6),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_odd_cells_through_the_whole_line(line, header, rows):
    """Well-formed tables: a row is rendered to a file inside the folder, or says why not; and no file is another's."""
    with tempfile.TemporaryDirectory(dir=line.folder) as folder:
        file, out = Path(folder) / "table.csv", Path(folder) / "out"
        with file.open("w", encoding="utf-8", newline="") as sink:
            writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
            writer.writerow(header)
            writer.writerows(row[: len(header)] for row in rows)
        report = render_prompts(str(file), out, line.config(), factories=line.factories)
        with (out / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
            found = list(csv.DictReader(manifest))
        assert len(rows) == len(found) == report.num_done + report.num_failed + report.num_bad
        files = [row["file"] for row in found if row["status"] == "done"]
        assert len({name.lower() for name in files}) == len(files)
        for name in files:
            assert (out / name).resolve().is_relative_to(out.resolve())
            assert (out / name).stat().st_size > 44
        made = [
            path
            for path in out.rglob("*")
            if path.is_file() and not path.name.startswith(("ledger.", "manifest."))
        ]
        assert len(made) == len(files) + sum(row["status"] == "failed" and bool(row["file"]) for row in found)
