"""One level throughout a book: measures speech, and brings it to a target without clipping.

The level is the RMS of speech, pauses left out; the gain follows from a chapter's own audio and the target
alone, so a chapter's bytes depend on no other chapter. Peaks are held by a look-ahead limiter: its gain moves
smoothly, is 1 wherever nothing is near the ceiling, and is a function of the samples around it, not of a state,
so that a long chapter can be worked through in stretches without a seam.

It does not know segments, files or MP3 (which raises peaks again; see `orpheus_batch.audio.encode`).
"""

import math

import numpy as np

from orpheus_batch.audio.room_tone import room_tone
from orpheus_batch.units import SAMPLE_RATE_HZ, db_to_amplitude

MAX_GAIN_DB = 30.0
"""No quiet chapter is raised by more: what is 30 dB too quiet is noise."""

_BLOCK = SAMPLE_RATE_HZ // 20  # 50 ms
_ABSOLUTE_GATE_DB = -60.0
_RELATIVE_GATE_DB = -20.0
_HALF_WINDOW = SAMPLE_RATE_HZ // 100  # 10 ms of look-ahead, and of release
_FULL_SCALE = 32_768.0


class SpeechMeter:
    """The level of speech: RMS over 50 ms blocks that pass two gates.

    Blocks under -60 dB are silence; of the others, those more than 20 dB under their mean are pauses within
    speech. A few bytes for each block are kept, 600 kB for an hour.

    Source: the two-step gate of ITU-R BS.1770-4, with blocks short enough for the pauses between words, a lower
    relative gate to match, and no K-weighting, for the target is an RMS.
    """

    def __init__(self) -> None:
        self._powers: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Measure int16 [num_samples]; what is left over after the last whole block is not."""
        num_blocks = len(samples) // _BLOCK
        blocks = samples[: num_blocks * _BLOCK].reshape(num_blocks, _BLOCK).astype(np.float64) / _FULL_SCALE
        self._powers.append((blocks * blocks).mean(axis=1))

    def rms_db(self) -> float:
        """Return the level of speech in dB full scale (a full-scale square wave is 0); -inf without speech."""
        power = np.concatenate([np.zeros(0), *self._powers])
        power = power[power > 10 ** (_ABSOLUTE_GATE_DB / 10)]
        if len(power) == 0:
            return -math.inf
        power = power[power > power.mean() * 10 ** (_RELATIVE_GATE_DB / 10)]
        return 10 * math.log10(power.mean())


def gain_db(speech_rms_db: float, target_rms_db: float) -> float:
    """Return the gain that brings speech to the target, at most `MAX_GAIN_DB`; 0 without speech."""
    if speech_rms_db == -math.inf:
        return 0.0
    return min(target_rms_db - speech_rms_db, MAX_GAIN_DB)


def leveled(
    samples: np.ndarray,
    start: int,
    stop: int,
    gain_db: float,
    peak_db: float,
    room_tone_db: float | None = None,
) -> np.ndarray:
    """Return ``samples[start:stop]`` with a gain and a room's tone, no sample above the ceiling.

    Args:
        samples: int16 [num_samples]; those within 10 ms of the stretch are looked at too.
        start: First sample.
        stop: One past the last.
        gain_db: See the function `gain_db`.
        peak_db: Ceiling in dB full scale.
        room_tone_db: Level of the tone that is put under everything, the gain apart; None: none.

    Returns:
        int16 [stop - start].
    """
    low, high = max(0, start - _HALF_WINDOW), min(len(samples), stop + _HALF_WINDOW)
    raised = np.asarray(samples[low:high], dtype=np.float64) * db_to_amplitude(gain_db)
    if room_tone_db is not None:
        raised += room_tone(low, high, room_tone_db)
    ceiling = math.floor(min(db_to_amplitude(peak_db) * _FULL_SCALE, _FULL_SCALE - 1))
    loudest = np.abs(raised).max(initial=0.0)
    if loudest > ceiling:
        raised *= _limiter_gain(raised, ceiling)
    kept = raised[start - low : stop - low]
    return np.clip(np.rint(kept), -ceiling, ceiling).astype("<i2")


def _limiter_gain(samples: np.ndarray, ceiling: float) -> np.ndarray:
    """Return a smooth gain [num_samples] in (0, 1] that brings every sample to the ceiling or below.

    The gain that each sample needs, its minimum over a window to both sides, and a triangular average over a
    window of the same length: every value that is averaged allows for the sample in the middle, so their
    average does. Edges count as if followed by silence.
    """
    half = _HALF_WINDOW
    needed = ceiling / np.maximum(np.abs(samples), ceiling)
    padded = np.pad(needed, 2 * half, constant_values=1.0)
    lowest = _sliding_min(padded, half + 1)  # at i: minimum of padded[i : i + half + 1]
    smooth = _box(_box(lowest, half // 2 + 1), half - half // 2 + 1)
    # Averages end ``half`` after the first value; sample n stands at n + 2 * half in ``padded``.
    return smooth[half : half + len(samples)]


def _sliding_min(values: np.ndarray, width: int) -> np.ndarray:
    """Return the minimum of every ``width`` neighbouring values, by doubling."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        values = np.minimum(values[: len(values) - step], values[step:])
        reach += step
    return values


def _box(values: np.ndarray, width: int) -> np.ndarray:
    """Return the mean of every ``width`` neighbouring values."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return (total[width:] - total[:-width]) / width
