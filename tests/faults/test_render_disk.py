"""A disk that refuses to write in the middle of a run."""

import subprocess

import pytest
from line_helpers import Line

from orpheus_batch.pipeline import render_books


@pytest.mark.parametrize("max_file_bytes", [2_000, 60_000, 200_000])
def test_a_refused_write_is_one_clear_line_and_nothing_is_lost(tmp_path, max_file_bytes):
    """While the ledger is made, planned in, or while chapters are encoded; with room again all goes on.

    The limit on a file's size is a real refusal by the system, in this process, its encoders and their ffmpeg.
    """
    line = Line(tmp_path / "line")
    command, environment = line.command({"max_file_bytes": max_file_bytes})
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    stderr = done.stderr.decode()
    assert 1 == done.returncode, stderr
    assert "Error: " in stderr
    assert "Traceback" not in stderr

    report = render_books([line.book], line.out, line.config(), factories=line.factories)
    assert 0 == report.exit_code
    undisturbed = Line(tmp_path / "undisturbed")
    render_books([undisturbed.book], undisturbed.out, undisturbed.config(), factories=undisturbed.factories)
    assert undisturbed.files() == line.files()
