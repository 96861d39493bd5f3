"""One chapter's audio to one MP3 (or several parts, where it is very long)."""

from dataclasses import dataclass
from pathlib import Path

from orpheus_batch.config import AudioConfig
from orpheus_batch.data import Cue

MAX_PART_S = 7200.0
"""A chapter longer than this is split at a segment boundary into parts (ACX takes 120 minutes a file)."""


@dataclass(frozen=True, slots=True)
class ChapterPiece:
    """One segment of a chapter, by where its audio lies in the cache."""

    segment_id: str
    segment_index: int
    """position in the chapter, from 0"""
    attempt: int | None
    """the take to use; None where none has audio (a failed segment): its pause alone is heard"""
    pause_after_s: float


@dataclass(frozen=True, slots=True)
class ChapterTags:
    """What a player shows."""

    title: str
    album: str
    artist: str
    track_number: int
    """from 1"""
    num_tracks: int
    genre: str = "Audiobook"
    year: str | None = None
    language: str = ""
    """BCP 47 or ISO 639; empty: not written"""


@dataclass(frozen=True, slots=True)
class ChapterJob:
    """All that it takes to make a chapter's file: small, picklable, and the same job gives the same bytes."""

    chapter_index: int
    output_path: Path
    """of the MP3; parts of a long chapter are written beside it as "NAME (part 1).mp3", …"""
    cache_dir: Path
    codec_fingerprint: str
    pieces: tuple[ChapterPiece, ...]
    """in the order of the text"""
    tags: ChapterTags
    audio: AudioConfig
    cover: bytes | None = None
    """JPEG or PNG; see `read_cover`. ``audio.cover`` is not looked at"""
    max_part_s: float = MAX_PART_S


@dataclass(frozen=True, slots=True)
class ChapterFile:
    """A finished, verified file."""

    chapter_index: int
    part: int
    """from 1"""
    num_parts: int
    path: Path
    duration_s: float
    """of the audio that was encoded; the MP3 plays as long"""
    sha256: str
    """of the file, hexadecimal"""
    num_bytes: int
    cues: tuple[Cue, ...]
    """start samples are relative to this file"""
    gain_db: float
    """applied to bring speech to the target level; the same for all parts of a chapter"""
    speech_rms_db: float
    """level of speech in the file as encoded, pauses left out; -inf where there is none"""
    peak_db: float
    """highest sample of the decoded MP3"""


def chapter_filename(index: int, count: int, title: str) -> str:
    """Return the file name of a chapter: "01 - Title.mp3", safe on every filesystem.

    Args:
        index: From 0; the name counts from 1, zero-padded to the width of ``count`` and at least two digits.
        count: Chapters of the book.
        title: "Chapter 1" stands in for an empty one.
    """
    raise NotImplementedError


def read_cover(file: Path) -> bytes:
    """Read a cover picture.

    Raises:
        EncodeError: It can't be read, or is neither JPEG nor PNG.
    """
    raise NotImplementedError


def check_audio_config(audio: AudioConfig) -> None:
    """Check what MP3 allows: bit rate against sample rate. Call it before a long run.

    Raises:
        ConfigError: Names the bit rates that go with the sample rate.
    """
    raise NotImplementedError


def render_chapter_file(job: ChapterJob) -> tuple[ChapterFile, ...]:
    """Make a chapter's MP3 from the audio cache: stitch, level, encode, verify, rename.

    Imports no torch; picklable, for a process pool with the "spawn" context.

    Returns:
        One file; several parts for a chapter longer than ``job.max_part_s``.

    Raises:
        EncodeError: Audio is missing in the cache, ffmpeg failed, the folder can't be written or is full.
        DeliveryError: The finished file does not hold the audio that was stitched.
    """
    raise NotImplementedError
