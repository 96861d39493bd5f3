"""Finds ffmpeg and runs it as a process; the one place that knows how.

An ffmpeg on the PATH is preferred; otherwise the static binary of the `imageio-ffmpeg` package is used. ffprobe
is never needed. Nothing here knows about chapters, segments or tags.
"""

import functools
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import BinaryIO

from orpheus_batch.errors import EncodeError

logger = logging.getLogger(__name__)

BITEXACT_ARGS = ("-fflags", "+bitexact", "-flags", "+bitexact")
"""Output options: no encoder version, date or random id in the file."""

FRAME_SAMPLES = 1 << 15
"""For the filter `asetnsamples`, first in a chain: ffmpeg hands frames from thread to thread, and small ones (an
MP3's have 1,152 samples) cost more on the way than in work."""

_PROBE_TIMEOUT_S = 60
_MAX_ERROR_CHARS = 2000


@functools.lru_cache(maxsize=1)
def find_ffmpeg() -> str:
    """Return the path of an ffmpeg that runs: the first on the PATH, else imageio-ffmpeg's own.

    Raises:
        EncodeError: Neither is there, or neither runs; says what to install.
    """
    tried = []
    on_path = shutil.which("ffmpeg")
    if on_path:
        problem = _probe(on_path)
        if not problem:
            return on_path
        tried.append(f"{on_path} ({problem})")
    try:
        import imageio_ffmpeg

        packaged = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        tried.append(f"imageio-ffmpeg ({error})")
    else:
        problem = _probe(packaged)
        if not problem:
            return packaged
        tried.append(f"{packaged} ({problem})")
    raise EncodeError(
        f"no working ffmpeg; tried {'; '.join(tried)}. Install ffmpeg so that it is on the PATH, "
        "or `pip install imageio-ffmpeg`"
    )


def _probe(executable: str) -> str:
    """Return why ``executable`` can't be used, or an empty string."""
    try:
        done = subprocess.run(
            [executable, "-hide_banner", "-version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else f"exit code {done.returncode}"


@functools.lru_cache(maxsize=1)
def has_soxr() -> bool:
    """Return whether this ffmpeg was built with the SoX resampler.

    Raises:
        EncodeError: There is no working ffmpeg.
    """
    return b"--enable-libsoxr" in run_ffmpeg(["-buildconf"], what="asking ffmpeg how it was built")


def ffmpeg_command(args: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the command line that runs ffmpeg with ``args``, quiet but for errors.

    Raises:
        EncodeError: There is no working ffmpeg.
    """
    return [find_ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", *map(os.fspath, args)]


def run_ffmpeg(
    args: Sequence[str | os.PathLike[str]], *, stdin: bytes = b"", stdout: BinaryIO | None = None, what: str
) -> bytes:
    """Run ffmpeg to its end and return what it wrote to standard output.

    Args:
        args: Inputs and outputs; ``pipe:0`` and ``pipe:1`` are the pipes.
        stdin: Given to its standard input.
        stdout: A file that standard output goes to instead, from where the file stands; nothing is returned.
        what: For the error: "encoding FILE", …

    Raises:
        EncodeError: It failed; the message carries the end of its standard error.
    """
    command = ffmpeg_command(args)
    try:
        done = subprocess.run(
            command, input=stdin, stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, check=False
        )
    except OSError as error:
        raise EncodeError(f"{what}: can't start {command[0]}: {error}") from error
    if done.returncode:
        raise EncodeError(f"{what}: {failure(done.returncode, done.stderr)}")
    if done.stderr:
        logger.debug("%s: ffmpeg said: %s", what, _end_of(done.stderr))
    return done.stdout or b""


def failure(returncode: int, stderr: bytes) -> str:
    """Return a failed run's exit code and the end of what it said, for an error message."""
    return f"ffmpeg failed with exit code {returncode}: {_end_of(stderr) or 'it said nothing'}"


def _end_of(stderr: bytes) -> str:
    return stderr.decode("utf-8", errors="replace").strip()[-_MAX_ERROR_CHARS:]
