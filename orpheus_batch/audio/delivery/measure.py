"""Measures a finished file, ours or not: levels, noise, silence, head and tail, bit rate, tags.

The file is decoded once, by ffmpeg, whose `ebur128` filter gives loudness and true peak (EBU R 128, ITU-R
BS.1770) while the samples go through here for the rest. Memory holds a level for each hundredth of a second.
What the numbers should be is not known here.
"""

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orpheus_batch.audio.delivery.mpeg import Mp3Frames, read_mp3_frames
from orpheus_batch.audio.ffmpeg import FRAME_SAMPLES, failure, ffmpeg_command
from orpheus_batch.errors import DeliveryError
from orpheus_batch.units import amplitude_to_db

WINDOW_S = 0.01

_SPEECH_BELOW_DB = 30.0
"""Windows so far under the level of speech are no speech: a pause, the head, the tail."""
_OVER_FLOOR_DB, _NOISY_BELOW_DB = 6.0, 12.0
"""In a noisy file the limit lies 6 dB above the quietest tenth, at most 12 dB under speech."""
_MIN_SOUND_WINDOWS = 4
"""40 ms: shorter is a click, and neither ends the head nor begins the tail"""
_MIN_PAUSE_WINDOWS = 25
_PAUSE_EDGE_WINDOWS = 5
"""A pause lasts 250 ms; 50 ms at both ends belong to the speech around it."""
_DIGITAL_SILENCE_DB = -96.0
"""Under the smallest step of 16 bits."""
_MIN_SILENCE_WINDOWS = 10
_MAX_LENGTH_ERROR_S = 0.5
_READ_BYTES = 1 << 20
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """What a file's headers say of its sound."""

    codec: str
    """"mp3", "aac", "flac", "opus", "pcm_s16le", …"""
    sample_rate_hz: int
    channels: int
    bitrate_kbps: int | None
    duration_s: float | None
    """None where the headers don't say"""
    has_cover: bool
    tags: dict[str, str]
    """by ffmpeg's names, lower case: "title", "artist", "album", "track", …"""
    num_chapters: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One file as it is. Levels in dB full scale; -inf where there is nothing to hear."""

    file: str
    stream: Stream
    is_constant_bitrate: bool | None
    """None where it is no MP3"""
    duration_s: float
    rms_db: float
    """of all samples, pauses included"""
    peak_db: float
    """highest sample"""
    true_peak_db: float
    lufs: float
    noise_floor_db: float
    """of the loudest pause, its median; of the quietest tenth where there is no pause"""
    noisiest_at_s: float
    """where that pause is"""
    head_s: float
    """before the first sound"""
    tail_s: float
    """after the last sound"""
    digital_silence_s: float
    """in stretches of 0.1 s and more"""
    damage: tuple[str, ...] = ()
    """what is wrong with the file as such, in words"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, infinities as null, which JSON has no other word for."""
        flat = dataclasses.asdict(self)
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in flat.items()
        }


def measure(file: Path) -> Measured:
    """Decode and measure one file.

    Raises:
        DeliveryError: It can't be read, holds no sound, or can't be decoded to its end.
    """
    stream = probe(file)
    meter = _Meter(stream.sample_rate_hz, stream.channels)
    lufs, true_peak_db = _decode(file, meter)
    if not meter.num_samples:
        raise DeliveryError(f"{file} holds no sound")
    frames = read_mp3_frames(file) if stream.codec == "mp3" else None
    rates = frames.bit_rates_kbps if frames else frozenset()
    if len(rates) == 1:
        stream = dataclasses.replace(stream, bitrate_kbps=min(rates))
    levels_db = meter.levels_db()
    limit_db = _speech_limit_db(levels_db)
    first, last = _sound(levels_db > limit_db)
    floor_db, noisiest = _noise_floor(levels_db, limit_db)
    silent = sum(stop - start for start, stop in _runs(levels_db < _DIGITAL_SILENCE_DB, _MIN_SILENCE_WINDOWS))
    duration_s = meter.num_samples / stream.sample_rate_hz
    return Measured(
        file=str(file),
        stream=stream,
        is_constant_bitrate=len(rates) == 1 if rates else None,
        duration_s=duration_s,
        rms_db=meter.rms_db(),
        peak_db=amplitude_to_db(meter.peak),
        true_peak_db=true_peak_db,
        lufs=lufs,
        noise_floor_db=floor_db,
        noisiest_at_s=noisiest * WINDOW_S,
        head_s=first * WINDOW_S,
        tail_s=max(0.0, duration_s - last * WINDOW_S),
        digital_silence_s=silent * WINDOW_S,
        damage=tuple(_damage(stream, duration_s, frames)),
    )


def _damage(stream: Stream, duration_s: float, frames: Mp3Frames | None) -> Iterator[str]:
    if stream.duration_s is not None and abs(duration_s - stream.duration_s) > _MAX_LENGTH_ERROR_S:
        yield f"it plays {duration_s:.1f} s, and its header says {stream.duration_s:.1f} s"
    if frames is not None and frames.num_lost_bytes:
        yield f"{frames.num_lost_bytes:,} bytes in it are not sound"


def probe(file: Path) -> Stream:
    """Read a file's headers and tags.

    Raises:
        DeliveryError: It can't be read, or has no sound in it.
    """
    if not file.is_file():
        raise DeliveryError(f"there is no file {file}")
    metadata, said, returncode = _ffmetadata(file, "0")
    sound = re.search(r"Stream #0:\d+.*?: Audio: (\w+).*?, (\d+) Hz, ([^,\n]+)([^\n]*)", said)
    if returncode or sound is None:
        raise DeliveryError(f"{file} is no sound that can be read; is it an MP3, FLAC, M4B, Opus or WAV file?")
    rate = re.search(r", (\d+) kb/s", sound[4]) or re.search(r"Duration:[^\n]*bitrate: (\d+) kb/s", said)
    if sound[1] in ("opus", "vorbis"):
        metadata = _ffmetadata(file, "0:s:a:0")[0]  # an Ogg file's tags are its stream's
    head, *chapters = re.split(r"(?m)^\[CHAPTER\]$", metadata)
    return Stream(
        codec=sound[1],
        sample_rate_hz=int(sound[2]),
        channels=_num_channels(sound[3]),
        bitrate_kbps=int(rate[1]) if rate else None,
        duration_s=_duration_s(said),
        has_cover=bool(re.search(r"Stream #0:\d+.*?: Video: .*\(attached pic\)", said)),
        tags=_tags(head.partition("[STREAM]")[0]),
        num_chapters=len(chapters),
    )


def _duration_s(said: str) -> float | None:
    """Return how long a file's headers say it is; None where ffmpeg has to guess."""
    found = re.search(r"Duration: (\d+):(\d\d):(\d\d\.\d+)", said)
    if found is None or "Estimating duration from bitrate" in said:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])


def _num_channels(layout: str) -> int:
    """Return how many channels ffmpeg's name of a layout has: "mono", "stereo", "3 channels", "5.1(side)"."""
    named = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4}
    numbers = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", layout)
    if numbers is None:
        return named.get(layout.partition("(")[0], 2)
    return sum(int(number) for number in numbers.groups() if number)


def _ffmetadata(file: Path, which: str) -> tuple[str, str, int]:
    """Return what ffmpeg writes of a file's tags and chapters, what it says, and its exit code."""
    command = ffmpeg_command(["-i", f"file:{file}", "-map_metadata", which, "-f", "ffmetadata", "pipe:1"])
    command[command.index("-loglevel") + 1] = "info"
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise DeliveryError(f"{file}: can't start {command[0]} to read it: {error}") from error
    written, said = (text.decode("utf-8", errors="replace") for text in (done.stdout, done.stderr))
    return written, said, done.returncode


def _tags(ffmetadata: str) -> dict[str, str]:
    """Read keys and values as ffmpeg writes them: backslashes before what has a meaning."""
    found = {}
    for line in re.findall(r"(?ms)^((?:[^\\\n]|\\.)*)$", ffmetadata):
        parts = re.match(r"(?s)((?:[^\\=]|\\.)+)=(.*)", line)
        if parts and not line.startswith(";"):
            key, value = (re.sub(r"(?s)\\(.)", r"\1", part) for part in parts.groups())
            found[key.lower()] = value
    return found


def _decode(file: Path, meter: "_Meter") -> tuple[float, float]:
    """Give all samples to the meter; return integrated loudness and true peak."""
    graph = (
        f"[0:a:0]asetnsamples={FRAME_SAMPLES}:p=0,asplit[a][b];[b]ebur128=peak=true:framelog=verbose,anullsink"
    )
    command = ffmpeg_command(["-nostats", "-i", f"file:{file}", "-filter_complex", graph])
    command += ["-map", "[a]", "-f", "f32le", "pipe:1"]
    command[command.index("-loglevel") + 1] = "info"
    try:
        with (
            tempfile.TemporaryFile() as log,  # a pipe that is not read would fill up and stop ffmpeg
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log) as process,
        ):
            rest = b""
            while block := process.stdout.read(_READ_BYTES):
                block = rest + block
                whole = len(block) // (_FLOAT_BYTES * meter.channels) * _FLOAT_BYTES * meter.channels
                meter.add(np.frombuffer(block[:whole], "<f4"))
                rest = block[whole:]
            process.wait()
            log.seek(0)
            stderr = log.read()
    except OSError as error:
        raise DeliveryError(f"{file}: can't start {command[0]} to measure it: {error}") from error
    said = stderr.decode("utf-8", errors="replace")
    summary = said.rpartition("Summary:")[2]
    loudness = re.search(r"I:\s+(-?[\d.]+|-?inf|nan) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+|-?inf|nan) dBFS", summary)
    if process.returncode or loudness is None or peak is None:
        raise DeliveryError(f"{file} can't be decoded: {failure(process.returncode, stderr)}")
    return float(loudness[1]), float(peak[1])


class _Meter:
    """Levels of interleaved samples that come in pieces."""

    def __init__(self, sample_rate_hz: int, channels: int):
        self.channels = channels
        self.num_samples = 0
        """of one channel"""
        self.peak = 0.0
        self._window = round(WINDOW_S * sample_rate_hz) * channels
        self._rest = np.zeros(0, np.float32)
        self._powers: list[np.ndarray] = []
        self._sum = 0.0

    def add(self, samples: np.ndarray) -> None:
        """Measure the next float32 [num_samples * channels]."""
        self.num_samples += len(samples) // self.channels
        self.peak = max(self.peak, float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
        samples = np.concatenate([self._rest, samples])
        num_windows = len(samples) // self._window
        windows = samples[: num_windows * self._window].reshape(num_windows, self._window)
        powers = np.einsum("ij,ij->i", windows, windows).astype(np.float64) / self._window
        self._powers.append(powers)
        self._sum += float(powers.sum()) * self._window
        self._rest = samples[num_windows * self._window :]

    def rms_db(self) -> float:
        """Return the level of everything."""
        total = self._sum + float((self._rest.astype(np.float64) ** 2).sum())
        return amplitude_to_db((total / (self.num_samples * self.channels)) ** 0.5)

    def levels_db(self) -> np.ndarray:
        """Return float64 [whole windows], at least -200."""
        return 10.0 * np.log10(np.maximum(np.concatenate([np.zeros(0), *self._powers]), 1e-20))


def _speech_limit_db(levels_db: np.ndarray) -> float:
    """Return the level under which a window is no speech."""
    heard = levels_db[levels_db > -60.0]
    if not len(heard):
        return np.inf
    mean_db = 10 * np.log10(np.mean(10 ** (heard / 10)))
    speech_db = 10 * np.log10(np.mean(10 ** (heard[heard >= mean_db - 20] / 10)))
    quiet_db = np.percentile(levels_db, 10)
    return float(max(speech_db - _SPEECH_BELOW_DB, min(quiet_db + _OVER_FLOOR_DB, speech_db - _NOISY_BELOW_DB)))


def _sound(is_sound: np.ndarray) -> tuple[int, int]:
    """Return the first window of sound and one past the last; the end and the end where there is none."""
    runs = list(_runs(is_sound, _MIN_SOUND_WINDOWS))
    return (runs[0][0], runs[-1][1]) if runs else (len(is_sound), len(is_sound))


def _noise_floor(levels_db: np.ndarray, limit_db: float) -> tuple[float, int]:
    """Return the median level of the loudest pause, and the window where it begins."""
    floor_db, at = -np.inf, 0
    for start, stop in _runs(levels_db <= limit_db, _MIN_PAUSE_WINDOWS):
        inside = levels_db[start + _PAUSE_EDGE_WINDOWS : stop - _PAUSE_EDGE_WINDOWS]
        level_db = float(np.median(inside))
        if level_db > floor_db:
            floor_db, at = level_db, start
    if floor_db == -np.inf and len(levels_db):
        return float(np.percentile(levels_db, 10)), int(np.argmin(levels_db))
    return floor_db, at


def _runs(flags: np.ndarray, min_length: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of stretches of True that are long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if stop - start >= min_length:
            yield start, stop
