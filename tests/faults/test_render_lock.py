"""Two processes on one output folder."""

import signal
import subprocess
import time

from line_helpers import Line


def test_a_second_process_is_refused_and_the_first_goes_on(tmp_path):
    """The refusal names the other process; a status beside it works."""
    line = Line(tmp_path)
    command, environment = line.command({"stream_s": 0.3})
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        deadline = time.monotonic() + 60
        while not line.generated_log.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        second = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        assert 1 == second.returncode
        assert f"being written by process {first.pid}" in second.stderr.decode()
        looking, environment = line.command({}, "status", str(line.out))
        status = subprocess.run(looking, env=environment, capture_output=True, timeout=60, check=False)
        assert 0 == status.returncode, status.stderr.decode()
        assert f"being rendered by process {first.pid}" in status.stdout.decode()
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
