"""A run that is killed anywhere and started again ends with the bytes of one that was left alone."""

import signal
import subprocess
import time

import pytest
from line_helpers import Line

from orpheus_batch.pipeline import render_books

STORE = "orpheus_batch.ledger.store:Ledger"
KILLS = {
    "while the plan is written": {"target": f"{STORE}.record_plan", "when": "before", "nth": 1},
    "inside the plan's transaction": {
        "target": "orpheus_batch.ledger.database:Database.execute_many",
        "when": "after",
        "nth": 3,
    },
    "before the first block": {"target": f"{STORE}.record_plan", "when": "after", "nth": 1},
    "during a block": {"target": "line_helpers:LoggedEngine.stream", "when": "before", "nth": 7},
    "after the cache, before the ledger": {"target": f"{STORE}.record_takes", "when": "before", "nth": 2},
    "after the ledger": {"target": f"{STORE}.record_takes", "when": "after", "nth": 2},
    "during encoding": {
        "target": "orpheus_batch.audio.encoders:Encoders.submit",
        "when": "after",
        "nth": 1,
        "delay_s": 0.3,
    },
    "after the rename, before the mark": {"target": f"{STORE}.mark_encoded", "when": "before", "nth": 1},
    "after the mark": {"target": f"{STORE}.mark_encoded", "when": "after", "nth": 2},
}
BLOCK_SIZE = 4


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Line:
    """A run that nothing happened to."""
    line = Line(tmp_path_factory.mktemp("undisturbed"))
    render_books([line.book], line.out, line.config(), factories=line.factories)
    return line


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS.keys())
def test_killed_run_goes_on_to_the_same_bytes(kill, undisturbed, tmp_path):
    """The same command again gives the same files and repeats at most the block in flight.

    Comparing file names or lengths would miss a block that was generated from another state of the engine.
    """
    line = Line(tmp_path)
    command, environment = line.command({"kill": kill})
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()

    report = render_books([line.book], line.out, line.config(), factories=line.factories)

    assert "" == report.books[0].error
    assert undisturbed.files() == line.files()
    generated, _ = line.take_logs()
    assert 15 == len(set(generated))
    assert len(generated) <= 15 + BLOCK_SIZE


def test_encoder_processes_die_with_the_run(tmp_path):
    """A killed run leaves no process behind, though nobody told the encoders to stop."""
    line = Line(tmp_path)
    kill = KILLS["during encoding"] | {"delay_s": 1.0}
    command, environment = line.command({"kill": kill})
    killed = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert -signal.SIGKILL == killed.returncode
    deadline = time.monotonic() + 20
    while (left := line.leftover_processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [] == left


@pytest.mark.parametrize(("when", "num_generated"), [("before", 30), ("after", 15)])
def test_a_run_killed_while_its_engine_speaks_in_a_thread_goes_on(undisturbed, tmp_path, when, num_generated):
    """Streams that were not recorded are generated again, recorded ones never; the fakes' files are the same."""
    line = Line(tmp_path)
    command, environment = line.command({"kill": {"target": f"{STORE}.record_takes", "when": when, "nth": 1}})
    killed = subprocess.run(
        [*command, "--no-deterministic"], env=environment, capture_output=True, timeout=120, check=False
    )
    assert -signal.SIGKILL == killed.returncode, killed.stderr.decode()

    config = line.config(engine__deterministic=False)
    report = render_books([line.book], line.out, config, factories=line.factories)

    assert "" == report.books[0].error
    assert undisturbed.files() == line.files()
    generated, _ = line.take_logs()
    assert num_generated == len(generated)
