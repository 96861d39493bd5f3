"""Holds measured files against a preset. It measures nothing, and knows no command line.

That a file passes means that the numbers are right, and nothing else: `Preset.policy` says what a publisher
asks besides.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.audio.delivery.measure import Measured, measure
from orpheus_batch.audio.delivery.presets import LOSSLESS, Preset
from orpheus_batch.audio.encoders import num_cores
from orpheus_batch.errors import DeliveryError, InputError
from orpheus_batch.units import format_duration, format_timecode

AUDIO_SUFFIXES = (".mp3", ".flac", ".m4b", ".m4a", ".opus", ".ogg", ".wav")

_CODECS = {"mp3": ("mp3",), "m4b": ("aac",), "flac": ("flac",), "opus": ("opus",)}
_SLACK_DB = 0.05
"""a tenth of a decibel is what people read and write"""
_SLACK_S = 0.02


@dataclass(frozen=True, slots=True)
class Check:
    """One number and what is asked of it."""

    name: str
    """"rms", "peak", "head", …"""
    ok: bool
    measured: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One file against a preset."""

    file: str
    measured: Measured | None
    """None where the file could not be measured"""
    checks: tuple[Check, ...]
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything is as asked."""
        return not self.error and all(check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        measured = self.measured.to_dict() if self.measured else None
        checks = [asdict(check) for check in self.checks]
        return {
            "file": self.file,
            "ok": self.ok,
            "error": self.error,
            "measured": measured,
            "checks": checks,
        }


def find_audio(paths: Sequence[Path]) -> list[Path]:
    """Return files as given, and of folders what sound they hold, by name.

    Raises:
        InputError: A path is not there, or a folder holds no sound.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
            if not inside:
                raise InputError(f"the folder {path} holds no sound ({', '.join(AUDIO_SUFFIXES)})")
            found |= dict.fromkeys(inside)
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"there is no {path}")
    return list(found)


def verify_files(paths: Sequence[Path], preset: Preset) -> list[Verdict]:
    """Measure files, several at a time, and judge them.

    Args:
        paths: Files, or folders of them.
        preset: What is asked.

    Returns:
        A verdict for each, in order; a file that can't be measured has one too.

    Raises:
        InputError: A path is not there, or a folder holds no sound.
    """
    files = find_audio(paths)
    with ThreadPoolExecutor(num_cores()) as pool:
        verdicts = list(pool.map(lambda file: verify_file(file, preset), files))
    channels = {v.measured.stream.channels for v in verdicts if v.measured}
    if len(channels) < 2:
        return verdicts
    mixed = Check("channels", False, "some mono, some stereo", "the same in all files")
    return [Verdict(v.file, v.measured, (*v.checks, mixed), v.error) if v.measured else v for v in verdicts]


def verify_file(file: Path, preset: Preset) -> Verdict:
    """Measure one file and judge it."""
    try:
        measured = measure(file)
    except DeliveryError as error:
        return Verdict(str(file), None, (), str(error))
    return Verdict(str(file), measured, tuple(judge(measured, preset)))


def judge(measured: Measured, preset: Preset) -> list[Check]:
    """Return every check that the preset asks for."""
    stream = measured.stream
    wanted_codecs = _CODECS.get(preset.format)
    is_format = stream.codec in wanted_codecs if wanted_codecs else stream.codec.startswith("pcm_")
    checks = [Check("format", is_format, stream.codec, preset.format)]
    checks.append(Check("intact", not measured.damage, "; ".join(measured.damage) or "yes", "all of it there"))
    named = {1: "mono", 2: "stereo"}
    channels = named.get(stream.channels, f"{stream.channels} channels")
    checks.append(Check("channels", stream.channels in named, channels, "mono or stereo"))
    if preset.format not in LOSSLESS:
        checks.append(_bit_rate(measured, preset))
    rate = f"{preset.sample_rate_hz:,} Hz"
    checks += [
        Check(
            "sample rate", stream.sample_rate_hz == preset.sample_rate_hz, f"{stream.sample_rate_hz:,} Hz", rate
        ),
        _loudness(measured, preset),
        _peak(measured, preset),
    ]
    if preset.max_noise_floor_db is not None:
        floor_db, limit_db = measured.noise_floor_db, preset.max_noise_floor_db
        at = format_timecode(measured.noisiest_at_s)
        ok = floor_db <= limit_db + _SLACK_DB
        checks.append(Check("noise floor", ok, f"{floor_db:.1f} dB at {at}", f"at most {limit_db:g} dB"))
    for name, value_s, low_s, high_s in (
        ("head", measured.head_s, preset.min_head_s, preset.max_head_s),
        ("tail", measured.tail_s, preset.min_tail_s, preset.max_tail_s),
    ):
        ok = low_s - _SLACK_S <= value_s <= high_s + _SLACK_S
        checks.append(Check(name, ok, f"{value_s:.2f} s", f"{low_s:g} to {high_s:g} s"))
    if not preset.allow_digital_silence:
        silence_s = measured.digital_silence_s
        checks.append(Check("digital silence", silence_s == 0, f"{silence_s:.2f} s", "none; room tone instead"))
    if preset.max_file_s is not None and preset.format != "m4b":
        length, longest = format_duration(measured.duration_s), f"at most {format_duration(preset.max_file_s)}"
        checks.append(Check("length", measured.duration_s <= preset.max_file_s, length, longest))
    missing = [tag for tag in preset.tags if not stream.tags.get(tag)]
    checks.append(
        Check("tags", not missing, f"no {', '.join(missing)}" if missing else "there", ", ".join(preset.tags))
    )
    return checks


def _bit_rate(measured: Measured, preset: Preset) -> Check:
    kbps = measured.stream.bitrate_kbps or 0
    if not preset.constant_bitrate:
        # An encoder of variable rate is told a mean, and speech may need less.
        return Check("bit rate", kbps > 0, f"{kbps} kbps", "any")
    constant = bool(measured.is_constant_bitrate)
    said = f"{kbps} kbps, {'constant' if constant else 'not constant'}"
    wanted = f"{preset.bitrate_kbps} kbps or more, constant"
    return Check("bit rate", constant and kbps >= preset.bitrate_kbps, said, wanted)


def _loudness(measured: Measured, preset: Preset) -> Check:
    level, unit = (measured.rms_db, "dB") if preset.loudness == "rms" else (measured.lufs, "LUFS")
    ok = preset.min_db - _SLACK_DB <= level <= preset.max_db + _SLACK_DB
    wanted = f"{preset.min_db:g} to {preset.max_db:g} {unit}"
    return Check(preset.loudness, ok, _number(level, unit), wanted)


def _peak(measured: Measured, preset: Preset) -> Check:
    is_true = preset.peak == "true"
    level_db, unit = (measured.true_peak_db, "dBTP") if is_true else (measured.peak_db, "dB")
    ok = level_db <= preset.max_peak_db + (_SLACK_DB if is_true else 0.0)
    name = "true peak" if is_true else "peak"
    return Check(name, ok, _number(level_db, unit), f"at most {preset.max_peak_db:g} {unit}")


def _number(level: float, unit: str) -> str:
    return f"{level:.1f} {unit}" if math.isfinite(level) else "silence"
