"""kill -9 at any instant: what was promised is there, nothing is half, and running on gives the same ledger."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from orpheus_batch.ledger.store import LEDGER_NAME, Ledger

sys.path.insert(0, str(Path(__file__).parent))
from ledger_worker import plan_of, take_of

WORKER = Path(__file__).parent / "ledger_worker.py"


def run_worker(folder, kill_at=0):
    """Run the worker to its end or death and return what it promised: [what, round, how many] a step."""
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder), str(kill_at)], capture_output=True, text=True, check=False
    )
    assert (0 if kill_at == 0 else -9) == done.returncode, done.stderr
    return [(what, int(round_), int(count)) for what, round_, count in map(str.split, done.stdout.splitlines())]


def contents(folder):
    """All rows of all tables that outputs may depend on, without the numbers SQLite gives to rows."""
    connection = sqlite3.connect(folder / LEDGER_NAME)
    try:
        return {
            "takes": connection.execute(
                "SELECT s.segment_id, t.attempt, t.sha256, t.accepted FROM takes t "
                "JOIN segments s ON s.key = t.segment ORDER BY 1, 2"
            ).fetchall(),
            "segments": connection.execute(
                "SELECT segment_id, text, position, state, num_takes, chosen FROM segments ORDER BY 1"
            ).fetchall(),
            "places": connection.execute(
                "SELECT p.position, s.segment_id FROM places p JOIN segments s ON s.key = p.segment"
            ).fetchall(),
            "encoded": connection.execute("SELECT * FROM encoded_chapters ORDER BY 1").fetchall(),
            "files": connection.execute("SELECT * FROM files ORDER BY 1").fetchall(),
            "cues": connection.execute("SELECT * FROM cues ORDER BY 1, 2").fetchall(),
        }
    finally:
        connection.close()


def check_consistent(folder):
    """Nothing half: SQLite's own checks, whole plans, takes as they were made, cues with their recipe."""
    with Ledger.open(folder) as ledger:
        assert [("ok",)] == ledger._database.rows("PRAGMA integrity_check")
        assert [] == ledger._database.rows("PRAGMA foreign_key_check")
        facts = ledger.facts()
        if not facts:
            assert 0 == ledger.summary().num_places
            return
        _, plans = plan_of(facts["config"]["round"])
        for plan in plans:
            assert list(plan.segments) == [piece.segment for piece in ledger.chapter_pieces(plan.chapter_index)]
        for (segment_id,) in ledger._database.rows("SELECT segment_id FROM segments"):
            takes = ledger.takes(segment_id)
            assert list(range(len(takes))) == [take.attempt for take in takes]
            for take in takes:
                np.testing.assert_array_equal(take_of(segment_id, take.attempt).token_ids, take.token_ids)
            chosen = ledger.chosen_take(segment_id)
            assert (takes[-1].attempt if takes else None) == (chosen.attempt if chosen else None)
        pending = {p.segment.segment_id for p in ledger.pending()}
        for row in ledger.chapters():
            if row.encoded is not None:
                assert ledger.is_encoded(row.index, row.encoded.recipe_sha256)
            cues = ledger._database.rows("SELECT start_sample FROM cues WHERE chapter_index = ?", (row.index,))
            assert (20 if row.encoded else 0) == len(cues)
            assert {int(f.name[2]) for f in row.encoded.files} == {c for (c,) in cues} if row.encoded else True
            wanted = {
                p.segment.segment_id for p in ledger.chapter_pieces(row.index) if p.state.value == "pending"
            }
            assert wanted <= pending


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A ledger that nobody killed, and how many statements it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    *_, (_, _, num_statements) = run_worker(folder)
    return contents(folder), num_statements


def test_killed_between_any_two_statements(tmp_path, undisturbed):
    """Statement by statement through one whole life: each process does a little more before it dies, takes up
    what the last one left, and the end is that of an undisturbed run. The first statements of all, where the
    file itself is made, are taken one by one."""
    expected, num_statements = undisturbed
    random_ = random.Random(0)
    kills = [*range(1, 40, 8), *(random_.randrange(40, num_statements) for _ in range(5))]
    for number, kill_at in enumerate(kills):
        folder = tmp_path / f"{number}"
        promised = run_worker(folder, kill_at)
        check_consistent(folder)
        with Ledger.open(folder) as ledger:
            num_takes = ledger._database.rows("SELECT count(*) FROM takes")[0][0]
            assert sum(count for what, _, count in promised if what == "takes") <= num_takes
            plans = [round_ for what, round_, _ in promised if what == "plan"]
            assert not plans or plans[-1] <= ledger.facts()["config"]["round"]
        run_worker(folder)
        assert expected == contents(folder)


def test_killed_from_outside_again_and_again(tmp_path, undisturbed):
    """SIGKILL at moments that nobody chose, in the middle of writes and syncs, until one run gets through."""
    expected, _ = undisturbed
    random_ = random.Random(1)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, str(WORKER), str(tmp_path), "0"], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()  # it is at work
        time.sleep(random_.random() * 0.25)
        process.kill()
        process.communicate()
        check_consistent(tmp_path)
    run_worker(tmp_path)
    assert expected == contents(tmp_path)
