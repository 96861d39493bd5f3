"""One delivered file: assembled, leveled, limited, encoded, measured, and encoded again until it is as asked.

`produce_file` runs in an encoder process and is a pure function of its job and of the stitched samples. What is
measured is the finished file, decoded: an encoder raises peaks and lowers levels. Everything temporary lies in
one hidden folder beside the output, and a file takes its name only when it is whole.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.delivery.assemble import Span, assemble
from orpheus_batch.audio.delivery.cues import CueFormat, format_cues
from orpheus_batch.audio.delivery.judge import Verdict, judge
from orpheus_batch.audio.delivery.measure import Measured, measure
from orpheus_batch.audio.delivery.presets import Format, Preset
from orpheus_batch.audio.delivery.quiet import pause_gains_db, quieted, stretches
from orpheus_batch.audio.delivery.tags import MARKED_COMMENT, Tags, ffmetadata
from orpheus_batch.audio.ffmpeg import BITEXACT_ARGS, FRAME_SAMPLES, has_soxr, run_ffmpeg
from orpheus_batch.audio.id3 import PADDING_ARGS, write_comment
from orpheus_batch.audio.loudness import MAX_GAIN_DB, leveled
from orpheus_batch.audio.mp3 import encoder_gain_db, iso_639_2
from orpheus_batch.errors import DeliveryError
from orpheus_batch.files import read_sha256, sync, work_folder
from orpheus_batch.units import SAMPLE_RATE_HZ, samples_to_seconds

MAX_CORRECTION_DB = 3.0
"""What one file may differ from the book's gain; more would be heard as another level."""

_INSIDE_WINDOW_DB = 0.5
_MAX_ENCODINGS = 6
_PEAK_MARGIN_DB = {"sample": 0.4, "true": 0.7}
"""What resampling and encoding usually add to a peak, so that most files are encoded once."""
_PEAK_STEP_DB = 0.1
_PAUSE_UNDER_FLOOR_DB = 5.0
"""Pauses inside segments are brought so far under the noise floor that is asked for."""
_MAX_LENGTH_ERROR_S = 0.15
"""AAC and Opus add their encoder's delay where a decoder does not take it off."""
_STRETCH_SAMPLES = 10 * SAMPLE_RATE_HZ
_FREE_TAGS: tuple[Format, ...] = ("mp3", "flac", "opus")
_HAS_COVER_STREAM: tuple[Format, ...] = ("mp3", "flac", "m4b")
_CODEC_ARGS: dict[Format, tuple[str, ...]] = {
    "mp3": (
        "-c:a",
        "libmp3lame",
        "-compression_level",
        "5",
        "-write_xing",
        "1",
        "-id3v2_version",
        "3",
        *PADDING_ARGS,
    ),
    "m4b": ("-c:a", "aac", "-movflags", "+faststart"),
    "flac": ("-c:a", "flac", "-compression_level", "8", "-sample_fmt", "s16"),
    "opus": ("-c:a", "libopus", "-vbr", "on", "-application", "audio"),
    "wav": ("-c:a", "pcm_s16le", "-rf64", "auto"),
}
"""LAME's quality 5 works a third faster than 2 or ffmpeg's own choice, for 0.7 dB more of a noise that lies 40 dB
under speech in every critical band (`benchmarks/mp3_quality.py`)."""
_MUXERS: dict[Format, str] = {"mp3": "mp3", "m4b": "ipod", "flac": "flac", "opus": "ogg", "wav": "wav"}


@dataclass(frozen=True, slots=True)
class FileJob:
    """All that it takes to make one file; the same job gives the same bytes."""

    path: Path
    spans: tuple[Span, ...]
    """one, or all of a book in one file"""
    preset: Preset
    gain_db: float
    """of the whole book"""
    tags: Tags
    marks_chapters: bool
    """write where each span begins"""
    cover: bytes | None = None
    """JPEG; see `orpheus_batch.audio.delivery.cover`"""
    cues: CueFormat | None = None
    """also write a file of cues beside it"""


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A finished file and what was measured of it."""

    path: Path
    sha256: str
    num_bytes: int
    duration_s: float
    gain_db: float
    """applied in all"""
    correction_db: float
    """of it, what this file needed beside the book's gain"""
    num_encodings: int
    verdict: Verdict


def produce_file(job: FileJob) -> DeliveredFile:
    """Make a file, and its cues if they are asked for.

    Raises:
        EncodeError: ffmpeg failed, the folder can't be written or is full.
        DeliveryError: The file does not hold the audio that was given to the encoder.
    """
    work = job.path.parent / f".{hashlib.sha256(job.path.name.encode()).hexdigest()[:16]}.part"
    with work_folder(work, job.path):
        return _produce(job, work)


def _produce(job: FileJob, work: Path) -> DeliveredFile:
    preset = job.preset
    whole = assemble(job.spans, work / "whole.pcm", head_s=preset.head_s, tail_s=preset.tail_s)
    samples = np.memmap(work / "whole.pcm", "<i2", "r", shape=(whole.num_samples,))
    if preset.max_noise_floor_db is not None:
        samples = _with_quiet_pauses(
            samples, work, preset.max_noise_floor_db - _PAUSE_UNDER_FLOOR_DB - job.gain_db
        )
    metadata = work / "metadata.txt"
    marks = whole.marks if job.marks_chapters else ()
    metadata.write_text(
        ffmetadata(
            job.tags,
            marks,
            has_free_tags=preset.format in _FREE_TAGS,
            has_comment=preset.format != "mp3",
            picture=job.cover if preset.format == "opus" else None,
        ),
        encoding="utf-8",
    )
    cover = None
    if job.cover is not None and preset.format in _HAS_COVER_STREAM:
        cover = work / "cover.jpg"
        cover.write_bytes(job.cover)
    encoded, measured, gain_db, count = _encode_until_right(job, samples, metadata, cover, work)
    measured = dataclasses.replace(measured, file=str(job.path))
    _check_whole(job.path, measured, whole.num_samples)
    if job.cues is not None:
        cues_file = work / "cues"
        cues_file.write_text(format_cues(whole.cues, job.cues), encoding="utf-8")
        _move(cues_file, job.path.with_name(f"{job.path.stem}.{job.cues}"))
    sha256 = read_sha256(encoded)
    num_bytes = encoded.stat().st_size
    _move(encoded, job.path)
    return DeliveredFile(
        path=job.path,
        sha256=sha256,
        num_bytes=num_bytes,
        duration_s=samples_to_seconds(whole.num_samples),
        gain_db=gain_db,
        correction_db=gain_db - job.gain_db,
        num_encodings=count,
        verdict=Verdict(str(job.path), measured, tuple(judge(measured, preset))),
    )


def _encode_until_right(
    job: FileJob, samples: np.ndarray, metadata: Path, cover: Path | None, work: Path
) -> tuple[Path, Measured, float, int]:
    """Encode, measure, and correct level and ceiling as long as that helps."""
    preset = job.preset
    leveled_file, encoded = work / "leveled.pcm", work / f"encoded.{preset.format}"
    gain_db = min(job.gain_db, MAX_GAIN_DB)
    ceiling_db = preset.max_peak_db - _PEAK_MARGIN_DB[preset.peak]
    lost_db = 0.0
    if preset.format == "mp3":  # LAME makes its input quieter; what it is given is louder by as much
        lost_db = -round(encoder_gain_db(preset.sample_rate_hz, preset.bitrate_kbps), 2)
    for count in range(1, _MAX_ENCODINGS + 1):
        _write_leveled(leveled_file, samples, gain_db + lost_db, ceiling_db + lost_db, preset.room_tone_db)
        _encode(leveled_file, encoded, metadata, cover, preset, job.tags.language, job.path)
        measured = measure(encoded)
        peak_db = measured.true_peak_db if preset.peak == "true" else measured.peak_db
        level_db = measured.rms_db if preset.loudness == "rms" else measured.lufs
        excess_db = peak_db - preset.max_peak_db
        wanted_db = gain_db + _needed_db(level_db, preset)
        corrected_db = job.gain_db + min(max(wanted_db - job.gain_db, -MAX_CORRECTION_DB), MAX_CORRECTION_DB)
        corrected_db = min(corrected_db, MAX_GAIN_DB)
        if (excess_db <= 0 and abs(corrected_db - gain_db) < _PEAK_STEP_DB) or count == _MAX_ENCODINGS:
            break
        if excess_db > 0:
            ceiling_db -= excess_db + _PEAK_STEP_DB
        gain_db = corrected_db
    return encoded, measured, gain_db, count


def _needed_db(level_db: float, preset: Preset) -> float:
    """Return what brings a level into the preset's window, 0 where it is inside."""
    margin_db = min(_INSIDE_WINDOW_DB, (preset.max_db - preset.min_db) / 4)
    if level_db < preset.min_db:
        return preset.min_db + margin_db - level_db
    if level_db > preset.max_db:
        return preset.max_db - margin_db - level_db
    return 0.0


def _with_quiet_pauses(samples: np.ndarray, work: Path, level_db: float) -> np.ndarray:
    gains_db = pause_gains_db(samples, level_db)
    if not gains_db.any():
        return samples
    file = work / "quiet.pcm"
    with file.open("wb") as sink:
        for start, stop in stretches(len(samples), _STRETCH_SAMPLES):
            sink.write(quieted(samples, gains_db, start, stop).tobytes())
    return np.memmap(file, "<i2", "r", shape=(len(samples),))


def _write_leveled(
    file: Path, samples: np.ndarray, gain_db: float, ceiling_db: float, room_tone_db: float | None
) -> None:
    with file.open("wb") as sink:
        for start, stop in stretches(len(samples), _STRETCH_SAMPLES):
            sink.write(leveled(samples, start, stop, gain_db, ceiling_db, room_tone_db).tobytes())


def _encode(
    pcm: Path, encoded: Path, metadata: Path, cover: Path | None, preset: Preset, language: str, what: Path
) -> None:
    args = ["-y", "-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1", "-i", f"file:{pcm}"]
    args += ["-f", "ffmetadata", "-i", f"file:{metadata}"]
    if cover is not None:
        args += ["-i", f"file:{cover}"]
    args += ["-map", "0:a", "-map_metadata", "1", "-map_chapters", "1"]
    if cover is not None:
        args += ["-map", "2:v", "-c:v", "copy", "-disposition:v", "attached_pic"]
        args += ["-metadata:s:v", "title=Cover", "-metadata:s:v", "comment=Cover (front)"]
    if preset.format == "m4b":
        args += ["-metadata", "media_type=2", "-metadata:s:a", f"language={iso_639_2(language) or 'und'}"]
    args += conversion_args(preset)
    run_ffmpeg(
        [*args, *BITEXACT_ARGS, "-f", _MUXERS[preset.format], f"file:{encoded}"], what=f"encoding {what}"
    )
    if preset.format == "mp3":
        write_comment(encoded, MARKED_COMMENT)


def conversion_args(preset: Preset) -> list[str]:
    """Return ffmpeg's options that make a preset's sound of 24 kHz samples.

    Raises:
        EncodeError: There is no working ffmpeg.
    """
    filters = [f"asetnsamples={FRAME_SAMPLES}:p=0"]
    if preset.sample_rate_hz != SAMPLE_RATE_HZ:
        quality = "resampler=soxr:precision=28" if has_soxr() else "filter_size=64:phase_shift=10:cutoff=0.97"
        # In floats: to 16 bits the SoX resampler adds a dither that no two runs have in common.
        filters.append(f"aresample={preset.sample_rate_hz}:{quality}:osf=fltp")
    if preset.channels == 2:
        filters.append("pan=stereo|c0=c0|c1=c0")
    args = ["-af", ",".join(filters), *_CODEC_ARGS[preset.format]]
    if preset.format in ("mp3", "m4b", "opus"):
        args += ["-b:a", f"{preset.bitrate_kbps}k"]
    return args


def _check_whole(path: Path, measured: Measured, num_samples: int) -> None:
    """See that a file plays as long as what was encoded.

    Raises:
        DeliveryError: It does not.
    """
    expected_s = samples_to_seconds(num_samples)
    if abs(measured.duration_s - expected_s) > _MAX_LENGTH_ERROR_S:
        raise DeliveryError(
            f"{path} plays {measured.duration_s:.3f} s, but {expected_s:.3f} s were encoded; export it again"
        )


def _move(temporary: Path, path: Path) -> None:
    """Have a file's content reach the disk, and then its name."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
