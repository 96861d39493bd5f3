"""How progress looks: one bar on a terminal, sparse lines elsewhere."""

import pytest

from orpheus_batch.cli.progress import Bar, Lines, describe
from orpheus_batch.pipeline.progress import Meter


def nothing() -> None:
    """Stand in for the check for signals."""


def test_a_line_says_chapter_segments_audio_speed_and_time_left():
    """Speed and time left appear once they are known, and not as zeros before."""
    now = [0.0]
    meter = Meter(clock=lambda: now[0])
    meter.planned(10, 8, 100.0)
    assert "2/10 segments, 0 s made" == describe(meter)
    now[0] = 10.0
    meter.generated("The Door", 50.0, 60.0)
    meter.settled(3)
    assert "The Door, 5/10 segments, 1 min 00 s made, 6.0x, 10 s left" == describe(meter)


def test_lines_are_sparse(capsys):
    """A thousand streams in an instant are one line in a log."""
    lines = Lines(nothing)
    lines.planned(1000, 1000, 1000.0)
    for _ in range(1000):
        lines.generated("The Door", 1.0, 1.0)
    assert 1 == len(capsys.readouterr().err.splitlines())


def test_lines_name_files_models_and_books_that_fail(capsys):
    """Things that happen seldom are said at once."""
    lines = Lines(nothing)
    lines.loading("codec")
    lines.encoded("out/01 - The Door.mp3", 61.0)
    lines.book_failed("lost.txt", "can't read it")
    assert [
        "loading the codec",
        "out/01 - The Door.mp3 (1 min 01 s)",
        "lost.txt: can't read it",
    ] == capsys.readouterr().err.splitlines()


def test_the_bar_grows_with_retakes_and_ends_full():
    """A retake is more work: the bar's end moves, and the whole is what was really done."""
    bar = Bar(nothing)
    bar.planned(2, 2, 20.0)
    bar.generated("The Door", 10.0, 10.0)
    bar.retake(10.0, 10.0)
    bar.generated("The Door", 10.0, 10.0)
    bar.generated("The Door", 10.0, 10.0)
    bar.settled(2)
    assert (30.0, 30.0) == (bar.total_s, bar.done_s)
    bar.close()


def test_the_bar_says_at_once_that_a_model_is_loaded(capsys):
    """It may take minutes, in which no stream comes to redraw the bar."""
    bar = Bar(nothing)
    bar.planned(2, 2, 20.0)
    bar.loading("language model")
    assert "loading the language model" in capsys.readouterr().err
    bar.loaded("language model", 1.0)
    bar.close()


def test_the_bar_stays_away_where_there_is_nothing_to_make(capsys):
    """An unchanged book shows no bar at all."""
    bar = Bar(nothing)
    bar.planned(10, 0, 0.0)
    bar.encoded("out/01 - The Door.mp3", 61.0)
    bar.close()
    assert "" == capsys.readouterr().err


def test_a_check_that_raises_ends_the_run():
    """A bar passes on what the check for signals says."""

    def stop() -> None:
        raise KeyboardInterrupt

    bar = Bar(stop)
    bar.planned(1, 1, 1.0)
    with pytest.raises(KeyboardInterrupt):
        bar.generated("The Door", 1.0, 1.0)
    bar.close()


@pytest.mark.parametrize("kind", [Bar, Lines])
def test_what_a_run_tells_is_on_stderr(kind, capsys):
    """In a terminal above the bar, else as a line; a book is named once."""
    meter = kind(nothing)
    meter.told("decoding again")
    meter.book_failed("moby.txt", "can't read moby.txt")
    meter.book_failed("emma.txt", "no chapters")
    said = capsys.readouterr()
    assert ["decoding again", "can't read moby.txt", "emma.txt: no chapters"] == said.err.split("\n")[:3]
    assert "" == said.out
