"""Damage in the output folder: named, confined, and mended by what the message says."""

import sqlite3

import pytest
from line_helpers import Line

from orpheus_batch.ledger.store import LEDGER_NAME, Ledger
from orpheus_batch.pipeline import redo_segment, render_books


@pytest.fixture
def line(tmp_path) -> Line:
    line = Line(tmp_path)
    render(line)
    line.take_logs()
    return line


def render(line: Line, **overrides):
    return render_books([line.book], line.out, line.config(**overrides), factories=line.factories)


def find(line: Line, text: str) -> str:
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        return ledger.find_segments(text=text)[0].segment_id


def test_damaged_tokens_stop_their_chapter_alone_and_redo_mends_them(line):
    """Without cache the tokens are needed; the message names segment and command, and the command works."""
    before = line.files()
    segment_id = find(line, "painted green")
    with sqlite3.connect(line.out / "house" / LEDGER_NAME) as database:
        database.execute(
            "UPDATE takes SET tokens = zeroblob(40) "
            "WHERE segment = (SELECT key FROM segments WHERE segment_id = ?)",
            (segment_id,),
        )
    for file in [*(line.out / "house" / "cache").iterdir(), *line.out.rglob("*.mp3")]:
        file.unlink()

    report = render(line)
    assert 1 == report.exit_code
    assert "The Stair" in report.books[0].error
    assert f"--segment {segment_id}" in report.books[0].error
    assert ["house/01 - The Door.mp3", "house/03 - The Garden.mp3"] == list(line.files())

    redone = redo_segment(line.out, segment_id=segment_id, factories=line.factories)
    assert 0 == redone.run.exit_code
    assert before.keys() == line.files().keys()
    assert [f"{segment_id} 1"] == line.take_logs()[0]


def test_a_damaged_cache_is_decoded_again(line):
    """Bytes overwritten in the middle of every cache file, and a torn end: the same MP3s come out."""
    before = line.files()
    for file in (line.out / "house" / "cache").iterdir():
        data = bytearray(file.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = b"\0" * 64
        file.write_bytes(bytes(data[:-10]))
    for file in line.out.rglob("*.mp3"):
        file.unlink()
    line.made.clear()
    assert 0 == render(line).exit_code
    assert ["codec"] == line.made
    assert before == line.files()


@pytest.mark.parametrize("damage", ["deleted", "cut", "other"])
def test_a_finished_file_that_is_not_itself_is_made_again(line, damage):
    """ "The file exists, so it is done" would keep a file that was cut or replaced."""
    before = line.files()
    victim = line.out / "house" / "02 - The Stair.mp3"
    if damage == "deleted":
        victim.unlink()
    elif damage == "cut":
        victim.write_bytes(victim.read_bytes()[:1000])
    else:
        victim.write_bytes(bytes(reversed(victim.read_bytes())))
    report = render(line)
    assert [False, True, False] == [chapter.encoded_now for chapter in report.books[0].chapters]
    assert before == line.files()
