"""What Ctrl-C and SIGTERM do: stop cleanly the first time, at once the second."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click


class _Stop(KeyboardInterrupt):
    """A KeyboardInterrupt that remembers which signal it was."""

    def __init__(self, signum: int):
        super().__init__()
        self.signum = signum


@contextmanager
def resumable() -> Iterator[Callable[[], None]]:
    """Run the body so that a signal ends it in order, and the process with 128 + its number.

    A run survives being killed at any instant, so stopping need not wait for anything: the handler raises, and
    the body unwinds, closing what it holds. A second signal does not wait even for that.

    Yields:
        To be called now and then: raises again if a signal came and what it raised was swallowed, as compiled
        modules do while they are imported (numpy.random for one).
    """
    stopping: int | None = None

    def stop(signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping is not None:
            os._exit(128 + signum)
        stopping = signum
        raise _Stop(signum)

    def check() -> None:
        if stopping is not None:
            raise _Stop(stopping)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    except _Stop as stopped:
        click.echo("Stopped. Nothing is lost: the same command goes on where this run was.", err=True)
        sys.exit(128 + stopped.signum)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
