"""Writes a ledger step by step until it is killed; run by test_ledger_kill.py in a process of its own.

Usage: ledger_worker.py FOLDER KILL_AT. It kills itself with SIGKILL just before statement KILL_AT reaches
SQLite (0: never), and prints each step once it has returned, that is, once it is promised: what, in which
round, how many.
"""

import hashlib
import os
import signal
import sys
from pathlib import Path

import numpy as np

from orpheus_batch.data import Cue
from orpheus_batch.ledger.database import Database
from orpheus_batch.ledger.records import EncodedFile, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.testing import make_plan

NUM_ROUNDS = 2
BLOCK = 4


def plan_of(round_):
    """Two chapters of 20; each round rewrites one sentence in ten."""
    texts = [f"{i}" if i % 10 else f"{i} of {round_}" for i in range(40)]
    return make_plan(texts[:20], texts[20:])


def take_of(segment_id, attempt):
    """Every third first take is bad, and what it holds follows from its name."""
    noise = np.random.default_rng(int(segment_id[:8], 16) + attempt)
    tokens = noise.integers(0, 1 << 18, 7 * 40).astype(np.int32)
    accepted = attempt > 0 or int(segment_id[:8], 16) % 3 > 0
    return Take(segment_id, attempt, attempt, tokens, "stop", "fake", (), -float(not accepted), accepted, 3.4)


def content_of(chapter_index, round_):
    return f"chapter {chapter_index} of {round_}".encode() * 50


def steps(folder):
    """Yield after each promise: (what, round, how many)."""
    for round_ in range(NUM_ROUNDS):
        with Ledger.open(folder) as ledger:
            yield "open", round_, 1
            ledger.record_plan(*plan_of(round_), {"round": round_}, {})
            yield "plan", round_, 1
            while (attempt := ledger.next_attempt()) is not None:
                block = ledger.pending(attempt=attempt, limit=BLOCK)
                ledger.record_takes([take_of(p.segment.segment_id, p.attempt) for p in block], max_attempts=3)
                yield "takes", round_, len(block)
            for chapter_index in (0, 1):
                pieces = ledger.chapter_pieces(chapter_index)
                recipe = ledger.recipe_sha256(chapter_index, {})
                if ledger.is_encoded(chapter_index, recipe):
                    continue
                content = content_of(chapter_index, round_)
                name = f"{chapter_index}-{round_}.mp3"
                (folder / name).write_bytes(content)
                file = EncodedFile(name, len(content), hashlib.sha256(content).hexdigest(), 1.0)
                cues = [Cue(p.segment.segment_id, p.segment.index, round_, 1) for p in pieces]
                ledger.mark_encoded(chapter_index, recipe, [file], cues)
                yield "encoded", round_, 1


def kill_at(statement):
    """Arrange for SIGKILL just before the given statement, counted over the whole process."""
    count = 0

    def counting(method):
        def wrapped(self, sql, parameters=()):
            nonlocal count
            count += 1
            if count == statement:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(self, sql, parameters)

        return wrapped

    for name in ("rows", "execute", "execute_many"):
        setattr(Database, name, counting(getattr(Database, name)))
    return lambda: count


if __name__ == "__main__":
    counted = kill_at(int(sys.argv[2]))
    for step in steps(Path(sys.argv[1])):
        print(*step, flush=True)
    print("statements", NUM_ROUNDS, counted(), flush=True)
