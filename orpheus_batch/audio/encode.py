"""One chapter's audio to one MP3, or to several parts where it is very long.

Reads the audio cache, stitches, levels, encodes, verifies, renames: `render_chapter_file` is a pure function of
its job and of the cached audio, made to run in another process. Nothing here loads a model or imports torch.

Everything temporary lies in one hidden folder beside the output: a full disk is the disk that the message
names, and a killed run leaves nothing that the next one does not remove. Samples wait on disk, so memory holds
some seconds of audio, and the MP3's own bytes while pydub copies them.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.loudness import SpeechMeter, gain_db, leveled
from orpheus_batch.audio.mp3 import (
    ChapterTags,
    check_audio_config,
    cover_suffix,
    encoder_gain_db,
    read_cover,
    write_mp3,
)
from orpheus_batch.audio.naming import chapter_filename, part_path, part_suffix
from orpheus_batch.audio.pcm import from_int16
from orpheus_batch.audio.stitch import StitchedChapter, StitchPiece, stitch_chapter
from orpheus_batch.audio.verify import LevelMeter, Levels, check_levels, measure_file
from orpheus_batch.config import AudioConfig
from orpheus_batch.data import Cue
from orpheus_batch.errors import EncodeError
from orpheus_batch.files import sync, work_folder
from orpheus_batch.units import SAMPLE_RATE_HZ, samples_to_seconds, seconds_to_samples

__all__ = [
    "ChapterFile",
    "ChapterJob",
    "ChapterPiece",
    "ChapterTags",
    "chapter_filename",
    "check_audio_config",
    "read_cover",
    "render_chapter_file",
]

MAX_PART_S = 7200.0
"""A chapter longer than this is split at a segment boundary into parts (ACX takes 120 minutes a file)."""

_STRETCH_SAMPLES = 10 * SAMPLE_RATE_HZ
_MAX_ENCODINGS = 4
_PEAK_STEP_DB = 0.1
"""An MP3's peaks lie above those of what was encoded (`docs/audio.md` has figures). Where they pass full scale,
the ceiling is lowered by the excess and a little more, and the part is encoded again, so many times at most."""


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
    """start samples are relative to this file, at 24 kHz"""
    gain_db: float
    """applied to bring speech to the target level; the same for all parts of a chapter"""
    speech_rms_db: float
    """level of speech in the file, pauses left out; -inf where there is none"""
    peak_db: float
    """highest sample of the decoded MP3"""


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a stitched chapter that becomes a file."""

    number: int
    num_parts: int
    start: int
    stop: int
    lead_in: int
    """zero samples before it: a chapter's own lead-in is in its audio, a later part needs another"""
    cues: tuple[Cue, ...]
    """relative to the file"""

    @property
    def num_samples(self) -> int:
        return self.lead_in + self.stop - self.start


def render_chapter_file(job: ChapterJob) -> tuple[ChapterFile, ...]:
    """Make a chapter's MP3 from the audio cache: stitch, level, encode, verify, rename.

    Imports no torch; picklable, for a process pool with the "spawn" context.

    Returns:
        One file; several parts for a chapter longer than ``job.max_part_s``.

    Raises:
        ConfigError: The bit rate does not go with the sample rate.
        EncodeError: Audio is missing in the cache, ffmpeg failed, the folder can't be written or is full.
        DeliveryError: The finished file does not hold the audio that was stitched.
    """
    check_audio_config(job.audio)
    work = job.output_path.parent / f".chapter-{job.chapter_index:04d}.part"
    with work_folder(work, job.output_path):
        return _render(job, work)


def _render(job: ChapterJob, work: Path) -> tuple[ChapterFile, ...]:
    stitched = _stitch(job, work / "stitched.pcm")
    if not stitched.num_samples:
        raise EncodeError(f"{job.output_path}: no segments, no pauses and no lead-in: nothing to encode")
    samples = np.memmap(work / "stitched.pcm", "<i2", "r", shape=(stitched.num_samples,))
    meter = SpeechMeter()
    for cue in stitched.cues:
        meter.add(samples[cue.start_sample : cue.start_sample + cue.num_samples])
    gain = gain_db(meter.rms_db(), job.audio.target_rms_db)
    lead_in = seconds_to_samples(job.audio.lead_in_s)
    cover = None
    if job.cover is not None:
        cover = work / f"cover{cover_suffix(job.cover, f'for {job.output_path}')}"
        cover.write_bytes(job.cover)
    finished = [
        _encode(job, part, samples, gain, cover, work)
        for part in split_parts(stitched, seconds_to_samples(job.max_part_s), lead_in)
    ]
    for temporary, file in finished:
        temporary.replace(file.path)
    sync(job.output_path.parent)
    return tuple(file for _, file in finished)


def _stitch(job: ChapterJob, file: Path) -> StitchedChapter:
    """Write the chapter's samples to ``file``."""
    cache = AudioCache(job.cache_dir, job.codec_fingerprint, read_only=True)
    keys = [(piece.segment_id, piece.attempt) for piece in job.pieces if piece.attempt is not None]
    scratch_file = file.with_suffix(".scratch")
    with scratch_file.open("w+b") as scratch, file.open("wb") as sink:
        audio = cache.read_in_order(keys, scratch)
        pieces = (
            StitchPiece(
                segment_id=piece.segment_id,
                segment_index=piece.segment_index,
                samples=None if piece.attempt is None else next(audio),
                pause_after_s=piece.pause_after_s,
            )
            for piece in job.pieces
        )
        stitched = stitch_chapter(pieces, sink, lead_in_s=job.audio.lead_in_s)
    scratch_file.unlink()
    return stitched


def split_parts(stitched: StitchedChapter, max_samples: int, lead_in: int) -> list[_Part]:
    """Cut a chapter at the beginnings of segments into parts of about one length, none above ``max_samples``.

    A part can only be longer where a single segment is. Between two parts lies the pause that belongs to the
    first, and the second begins with a lead-in of its own.

    Args:
        stitched: The chapter.
        max_samples: Longest part.
        lead_in: Samples of silence before every part but the first.
    """
    cues, total = stitched.cues, stitched.num_samples
    bounds = [*(cue.start_sample for cue in cues[1:]), total] if cues else [total]
    firsts = _fill(bounds, max_samples, lead_in)
    if len(firsts) > 1:
        # As many parts, but even: one that may be as long as their mean and a segment takes at least the mean.
        longest = max(b - a for a, b in zip([0, *bounds], bounds, strict=False))
        even = -(-total // len(firsts)) + longest + lead_in
        firsts = _fill(bounds, min(max_samples, even), lead_in)
    bounds = [0, *(cues[first].start_sample for first in firsts[1:]), total]
    parts = []
    for number, first in enumerate(firsts):
        last = firsts[number + 1] if number + 1 < len(firsts) else len(cues)
        before = lead_in if number else 0
        shift = before - bounds[number]
        parts.append(
            _Part(
                number=number + 1,
                num_parts=len(firsts),
                start=bounds[number],
                stop=bounds[number + 1],
                lead_in=before,
                cues=tuple(
                    dataclasses.replace(cue, start_sample=cue.start_sample + shift) for cue in cues[first:last]
                ),
            )
        )
    return parts


def _fill(ends: Sequence[int], max_samples: int, lead_in: int) -> list[int]:
    """Return the first segment of each part, every part as long as may be.

    Args:
        ends: Where each segment and the pause after it end.
        max_samples: Longest part, a segment that is longer apart.
        lead_in: Added to every part but the first.
    """
    firsts, start = [0], 0
    for index in range(1, len(ends)):
        if ends[index] - start > max_samples:
            firsts.append(index)
            start = ends[index - 1] - lead_in
    return firsts


def _encode(
    job: ChapterJob, part: _Part, samples: np.ndarray, gain: float, cover: Path | None, work: Path
) -> tuple[Path, ChapterFile]:
    """Encode and verify one part; return where it lies for now, and what it is."""
    path = part_path(job.output_path, part.number, part.num_parts)
    temporary = work / f"{part.number}.mp3"
    title = job.tags.title + part_suffix(part.number, part.num_parts)
    tags = dataclasses.replace(job.tags, title=title)
    pcm_file = work / "leveled.pcm"
    # What is handed to the encoder is louder by what the encoder will take away.
    lost_db = -encoder_gain_db(job.audio.sample_rate_hz, job.audio.bitrate_kbps)
    ceiling_db = job.audio.peak_db + lost_db
    for _ in range(_MAX_ENCODINGS):
        expected, speech_rms_db = _write_leveled(
            pcm_file, part, samples, gain + lost_db, ceiling_db, job.audio.room_tone_db
        )
        pcm = np.memmap(pcm_file, "<i2", "r", shape=(part.num_samples,))
        write_mp3(temporary, memoryview(pcm).cast("B"), tags, job.audio, cover=cover, what=path)
        del pcm
        decoded = measure_file(temporary, job.audio.sample_rate_hz, what=path)
        if decoded.peak_db <= 0.0:
            break
        ceiling_db -= decoded.peak_db + _PEAK_STEP_DB
    pcm_file.unlink()
    check_levels(path, decoded, expected, part.cues)
    content = temporary.read_bytes()
    sync(temporary)
    return temporary, ChapterFile(
        chapter_index=job.chapter_index,
        part=part.number,
        num_parts=part.num_parts,
        path=path,
        duration_s=samples_to_seconds(part.num_samples),
        sha256=hashlib.sha256(content).hexdigest(),
        num_bytes=len(content),
        cues=part.cues,
        gain_db=gain,
        speech_rms_db=speech_rms_db - lost_db,
        peak_db=decoded.peak_db,
    )


def _write_leveled(
    file: Path,
    part: _Part,
    samples: np.ndarray,
    gain: float,
    ceiling_db: float,
    room_tone_db: float | None,
) -> tuple[Levels, float]:
    """Write what is to be encoded, and return its levels and that of its speech."""
    levels = LevelMeter(SAMPLE_RATE_HZ)
    with file.open("wb") as sink:
        for stretch in _stretches(part, samples, gain, ceiling_db, room_tone_db):
            sink.write(stretch.tobytes())
            levels.add(from_int16(stretch))
    written = np.memmap(file, "<i2", "r", shape=(part.num_samples,))
    speech = SpeechMeter()
    for cue in part.cues:
        speech.add(written[cue.start_sample : cue.start_sample + cue.num_samples])
    return levels.levels(), speech.rms_db()


def _stretches(
    part: _Part, samples: np.ndarray, gain: float, ceiling_db: float, room_tone_db: float | None
) -> Iterator[np.ndarray]:
    if part.lead_in:
        yield leveled(np.zeros(part.lead_in, "<i2"), 0, part.lead_in, 0.0, ceiling_db, room_tone_db)
    for start in range(part.start, part.stop, _STRETCH_SAMPLES):
        stop = min(start + _STRETCH_SAMPLES, part.stop)
        yield leveled(samples, start, stop, gain, ceiling_db, room_tone_db)
