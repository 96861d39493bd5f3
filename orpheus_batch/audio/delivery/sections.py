"""A chapter as it is delivered: which takes, in which cache, with which words; stitched once, and its level.

Runs in an encoder process: small values in, small values out, samples on disk. It knows no preset's name and no
file's format.
"""

import math
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.quiet import stretches
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.audio.ffmpeg import FRAME_SAMPLES, failure, ffmpeg_command
from orpheus_batch.audio.stitch import StitchedChapter, StitchPiece, stitch_chapter
from orpheus_batch.data import Boundary
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
    boundary: Boundary
    """what follows it"""
    written: str = ""
    """the sentences that end in it, in the book's own words; empty where they are not known"""

    @property
    def may_end_file(self) -> bool:
        """Whether a sentence ends here that is no heading."""
        return self.boundary in (Boundary.SENTENCE, Boundary.PARAGRAPH, Boundary.CHAPTER)


@dataclass(frozen=True, slots=True)
class Section:
    """What becomes a file, or a chapter inside one."""

    title: str
    cache_dir: Path
    codec_fingerprint: str
    pieces: tuple[SpokenPiece, ...]


@dataclass(frozen=True, slots=True)
class StitchedSection:
    """A section's samples on disk, without head and tail, and how loud they are before any gain."""

    section: Section
    file: Path
    """int16 little-endian at 24 kHz"""
    audio: StitchedChapter
    energy: float
    """sum of squares, full scale 1"""
    lufs: float
    """integrated; -inf where it was not asked for"""

    @property
    def num_samples(self) -> int:
        """Of the whole section."""
        return self.audio.num_samples

    @property
    def piece_samples(self) -> tuple[int, ...]:
        """Of each piece with the pause after it."""
        starts = [cue.start_sample for cue in self.audio.cues]
        return tuple(b - a for a, b in zip([0, *starts[1:]], [*starts[1:], self.num_samples], strict=True))


@dataclass(frozen=True, slots=True)
class SectionJob:
    """All that `stitch_section` needs."""

    section: Section
    file: Path
    """receives the samples; its folder must exist"""
    wants_lufs: bool


def stitch_section(job: SectionJob) -> StitchedSection:
    """Stitch a section into a file, and measure it.

    Raises:
        EncodeError: Audio is missing in the cache, or the disk is full.
        DeliveryError: There is no speech in it.
    """
    section = job.section
    cache = AudioCache(section.cache_dir, section.codec_fingerprint, read_only=True)
    spoken = [spoken.piece for spoken in section.pieces]
    keys = [(piece.segment_id, piece.attempt) for piece in spoken if piece.attempt is not None]
    try:
        with job.file.open("wb") as sink, tempfile.TemporaryFile(dir=job.file.parent) as scratch:
            takes = cache.read_in_order(keys, scratch)
            pieces = (
                StitchPiece(
                    segment_id=piece.segment_id,
                    segment_index=index,
                    samples=None if piece.attempt is None else next(takes),
                    pause_after_s=piece.pause_after_s,
                )
                for index, piece in enumerate(spoken)
            )
            audio = stitch_chapter(pieces, sink, lead_in_s=0.0)
        energy = _energy(job.file, audio.num_samples)
    except OSError as error:
        raise EncodeError(f"can't write {job.file}: {error.strerror or error}") from error
    if not energy:
        raise DeliveryError(
            f"“{section.title}” holds no speech, so it can't be brought to any level; "
            "`orpheus-batch status OUT` says what failed in it, `redo` takes it again"
        )
    lufs = loudness(job.file) if job.wants_lufs else -math.inf
    return StitchedSection(section, job.file, audio, energy, lufs)


def book_gain_db(
    levels: Sequence[StitchedSection], *, target_db: float, wants_lufs: bool, silence_s: float
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
    filters = f"asetnsamples={FRAME_SAMPLES}:p=0,ebur128=framelog=verbose"
    command = ffmpeg_command(["-nostats", *source, "-af", filters, "-f", "null", "-"])
    command[command.index("-loglevel") + 1] = "info"
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    found = re.search(r"I:\s+(-?[\d.]+) LUFS", done.stderr.decode("utf-8", "replace").rpartition("Summary:")[2])
    if done.returncode or found is None:
        raise EncodeError(f"measuring loudness: {failure(done.returncode, done.stderr)}")
    value = float(found[1])
    return -math.inf if value <= _NO_LOUDNESS else value


def _energy(file: Path, num_samples: int) -> float:
    """Return the sum of squares, full scale 1: added up in whole numbers, so every machine gets the same."""
    if not num_samples:
        return 0.0
    samples = np.memmap(file, "<i2", "r", shape=(num_samples,))
    total = 0
    for start, stop in stretches(num_samples, _STRETCH_SAMPLES):
        piece = samples[start:stop].astype(np.int64)
        total += int((piece * piece).sum())
    return total / 32_768.0**2
