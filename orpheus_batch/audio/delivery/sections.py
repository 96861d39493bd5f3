"""A chapter as it is delivered: which takes, in which cache, with which words; stitched, and its level.

Runs in an encoder process: small values in, small values out. It knows no preset's name and no file's format.
"""

import math
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.quiet import stretches
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.audio.ffmpeg import failure, ffmpeg_command
from orpheus_batch.audio.stitch import StitchedChapter, StitchPiece, stitch_chapter
from orpheus_batch.errors import DeliveryError, EncodeError
from orpheus_batch.units import SAMPLE_RATE_HZ, seconds_to_samples

_STRETCH_SAMPLES = 10 * SAMPLE_RATE_HZ
_NO_LOUDNESS = -70.0
"""what the filter says of a file in which nothing passes its gate"""


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """A segment at one place: its take, and its words."""

    piece: ChapterPiece
    text: str
    """as it is spoken"""
    source_start: int
    source_end: int
    ends_sentence: bool
    """whether a file may end after it"""


@dataclass(frozen=True, slots=True)
class Section:
    """What becomes a file, or a chapter inside one."""

    title: str
    cache_dir: Path
    codec_fingerprint: str
    pieces: tuple[SpokenPiece, ...]


@dataclass(frozen=True, slots=True)
class SectionLevel:
    """How long a section is and how loud, before any gain."""

    piece_samples: tuple[int, ...]
    """of each piece with the pause after it, at 24 kHz"""
    energy: float
    """sum of squares, full scale 1"""
    lufs: float
    """integrated; -inf without speech, or where it was not asked for"""

    @property
    def num_samples(self) -> int:
        """Of the whole section."""
        return sum(self.piece_samples)


@dataclass(frozen=True, slots=True)
class SectionJob:
    """All that `measure_section` needs."""

    section: Section
    work_dir: Path
    """for samples on their way; must exist"""
    wants_lufs: bool


def measure_section(job: SectionJob) -> SectionLevel:
    """Stitch a section and measure it.

    Raises:
        EncodeError: Audio is missing in the cache, or the disk is full.
        DeliveryError: There is no speech in it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".measure-", dir=job.work_dir) as folder:
            file = Path(folder) / "stitched.pcm"
            stitched = stitch_sections([job.section], file, head_s=0.0, tail_s=None)
            energy = _energy(file, stitched.num_samples)
            lufs = loudness(file) if job.wants_lufs and energy else -math.inf
    except OSError as error:
        raise EncodeError(f"can't write to {job.work_dir}: {error.strerror or error}") from error
    if not energy:
        raise DeliveryError(
            f"“{job.section.title}” holds no speech, so it can't be brought to any level; "
            "`orpheus-batch status OUT` says what failed in it, `redo` takes it again"
        )
    starts = [cue.start_sample for cue in stitched.cues]
    ends = [*starts[1:], stitched.num_samples]
    begins = [0, *starts[1:]]
    return SectionLevel(tuple(b - a for a, b in zip(begins, ends, strict=True)), energy, lufs)


def stitch_sections(
    sections: Sequence[Section], file: Path, *, head_s: float, tail_s: float | None
) -> StitchedChapter:
    """Write sections one after the other, as one stretch of samples.

    Args:
        sections: In order.
        file: Receives int16 little-endian samples at 24 kHz.
        head_s: Before the first sound.
        tail_s: After the last; None: the pause that the text asks for.

    Raises:
        EncodeError: Audio is missing in a cache.
        OSError: The file can't be written.
    """
    with ExitStack() as stack:
        sink = stack.enter_context(file.open("wb"))
        pieces = _pieces(sections, file, tail_s, stack)
        return stitch_chapter(pieces, sink, lead_in_s=head_s)


def _pieces(
    sections: Sequence[Section], file: Path, tail_s: float | None, stack: ExitStack
) -> Iterator[StitchPiece]:
    for number, section in enumerate(sections):
        cache = AudioCache(section.cache_dir, section.codec_fingerprint, read_only=True)
        scratch = stack.enter_context(tempfile.TemporaryFile(dir=file.parent))  # noqa: SIM115 (it is)
        spoken = [spoken.piece for spoken in section.pieces]
        keys = [(piece.segment_id, piece.attempt) for piece in spoken if piece.attempt is not None]
        audio = cache.read_in_order(keys, scratch)
        for index, piece in enumerate(spoken):
            is_last = number + 1 == len(sections) and index + 1 == len(spoken)
            yield StitchPiece(
                segment_id=piece.segment_id,
                segment_index=index,
                samples=None if piece.attempt is None else next(audio),
                pause_after_s=tail_s if is_last and tail_s is not None else piece.pause_after_s,
            )
        scratch.truncate(0)


def book_gain_db(
    levels: Sequence[SectionLevel], *, target_db: float, wants_lufs: bool, silence_s: float
) -> float:
    """Return the one gain that brings a whole book to a level.

    Args:
        levels: Of its chapters.
        target_db: RMS in dB full scale, or LUFS.
        wants_lufs: Which of the two.
        silence_s: Head and tail that each file gets besides, which an RMS over everything counts.

    Raises:
        DeliveryError: Nothing in it is loud enough to be measured.
    """
    if wants_lufs:
        total = sum(10 ** (level.lufs / 10) * level.num_samples for level in levels)
        count = sum(level.num_samples for level in levels if math.isfinite(level.lufs))
    else:
        total = sum(level.energy for level in levels)
        count = sum(level.num_samples + seconds_to_samples(silence_s) for level in levels)
    if not total or not count:
        raise DeliveryError("the book is too quiet for its loudness to be measured; render it again")
    return target_db - 10 * math.log10(total / count)


def loudness(file: Path) -> float:
    """Return the integrated loudness of 24 kHz 16-bit samples in LUFS, by ffmpeg's filter; -inf for silence.

    Raises:
        EncodeError: ffmpeg failed.
    """
    source = ["-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-i", f"file:{file}"]
    command = ffmpeg_command(["-nostats", *source, "-af", "ebur128=framelog=quiet", "-f", "null", "-"])
    command[command.index("-loglevel") + 1] = "info"
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    found = re.search(r"I:\s+(-?[\d.]+) LUFS", done.stderr.decode("utf-8", "replace").rpartition("Summary:")[2])
    if done.returncode or found is None:
        raise EncodeError(f"measuring loudness: {failure(done.returncode, done.stderr)}")
    value = float(found[1])
    return -math.inf if value <= _NO_LOUDNESS else value


def _energy(file: Path, num_samples: int) -> float:
    if not num_samples:
        return 0.0
    samples = np.memmap(file, "<i2", "r", shape=(num_samples,))
    total = 0.0
    for start, stop in stretches(num_samples, _STRETCH_SAMPLES):
        piece = samples[start:stop].astype(np.float64) / 32_768.0
        total += float(np.dot(piece, piece))
    return total
