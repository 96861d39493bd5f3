"""Holds a finished file against what was meant to be in it, by decoding it again with ffmpeg.

It measures and compares; it does not know how the file was made, and writes nothing.
"""

import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orpheus_batch.audio.ffmpeg import failure, ffmpeg_command
from orpheus_batch.data import Cue
from orpheus_batch.errors import DeliveryError
from orpheus_batch.units import SAMPLE_RATE_HZ, amplitude_to_db, format_timecode, samples_to_seconds

DURATION_TOLERANCE_S = 0.060
"""Beyond the encoder's delay, which the file's LAME header names and a decoder takes off: an MP3 frame at 24
kHz is 24 ms, so a whole frame at either end may differ where a decoder does not read the header."""

ENCODER_DELAY_S = 1105 / 16_000
"""Longest delay of encoder and decoder together: 576 + 529 samples, at MP3's lowest rate used here.

Source: LAME's technical FAQ."""

_WINDOW_S = 0.2
_SPEECH_DB = -45.0
_MAX_LOSS_DB = 12.0
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Levels of some audio over time, in windows of 0.2 s."""

    duration_s: float
    peak_db: float
    """highest sample; -inf for silence"""
    rms_db: np.ndarray
    """float64 [whole windows], at least -120"""


class LevelMeter:
    """Gathers `Levels` of audio that comes in pieces."""

    def __init__(self, sample_rate_hz: int):
        self._rate = sample_rate_hz
        self._window = round(_WINDOW_S * sample_rate_hz)
        self._rest = np.zeros(0, np.float32)
        self._powers: list[np.ndarray] = []
        self._num_samples = 0
        self._peak = 0.0

    def add(self, samples: np.ndarray) -> None:
        """Measure the next float32 [num_samples], full scale 1.0."""
        self._num_samples += len(samples)
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
        samples = np.concatenate([self._rest, samples])
        num_windows = len(samples) // self._window
        windows = samples[: num_windows * self._window].reshape(num_windows, self._window).astype(np.float64)
        self._powers.append((windows * windows).mean(axis=1))
        self._rest = samples[num_windows * self._window :]

    def levels(self) -> Levels:
        """Return what was measured."""
        power = np.concatenate([np.zeros(0), *self._powers])
        return Levels(
            duration_s=samples_to_seconds(self._num_samples, self._rate),
            peak_db=amplitude_to_db(self._peak),
            rms_db=10.0 * np.log10(np.maximum(power, 1e-12)),
        )


def measure_file(file: Path, sample_rate_hz: int, *, what: Path | None = None) -> Levels:
    """Decode a mono file and measure it; memory holds a megabyte of it.

    Args:
        file: Anything that ffmpeg reads.
        sample_rate_hz: Its own rate; at another, ffmpeg would resample and move peaks.
        what: For messages, where the file has another name yet.

    Raises:
        DeliveryError: It can't be decoded.
    """
    # Floats, for a decoder to 16 bits would clip the very peaks that are looked for.
    args = ["-xerror", "-i", f"file:{file}", "-map", "0:a:0", "-f", "f32le", "-ac", "1", "-ar"]
    command = ffmpeg_command([*args, str(sample_rate_hz), "pipe:1"])
    meter = LevelMeter(sample_rate_hz)
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            while block := process.stdout.read(_READ_BYTES):
                meter.add(np.frombuffer(block[: len(block) // 4 * 4], "<f4"))
            stderr = process.stderr.read()
    except OSError as error:
        raise DeliveryError(f"{what or file}: can't start {command[0]} to check it: {error}") from error
    if process.returncode:
        raise DeliveryError(f"{what or file} can't be decoded: {failure(process.returncode, stderr)}")
    return meter.levels()


def check_levels(file: Path, decoded: Levels, expected: Levels, cues: Sequence[Cue]) -> None:
    """Hold a decoded file to what was encoded.

    Args:
        file: For messages.
        decoded: Of the file.
        expected: Of the samples that were given to the encoder.
        cues: Where speech is, in samples at 24 kHz.

    Raises:
        DeliveryError: Another length, a peak above full scale, or silence where there should be speech; says
            where.
    """
    tolerance_s = DURATION_TOLERANCE_S + ENCODER_DELAY_S
    if abs(decoded.duration_s - expected.duration_s) > tolerance_s:
        raise DeliveryError(
            f"{file} plays {decoded.duration_s:.3f} s, but {expected.duration_s:.3f} s were encoded; "
            "render the chapter again"
        )
    if decoded.peak_db > 0.0:
        raise DeliveryError(
            f"{file}: its highest sample is {decoded.peak_db:+.2f} dB, above full scale; lower audio.peak_db"
        )
    speech = _windows_with_speech(cues, min(len(decoded.rms_db), len(expected.rms_db)))
    lost = expected.rms_db[: len(speech)] - decoded.rms_db[: len(speech)]
    silent = np.flatnonzero(speech & (expected.rms_db[: len(speech)] > _SPEECH_DB) & (lost > _MAX_LOSS_DB))
    if len(silent):
        at_s = float(silent[0]) * _WINDOW_S
        raise DeliveryError(
            f"{file}: speech is missing at {format_timecode(at_s)} ({lost[silent[0]]:.0f} dB too quiet, and at "
            f"{len(silent)} places in all); render the chapter again"
        )


def _windows_with_speech(cues: Sequence[Cue], num_windows: int) -> np.ndarray:
    """Return bool [num_windows]: windows that some segment's audio touches."""
    window = _WINDOW_S * SAMPLE_RATE_HZ
    speech = np.zeros(num_windows, bool)
    for cue in cues:
        if cue.num_samples:
            stop = math.ceil((cue.start_sample + cue.num_samples) / window)
            speech[int(cue.start_sample / window) : stop] = True
    return speech
