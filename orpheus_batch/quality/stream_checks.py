"""Judges a token stream before it is decoded: order, length, end, loops.

It knows token ids and how long the text was expected to sound. It does not know the text, and it does not know
what a code sounds like: silence, level and a clipped last syllable are `audio_checks`' affair.
"""

import math

import numpy as np

from orpheus_batch.config import QualityConfig
from orpheus_batch.data import TokenStream
from orpheus_batch.quality.verdict import Problem, Verdict, judge
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME, TOKENS_PER_SECOND, num_frames_to_seconds

LENGTH_SLACK_S = 0.5
"""added to both ends of the believable length

The prediction is a line through lengths that spread in two ways: in proportion to the text (pace) and by a
constant (the silence around speech, which makes most of a one-word stream). The ratios of the configuration
cover the first, this the second: Orpheus' lead-in alone varies by 0.4 to 0.6 s.
"""

MIN_FRAMES = 2
"""0.17 s: no word is shorter"""

MAX_LOOP_PERIOD = 12
"""frames (1.02 s); a longer loop is a repeated phrase, whose codes differ each time it is sampled"""

_SAME_FRAME = 6
"""of a frame's seven codes, so many equal make it a repeat: sampling changes one now and then"""

_EDGE_FRAMES = 2
"""so near to its ends a stream may still begin or already end: a first breath, a last click"""


def usable_token_ids(token_ids: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """Return the longest prefix of whole frames in which every id is legal at its position.

    Args:
        token_ids: int [num_tokens], any ids whatever.
        layout: Of the model that made them.

    Returns:
        int32 [7F], which `TokenLayout.to_codes` takes.
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    positions = np.arange(len(ids)) % TOKENS_PER_FRAME
    codes = ids - layout.audio_offset - layout.codebook_size * positions
    wrong = np.flatnonzero((codes < 0) | (codes >= layout.codebook_size))
    num_legal = int(wrong[0]) if len(wrong) else len(ids)
    return ids[: num_legal - num_legal % TOKENS_PER_FRAME].astype(np.int32)


def check_stream(
    stream: TokenStream, *, layout: TokenLayout, expected_num_tokens: int, config: QualityConfig
) -> Verdict:
    """Judge a stream.

    A length is believable from ``min_length_ratio * expected - 0.5 s`` to ``max_length_ratio * expected +
    0.5 s``, and never under two frames.

    Args:
        stream: As the engine gave it; anything may be in it.
        layout: Of the model that made it.
        expected_num_tokens: Predicted from the text.
        config: Limits.

    Returns:
        The verdict, with the part that can be decoded.
    """
    ids = np.asarray(stream.token_ids, dtype=np.int64)
    if len(ids) and ids[-1] == layout.stop_id:  # some engines leave it there
        ids = ids[:-1]
    usable = usable_token_ids(ids, layout)
    num_frames = len(usable) // TOKENS_PER_FRAME
    problems = _end_problems(stream)
    if num_frames == 0:
        problems.append(Problem("no whole frame of audio", 100.0))
        return judge(problems, usable_token_ids=usable)
    problems += _order_problems(ids, len(usable), layout)
    problems += _length_problems(num_frames, expected_num_tokens, config)
    problems += _loop_problems(usable, layout, config, stopped=stream.finish_reason == "stop")
    # tanh keeps a clean take's distance from the prediction below 1 however far it is
    blemish = math.tanh(abs(math.log(len(usable) / expected_num_tokens)))
    return judge(problems, blemish=min(blemish, 0.999), usable_token_ids=usable)


def _end_problems(stream: TokenStream) -> list[Problem]:
    if stream.finish_reason == "error":
        return [Problem(f"the engine gave up: {stream.error or 'no reason given'}", 50.0)]
    if stream.finish_reason == "length":
        return [Problem(f"it had not stopped after {len(stream.token_ids)} tokens", 10.0)]
    return []


def _order_problems(ids: np.ndarray, num_usable: int, layout: TokenLayout) -> list[Problem]:
    """Say where frames stop being whole and in order."""
    if len(ids) == num_usable:
        return []
    rest = ids[num_usable:]
    codes = rest - layout.audio_offset - layout.codebook_size * (np.arange(len(rest)) % TOKENS_PER_FRAME)
    wrong = np.flatnonzero((codes < 0) | (codes >= layout.codebook_size))
    if not len(wrong):
        return [Problem(f"it ends {len(rest)} tokens into a frame", 1.0)]
    at = num_usable + int(wrong[0])
    is_audio = layout.audio_offset <= ids[at] < layout.audio_end
    kind = "of another position" if is_audio else "that is no audio code"
    lost = len(rest) / len(ids)
    return [
        Problem(
            f"token {at} of {len(ids)} is the id {int(ids[at])} {kind} (position {at % TOKENS_PER_FRAME}); "
            f"{lost:.0%} of the stream lost",
            2.0 + 20.0 * lost,
        )
    ]


def _length_problems(num_frames: int, expected_num_tokens: int, config: QualityConfig) -> list[Problem]:
    length_s = num_frames_to_seconds(num_frames)
    expected_s = expected_num_tokens / TOKENS_PER_SECOND
    shortest_s = max(num_frames_to_seconds(MIN_FRAMES), config.min_length_ratio * expected_s - LENGTH_SLACK_S)
    longest_s = config.max_length_ratio * expected_s + LENGTH_SLACK_S
    if shortest_s <= length_s <= longest_s:
        return []
    bound, limit_s = ("at least", shortest_s) if length_s < shortest_s else ("at most", longest_s)
    return [
        Problem(
            f"{length_s:.2f} s long, expected {expected_s:.2f} s, {bound} {limit_s:.2f} s",
            4.0 + 4.0 * min(4.0, abs(math.log(length_s / limit_s))),
        )
    ]


def _loop_problems(
    token_ids: np.ndarray, layout: TokenLayout, config: QualityConfig, *, stopped: bool
) -> list[Problem]:
    """Find the longest stretch that repeats itself.

    A stretch repeats with period p when each of its frames equals the one p before it: in at least six of seven
    codes, or, heard as the same sounds in another detail, in the coarse code alone over three periods. A steady
    stretch (p = 1) may be plain silence. So it is left to the audio checks at the start, and at the end of a
    stream that stopped by itself, unless there is nothing else; and inside it may be as long as silence may.
    """
    offsets = layout.audio_offset + layout.codebook_size * np.arange(TOKENS_PER_FRAME)
    frames = token_ids.reshape(-1, TOKENS_PER_FRAME) - offsets
    first, last = _without_steady_ends(frames, stopped=stopped)
    frames = frames[first:last]
    is_still = (frames[1:] == frames[:-1]).sum(axis=1) >= _SAME_FRAME
    best = (0, 0, 0)
    for period in range(1, min(MAX_LOOP_PERIOD, len(frames) - 1) + 1):
        for start, length in _stretches(frames, period):
            is_steady = is_still[start : start + length - 1].mean() > 0.5
            limit_s = max(config.max_loop_s, config.max_silence_s) if is_steady else config.max_loop_s
            if num_frames_to_seconds(length) > limit_s and length > best[1]:
                best = (first + start, length, period)
    start, length, period = best
    if length == 0:
        return []
    return [
        Problem(
            f"it repeats {num_frames_to_seconds(period):.2f} s for {num_frames_to_seconds(length):.2f} s, "
            f"from {num_frames_to_seconds(start):.2f} s on",
            5.0 + min(10.0, num_frames_to_seconds(length)),
        )
    ]


def _without_steady_ends(frames: np.ndarray, *, stopped: bool) -> tuple[int, int]:
    """Return the range of int [F, 7] that lies between the steady stretches at its ends."""
    num_frames = len(frames)
    first, last = 0, num_frames
    for start, length in _stretches(frames, period=1):
        if start <= _EDGE_FRAMES:
            first = start + length
        if stopped and start + length >= num_frames - _EDGE_FRAMES:
            last = min(last, start)
    return (first, last) if first < last else (0, num_frames)


def _stretches(frames: np.ndarray, period: int) -> list[tuple[int, int]]:
    """Return (start, length) of what repeats with ``period`` in int [F, 7], the first round included."""
    equal = frames[period:] == frames[:-period]
    runs = [(start, run) for start, run in _runs(equal.sum(axis=1) >= _SAME_FRAME) if run >= period]
    if period > 1:
        runs += [
            (start, run)
            for start, run in _runs(equal[:, 0])
            if run >= 2 * period and len(np.unique(frames[start : start + period, 0])) > 1
        ]
    return [(start, run + period) for start, run in runs]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return (start, length) of every run of True in bool [n]."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(start), int(end - start)) for start, end in edges.reshape(-1, 2)]
