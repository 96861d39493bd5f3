"""Ends a process with everything that it has started.

Killing its group is not enough: MPI puts each rank into a group of its own, and a rank that outlives its parent
keeps its GPU. Parents are looked up in ``/proc``; where there is none, the group is what can be killed.
"""

import contextlib
import os
import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path


def kill_tree(pid: int) -> None:
    """Send SIGKILL to a process, its group and all its descendants.

    Args:
        pid: Of a child that leads its group, or of the caller itself, which ends here.
    """
    own = os.getpid()
    for victim in descendants(pid):
        if victim != own:
            _kill(os.kill, victim)
    _kill(os.killpg, pid)
    if pid == own:  # started by hand it may lead no group
        os.kill(own, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, theirs included, those furthest down last."""
    children = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # the name in brackets may hold anything, blanks and brackets too; state and parent follow it
            _, parent, *_ = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            children[int(parent)].append(int(entry.parent.name))
    found = [pid]
    for ancestor in found:  # grows as it is read
        found += children[ancestor]
    return found[1:]


def _kill(send: Callable[[int, int], None], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(number, signal.SIGKILL)
