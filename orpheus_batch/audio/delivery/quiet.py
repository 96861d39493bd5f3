"""Lowers the noise that a voice makes in its own pauses, so that no pause stands above a publisher's floor.

Between sentences a file holds room tone and nothing else, but a model also breathes and hisses inside a sentence,
at a comma. Such stretches, and nothing that could be speech, are turned down to a level, with slow ramps. It
does not know segments, gains or files.
"""

from collections.abc import Iterator

import numpy as np

from orpheus_batch.audio.loudness import SpeechMeter
from orpheus_batch.units import SAMPLE_RATE_HZ, db_to_amplitude

_HOP = SAMPLE_RATE_HZ // 100
_BELOW_SPEECH_DB = 28.0
"""Stretches so far under the level of speech are no speech; fricatives lie 20-25 dB under vowels."""
_MIN_HOPS = 15
"""150 ms: a stop before its release is silent for up to 120"""
_EDGE_HOPS = 4
"""40 ms at both ends keep their level: the ramp lies inside the pause"""
_MAX_CUT_DB = 24.0
_FULL_SCALE = 32_768.0


def pause_gains_db(samples: np.ndarray, level_db: float) -> np.ndarray:
    """Return how far each hundredth of a second is to be turned down.

    Args:
        samples: int16 [num_samples], 24 kHz; may be mapped from a file.
        level_db: What a pause may have, in dB full scale of ``samples``.

    Returns:
        float64 [whole and begun hops], at most 0.
    """
    levels_db, speech_db = _levels(samples)
    if not len(levels_db):
        return levels_db
    gains = np.zeros(len(levels_db))
    quiet = levels_db < speech_db - _BELOW_SPEECH_DB
    for start, stop in _runs(quiet):
        if stop - start < _MIN_HOPS:
            continue
        inside = slice(start + _EDGE_HOPS, stop - _EDGE_HOPS)
        excess_db = float(np.percentile(levels_db[inside], 75)) - level_db
        gains[inside] = -min(max(excess_db, 0.0), _MAX_CUT_DB)
    padded = np.pad(gains, _EDGE_HOPS, mode="edge")
    width = 2 * _EDGE_HOPS + 1
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def quieted(samples: np.ndarray, gains_db: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return ``samples[start:stop]`` turned down as `pause_gains_db` says, the gain sliding between hops.

    Returns:
        int16 [stop - start]; where nothing is turned down, the very samples.
    """
    out = np.array(samples[start:stop])
    first = max(0, start // _HOP - 1)
    is_lowered = np.pad(gains_db[first : -(-stop // _HOP) + 1] != 0.0, 1)
    # A hop's gain is that of its middle, so it is heard in half of the hop on either side too.
    is_touched = is_lowered[1:-1] | is_lowered[:-2] | is_lowered[2:]
    for low, high in _runs(is_touched):
        begin, end = max(start, (first + low) * _HOP), min(stop, (first + high) * _HOP)
        hops = (np.arange(begin, end) + 0.5) / _HOP - 0.5
        gain_db = np.interp(hops, np.arange(len(gains_db)), gains_db)
        inside = slice(begin - start, end - start)
        out[inside] = np.rint(out[inside] * 10.0 ** (gain_db / 20.0))
    return out


def stretches(num_samples: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) that tile so many samples."""
    for start in range(0, num_samples, size):
        yield start, min(start + size, num_samples)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return (start, stop) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _levels(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """Return each hop's level in dB full scale, at least -120, and that of speech."""
    meter = SpeechMeter()
    levels = []
    for start, stop in stretches(len(samples), 1000 * _HOP):
        piece = np.asarray(samples[start:stop])
        meter.add(piece)
        scaled = np.pad(piece, (0, -len(piece) % _HOP)).astype(np.float64) / _FULL_SCALE
        hops = scaled.reshape(-1, _HOP)
        levels.append((hops * hops).mean(axis=1))
    power = np.concatenate([np.zeros(0), *levels])
    return 10.0 * np.log10(np.maximum(power, db_to_amplitude(-120.0) ** 2)), meter.rms_db()
