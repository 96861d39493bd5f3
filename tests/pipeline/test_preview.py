"""What `plan` says before anything is rendered."""

import pytest
from line_helpers import Line

from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline import preview_books, render_books


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


def test_a_preview_counts_what_a_render_speaks(line):
    """Chapters, segments and words; nothing is written and nothing loaded."""
    preview = preview_books([line.book], line.config())
    (book,) = preview.books
    assert ["The Door", "The Stair", "The Garden"] == [chapter.title for chapter in book.chapters]
    assert 16 == book.num_segments
    assert not line.out.exists()
    assert [] == line.made
    report = render_books([line.book], line.out, line.config(), factories=line.factories)
    assert report.books[0].duration_s == pytest.approx(book.audio_s, rel=0.5)


def test_weights_are_not_needed(line):
    """A pack that comes without weights can be planned for."""
    for file in (line.pack / "language_model").iterdir():
        file.unlink()
    assert 16 == preview_books([line.book], line.config()).books[0].num_segments


def test_what_is_left_out_is_said_with_its_reason(line):
    """A scene break is skipped on purpose, with an example of it."""
    line.book.write_text("# One\n\nShe went in.\n\n* * *\n\nIt was dark in there.\n", encoding="utf-8")
    (book,) = preview_books([line.book], line.config()).books
    (skipped,) = [skipped for skipped in book.skipped if skipped.reason == "scene break"]
    assert (1, "* * *") == (skipped.num_spans, skipped.example)


def test_too_short_segments_are_named(line):
    """A one-word paragraph has no neighbour to join."""
    line.book.write_text("She went in and closed the door.\n\nDark.\n\nThen there was light again.\n", "utf-8")
    (book,) = preview_books([line.book], line.config()).books
    assert ["Dark."] == [segment.text for segment in book.too_short]
    assert () == book.too_long


def test_time_and_money_follow_from_speed_and_price(line):
    """An hour's price is paid by the second."""
    preview = preview_books([line.book], line.config(), speedup=100.0, price_per_hour=3.6)
    assert pytest.approx(preview.audio_s / 100) == preview.compute_s
    assert pytest.approx(preview.compute_s / 1000) == preview.cost
    with pytest.raises(ConfigError, match="--speedup"):
        preview_books([line.book], line.config(), price_per_hour=3.6)


def test_a_book_that_can_not_be_read_is_in_the_preview(line):
    """With its error, beside the others."""
    missing, good = preview_books([line.folder / "missing.txt", line.book], line.config()).books
    assert "can't read" in missing.error
    assert "" == good.error
