"""Looking at a render, and asking for another take, afterwards."""

import pytest
from line_helpers import BOOK, Line

from orpheus_batch.errors import InputError, LedgerError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import book_status, redo_segment, render_books
from orpheus_batch.pipeline.after import recorded_config

STAIR = "02 - The Stair.mp3"
TWICE = "Nobody answered her knock, and nobody answered her call."


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Line:
    """A finished book, for tests that only look."""
    line = Line(tmp_path_factory.mktemp("rendered"))
    render(line)
    return line


def render(line: Line, **overrides):
    return render_books([line.book], line.out, line.config(**overrides), factories=line.factories)


def redo(line: Line, **what):
    return redo_segment(line.out, factories=line.factories, **what)


def test_status_of_a_finished_book(rendered):
    """Chapters with their files, all segments done, nobody writing."""
    (book,) = book_status(rendered.out, num_suspects=3)
    assert ("", None) == (book.error, book.writer)
    assert (15, 15, 3) == (book.summary.num_segments, book.summary.num_accepted, book.summary.num_chapters)
    assert ["01 - The Door.mp3", "02 - The Stair.mp3", "03 - The Garden.mp3"] == [
        chapter.files[0].rsplit("/", 1)[1] for chapter in book.chapters
    ]
    assert 3 == len(book.suspects)


def test_suspects_are_found_in_their_file(line):
    """A time code lies inside the file that it names, after everything that is said before it."""
    line.spoil = lambda request: request.expected_num_tokens > 70
    render(line, quality__max_attempts=1)
    (book,) = book_status(line.out / "house", num_suspects=2)
    assert all(suspect.state == "failed" for suspect in book.suspects)
    for suspect in book.suspects:
        assert suspect.chapter_title in suspect.file
        assert suspect.start_s >= 0.0
    assert {suspect.segment_id for suspect in book.suspects} <= {failed.segment_id for failed in book.failures}


def test_status_works_beside_a_writer_and_names_it(rendered):
    """Looking takes no lock."""
    with Ledger.open(rendered.out / "house"):
        (book,) = book_status(rendered.out)
    assert "process" in book.writer
    assert 15 == book.summary.num_accepted


def test_status_of_nothing(line):
    """A folder without a ledger is said to be one."""
    line.out.mkdir()
    with pytest.raises(LedgerError, match="nothing was rendered"):
        book_status(line.out)


def test_another_take_changes_its_chapter_alone(line):
    """One segment is generated, with the next number, and one file changes."""
    render(line)
    before = line.files()
    line.take_logs()
    redone = redo(line, find="painted green")
    generated, _ = line.take_logs()
    assert [f"{redone.heard.segment_id} 1"] == generated
    assert redone.is_new
    assert redone.heard.file.endswith(STAIR)
    assert redone.heard.start_s > 0.0
    assert [False, True, False] == [chapter.encoded_now for chapter in redone.run.books[0].chapters]
    assert [f"house/{STAIR}"] == [n for n, data in line.files().items() if before[n] != data]


def test_a_new_take_that_is_no_better_is_not_taken(line):
    """The old one stays and its file is not touched, and the result says so."""
    render(line, quality__max_attempts=2)
    before = line.files()
    line.spoil = lambda request: request.attempt > 0
    line.take_logs()
    redone = redo(line, find="painted green")
    assert 2 == len(line.take_logs()[0])
    assert not redone.is_new
    assert 0 == redone.run.exit_code
    assert before == line.files()


def test_the_same_spelling_is_another_take(line):
    """Words that change nothing are not remembered as a change."""
    render(line)
    redone = redo(line, find="painted green", spoken="It was painted green.")
    assert redone.is_new
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        assert {} == ledger.overrides()


def test_a_new_spelling_is_spoken_everywhere_and_remembered(line):
    """Text that stands twice changes in both chapters, and a later render keeps it though the book is old."""
    render(line)
    line.take_logs()
    redone = redo(line, find=TWICE, spoken="No one answered, at   no time")
    generated, _ = line.take_logs()
    assert 1 == len(generated)
    assert [True, True, False] == [chapter.encoded_now for chapter in redone.run.books[0].chapters]
    assert "No one answered, at no time." == redone.heard.text
    files = line.files()
    assert 0 == render(line).num_takes
    assert files == line.files()


def test_a_spelling_can_be_changed_again(line):
    """The second spelling replaces the first, and does not stand beside it."""
    render(line)
    redo(line, find="painted green", spoken="It was painted grin.")
    redo(line, find="painted grin", spoken="It was painted grain.")
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        assert [] == ledger.find_segments(text="grin")
        assert 1 == len(ledger.find_segments(text="grain"))


def test_redo_uses_the_configuration_of_the_last_render(line):
    """Bit rate, title and all: nothing else of the book changes by it."""
    render(line, audio__bitrate_kbps=64, text__title="The House", pauses__sentence_s=0.5)
    before = line.files()
    redo(line, find="painted green")
    assert [f"The House/{STAIR}"] == [n for n, data in line.files().items() if before[n] != data]


def test_a_recorded_configuration_comes_back_equal(line):
    """What the ledger holds is the whole tree."""
    config = line.config(audio__bitrate_kbps=64, seed=7, engine__deterministic=False)
    assert config == recorded_config(config.to_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"find": "no such words"}, "no segment under"),
        ({"segment_id": "zzz"}, "no segment under"),
        ({"find": "door"}, "segments or more have"),
        ({"find": "painted green", "spoken": "***"}, "can't speak"),
        ({"find": "painted green", "spoken": "word " * 100}, "takes 500 characters"),
    ],
)
def test_what_can_not_be_redone_is_said(rendered, arguments, message):
    """Nothing fits, several fit (they are listed with their ids), or the spelling can't be spoken."""
    with pytest.raises(InputError, match=message):
        redo(rendered, **arguments)


def test_redo_wants_the_book_where_it_was(line):
    """The message says where that is, and what to do."""
    render(line)
    line.book.unlink()
    with pytest.raises(InputError, match=r"not at .*house\.md any more"):
        redo(line, find="painted green")


def test_redo_of_a_book_in_work_is_refused(rendered):
    """The lock of the running render holds."""
    with Ledger.open(rendered.out / "house"), pytest.raises(LedgerError, match="being written by"):
        redo(rendered, find="painted green")
    assert BOOK == rendered.book.read_text(encoding="utf-8")
