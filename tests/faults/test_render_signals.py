"""Ctrl-C and SIGTERM end a run in order, at once, and leave it to be gone on with."""

import os
import signal
import subprocess
import time

import pytest
from line_helpers import Line

from orpheus_batch.pipeline import render_books

LATE = "\n# The End\n\nNobody knows what became of her. The house is still there.\n"


def start(line: Line, num_streams: int = 6, **spec) -> subprocess.Popen:
    """Start a slow render, and wait until it is in the middle of generating."""
    command, environment = line.command({"stream_s": 0.2, **spec})
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if line.generated_log.exists() and len(line.generated_log.read_text().splitlines()) >= num_streams:
            break
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_resumable_run_and_says_so(tmp_path, signum):
    """No traceback, no process left, exit code 128 + n; the same command goes on from the last block."""
    line = Line(tmp_path)
    process = start(line)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=30)
    assert 128 + signum == process.returncode, stderr.decode()
    assert "the same command goes on where this run was" in stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert [] == line.leftover_processes()

    report = render_books([line.book], line.out, line.config(), factories=line.factories)
    assert 0 == report.exit_code
    assert 3 == len(line.files())
    generated, _ = line.take_logs()
    assert len(generated) <= 15 + 4


@pytest.mark.parametrize("wait_s", [0.0, 0.2, 0.6])
def test_a_signal_to_the_whole_process_group_is_as_quiet(tmp_path, wait_s):
    """A terminal sends Ctrl-C to every process of the group: encoders, starting or at work, say nothing."""
    line = Line(tmp_path)
    render_books([line.book], line.out, line.config(), factories=line.factories)
    for file in line.out.rglob("*.mp3"):
        file.unlink()
    line.take_logs()
    line.book.write_text(line.book.read_text(encoding="utf-8") + LATE, encoding="utf-8")
    process = start(line, num_streams=1, stream_s=1.0)
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert 128 + signal.SIGINT == process.returncode, stderr.decode()
    assert "Traceback" not in stderr.decode()
    assert 1 == stderr.decode().count("Stopped.")
    deadline = time.monotonic() + 10
    while line.leftover_processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [] == line.leftover_processes()


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    """While the first one unwinds, which hangs here, a second ends the process at once."""
    line = Line(tmp_path)
    process = start(line, hang_on_close=True)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert 128 + signal.SIGINT == process.returncode
    deadline = time.monotonic() + 10
    while line.leftover_processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [] == line.leftover_processes()
