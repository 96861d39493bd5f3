"""Exports of what can't be as asked: refused, or told, with nothing lost in silence."""

import dataclasses
import errno
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from line_helpers import Line

import orpheus_batch.pipeline.export as export_module
import orpheus_batch.pipeline.spoken as spoken_module
from orpheus_batch.audio.delivery.presets import PRESETS
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.cli import cli
from orpheus_batch.errors import EncodeError, LedgerError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import render_books
from orpheus_batch.pipeline.export import export_books
from orpheus_batch.pipeline.export_report import ExportOptions
from orpheus_batch.pipeline.progress import Progress


def test_a_level_that_peaks_forbid_is_told(rendered, tmp_path, monkeypatch):
    """A sine of -3 dB RMS under peaks of -6 dB: files are made, fail, and exit 3 tells them."""
    monkeypatch.setattr(export_module, "Factories", lambda: rendered.factories)
    file = tmp_path / "loud.yaml"
    file.write_text("{target_db: -6.5, min_db: -7, max_db: -6, max_peak_db: -6}", encoding="utf-8")
    result = CliRunner().invoke(
        cli, ["export", str(rendered.out), "--deliver", str(file), "--to", str(tmp_path)]
    )
    assert 3 == result.exit_code, result.output
    assert "rms" in result.output and "wanted: -7 to -6 dB" in result.output


def test_unfinished_and_silent_books_are_refused(rendered, tmp_path):
    """With what to do; the other books of a folder would go on."""
    copy = Line(tmp_path)
    shutil.copytree(rendered.out, copy.out)
    folder = next(copy.out.iterdir())
    with Ledger.open(folder) as ledger:
        pieces = ledger.chapter_pieces(0)
        ledger.request_retake(pieces[0].segment.segment_id)
    (book,) = export_books(copy.out, PRESETS["archive"], factories=copy.factories)
    assert "is not finished" in book.error
    with Ledger.open(folder) as ledger:
        for piece in pieces:
            ledger.mark_failed(piece.segment.segment_id, "can't be said")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spoken_module, "ChapterPiece", lambda i, n, attempt, pause: _silent(i, n, pause))
        (book,) = export_books(copy.out, PRESETS["archive"], factories=copy.factories)
    assert "holds no speech" in book.error
    with pytest.raises(LedgerError, match="nothing was rendered"):
        export_books(tmp_path / "nowhere", PRESETS["acx"])


def test_what_could_not_be_spoken_is_told(rendered, tmp_path, monkeypatch):
    """Files are made without it, and neither the exit code nor the words say that all is well."""
    copy = Line(tmp_path)
    shutil.copytree(rendered.out, copy.out)
    monkeypatch.setattr(export_module, "Factories", lambda: copy.factories)
    chosen = spoken_module.ChapterPiece
    lost = "Nobody answered her knock, and nobody answered her call."
    with Ledger.open(next(copy.out.iterdir()), read_only=True) as ledger:
        lost_id = next(p.segment.segment_id for p in ledger.chapter_pieces(0) if p.segment.text == lost)
    monkeypatch.setattr(
        spoken_module,
        "ChapterPiece",
        lambda i, n, attempt, pause: chosen(i, n, None if i == lost_id else attempt, pause),
    )
    command = ["export", str(copy.out), "--deliver", "archive", "--to", str(tmp_path / "to")]
    result = CliRunner().invoke(cli, command)
    assert 3 == result.exit_code
    assert "2 segments could not be spoken and are not heard" in result.output
    assert "3 of 3 files pass archive" in result.output


def _silent(segment_id, index, pause):
    return ChapterPiece(segment_id, index, None, pause)


def test_bad_covers_and_folders(rendered, tmp_path):
    """Before anything is encoded, by name."""
    cover = tmp_path / "cover.jpg"
    cover.write_text("no picture")
    with pytest.raises(EncodeError, match=r"cover\.jpg is neither JPEG nor PNG"):
        export_books(rendered.out, PRESETS["archive"], ExportOptions(cover=cover), factories=rendered.factories)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    (book,) = export_books(
        rendered.out, PRESETS["archive"], ExportOptions(to=taken), factories=rendered.factories
    )
    assert "can't make the folder" in book.error and "another with --to" in book.error


def test_a_book_that_can_not_be_written_to_is_exported_elsewhere(rendered, tmp_path, monkeypatch):
    """On a read-only disk: nothing beside the ledger is touched. Into it: said so, and nothing half-made."""
    copy = Line(tmp_path)
    shutil.copytree(rendered.out, copy.out)
    (folder,) = copy.out.iterdir()
    before = sorted(folder.rglob("*"))
    make, touch = Path.mkdir, Path.open

    def mkdir(path, *args, **kwargs):
        if folder in path.parents:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return make(path, *args, **kwargs)

    def opened(path, mode="r", *args, **kwargs):
        if folder in path.parents and set(mode) & set("wax+"):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return touch(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "open", opened)
    options = ExportOptions(to=tmp_path / "to", retail_sample=False, credits=False)
    (book,) = export_books(copy.out, PRESETS["acx"], options, factories=copy.factories)
    assert book.ok and [] == copy.made
    (book,) = export_books(copy.out, PRESETS["archive"], factories=copy.factories)
    assert "can't make the folder" in book.error and "Read-only" in book.error
    preset = dataclasses.replace(PRESETS["acx"], opening_credits="Anew, by {narrator}.")
    (book,) = export_books(copy.out, preset, ExportOptions(to=tmp_path / "to"), factories=copy.factories)
    assert "can't write the credits" in book.error and "--no-credits" in book.error
    assert before == sorted(folder.rglob("*"))


def test_audio_that_another_machine_decoded_is_used(tmp_path):
    """A GPU's codec works in another precision: its audio needs no codec here, and none is loaded."""
    line = Line(tmp_path)
    here = "float16"
    factories = dataclasses.replace(
        line.factories,
        codec_fingerprint=lambda pack, config, device: config.model.codec_precision.replace("auto", here),
    )
    assert 0 == render_books([line.book], line.out, line.config(), factories=factories).exit_code
    line.made.clear()
    here = "float32"
    (book,) = export_books(line.out, PRESETS["archive"], ExportOptions(format="wav"), factories=factories)
    assert book.ok and [] == line.made


def test_two_books_into_one_folder(tmp_path):
    """Each gets a folder of its own there, or one would write over the other."""
    line = Line(tmp_path)
    second = tmp_path / "second.md"
    second.write_text("# The Door\n\nShe opened it at last, and went in.\n", encoding="utf-8")
    config = line.config()
    assert 0 == render_books([line.book, second], line.out, config, factories=line.factories).exit_code
    options = ExportOptions(to=tmp_path / "to", format="wav")
    books = export_books(line.out, PRESETS["archive"], options, factories=line.factories)
    assert [3, 1] == [len(book.files) for book in books]
    assert 4 == len(list((tmp_path / "to").glob("*/archive-wav/*.wav")))


def test_cues_tell_when_the_book_has_changed(rendered, tmp_path):
    """Its own words can't be had then, and those that were spoken stand in for them."""
    copy = Line(tmp_path)
    text = copy.book.read_text(encoding="utf-8").replace("a hundred\nyears", "Mr. B.'s\n40 years")
    copy.book.write_text(text, encoding="utf-8")
    assert 0 == render_books([copy.book], copy.out, copy.config(), factories=copy.factories).exit_code
    told = []
    progress = Progress()
    progress.told = told.append
    options = ExportOptions(cues="srt", to=tmp_path / "to")
    (book,) = export_books(copy.out, PRESETS["archive"], options, factories=copy.factories, progress=progress)
    cues = book.files[0].path.with_suffix(".srt")
    assert "It had been ticking there for Mr. B.'s 40 years, they said." in cues.read_text(encoding="utf-8")
    copy.book.write_text(text + "More.\n", encoding="utf-8")
    export_books(copy.out, PRESETS["archive"], options, factories=copy.factories, progress=progress)
    assert "ticking there for Mr. B.'s forty years, they said." in cues.read_text(encoding="utf-8")
    assert any("is not as it was" in text for text in told)
