"""Independent processes that share the work, and, of items, one folder made of theirs."""

import pytest
from corpus_helpers import corpus, shards, write_table
from line_helpers import Line
from prompts_helpers import files, manifest, render

from orpheus_batch.corpus.merge import merge_parts
from orpheus_batch.errors import ConfigError, InputError, LedgerError
from orpheus_batch.pipeline import render_books
from orpheus_batch.pipeline.books import Shelf, load_book
from orpheus_batch.pipeline.parts import Part, parse_part

ROWS = "id,text,seed\n" + "".join(
    f"r{i},{'***' if i == 17 else f'This is row number {i}.'},{3 if i in (2, 30) else ''}\n" for i in range(50)
)


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def write(line: Line, text: str = ROWS) -> str:
    file = line.folder / "rows.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def merged_files(line: Line) -> dict[str, bytes]:
    """Return what the merged folder holds beside its parts."""
    return {name: content for name, content in files(line.out).items() if not name.startswith("part-")}


def test_prompts_in_parts_are_the_same_bytes(line, tmp_path):
    """Files and manifests, bad rows too; and a run over the merged folder has nothing to do."""
    whole = Line(tmp_path / "whole")
    render(whole, write(line))
    generated = []
    for index in range(3):
        render(line, write(line), part=Part(index, 3))
        generated.append(line.take_logs()[0])
    assert all(generated)
    assert 49 == len({entry for entries in generated for entry in entries})
    report = merge_parts(line.out)
    assert ({"planned": 0, "done": 49, "failed": 0}, 1) == (report.counts, report.num_bad)
    assert files(whole.out) == merged_files(line)
    assert 50 == len(manifest(line))
    line.made = []
    again = render(line, write(line))
    assert ([], 49) == (line.made, again.num_done)
    assert files(whole.out) == merged_files(line)


def test_corpus_in_parts_is_the_same_bytes(line, tmp_path):
    """Every shard and manifest; the merged corpus is gone on with as one."""
    whole = Line(tmp_path / "whole")
    path = write_table(line)
    corpus(whole, path)
    for index in (1, 0):
        report = corpus(line, path, part=Part(index, 2))
        assert 8 <= report.num_items <= 22
    report = merge_parts(line.out)
    assert {"planned": 0, "done": 30, "failed": 0} == report.counts
    assert shards(whole.out) == shards(line.out)
    assert (whole.out / "README.md").read_text() == (line.out / "README.md").read_text()
    line.made = []
    report = corpus(line, path, write_table(line, 33, "more.jsonl"))
    assert (3, 33) == (report.night_items, report.num_items)


def test_unfinished_part_is_finished_after_the_merge(line):
    """What is still to come stays planned, and its takes are kept."""
    path = write(line)
    render(line, path, part=Part(0, 2))
    line.spoil = lambda request: True
    render(line, path, part=Part(1, 2), overrides={"quality__max_attempts": 1})
    line.spoil = lambda request: False
    report = merge_parts(line.out)
    assert report.counts["failed"] > 0
    assert 49 == render(line, path).num_done


def test_books_are_dealt_out(line, tmp_path):
    """Into one output folder, the same bytes as by one process; nothing is left to merge, or for a fourth."""
    shelf = line.folder / "shelf"
    shelf.mkdir()
    for name in ("attic", "barn", "cellar"):
        (shelf / f"{name}.md").write_text(line.book.read_text().replace("door", name), encoding="utf-8")
    whole = Line(tmp_path / "whole")
    render_books([shelf], whole.out, whole.config(), factories=whole.factories)
    numbers = []
    for index in range(4):
        report = render_books([shelf], line.out, line.config(), part=Part(index, 4), factories=line.factories)
        numbers.append(len(report.books))
        assert 0 == report.exit_code
    assert [1, 1, 1, 0] == numbers
    assert whole.files() == line.files()
    with pytest.raises(InputError, match=r"what `render --shard` makes lies together already"):
        merge_parts(line.out)


def test_folder_that_another_process_took_in_the_same_instant(line):
    """Two books of one title: the second does not write over the first one's plan."""
    book = load_book(line.book, line.config())
    shelf = Shelf(line.out)
    assert not shelf.is_taken({}, book)
    assert not shelf.is_taken({"book": {"source_path": book.source_path}}, book)
    assert shelf.is_taken({"book": {"source_path": "/another/house.md"}}, book)


def test_missing_part_is_named(line):
    """Rather than half a corpus passing for a whole one."""
    render(line, write(line), part=Part(0, 3))
    with pytest.raises(InputError, match="the parts 1, 2 are missing"):
        merge_parts(line.out)
    with pytest.raises(InputError, match="holds no parts"):
        merge_parts(line.folder)


def test_parts_of_different_tables_are_refused(line):
    """Rows would be missing or doubled."""
    render(line, write(line), part=Part(0, 2))
    longer = ROWS.replace(
        "id,text,seed\n", "id,text,seed\n" + "".join(f"n{i},New row {i}.,\n" for i in range(20))
    )
    render(line, write(line, longer), part=Part(1, 2))
    with pytest.raises(InputError, match=r"do(es)? not go with|in no part"):
        merge_parts(line.out)
    assert not (line.out / "ledger.sqlite").exists()


def test_whole_and_parts_are_kept_apart(line):
    """The merged folder may have been gone on with: it is not merged again, nor parted; parts are not passed over."""
    for index in range(2):
        render(line, write(line), part=Part(index, 2))
    with pytest.raises(LedgerError, match="holds parts that --shard made; `merge` them"):
        render(line, write(line))
    merge_parts(line.out)
    with pytest.raises(LedgerError, match="holds a ledger already"):
        merge_parts(line.out)
    with pytest.raises(LedgerError, match="holds a whole already"):
        render(line, write(line), part=Part(0, 2))


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/4", "0/0"])
def test_wrong_parts(text):
    """Counted from 0."""
    with pytest.raises(ConfigError, match="write i/N"):
        parse_part(text)
    assert Part(3, 4) == parse_part("3/4")
