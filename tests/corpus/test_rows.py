"""What is recognised in a table: format, encoding, delimiter, header, names of columns."""

import pytest

from orpheus_batch.corpus.rows import TableFormat, read_rows, table_format
from orpheus_batch.errors import InputError

pyarrow = pytest.importorskip("pyarrow")


def texts(tmp_path, content, name="table.csv", table=None):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row.values.get("text") for row in read_rows(str(file), table or TableFormat())]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_recognised_by_the_header(tmp_path, delimiter):
    """Though the texts hold others."""
    content = f'id{delimiter}text\n1{delimiter}"a; b, c | d"\n'
    assert ["a; b, c | d"] == texts(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encoding_is_recognised(tmp_path, encoding):
    """With a byte-order mark or by what the bytes can be."""
    assert ["Café au lait, s’il vous plaît"] == texts(
        tmp_path, 'text,id\n"Café au lait, s’il vous plaît",1\n'.encode(encoding)
    )


def test_wrong_characters_late_in_the_file_cost_one_row(tmp_path):
    """What the head did not show does not stop the reading."""
    file = tmp_path / "table.csv"
    file.write_bytes(b"text,id\n" + b"fine,1\n" * 20_000 + b"caf\xe9,2\nfine,3\n")
    rows = list(read_rows(str(file), TableFormat()))
    assert 20_002 == len(rows)
    assert [(20_002, "'text' holds characters that are not utf-8")] == [
        (row.line, row.problem) for row in rows if row.problem
    ]


def test_one_column_needs_no_quotes(tmp_path):
    """A comma parts nothing where there is one column, with a header or without."""
    assert ["Hello, you.", "And you."] == texts(tmp_path, 'text\nHello, you.\n"And you."\n')
    assert ["Hello you.", "And you."] == texts(tmp_path, "Hello you.\nAnd you.\n")
    assert ["Hello, you.", "And you."] == texts(tmp_path, "Hello, you.\n\nAnd you.\n", "table.txt")


def test_columns_by_other_names_and_by_number(tmp_path):
    """The LJ Speech layout: no header, bars, the text in the third column."""
    table = table_format(["text=3", "id=1"], None, None)
    content = "LJ001|Printing, 1|Printing, one\nLJ002|x|In being modern\n"
    assert ["Printing, one", "In being modern"] == texts(tmp_path, content, table=table)
    table = table_format(["text=Utterance"], None, None)
    assert ["b"] == texts(tmp_path, "text,utterance\na,b\n", table=table)
    assert ["b"] == texts(tmp_path, '{"text": "a", "Utterance": "b"}\n', "t.jsonl", table)


def test_table_without_texts_says_what_it_has(tmp_path):
    """And what to do."""
    with pytest.raises(InputError, match=r"no column 'text' but id, sentence; name it with --map text=NAME"):
        texts(tmp_path, "id,sentence\n1,a\n")
    with pytest.raises(InputError, match="no column 'words' but id, text; mend --map text=words"):
        texts(tmp_path, "id,text\n1,a\n", table=table_format(["text=words"], None, None))


def test_parquet(tmp_path):
    """Numbers stay numbers, nulls are empty cells; a file that is none is refused in words."""
    import pyarrow.parquet

    table = pyarrow.table({"utterance": ["a", None, "c"], "seed": [1, 2, None]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    rows = list(read_rows(str(tmp_path / "t.parquet"), table_format(["text=utterance"], None, None)))
    assert [{"text": "a", "seed": 1}, {"seed": 2}, {"text": "c"}] == [row.values for row in rows]
    assert [1, 2, 3] == [row.line for row in rows]
    with pytest.raises(InputError, match="can't be read as Parquet"):
        texts(tmp_path, b"PAR1 not at all", "u.parquet")
    with pytest.raises(InputError, match="no column 'text' but utterance, seed"):
        list(read_rows(str(tmp_path / "t.parquet"), TableFormat()))


def test_jsonl_problems_are_rows(tmp_path):
    """Each with its line; the others go on."""
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "a"}\n{broken\n\n[1]\n{"text": "\\ud800"}\n{"text": "b"}\n', encoding="utf-8")
    rows = list(read_rows(str(file), TableFormat()))
    expected = {1: "", 2: "not JSON", 4: "not a JSON object but list", 5: "'text' holds", 6: ""}
    assert list(expected) == [row.line for row in rows]
    assert all(row.problem.startswith(expected[row.line]) for row in rows)
    assert ["a", "b"] == [row.values["text"] for row in rows if not row.problem]
