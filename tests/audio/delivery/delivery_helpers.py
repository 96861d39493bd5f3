"""What ffmpeg's own filters, ffprobe and pyloudnorm say of a file: nothing here is the package's measuring."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from orpheus_batch.audio.ffmpeg import find_ffmpeg

RATE = 44_100


def ffmpeg(*args: object) -> str:
    """Run ffmpeg and return what it said."""
    done = subprocess.run(
        [find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-y", *map(str, args)],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return done.stderr.decode("utf-8", errors="replace")


def volumedetect(file: Path) -> tuple[float, float]:
    """Return mean and highest level in dB, by the filter of that name."""
    said = ffmpeg("-i", file, "-map", "0:a", "-af", "volumedetect", "-f", "null", "-")
    return tuple(float(re.search(rf"{name}_volume: (-?[\d.]+) dB", said)[1]) for name in ("mean", "max"))


def ebur128(file: Path) -> tuple[float, float]:
    """Return integrated loudness and true peak, by the filter of that name."""
    said = ffmpeg("-i", file, "-map", "0:a", "-af", "ebur128=peak=true", "-f", "null", "-")
    summary = said.rpartition("Summary:")[2]
    return float(re.search(r"I: +(-?[\d.]+)", summary)[1]), float(re.search(r"Peak: +(-?[\d.]+)", summary)[1])


def quiet_stretches(file: Path, level_db: float, min_s: float) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of stretches under a level, by the filter `silencedetect`."""
    filters = f"silencedetect=noise={level_db}dB:duration={min_s}"
    said = ffmpeg("-i", file, "-map", "0:a", "-af", filters, "-f", "null", "-")
    starts = [float(s) for s in re.findall(r"silence_start: (-?[\d.]+)", said)]
    ends = [float(s) for s in re.findall(r"silence_end: (-?[\d.]+)", said)]
    return list(zip(starts, ends, strict=True))


def rms_of_stretch(file: Path, start_s: float, end_s: float) -> float:
    """Return the level of a stretch in dB, by the filter `astats`."""
    filters = f"atrim={start_s}:{end_s},astats=measure_perchannel=none"
    said = ffmpeg("-i", file, "-map", "0:a", "-af", filters, "-f", "null", "-")
    return float(re.search(r"RMS level dB: (-?[\d.]+|-inf)", said)[1])


def pcm(file: Path, rate: int = RATE) -> np.ndarray:
    """Return a file's mono samples as float32."""
    done = subprocess.run(
        [find_ffmpeg(), "-v", "error", "-i", str(file), "-map", "0:a", "-f", "f32le", "-ar", str(rate), "-"],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return np.frombuffer(done.stdout, "<f4")


def ffprobe(file: Path) -> dict | None:
    """Return what ffprobe says, None where there is none on the PATH."""
    if shutil.which("ffprobe") is None:
        return None
    done = subprocess.run(
        [
            *["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters"],
            str(file),
        ],
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def write_wav(file: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """Write float mono samples as 16-bit WAV, by the standard library."""
    import wave

    with wave.open(str(file), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(rate)
        sink.writeframes(np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes())
    return file


def narration(seconds: float, *, level_db: float, tone_db: float | None, rate: int = RATE) -> np.ndarray:
    """Return noise in the rhythm of speech: bursts of 0.6 s, pauses of 0.4 s, 0.75 s of head, 2 s of tail."""
    random = np.random.default_rng(1)
    body = random.standard_normal(round(seconds * rate))
    time_s = np.arange(len(body)) / rate
    body *= (time_s % 1.0 < 0.6) * 10 ** (level_db / 20) / np.sqrt(0.6)
    body = body[: round((int(seconds) - 0.4) * rate)]
    whole = np.concatenate([np.zeros(round(0.75 * rate)), body, np.zeros(2 * rate)])
    if tone_db is not None:
        whole += random.standard_normal(len(whole)) * 10 ** (tone_db / 20)
    return whole
