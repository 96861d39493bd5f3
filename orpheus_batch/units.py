"""Units of the frame and of sound, and how people write them.

Samples inside the package, seconds at its edges; decibels are always relative to digital full scale.
"""

import math

SAMPLE_RATE_HZ = 24_000
"""Rate of SNAC 24 kHz, and so of everything before the encoder."""

TOKENS_PER_FRAME = 7
"""One coarse, two middle and four fine codes (SNAC with ``vq_strides`` [4, 2, 1])."""

SAMPLES_PER_FRAME = 2_048
"""Four latent steps of 512 samples: 85.33 ms at 24 kHz."""

TOKENS_PER_SECOND = TOKENS_PER_FRAME * SAMPLE_RATE_HZ / SAMPLES_PER_FRAME
"""82.03 tokens for a second of speech."""


def seconds_to_samples(seconds: float, sample_rate_hz: int = SAMPLE_RATE_HZ) -> int:
    """Return the nearest whole number of samples in ``seconds``."""
    return round(seconds * sample_rate_hz)


def samples_to_seconds(num_samples: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> float:
    """Return how long ``num_samples`` last, in seconds."""
    return num_samples / sample_rate_hz


def num_frames_to_seconds(num_frames: int) -> float:
    """Return how long ``num_frames`` codec frames last, in seconds."""
    return num_frames * SAMPLES_PER_FRAME / SAMPLE_RATE_HZ


def db_to_amplitude(level_db: float) -> float:
    """Return the amplitude ratio of ``level_db`` (20 dB is a factor of ten)."""
    return 10.0 ** (level_db / 20.0)


def amplitude_to_db(amplitude: float) -> float:
    """Return ``amplitude`` as dB relative to 1.0; silence is ``-inf``."""
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else -math.inf


def format_duration(seconds: float) -> str:
    """Return ``seconds`` as people say it: ``42 s``, ``5 min 03 s``, ``10 h 02 min``."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def format_timecode(seconds: float) -> str:
    """Return ``seconds`` as a player shows it: ``3:07`` or ``1:03:07``."""
    total = int(seconds)
    hours, minutes, rest = total // 3600, total % 3600 // 60, total % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_bytes(num_bytes: float) -> str:
    """Return a size with its unit: ``512 B``, ``3.4 MB``, ``1.2 GB`` (powers of ten)."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"
