"""The line from a book to its chapter files, on fakes."""

import dataclasses

import pytest
from line_helpers import LAYOUT, Line

from orpheus_batch.errors import ConfigError, EngineError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories, Progress, render_books
from orpheus_batch.pipeline.report import EXIT_WITH_FAILURES
from orpheus_batch.testing import FakeCodec, FakeEngine

NAMES = ["house/01 - The Door.mp3", "house/02 - The Stair.mp3", "house/03 - The Garden.mp3"]


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def render(line: Line, *books, **overrides):
    return render_books(books or [line.book], line.out, line.config(**overrides), factories=line.factories)


def test_a_book_becomes_one_file_a_chapter(line):
    """Every chapter gets its file, and text that stands twice is spoken once."""
    report = render(line)
    assert NAMES == list(line.files())
    assert 0 == report.exit_code
    assert 15 == report.num_takes
    generated, decoded = line.take_logs()
    assert (15, 15) == (len(generated), len(decoded))
    assert ["engine", "codec"] == line.made


def test_blocks_and_queue_make_the_same_files(tmp_path):
    """Which segments ran together is not heard: the fakes are pure, so the files agree byte for byte."""
    blocks, queue = Line(tmp_path / "blocks"), Line(tmp_path / "queue")
    render(blocks)
    render(queue, engine__deterministic=False)
    assert blocks.files() == queue.files()


def test_blocks_are_what_the_ledger_says(line):
    """A block is its size in plan order, and the engine is called afresh for each."""
    calls = []

    class Watched(FakeEngine):
        def generate(self, requests):
            requests = list(requests)
            calls.append([request.segment_id for request in requests])
            return super().generate(requests)

    factories = dataclasses.replace(line.factories, engine=lambda pack, config, device: Watched(LAYOUT))
    render_books([line.book], line.out, line.config(), factories=factories)
    assert [4, 4, 4, 3] == [len(call) for call in calls]
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        pieces = [p.segment.segment_id for c in ledger.chapters() for p in ledger.chapter_pieces(c.index)]
    assert list(dict.fromkeys(pieces)) == [segment_id for call in calls for segment_id in call]


class Complaints(Progress):
    """Keeps what a run complains of."""

    def __init__(self):
        self.heard = []

    def book_failed(self, source, error):
        self.heard.append(error)


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_unchanged_book_needs_no_model_and_no_encoder(line, deterministic):
    """The second run does nothing at all, says so, and complains of nothing."""
    render(line)
    before = line.files()
    line.made.clear()
    complaints = Complaints()
    config = line.config(engine__deterministic=deterministic)
    report = render_books([line.book], line.out, config, factories=line.factories, progress=complaints)
    assert [] == complaints.heard
    assert [] == line.made
    assert before == line.files()
    assert [False] * 3 == [chapter.encoded_now for chapter in report.books[0].chapters]
    assert report.speedup is None


@pytest.mark.parametrize("change", [{"audio__bitrate_kbps": 64}, {"pauses__sentence_s": 0.9}])
def test_pauses_and_format_change_without_any_model(line, change):
    """The audio cache is enough: neither language model nor codec is even made."""
    render(line)
    before = line.files()
    line.made.clear()
    render(line, **change)
    assert [] == line.made
    assert before.keys() == line.files().keys()
    assert all(before[name] != data for name, data in line.files().items())


def test_without_the_cache_the_codec_is_enough(line):
    """Tokens in the ledger are decoded again, and give the bytes that they gave before."""
    render(line)
    before = line.files()
    for file in (line.out / "house" / "cache").iterdir():
        file.unlink()
    for file in (line.out / "house").glob("*.mp3"):
        file.unlink()
    line.made.clear()
    render(line)
    assert ["codec"] == line.made
    assert before == line.files()


def test_one_changed_sentence_is_one_new_segment(line):
    """Only that sentence is generated, and only its chapter is encoded."""
    render(line)
    before = line.files()
    line.take_logs()
    text = line.book.read_text(encoding="utf-8")
    line.book.write_text(text.replace("It was painted green.", "It was painted blue."), encoding="utf-8")
    report = render(line)
    generated, decoded = line.take_logs()
    assert (1, 1) == (len(generated), len(decoded))
    assert [False, True, False] == [chapter.encoded_now for chapter in report.books[0].chapters]
    assert [NAMES[1]] == [name for name, data in line.files().items() if before[name] != data]


def test_files_that_are_no_chapter_any_more_are_removed(line):
    """A dropped chapter's file goes, as the ledger made it; a file of the user's beside it stays."""
    render(line)
    own = line.out / "house" / "03 - My notes.mp3"
    own.write_bytes(b"not ours")
    text = line.book.read_text(encoding="utf-8")
    line.book.write_text(text[: text.index("# The Garden")], encoding="utf-8")
    render(line)
    assert [*NAMES[:2], "house/03 - My notes.mp3"] == list(line.files())


def test_a_stale_file_that_was_changed_since_is_kept(line):
    """Someone edited the MP3 of a chapter that the book then lost: it is theirs now."""
    render(line)
    stale = line.out / NAMES[2]
    stale.write_bytes(stale.read_bytes()[:-1] + b"!")
    text = line.book.read_text(encoding="utf-8")
    line.book.write_text(text[: text.index("# The Garden")], encoding="utf-8")
    render(line)
    assert NAMES == list(line.files())


def test_a_retitled_chapter_changes_name_and_leaves_no_copy(line):
    """The file under the old title is gone once the new one is there."""
    render(line)
    text = line.book.read_text(encoding="utf-8")
    line.book.write_text(text.replace("# The Stair", "# The Ladder"), encoding="utf-8")
    render(line)
    assert [NAMES[0], "house/02 - The Ladder.mp3", NAMES[2]] == list(line.files())


@pytest.mark.parametrize("deterministic", [True, False])
def test_bad_takes_are_taken_again(tmp_path, deterministic):
    """A stream that never stopped is refused, and its segment comes again with the next seed."""
    line = Line(tmp_path, spoil=lambda request: request.attempt < 2)
    report = render(line, engine__deterministic=deterministic)
    assert 0 == report.exit_code
    generated, _ = line.take_logs()
    assert [15, 15, 15] == [sum(entry.endswith(f" {attempt}") for entry in generated) for attempt in range(3)]


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_segment_that_stays_bad_is_named_and_does_not_stop_the_run(tmp_path, deterministic):
    """The run ends with code 3, every file is there, and the best take is in it."""
    line = Line(tmp_path, spoil=lambda request: request.expected_num_tokens > 70)
    report = render(line, engine__deterministic=deterministic, quality__max_attempts=2)
    assert EXIT_WITH_FAILURES == report.exit_code
    assert NAMES == list(line.files())
    failures = report.books[0].failures
    assert failures
    assert all("not stopped" in failure.reason for failure in failures)
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        assert all(ledger.chosen_take(failure.segment_id) for failure in failures)


def test_more_attempts_reopen_what_had_failed(tmp_path):
    """Raising max_attempts in a later run tries the failed segments again, and only those."""
    line = Line(tmp_path, spoil=lambda request: request.expected_num_tokens > 70 and request.attempt < 2)
    num_failed = len(render(line, quality__max_attempts=2).books[0].failures)
    line.take_logs()
    report = render(line, quality__max_attempts=3)
    assert 0 == report.exit_code
    generated, _ = line.take_logs()
    assert num_failed == len(generated)


def test_an_engine_that_ends_early_is_an_error(line):
    """Streams that never come are noticed, in blocks and in the queue, and not waited for."""

    class Forgetful(FakeEngine):
        def generate(self, requests):
            for number, stream in enumerate(super().generate(requests)):
                if number == 2:
                    return
                yield stream

    factories = Factories(
        lambda pack, config, device: Forgetful(LAYOUT),
        lambda pack, config, device: FakeCodec(),
        lambda pack, config, device: FakeCodec.fingerprint,
    )
    for deterministic in (True, False):
        with pytest.raises(EngineError, match="ended"):
            render_books(
                [line.book], line.out, line.config(engine__deterministic=deterministic), factories=factories
            )


def test_a_pack_that_is_not_there_is_named_as_it_was_given(line):
    """And not as a path in the current directory; the message lists what there is."""
    with pytest.raises(ConfigError, match=r"no model pack 'nobody': give .*orpheus-3b"):
        render(line, model__pack="nobody")


def test_a_pack_in_the_working_directory_is_recorded_absolute(line, monkeypatch):
    """So that a redo from elsewhere finds it."""
    monkeypatch.chdir(line.folder)
    render(line, model__pack="pack")
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        assert str(line.pack) == ledger.facts()["config"]["model"]["pack"]


def test_a_title_for_several_books_is_refused(line, tmp_path):
    """It would give them all one name."""
    other = tmp_path / "other.txt"
    other.write_text("Another book. It is short.", encoding="utf-8")
    with pytest.raises(ConfigError, match="single book"):
        render(line, line.book, other, text__title="Both")
