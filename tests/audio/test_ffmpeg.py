"""Finding ffmpeg, and saying what it said."""

import os
import stat

import pytest

from orpheus_batch.audio import ffmpeg
from orpheus_batch.errors import EncodeError


@pytest.fixture(autouse=True)
def forget():
    ffmpeg.find_ffmpeg.cache_clear()
    yield
    ffmpeg.find_ffmpeg.cache_clear()


def _program(folder, script):
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_an_ffmpeg_on_the_path_is_preferred(tmp_path, monkeypatch):
    """The system's own comes before the packaged one."""
    program = _program(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert program == ffmpeg.find_ffmpeg()


def test_a_broken_ffmpeg_on_the_path_is_passed_over(tmp_path, monkeypatch):
    """Being on the PATH is not enough: one that can't run (missing libraries, say) gives way to the
    package's."""
    program = _program(tmp_path, "exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert program != ffmpeg.find_ffmpeg()
    assert b"ffmpeg" in ffmpeg.run_ffmpeg(["-version"], what="asking")


def test_no_ffmpeg_at_all_says_what_to_do(tmp_path, monkeypatch):
    """Both ways fail: the error names what was tried and how to mend it."""
    import imageio_ffmpeg

    def nothing():
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", nothing)
    with pytest.raises(EncodeError, match=r"imageio-ffmpeg \(No ffmpeg exe.*pip install imageio-ffmpeg"):
        ffmpeg.find_ffmpeg()


def test_a_failure_carries_what_ffmpeg_said():
    """The reason stands in the error, not only an exit code."""
    with pytest.raises(EncodeError, match=r"(?s)reading x: ffmpeg failed .*No such file"):
        ffmpeg.run_ffmpeg(["-i", "file:nowhere.flac", "-f", "null", "-"], what="reading x")
