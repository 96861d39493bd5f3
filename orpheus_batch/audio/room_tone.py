"""The sound of an empty room: low, dull noise that lies under everything, so that no pause is digital zero.

A pause of zeros between sentences is heard as the sound dropping out, and publishers refuse it. One loop of 44 s
serves for every file: what is heard at a sample is a function of its position alone, so stretches join without
a seam and files can be made again byte for byte. It does not know speech, levels or files.
"""

import functools

import numpy as np

from orpheus_batch.units import db_to_amplitude

_LOOP_SAMPLES = 1 << 20
_TAPS = 33
"""of a Hann window: the noise falls off above 1 kHz, where hiss would be noticed first"""
_SEED = 0x726F6F6D
_FULL_SCALE = 32_768.0


def room_tone(start: int, stop: int, level_db: float) -> np.ndarray:
    """Return the tone between two positions.

    Args:
        start: First sample at 24 kHz, from 0.
        stop: One past the last.
        level_db: RMS in dB full scale.

    Returns:
        float64 [stop - start], in steps of 16 bits (full scale is 32,768).
    """
    repeated = np.take(_loop(), np.arange(start, stop), mode="wrap")
    return repeated * (db_to_amplitude(level_db) * _FULL_SCALE)


@functools.lru_cache(maxsize=1)
def _loop() -> np.ndarray:
    """Return float64 [2^20] of RMS 1: filtered around its ends, so that it joins itself.

    Raw bits of a counter generator and sums, whose result no release of numpy changes.
    """
    bits = np.random.Philox(key=_SEED).random_raw(_LOOP_SAMPLES)
    white = bits.view("<u2").reshape(_LOOP_SAMPLES, 4).sum(axis=1, dtype=np.int64) - 2 * 65_535.0
    window = np.hanning(_TAPS + 2)[1:-1]
    dull = sum(weight * np.roll(white, shift) for shift, weight in enumerate(window))
    return dull / np.sqrt(np.mean(dull * dull))
