"""Items' audio as finished files: stitched, levelled, encoded many at a time, synced, renamed.

A file's bytes follow from its own samples and settings alone: which items share a process, or a thread, changes
nothing. It does not know the ledger, tokens or the codec.
"""

import hashlib
import io
import math
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.ffmpeg import BITEXACT_ARGS, run_ffmpeg
from orpheus_batch.audio.loudness import SpeechMeter, gain_db, leveled
from orpheus_batch.audio.mp3 import SYNTHETIC_COMMENT, SYNTHETIC_TAG
from orpheus_batch.audio.stitch import StitchPiece, stitch_chapter
from orpheus_batch.config import AudioConfig
from orpheus_batch.errors import EncodeError
from orpheus_batch.files import sync
from orpheus_batch.units import SAMPLE_RATE_HZ, samples_to_seconds

FILES_PER_PROCESS = 12
"""encoded by one ffmpeg: starting it costs as much as ten seconds of speech, and many at once fight for cores"""
MAX_WAITING = 8
"""batches on their way; bounds memory"""
WORK_FOLDER = ".making"
OPUS_KBPS = 48
"""clear for one voice at 24 kHz"""

_PCM_ARGS = ("-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1")


@dataclass(frozen=True, slots=True, eq=False)
class AudioJob:
    """One file to be made."""

    number: int
    """of the item"""
    path: Path
    format: str
    pieces: tuple[StitchPiece, ...]


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A finished file."""

    number: int
    path: Path
    num_bytes: int
    sha256: str
    duration_s: float
    loudness_db: float | None
    """RMS of speech, dB full scale; None where there is too little to measure"""


class AudioFiles:
    """Makes files in threads; use as a context manager.

    Args:
        folder: Temporary files lie in a hidden folder in it, which is emptied first.
        audio: Level, peak and bit rate.
        durable: Have files reach the disk before they are reported.
        num_threads: That encode.
    """

    def __init__(self, folder: Path, audio: AudioConfig, *, durable: bool = True, num_threads: int = 2):
        self._work = folder / WORK_FOLDER
        self._audio = audio
        self._durable = durable
        self._pool = ThreadPoolExecutor(num_threads, "audio-files")
        self._waiting: deque[Future[list[AudioFile]]] = deque()
        self._gathered: dict[str, list[AudioJob]] = {}
        self._num_batches = 0
        try:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(parents=True)
        except OSError as error:
            raise EncodeError(f"can't write to {folder}: {error.strerror}") from error

    def __enter__(self) -> "AudioFiles":
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._work, ignore_errors=True)

    def submit(self, job: AudioJob) -> None:
        """Take a job; it begins once there are enough of its format, or at `flush`."""
        jobs = self._gathered.setdefault(job.format, [])
        jobs.append(job)
        if len(jobs) >= FILES_PER_PROCESS:
            self._start(self._gathered.pop(job.format))

    def flush(self) -> None:
        """Begin what has been gathered."""
        for jobs in list(self._gathered.values()):
            self._start(jobs)
        self._gathered.clear()

    def finished(self, *, wait: bool = False) -> Iterator[AudioFile]:
        """Yield files that are in place, in the order of their batches.

        Args:
            wait: For all that has begun; else only as long as too much is waiting.

        Raises:
            EncodeError: One can't be made.
        """
        while self._waiting and (wait or self._waiting[0].done() or len(self._waiting) > MAX_WAITING):
            yield from self._waiting.popleft().result()

    def _start(self, jobs: Sequence[AudioJob]) -> None:
        self._num_batches += 1
        work = self._work / str(self._num_batches)
        self._waiting.append(self._pool.submit(_make, jobs, work, self._audio, self._durable))


def _make(jobs: Sequence[AudioJob], work: Path, audio: AudioConfig, durable: bool) -> list[AudioFile]:
    """Make files of one format: all are encoded by one process."""
    format = jobs[0].format
    try:
        work.mkdir()
        samples = [_finished_samples(job.pieces, audio) for job in jobs]
        drafts = [work / f"{index}.{format}" for index in range(len(jobs))]
        _encode(drafts, [pcm for pcm, _ in samples], format, audio, work)
        made = [
            _place(job, draft, len(pcm), loudness, durable)
            for job, draft, (pcm, loudness) in zip(jobs, drafts, samples, strict=True)
        ]
        if durable:
            for folder in {file.path.parent for file in made}:
                sync(folder)
        shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise EncodeError(
            f"can't write {jobs[0].path}, or one of the files with it: {error.strerror or error}; make room or "
            "give another folder, and run the same command again"
        ) from error
    return made


def _finished_samples(pieces: Sequence[StitchPiece], audio: AudioConfig) -> tuple[np.ndarray, float | None]:
    """Return an item's samples at the target level, int16 [num_samples], and their level of speech."""
    sink = io.BytesIO()
    stitch_chapter(pieces, sink, lead_in_s=0.0)
    samples = np.frombuffer(sink.getbuffer(), "<i2")
    meter = SpeechMeter()
    meter.add(samples)
    gain = gain_db(meter.rms_db(), audio.target_rms_db)
    samples = leveled(samples, 0, len(samples), gain, audio.peak_db)
    meter = SpeechMeter()
    meter.add(samples)
    loudness = meter.rms_db()
    return samples, None if loudness == -math.inf else round(loudness, 2)


def _encode(
    drafts: Sequence[Path], samples: Sequence[np.ndarray], format: str, audio: AudioConfig, work: Path
) -> None:
    """Have one ffmpeg make all drafts: each is read from its stretch of one file, so none sees another."""
    codec = {
        "wav": ("-c:a", "pcm_s16le"),
        "flac": ("-c:a", "flac", "-compression_level", "5"),
        "mp3": ("-c:a", "libmp3lame", "-b:a", f"{audio.bitrate_kbps}k", "-ar", str(audio.sample_rate_hz)),
        "opus": ("-c:a", "libopus", "-b:a", f"{OPUS_KBPS}k"),
    }[format]
    pcm_file = work / "samples.pcm"
    inputs: list[str] = []
    outputs: list[str] = []
    with pcm_file.open("wb") as sink:
        for index, (draft, pcm) in enumerate(zip(drafts, samples, strict=True)):
            start = sink.tell()
            sink.write(pcm.tobytes())
            inputs += [*_PCM_ARGS, "-i", f"subfile,,start,{start},end,{sink.tell()},,:{pcm_file}"]
            tags = ("-metadata", f"comment={SYNTHETIC_COMMENT}", "-metadata", f"{SYNTHETIC_TAG}=1")
            outputs += [
                "-map",
                f"{index}:a",
                *codec,
                "-threads",
                "1",
                "-map_metadata",
                "-1",
                *BITEXACT_ARGS,
                *tags,
            ]
            outputs.append(str(draft))
    run_ffmpeg([*inputs, *outputs], what=f"encoding {len(drafts)} files to {format}")


def _place(job: AudioJob, draft: Path, num_samples: int, loudness: float | None, durable: bool) -> AudioFile:
    content = draft.read_bytes()
    if not content:
        raise EncodeError(f"encoding {job.path} gave an empty file")
    job.path.parent.mkdir(parents=True, exist_ok=True)
    if durable:
        sync(draft)
    draft.replace(job.path)
    return AudioFile(
        number=job.number,
        path=job.path,
        num_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_s=samples_to_seconds(num_samples),
        loudness_db=loudness,
    )
