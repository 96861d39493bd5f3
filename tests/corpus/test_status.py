"""How far prompts and corpora are, seen from outside: by folder, beside a running command, in parts."""

import json

import pytest
from click.testing import CliRunner
from corpus_helpers import corpus, write_table
from line_helpers import Line
from prompts_helpers import TABLE, render, write

from orpheus_batch.cli import cli
from orpheus_batch.corpus.nights import make_night
from orpheus_batch.corpus.status import output_status
from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.pipeline import render_books
from orpheus_batch.pipeline.parts import Part


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def run(*arguments: str):
    return CliRunner().invoke(cli, ["status", *arguments], catch_exceptions=False)


def test_prompts(line):
    """Rows done, failed and bad, with reasons; hours by voice; the worst of the good ones on request."""
    line.spoil = lambda request: request.seed in (5, 6)  # row c, both of its takes
    render(line, write(line, TABLE + "x,,,,,,\n"), overrides={"quality__max_attempts": 2})
    (status,) = output_status(line.out, num_suspects=2)
    assert ("prompts", 5, 1, 0, 1, 9) == (
        status.kind, status.num_done, status.num_failed, status.num_planned, status.num_bad, status.num_takes,
    )  # fmt: skip
    assert {"one": 4, "two": 1} == {voice: group["num_items"] for voice, group in status.by_voice.items()}
    assert pytest.approx(status.audio_s) == sum(group["audio_s"] for group in status.by_voice.values())
    (failure,) = status.failures
    assert ("c", 4, "c.flac", 2) == (failure.item_id, failure.line, failure.file, failure.attempts)
    assert "it had not stopped" in failure.problems[0]
    assert ((8, "no text"),) == status.bad_rows
    assert 2 == len(status.suspects)
    assert status.suspects[0].score <= status.suspects[1].score
    result = run(str(line.out), "--suspect", "1")
    assert 0 == result.exit_code
    assert "6 of 6 items (100%), 1 failed, 1 bad rows" in result.stdout
    assert "    c  c.flac: it had not stopped" in result.stdout
    assert "    line 8: no text" in result.stdout
    assert 2 == result.stdout.count("no fault found") + result.stdout.count("it had not stopped")


def test_corpus_beside_a_night(line):
    """Splits, shards, what was left out; who is at work; and what is still to come."""
    path = write_table(line)
    corpus(line, path, path, night=make_night(hours=5 / 3600))
    with CorpusLedger.open(line.out):
        (status,) = output_status(line.out)
        result = run(str(line.out))
    assert status.kind == "corpus"
    assert 30 == status.num_done + status.num_planned
    assert 0 < status.num_done < 30
    assert status.num_shards >= 1
    assert status.num_done == sum(group["num_items"] for group in status.by_split.values())
    assert status.writer.startswith("process ")
    assert f"{status.num_done} of 30 items" in result.stdout
    assert "being worked on by process" in result.stdout


def test_failed_items_of_a_corpus_are_named(line):
    """They are in no shard: by their source and line."""
    line.spoil = lambda request: "7" in request.segment_id[:2]
    corpus(line, write_table(line), quality__max_attempts=1)
    (status,) = output_status(line.out, num_suspects=1)
    assert status.failures
    assert {None} == {failure.shard for failure in status.failures}
    assert status.suspects[0].shard.startswith(("train-", "validation-", "test-"))
    assert f"texts.jsonl, line {status.failures[0].line}: it had not stopped" in run(str(line.out)).stdout


def test_parts_are_summed_up(line):
    """Each by itself, then together."""
    for index in range(2):
        render(line, write(line), part=Part(index, 2), overrides={"engine__block_size": 1})
    result = run(str(line.out))
    assert 2 == result.stdout.count("(prompts)")
    assert "together: 6 of 6 items (100%)" in result.stdout
    found = json.loads(run(str(line.out), "--json").stdout)
    assert 6 == sum(part["num_done"] for part in found)


def test_books_and_tables_side_by_side(line):
    """Each folder is told as what it is."""
    render_books([line.book], line.out, line.config(), factories=line.factories)
    line.out = line.out / "table"
    render(line, write(line))
    result = run(str(line.out.parent))
    assert "house: 15 of 15 segments" in result.stdout
    assert "(prompts): 6 of 6 items" in result.stdout


def test_damaged_or_missing_ledger(line):
    """Said in words."""
    with pytest.raises(LedgerError, match="nothing was rendered"):
        output_status(line.folder)
    line.out.mkdir()
    (line.out / "ledger.sqlite").write_bytes(b"not a database at all, but long enough to be taken for one")
    result = run(str(line.out))
    assert 1 == result.exit_code
    assert "Error: " in result.stderr
