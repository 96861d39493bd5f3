"""What a signal does to the process that gets it."""

import os
import signal

import pytest

from orpheus_batch.cli.interrupt import resumable


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_body_and_says_how_to_go_on(signum, capsys):
    """The exit code is the shell's: 128 and the signal's number."""
    with pytest.raises(SystemExit) as exit_, resumable():
        os.kill(os.getpid(), signum)
    assert 128 + signum == exit_.value.code
    assert "the same command goes on" in capsys.readouterr().err


def test_a_signal_that_is_swallowed_comes_again():
    """Compiled modules swallow what a handler raises while they are imported; the next check raises it anew.

    Waiting for a second Ctrl-C would be wrong: that one aborts without unwinding.
    """
    with pytest.raises(SystemExit) as exit_, resumable() as check:
        check()
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            reached = True
        assert reached
        check()
    assert 128 + signal.SIGINT == exit_.value.code


def test_handlers_are_put_back():
    """A library's user gets back what was there."""
    before = signal.getsignal(signal.SIGTERM)
    with resumable():
        assert before != signal.getsignal(signal.SIGTERM)
    assert before == signal.getsignal(signal.SIGTERM)


def test_other_errors_pass():
    """Only the signal is turned into an exit."""
    with pytest.raises(ZeroDivisionError), resumable():
        _ = 1 // 0
