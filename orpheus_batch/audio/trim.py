"""Finds speech in a segment's audio: where the model's lead-in ends and its tail begins.

Orpheus makes 0.4 to 0.6 s of low noise before it speaks, and some silence after. The thresholds follow the
segment's own speech level and the noise at its own edges. Where in doubt it keeps: a soft "f" or a breath that
is left in costs nothing, a clipped one is heard (and no recogniser notices it).

It does not know text, pauses or files.
"""

from dataclasses import dataclass

import numpy as np

from orpheus_batch.units import seconds_to_samples

HEAD_MARGIN_S = 0.040
"""Kept before the first sound found: the onset of a voiceless stop lies some 20-30 ms before what is loud."""

TAIL_MARGIN_S = 0.080
"""Kept after the last sound found: speech dies away more slowly than it begins."""

SILENCE_DB = -55.0
"""A segment whose loudest sounds lie below this has no speech in it."""

_HOP = 120  # 5 ms; levels are of windows of two hops
_LOUD_PERCENTILE = 98  # of window levels: the speech level; a click fills fewer windows than this leaves out
_EDGE_HOPS = 20  # 100 ms at the very edge stand for the noise there
_MIN_RUN_HOPS = 6  # 30 ms: shorter bursts at an edge are clicks, not the beginning of speech
_HEAD_GAP_HOPS = 12  # 60 ms below the weak threshold end the walk away from speech
_TAIL_GAP_HOPS = 24  # 120 ms: a final stop ("act") is silent for up to that long before its release
_MIN_EDGE_S = 0.150
"""A shorter stretch of non-speech stays: it can't be told from a soft consonant, and the pause allows for
it."""

_STRONG_OVER_NOISE_DB, _STRONG_RANGE_DB = 10.0, (-45.0, -25.0)
_WEAK_OVER_NOISE_DB, _WEAK_RANGE_DB = 5.0, (-55.0, -30.0)
"""Thresholds: so far above the edge's noise, held within a range relative to the speech level. Fricatives lie
some 20-35 dB below vowels, so an edge louder than the range's end may well be speech,"""

_STEADY_HOPS, _STEADY_DB, _STEADY_BELOW_SPEECH_DB = 50, 4.0, 20.0
_STEADY_RAISE_DB = 12.0
"""unless its level stays within 4 dB for 250 ms and more than 20 dB below speech: longer and steadier than any
consonant, so noise. Both ranges then end higher."""


@dataclass(frozen=True, slots=True)
class SpeechBounds:
    """What to keep of a segment, in samples: 0 <= start <= speech_start <= speech_end <= end."""

    start: int
    speech_start: int
    speech_end: int
    end: int

    @property
    def head_samples(self) -> int:
        """Kept before speech."""
        return self.speech_start - self.start

    @property
    def tail_samples(self) -> int:
        """Kept after speech."""
        return self.end - self.speech_end


def find_speech(samples: np.ndarray) -> SpeechBounds | None:
    """Return what to keep of a segment's audio, or None where there is no speech in it.

    Args:
        samples: int16 [num_samples], 24 kHz.
    """
    levels = _window_levels_db(samples)
    if len(levels) == 0:
        return None
    speech_db = float(np.percentile(levels, _LOUD_PERCENTILE))
    if speech_db < SILENCE_DB:
        return None
    first = _edge(levels, speech_db, _HEAD_GAP_HOPS)
    last = len(levels) - 1 - _edge(levels[::-1], speech_db, _TAIL_GAP_HOPS)
    speech_start, speech_end = first * _HOP, min((last + 2) * _HOP, len(samples))
    min_edge = seconds_to_samples(_MIN_EDGE_S)
    start, end = 0, len(samples)
    if speech_start >= min_edge:
        start = speech_start - seconds_to_samples(HEAD_MARGIN_S)
    if len(samples) - speech_end >= min_edge:
        end = speech_end + seconds_to_samples(TAIL_MARGIN_S)
    return SpeechBounds(start, speech_start, speech_end, end)


def _window_levels_db(samples: np.ndarray) -> np.ndarray:
    """Return the level of each window of 10 ms, every 5 ms, its mean taken out: dBFS, at least -120."""
    num_hops = len(samples) // _HOP
    hops = samples[: num_hops * _HOP].reshape(num_hops, _HOP).astype(np.float64) / 32_768.0
    sums, squares = hops.sum(axis=1), (hops * hops).sum(axis=1)
    count = 2 * _HOP
    mean = (sums[:-1] + sums[1:]) / count
    power = (squares[:-1] + squares[1:]) / count - mean * mean
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def _edge(levels: np.ndarray, speech_db: float, max_gap: int) -> int:
    """Return the index of the first window of speech, looking from the front."""
    noise_db = float(np.median(levels[:_EDGE_HOPS]))
    steady = len(levels) > _STEADY_HOPS and bool(
        noise_db < speech_db - _STEADY_BELOW_SPEECH_DB
        and np.abs(levels[:_STEADY_HOPS] - noise_db).max() < _STEADY_DB
    )
    raised_db = speech_db + (_STEADY_RAISE_DB if steady else 0.0)

    def threshold(over_noise_db: float, range_db: tuple[float, float]) -> float:
        return min(max(noise_db + over_noise_db, speech_db + range_db[0]), raised_db + range_db[1])

    strong_db = threshold(_STRONG_OVER_NOISE_DB, _STRONG_RANGE_DB)
    weak_db = threshold(_WEAK_OVER_NOISE_DB, _WEAK_RANGE_DB)
    onset = _first_run(levels > strong_db, _MIN_RUN_HOPS)
    weak = levels > weak_db
    first = onset
    for index in range(onset - 1, -1, -1):
        if weak[index]:
            first = index
        elif first - index > max_gap:
            break
    return first


def _first_run(active: np.ndarray, min_length: int) -> int:
    """Return where the first run of ``min_length`` True values begins; without one, the first True, or 0."""
    counts = np.concatenate(([0], np.cumsum(active)))
    runs = np.flatnonzero(counts[min_length:] - counts[:-min_length] == min_length)
    if len(runs):
        return int(runs[0])
    return int(np.argmax(active))
