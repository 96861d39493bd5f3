"""The documented commands on the sample table, in the built-in voice."""

import csv
import json
import tarfile
from pathlib import Path

from click.testing import CliRunner

from orpheus_batch.cli import cli

TABLE = Path(__file__).parents[2] / "samples" / "prompts.csv"
NUM_ROWS = 6


def run(*arguments: str):
    result = CliRunner().invoke(
        cli, [*arguments, "--device", "cpu", "--engine", "torch"], catch_exceptions=False
    )
    assert result.exit_code in (0, 3), result.stderr  # a retrained voice may stumble over a row
    return result


def test_prompts(tmp_path):
    """A file a row, in its format, nothing bad."""
    run("prompts", str(TABLE), "-o", str(tmp_path / "prompts"))
    with (tmp_path / "prompts" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [".wav", ".wav", ".wav", ".flac", ".mp3", ".opus"] == [Path(row["file"]).suffix for row in rows]
    for row in rows:
        assert (tmp_path / "prompts" / row["file"]).stat().st_size > 5_000
        assert 1.0 < float(row["duration_s"]) < 20.0


def test_corpus(tmp_path):
    """The greeting, which stands there twice, is spoken once; what is sealed is FLAC."""
    out = tmp_path / "corpus"
    result = run("corpus", str(TABLE), "-o", str(out), "--budget", "2m", "--min-chars", "10", "--json")
    report = json.loads(result.stdout)
    assert {"a duplicate": 1} == {reason: num for reason, num in report["left_out"].items() if "dup" in reason}
    left_out = sum(report["left_out"].values()) + report["num_failed"]
    assert NUM_ROWS == report["num_items"] + left_out
    for path in (out / "shards").iterdir():
        with tarfile.open(path) as tar:
            flac = next(member for member in tar if member.name.endswith(".flac"))
            assert b"fLaC" == tar.extractfile(flac).read(4)
