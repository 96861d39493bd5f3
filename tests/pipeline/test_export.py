"""From a ledger to a publisher's files, held against ffmpeg's filters, PyAV and a reader of ID3 frames."""

import dataclasses
import itertools
import json
import shutil
import sys
from pathlib import Path

import av
import pytest
from audio_helpers import read_id3
from click.testing import CliRunner
from line_helpers import Line

sys.path.insert(0, str(Path(__file__).parents[1] / "audio" / "delivery"))
from delivery_helpers import ebur128, ffmpeg, ffprobe, quiet_stretches, rms_of_stretch, volumedetect
from mp4_reader import read_m4b

from orpheus_batch.audio.delivery.presets import PRESETS
from orpheus_batch.cli import cli
from orpheus_batch.pipeline.export import export_books
from orpheus_batch.pipeline.export_report import ExportOptions
from orpheus_batch.pipeline.progress import Progress

ACX_NAMES = [
    "01 - Opening Credits.mp3",
    "02 - The Door.mp3",
    "03 - The Stair.mp3",
    "04 - The Garden.mp3",
    "05 - Closing Credits.mp3",
    "Retail Sample.mp3",
]


@pytest.fixture(scope="module")
def acx(rendered):
    """The book's ACX files, and what the export said."""
    (book,) = export_books(
        rendered.out, PRESETS["acx"], ExportOptions(cues="json"), factories=rendered.factories
    )
    assert "" == book.error
    return book


def test_acx_files_pass_by_ffmpegs_own_filters(acx):
    """RMS and peak by `volumedetect`; head, tail and the level of both by `silencedetect` and `astats`."""
    assert ACX_NAMES == [file.path.name for file in acx.files]
    assert acx.ok
    for file in acx.files:
        mean_db, max_db = volumedetect(file.path)
        assert -23.0 <= mean_db <= -18.0
        assert max_db <= -3.0
        quiet = quiet_stretches(file.path, -45, 0.3)
        head, tail = quiet[0], quiet[-1]
        assert head[0] < 0.01 and 0.5 <= head[1] <= 1.0
        assert 1.0 <= tail[1] - tail[0] <= 5.0
        assert tail[1] == pytest.approx(file.duration_s, abs=0.1)
        for start, end in quiet:
            level_db = rms_of_stretch(file.path, start + 0.1, end - 0.1)
            assert -80 <= level_db <= -60
        assert [] == quiet_stretches(file.path, -96, 0.1)
        stream = av.open(str(file.path)).streams.audio[0]
        assert (44_100, 1, "mp3") == (
            stream.rate,
            stream.layout.nb_channels,
            stream.codec_context.name.rstrip("float"),
        )
        assert 192_000 == stream.bit_rate


def test_librivox_files_pass_by_ebur128(rendered):
    """-16 to -21 LUFS, and 128 kbps."""
    (book,) = export_books(rendered.out, PRESETS["librivox"], factories=rendered.factories)
    assert book.ok and 3 == len(book.files)
    for file in book.files:
        lufs, true_peak_db = ebur128(file.path)
        assert -21 <= lufs <= -16
        assert true_peak_db <= 0
        assert 128_000 == av.open(str(file.path)).streams.audio[0].bit_rate


def test_one_gain_for_all_chapters(acx):
    """Chapters keep their levels beside each other; what strays is corrected by 3 dB at most, and told."""
    gains = {round(file.gain_db - file.correction_db, 9) for file in acx.files}
    assert 1 == len(gains)
    assert all(abs(file.correction_db) <= 3.0 for file in acx.files)


def test_cues_point_at_sound(acx):
    """In the decoded file each cue's stretch is loud, and the stretches between are not."""
    file = acx.files[1].path
    cues = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["cues"]
    with_text = [cue["text"] for cue in cues]
    assert "The Door" == with_text[0]
    assert "Nobody answered her knock, and nobody answered her call." in with_text
    for cue in cues:
        inside = cue["segments"]
        assert cue["start_sample"] == inside[0]["start_sample"]
        last = inside[-1]
        assert cue["start_sample"] + cue["num_samples"] == last["start_sample"] + last["num_samples"]
        assert rms_of_stretch(file, cue["start_s"] + 0.05, cue["end_s"] - 0.1) > -30
    for a, b in itertools.pairwise(cues):
        assert rms_of_stretch(file, a["end_s"] + 0.02, b["start_s"] - 0.02) < -60


def test_tags_say_who_wrote_who_speaks_and_that_nobody_does(acx):
    """ID3v2.3, by a reader that is not the writer."""
    frames = read_id3(acx.files[2].path)
    assert ("The Stair", "The House", "A. Writer", "3/5") == tuple(
        frames[name] for name in ("TIT2", "TALB", "TPE1", "TRCK")
    )
    assert ("one (synthetic voice)", "eng", "Audiobook") == tuple(frames[n] for n in ("TCOM", "TLAN", "TCON"))
    assert "1" == frames["TXXX:SYNTHETIC_SPEECH"]
    language, comment = frames["COMM"]  # where players look for it, not in a field of its name
    assert "eng" == language and comment.startswith("Synthetic speech")


def test_twice_the_same_bytes_and_no_model(rendered, acx, tmp_path):
    """Into another folder, with fakes that would say if they were made."""
    rendered.made.clear()
    options = ExportOptions(to=tmp_path, cues="json")
    (again,) = export_books(rendered.out, PRESETS["acx"], options, factories=rendered.factories)
    assert [] == rendered.made
    assert [file.sha256 for file in acx.files] == [file.sha256 for file in again.files]
    for file in Path(again.target).iterdir():
        assert (Path(acx.target) / file.name).read_bytes() == file.read_bytes()


def test_without_the_cache_the_codec_alone(rendered, acx, tmp_path):
    """The ledger's tokens suffice, and the same bytes come out."""
    copy = Line(tmp_path)
    shutil.copytree(rendered.out, copy.out)
    folder = next(copy.out.iterdir())
    shutil.rmtree(folder / "cache")
    told = []
    progress = Progress()
    progress.told = told.append
    (book,) = export_books(
        copy.out, PRESETS["acx"], ExportOptions(cues="json"), factories=copy.factories, progress=progress
    )
    assert "" == book.error
    assert ["codec"] == copy.made
    assert (folder / "cache").is_dir()
    sound, time_left = told[:2]
    assert "of sound are not in the cache and are decoded first" in sound
    assert "decoding takes about" in time_left
    assert [file.sha256 for file in acx.files] == [file.sha256 for file in book.files]


def test_m4b_has_chapters_cover_and_tags(rendered, tmp_path):
    """Read box by box, by PyAV, and by ffprobe where there is one."""
    cover = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", cover)
    options = ExportOptions(format="m4b", cover=cover, to=tmp_path)
    (book,) = export_books(rendered.out, PRESETS["podcast"], options, factories=rendered.factories)
    (file,) = book.files
    assert "The House.m4b" == file.path.name and book.ok
    with av.open(str(file.path)) as opened:
        chapters = opened.chapters()
        titles = [chapter["metadata"]["title"] for chapter in chapters]
        starts = [float(chapter["start"] * chapter["time_base"]) for chapter in chapters]
        assert ("The House", "A. Writer") == (opened.metadata["title"], opened.metadata["artist"])
        assert "SYNTHETIC_SPEECH=1" in opened.metadata["comment"]
        assert "mjpeg" == opened.streams.video[0].codec_context.name
        assert ["aac"] == [stream.codec_context.name for stream in opened.streams.audio]
    assert ["The Door", "The Stair", "The Garden"] == titles
    assert 0 == starts[0] and starts == sorted(starts)
    found = read_m4b(file.path)
    for chapters in (found.nero_chapters, found.track_chapters):  # the kinds of two families of players
        assert titles == [title for _, title in chapters]
        assert starts == pytest.approx([start_s for start_s, _ in chapters], abs=0.001)
    assert ("M4A ", b"\x02", ["eng"], True) == (
        found.brand,
        found.numbers["stik"],
        found.languages,
        found.is_streamable,
    )
    assert ("The House", "A. Writer", "one (synthetic voice)") == tuple(
        found.tags[name] for name in ("©alb", "©ART", "©wrt")
    )
    assert found.cover.startswith(b"\xff\xd8\xff")
    for start_s in starts[1:]:  # sound begins there, after a chapter's pause
        assert rms_of_stretch(file.path, start_s - 0.5, start_s - 0.1) < -55
        assert rms_of_stretch(file.path, start_s + 0.1, start_s + 0.4) > -30
    probed = ffprobe(file.path)
    if probed is not None:
        assert titles == [chapter["tags"]["title"] for chapter in probed["chapters"]]


def test_one_mp3_has_chap_and_ctoc(rendered, tmp_path):
    """Frame by frame, in a table of contents that names them all; sound begins where one does."""
    options = ExportOptions(one_file=True, to=tmp_path, year="1898", genre="Fable", narrator="Nobody")
    (book,) = export_books(rendered.out, PRESETS["podcast"], options, factories=rendered.factories)
    (file,) = book.files
    frames = read_id3(file.path)
    assert ("1898", "Fable", "Nobody") == tuple(frames[name] for name in ("TYER", "TCON", "TCOM"))
    assert ["The Door", "The Stair", "The Garden"] == [title for *_, title in frames["CHAP"]]
    assert [name for name, *_ in frames["CHAP"]] == frames["CTOC"]
    starts = [start for _, start, _, _ in frames["CHAP"]]
    ends = [end for _, _, end, _ in frames["CHAP"]]
    assert (0, starts[1:]) == (starts[0], ends[:-1])
    assert ends[-1] == pytest.approx(file.duration_s * 1000, abs=1)
    for start in starts[1:]:
        assert rms_of_stretch(file.path, start / 1000 - 0.5, start / 1000 - 0.1) < -55
        assert rms_of_stretch(file.path, start / 1000 + 0.1, start / 1000 + 0.4) > -30


@pytest.mark.parametrize("name", ["flac", "opus", "wav"])
def test_other_formats(rendered, tmp_path, name):
    """Each passes the same preset, tags included; `verify` says so too, when told of the format."""
    cover = tmp_path / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", cover)
    options = ExportOptions(format=name, cover=cover, to=tmp_path)
    (book,) = export_books(rendered.out, PRESETS["podcast"], options, factories=rendered.factories)
    assert "" == book.error
    assert [] == [check for file in book.files for check in file.verdict.checks if not check.ok]
    assert (name != "wav") == book.files[0].verdict.measured.stream.has_cover
    arguments = ["verify", book.target, "--preset", "podcast"]
    assert 0 == CliRunner().invoke(cli, [*arguments, "--format", name]).exit_code
    assert 1 == CliRunner().invoke(cli, arguments).exit_code


def test_long_chapters_become_parts_with_room_at_both_ends(rendered, tmp_path):
    """At a sentence, each with head, tail, its disc number, and no part too long."""
    preset = dataclasses.replace(
        PRESETS["acx"], name="short", max_file_s=10.0, credits=False, retail_sample_s=None
    )
    (book,) = export_books(rendered.out, preset, ExportOptions(to=tmp_path), factories=rendered.factories)
    names = [file.path.name for file in book.files]
    assert "01 - The Door (part 1).mp3" in names and "01 - The Door (part 2).mp3" in names
    for file in book.files:
        assert file.duration_s <= 10.0
        assert file.verdict.ok, file.verdict.checks
    assert "2/2" == read_id3(book.files[1].path)["TPOS"]


def test_render_can_deliver(tmp_path, monkeypatch):
    """`render --deliver` makes both, and names the preset's files."""
    line = Line(tmp_path)
    monkeypatch.setattr("orpheus_batch.pipeline.run.Factories", lambda: line.factories)
    monkeypatch.setattr("orpheus_batch.pipeline.export.Factories", lambda: line.factories)
    arguments = ["render", str(line.book), "-o", str(line.out), "--model", str(line.pack), "--device", "cpu"]
    result = CliRunner().invoke(cli, [*arguments, "--deliver", "archive"])
    assert 0 == result.exit_code, result.output
    assert "3 of 3 files pass archive" in result.output
    assert 3 == len(list(line.out.glob("*/archive/*.flac")))
    assert 1 == CliRunner().invoke(cli, [*arguments, "--deliver", "nobody"]).exit_code
