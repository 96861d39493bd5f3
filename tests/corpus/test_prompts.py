"""A table in, one file a row out: formats, manifest, bad rows, and going on."""

import json
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest
from line_helpers import Line
from prompts_helpers import TABLE, files, manifest, render, write

from orpheus_batch.audio.delivery.presets import load_preset
from orpheus_batch.audio.verify import measure_file
from orpheus_batch.corpus.rows import table_format
from orpheus_batch.errors import ConfigError, InputError, LedgerError
from orpheus_batch.pipeline import redo_segment, render_books
from orpheus_batch.pipeline.export import export_books

AUDIO = ["a.wav", "b.wav", "c.flac", "d.mp3", "deep/down/e.opus", "own name.wav"]


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Line:
    """A run that nothing happened to."""
    line = Line(tmp_path_factory.mktemp("undisturbed"))
    render(line, write(line))
    return line


def test_every_row_has_its_file_in_its_format(undisturbed):
    """Names, formats, and lengths as the manifest says, measured by decoding."""
    rows = manifest(undisturbed)
    assert AUDIO == [row["file"] for row in rows]
    assert ["2", "3", "4", "5", "6", "7"] == [row["line"] for row in rows]
    for row in rows:
        rate_hz = 48_000 if row["file"].endswith("opus") else 24_000
        levels = measure_file(undisturbed.out / row["file"], rate_hz)
        assert pytest.approx(float(row["duration_s"]), abs=0.12) == levels.duration_s
        assert levels.peak_db <= 0
    with wave.open(str(undisturbed.out / "a.wav")) as file:
        assert (1, 2, 24_000) == (file.getnchannels(), file.getsampwidth(), file.getframerate())


def test_manifest_tells_what_was_done(undisturbed):
    """Both manifests hold the same; equal texts have seeds of their own, given ones are kept."""
    rows = manifest(undisturbed)
    lines = (undisturbed.out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["file"] for row in rows] == [json.loads(line)["file"] for line in lines]
    assert {"done"} == {row["status"] for row in rows}
    assert ["one", "two", "one", "one", "one", "one"] == [row["voice"] for row in rows]
    assert "5" == rows[2]["seed"]
    assert len({row["seed"] for row in rows}) == 6
    assert all(int(row["tokens"]) % 7 == 0 and int(row["tokens"]) > 0 for row in rows)
    assert {"1"} == {row["attempts"] for row in rows}
    assert all(-21 < float(row["loudness_db"]) < -19 for row in rows)


def test_manifests_open_in_pandas_and_datasets(undisturbed, tmp_path, monkeypatch):
    """As they lie there, with numbers as numbers."""
    pandas, datasets = pytest.importorskip("pandas"), pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    frame = pandas.read_csv(undisturbed.out / "manifest.csv")
    assert (6, "int64", "float64") == (len(frame), str(frame["seed"].dtype), str(frame["duration_s"].dtype))
    loaded = datasets.load_dataset(
        "json", data_files=str(undisturbed.out / "manifest.jsonl"), cache_dir=str(tmp_path), split="train"
    )
    assert AUDIO == loaded["file"]
    assert list(frame["seed"]) == loaded["seed"]


@pytest.mark.parametrize("name", ["a.wav", "c.flac", "d.mp3", "deep/down/e.opus"])
def test_files_say_that_they_are_synthetic(undisturbed, name):
    """In the file itself, where it stays when the file is passed on."""
    assert b"Synthetic speech" in (undisturbed.out / name).read_bytes()


def test_second_run_touches_nothing_and_loads_nothing(line):
    """No model is made; every byte stays."""
    path = write(line)
    render(line, path)
    before, line.made = files(line.out), []
    report = render(line, path)
    assert ([], 0, 0, 6) == (line.made, report.num_made, report.num_takes, report.num_done)
    assert before == files(line.out)


def test_added_rows_alone_are_rendered(line):
    """At the end and in the middle, with ids and without; the others' bytes stay."""
    path = write(line, "text\nThe first of them.\nThe second of them.\n")
    render(line, path)
    before = files(line.out)
    line.take_logs()
    write(
        line, "text\nOne between.\nThe first of them.\nAnother one.\nThe second of them.\nThe first of them.\n"
    )
    report = render(line, path)
    assert (3, 3, 5) == (report.num_takes, report.num_made, report.num_done)
    after = files(line.out)
    assert all(after[name] == content for name, content in before.items() if name.endswith(".wav"))
    assert 5 == len({row["file"] for row in manifest(line)})


def test_changed_and_removed_rows(line):
    """A changed text is spoken anew; a row that left takes its file along, and a stranger's file stays."""
    path = write(line)
    render(line, path)
    (line.out / "notes.wav").write_bytes(b"mine")
    line.take_logs()
    write(
        line,
        TABLE.replace("Opus is small.", "Opus is smaller.").replace('a,"A table, and a chair.",,,,,\n', ""),
    )
    report = render(line, path)
    assert 1 == report.num_takes
    assert ["b", "c", "d", "e", "f"] == [row["id"] for row in manifest(line)]
    assert not (line.out / "a.wav").exists()
    assert (line.out / "notes.wav").exists()
    write(line)  # and back again: the takes are still there, only the audio is made anew
    report = render(line, path)
    assert (0, 2) == (report.num_takes, report.num_made)


def test_row_that_leaves_and_comes_back_is_the_same_file(line, undisturbed):
    """Nothing of its history is in its bytes."""
    path = write(line, "\n".join(TABLE.splitlines()[:3]) + "\n")
    render(line, path)
    write(line, "id,text\nz,Something else.\n")
    render(line, path)
    write(line)
    render(line, path)
    assert files(undisturbed.out) == files(line.out)


def test_deleted_or_cut_file_is_made_again_without_the_model(line):
    """From the recorded tokens."""
    path = write(line)
    render(line, path)
    before = files(line.out)
    (line.out / "a.wav").unlink()
    (line.out / "c.flac").write_bytes(b"cut")
    line.made = []
    report = render(line, path)
    assert (["codec"], 2) == (line.made, report.num_made)
    assert before == files(line.out)


def test_other_level_needs_no_model(line):
    """Every file is made again, no token is."""
    path = write(line)
    render(line, path)
    report = render(line, path, overrides={"audio__target_rms_db": -26.0})
    assert (0, 6) == (report.num_takes, report.num_made)
    assert {"-26"} == {f"{float(row['loudness_db']):.0f}" for row in manifest(line)}


KILLS = {
    "in the plan": {"target": "orpheus_batch.ledger.items:ItemLedger.plan_items", "when": "after", "nth": 1},
    "in a block": {"target": "line_helpers:LoggedEngine.stream", "when": "before", "nth": 6},
    "after the takes": {
        "target": "orpheus_batch.ledger.store:Ledger.record_takes",
        "when": "after",
        "nth": 2,
    },
    "before the mark": {
        "target": "orpheus_batch.ledger.items:ItemLedger.mark_made",
        "when": "before",
        "nth": 1,
    },
    "after the mark": {"target": "orpheus_batch.ledger.items:ItemLedger.mark_made", "when": "after", "nth": 1},
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS.keys())
def test_killed_run_goes_on_to_the_same_bytes(kill, undisturbed, tmp_path):
    """The same command again; a file that was half made is not taken for a whole one."""
    line = Line(tmp_path)
    path = write(line)
    command, environment = line.command(
        {"kill": kill}, "prompts", path, "-o", str(line.out), "--config", "CONFIG"
    )
    command[-1] = str(line.folder / "config.yaml")
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()
    render(line, path)
    assert files(undisturbed.out) == files(line.out)
    generated, _ = line.take_logs()
    assert len(generated) <= len(set(generated)) + 4


def test_queue_gives_the_same_rows(line, undisturbed):
    """Without fixed blocks: nothing missing, nothing doubled (the fake engine does not mind the batch)."""
    report = render(line, write(line), overrides={"engine__deterministic": False})
    assert 6 == report.num_done
    assert files(undisturbed.out) == files(line.out)


@pytest.mark.parametrize("deterministic", [True, False])
def test_failed_row_keeps_its_best_take_and_is_named(line, deterministic):
    """Taken again up to the limit; the others are not held up."""
    line.spoil = lambda request: 5 <= request.seed < 9
    path = write(line)
    report = render(line, path, overrides={"engine__deterministic": deterministic, "quality__max_attempts": 3})
    assert (5, 1, 3) == (report.num_done, report.num_failed, report.exit_code)
    (row,) = [row for row in manifest(line) if row["status"] == "failed"]
    assert ("c", "3") == (row["id"], row["attempts"])
    assert "it had not stopped" in row["reason"]
    assert (line.out / "c.flac").is_file()
    line.spoil = lambda request: False
    report = render(line, path, overrides={"engine__deterministic": deterministic, "quality__max_attempts": 4})
    assert (6, 0, 1, 1) == (report.num_done, report.num_failed, report.num_takes, report.num_made)


BAD = {
    "no text": ("x,,,,,,", "no text"),
    "unknown voice": ("x,Hello there.,nobody,,,,", "no voice is called 'nobody'; there are one, two"),
    "too long": (f"x,{'word ' * 3000},,,,,", "the text has 15,000 characters"),
    "duplicate id": ("a,Hello there.,,,,,", "the id 'a' stands above already"),
    "climbs out": ("../x,Hello there.,,,,,", "would lead out of the output folder"),
    "absolute": ("/etc/x,Hello there.,,,,,", "is not a relative path"),
    "drive": ("C:x,Hello there.,,,,,", "is not a relative path"),
    "hidden": (".ssh/x,Hello there.,,,,,", "begins with a dot"),
    "climbing filename": ("x,Hello there.,,,,,../../x.wav", "would lead out of the output folder"),
    "same file": ("x,Hello there.,,,,,A.WAV", "line 2 makes the file"),
    "seed": ("x,Hello there.,,many,,,", "'seed' is not a number: many"),
    "temperature": ("x,Hello there.,,,nan,,", "'temperature' must be between 0 and 10"),
    "format": ("x,Hello there.,,,,ogg,", "no format 'ogg'"),
    "nothing to say": ("y,***,,,,,", "nothing in the text can be spoken"),
    "too many cells": ("x,Hello there,one,,,,w,how,are,you", "cells and 7 columns"),
    "broken quote": ('x,"Hello" there.,,,,,', "expected after"),
    "file as a folder": ("x,Hello there.,,,,,a.WAV/x", "has a folder called as a file may be: a.WAV"),
    "manifest as a folder": (
        "Manifest.csv/x,Hello there.,,,,,",
        "has a folder called as a file may be: Manifest.csv",
    ),
    "control character": ("x\x07,Hello there.,,,,,", "control characters"),
}


def test_bad_rows_are_named_and_the_others_go_on(line):
    """One of each kind between good rows: reported with its line, in the manifest, and nothing else is lost."""
    table = "".join(f"{row}\n" for row, _ in BAD.values())
    report = render(line, write(line, f"{TABLE}{table}z,A good row at the end.,,,,,\n"))
    assert (7, len(BAD), 3) == (report.num_done, report.num_bad, report.exit_code)
    rows = manifest(line)
    assert [str(number) for number in range(2, 9 + len(BAD))] == [row["line"] for row in rows]
    for row, (what, (_, reason)) in zip(rows[6:], BAD.items(), strict=False):
        assert "bad" == row["status"], what
        assert reason in row["reason"], what
    assert {*AUDIO, "z.wav", "manifest.csv", "manifest.jsonl"} == set(files(line.out))
    assert not (line.folder / "x.wav").exists()


def test_strict_stops_before_any_work(line):
    """No audio, no model; the message names the lines."""
    path = write(line, TABLE + "x,,,,,,\n")
    with pytest.raises(InputError, match="1 bad rows, nothing was rendered: line 8: no text"):
        render(line, path, strict=True)
    assert [] == line.made
    assert {} == files(line.out)


def test_open_quotation_mark_costs_one_row(line):
    """What follows it is read all the same."""
    text = 'id,text\na,"never closed\n' + "".join(f"r{i},Row number {i}.\n" for i in range(5))
    report = render(line, write(line, text))
    assert (5, 1) == (report.num_done, report.num_bad)
    assert ((2, "a quotation mark that is never closed"),) == report.bad_rows


def test_quoted_text_over_lines_is_one_row_and_later_lines_are_counted(line):
    """A row's line is where it begins."""
    report = render(line, write(line, 'id,text\na,"One line\nand another."\nb,\n'))
    assert ((4, "no text"),) == report.bad_rows
    assert "One line\nand another." == manifest(line)[0]["text"]


def test_folder_of_a_book_is_refused(line):
    """And a table's folder is not a book's."""
    render_books([line.book], line.out, line.config(), factories=line.factories)
    line.out = line.out / "house"
    with pytest.raises(LedgerError, match="holds the output of `render`"):
        render(line, write(line))


def test_commands_for_books_refuse_a_table_s_folder(line):
    """In words: nothing is rendered into it, exported from it, or taken again in it."""
    render(line, write(line))
    with pytest.raises(LedgerError, match="holds the output of `prompts`; give `render` a folder of its own"):
        render_books([line.book], line.out, line.config(), factories=line.factories)
    (export,) = export_books(line.out, load_preset("podcast"))
    assert export.error.endswith("holds prompts: only a book can be exported")
    with pytest.raises(InputError, match="holds prompts, and `redo` is for books"):
        redo_segment(line.out, find="small")


def test_prompts_from_standard_input(line, undisturbed, monkeypatch):
    """The same rows by another way."""
    with Path(write(line)).open(encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        render(line, "-")
    assert files(undisturbed.out) == files(line.out)


@pytest.mark.parametrize("mapping", ["utterance", "text=", "loudness=x"])
def test_wrong_mapping(mapping):
    """Says how to write it."""
    with pytest.raises(ConfigError, match="write NAME=COLUMN"):
        table_format([mapping], None, None)
