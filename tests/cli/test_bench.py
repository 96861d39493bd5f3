"""`bench` renders, measures, and leaves nothing behind."""

import json
import tempfile

import pytest
from click.testing import CliRunner
from line_helpers import Line

from orpheus_batch import bench
from orpheus_batch.bench import bench_books
from orpheus_batch.cli import cli
from orpheus_batch.pipeline import Factories


@pytest.fixture
def line(tmp_path, monkeypatch):
    """A book and fakes; whatever is thrown away is made in a folder of its own."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return Line(tmp_path)


def test_figures_are_of_one_rendering(line):
    """As many tokens as were spoken, shares that add up, no folder left."""
    report = bench_books([line.book], line.config(), line.factories)
    generated, _ = line.take_logs()
    assert len(generated) == report.num_takes > 0
    assert report.speedup == pytest.approx(report.audio_s / report.wall_s)
    assert report.engine_share + report.codec_share + report.rest_share == pytest.approx(1, abs=1e-3)
    assert 0 < report.engine_share < 1
    assert 0 < report.codec_share < 1
    # seven tokens are 2,048 samples at 24 kHz; trimmed silence and retakes only make it less
    assert (
        report.audio_s <= report.tokens_per_s * report.engine_share * report.wall_s / 7 * 2048 / 24_000 + 1e-6
    )
    assert 0 == report.num_failed
    assert [] == [path for path in (line.folder / "scratch").iterdir() if path.is_dir()]
    assert not line.out.exists()


def test_command_prints_one_line_of_json(line, monkeypatch):
    """Its keys are the report's fields."""
    fakes, kind = line.factories, Factories
    monkeypatch.setattr(bench, "Factories", lambda **given: kind(**given) if given else fakes)
    done = CliRunner().invoke(cli, ["bench", str(line.book), "--model", str(line.pack), "--json", "-q"])
    assert 0 == done.exit_code, done.output
    assert json.loads(done.stdout)["num_takes"] > 0
