"""Between float samples and the 16-bit samples that are stored, stitched and encoded.

Stitching always works on 16-bit samples, whether they come from the codec or from the audio cache, so that the
cache's presence never changes a byte of the finished file.
"""

import numpy as np

BYTES_PER_SAMPLE = 2
"""Of stored samples; they are little-endian."""

_FULL_SCALE = 32_768.0


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round samples to 16 bits: times 32,768, halves to even, clipped to [-32768, 32767], no dither.

    Rounding is idempotent: ``to_int16(from_int16(x))`` is ``x``. Dither is left out because speech's own noise
    lies far above the 16-bit step, and because a file must be a pure function of its codes.

    Args:
        samples: float [num_samples], full scale 1.0.

    Returns:
        int16 [num_samples], little-endian on every machine.
    """
    scaled = np.rint(np.asarray(samples, dtype=np.float32) * np.float32(_FULL_SCALE))
    return np.clip(scaled, -32_768, 32_767).astype("<i2")


def from_int16(samples: np.ndarray) -> np.ndarray:
    """Return int16 ``samples`` as float32 in [-1, 1), exactly."""
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)
