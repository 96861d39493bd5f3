"""Token streams that no engine should make, and the ones that look odd and are right."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.config import QualityConfig
from orpheus_batch.data import TokenStream
from orpheus_batch.quality.stream_checks import check_stream, usable_token_ids
from orpheus_batch.tokens import TokenLayout

LAYOUT = TokenLayout(prompt_prefix=(1,), prompt_suffix=(2,), stop_id=3, audio_offset=10, codebook_size=4096)
CONFIG = QualityConfig()
NOISE = np.random.default_rng(0)


def frames(num_frames, seed=0):
    """Frames of random codes, int [F, 7]: what speech looks like to a check that can't hear."""
    return np.random.default_rng(seed).integers(0, 4096, (num_frames, 7))


def ids_of(codes):
    return (np.asarray(codes) + 10 + 4096 * np.arange(7)).reshape(-1)


def check(token_ids, expected_num_tokens=None, finish_reason="stop", config=CONFIG, error=""):
    token_ids = np.asarray(token_ids, dtype=np.int32)
    stream = TokenStream("id", token_ids, finish_reason, seed=0, attempt=0, error=error)
    expected = len(token_ids) if expected_num_tokens is None else expected_num_tokens
    return check_stream(stream, layout=LAYOUT, expected_num_tokens=expected, config=config)


def test_an_orderly_stream_of_the_expected_length_is_perfect():
    """No problem, the best score there is, and all of it to be decoded."""
    verdict = check(ids_of(frames(60)))
    assert (True, (), 0.0) == (verdict.ok, verdict.problems, verdict.score)
    np.testing.assert_array_equal(ids_of(frames(60)), verdict.usable_token_ids)
    assert np.int32 == verdict.usable_token_ids.dtype


def test_a_stop_id_left_at_the_end_is_no_fault():
    """Some engines keep it; it must not be decoded either."""
    verdict = check([*ids_of(frames(60)), LAYOUT.stop_id], expected_num_tokens=420)
    assert verdict.ok
    assert 420 == len(verdict.usable_token_ids)


def test_the_first_and_the_last_code_of_a_codebook_are_legal():
    """Codes 0 and 4095: public decoders drop the one and admit 4096."""
    codes = np.where(NOISE.random((60, 7)) < 0.5, 0, 4095)
    assert 420 == len(check(ids_of(codes)).usable_token_ids)
    too_high = ids_of(codes)
    too_high[6::7][30] = LAYOUT.audio_end
    assert 30 * 7 == len(check(too_high).usable_token_ids)


@pytest.mark.parametrize(
    ("at", "token_id", "words"),
    [
        (7 * 30, 3, "token 210 of 420 is the id 3 that is no audio code (position 0)"),
        (7 * 30 + 2, 10, "token 212 of 420 is the id 10 of another position (position 2)"),
        (7 * 30 + 6, 10 + 7 * 4096, "that is no audio code (position 6)"),
        (7 * 30 + 1, -5, "is the id -5 that is no audio code"),
    ],
    ids=["control", "position", "above", "negative"],
)
def test_a_wrong_id_ends_what_can_be_used(at, token_id, words):
    """What stands before it is kept, whole frames only; the message says where and what."""
    token_ids = ids_of(frames(60))
    token_ids[at] = token_id
    verdict = check(token_ids)
    assert not verdict.ok
    assert words in verdict.problems[0]
    assert 210 == len(verdict.usable_token_ids)


def test_a_ragged_end_is_cut():
    """Three tokens of a frame can't be decoded; the whole frames before them can."""
    verdict = check(ids_of(frames(60))[:-4])
    assert ("it ends 3 tokens into a frame",) == verdict.problems
    assert 59 * 7 == len(verdict.usable_token_ids)


@pytest.mark.parametrize(
    "token_ids", [[], [3], [10, 10], [10] * 21], ids=["empty", "stop", "ragged", "disorder"]
)
def test_a_stream_without_a_frame_has_nothing_to_hear(token_ids):
    """It is judged, not an error: the run must go on; and no other take can score below it."""
    verdict = check(token_ids, expected_num_tokens=420)
    assert "no whole frame of audio" in verdict.problems
    assert 0 == len(verdict.usable_token_ids)
    assert check(ids_of(frames(2)), expected_num_tokens=4200, finish_reason="length").score > verdict.score


def test_an_engines_error_is_passed_on():
    """With what there is of the stream, should it be the best there is."""
    verdict = check(ids_of(frames(20)), 140, finish_reason="error", error="the prompt is too long")
    assert ("the engine gave up: the prompt is too long",) == verdict.problems
    assert 140 == len(verdict.usable_token_ids)


def test_a_stream_that_was_cut_off_is_not_accepted():
    """It may end in mid-word, however fitting its length."""
    verdict = check(ids_of(frames(60)), finish_reason="length")
    assert ("it had not stopped after 420 tokens",) == verdict.problems


@pytest.mark.parametrize(
    ("num_frames", "expected_frames", "ok"),
    [
        (60, 60, True),
        (25, 60, True),  # 0.5 x 60 frames less 5.9 (0.5 s)
        (24, 60, False),
        (125, 60, True),  # 2 x 60 frames and 5.9
        (126, 60, False),
        (2, 8, True),  # "No." in 0.17 s of an expected 0.7: half of it is silence that may be missing
        (1, 8, False),
        (21, 8, True),
        (22, 8, False),
    ],
)
def test_a_believable_length_is_a_ratio_and_half_a_second(num_frames, expected_frames, ok):
    """A ratio alone would fail every one-word sentence whose silence came out shorter."""
    verdict = check(ids_of(frames(num_frames)), expected_num_tokens=7 * expected_frames)
    assert ok == verdict.ok
    assert ok or "expected" in verdict.problems[0]


def test_of_two_good_takes_the_one_nearer_to_the_expected_length_is_better():
    """Both are accepted, so both stay above -1; the score only orders them."""
    near = check(ids_of(frames(63)), expected_num_tokens=420)
    far = check(ids_of(frames(100)), expected_num_tokens=420)
    slow = check(
        ids_of(frames(100)),
        expected_num_tokens=7 * 4,
        config=dataclasses.replace(CONFIG, max_length_ratio=99.0),
    )
    assert near.ok and far.ok and slow.ok
    assert 0.0 > near.score > far.score > slow.score > -1.0


@pytest.mark.parametrize("period", [2, 3, 5, 8, 12])
def test_a_loop_is_found_wherever_it_is(period):
    """Greedy decoding falls into one for good; sampling may leave it again."""
    loop = np.tile(frames(period, seed=1), (40 // period + 2, 1))
    for before, after in ((0, 30), (20, 20), (30, 0)):
        codes = np.concatenate([frames(before, seed=2), loop, frames(after, seed=3)])
        verdict = check(ids_of(codes))
        assert 1 == len(verdict.problems)
        assert f"it repeats {period * 2048 / 24000:.2f} s" in verdict.problems[0]
        assert f"from {before * 2048 / 24000:.2f} s on" in verdict.problems[0]


def test_a_loop_whose_details_change_is_found_by_its_coarse_codes():
    """Sampling gives each round other fine codes: no two frames are equal, and it is heard as a stutter."""
    codes = frames(60)
    codes[10:40, 0] = np.tile([7, 8, 9], 10)
    assert "it repeats 0.26 s for 2.56 s" in check(ids_of(codes)).problems[0]


@pytest.mark.parametrize(("num_rounds", "ok"), [(2, True), (3, False)])
def test_two_rounds_of_coarse_codes_are_no_loop(num_rounds, ok):
    """Eight frames (0.68 s) of coarse codes may come twice, as words do; three times they do not."""
    codes = frames(60)
    codes[10 : 10 + 8 * num_rounds, 0] = np.tile(np.arange(8), num_rounds)
    assert ok == check(ids_of(codes)).ok


def test_two_rounds_of_whole_frames_are_a_loop():
    """Fifty-six codes in a row do not come twice by chance."""
    codes = np.concatenate([frames(20), np.tile(frames(8, seed=1), (2, 1)), frames(20, seed=2)])
    assert "it repeats 0.68 s for 1.37 s" in check(ids_of(codes)).problems[0]


@pytest.mark.parametrize(("num_slips", "ok"), [(1, False), (2, True)])
def test_a_loop_with_a_slip_is_still_one(num_slips, ok):
    """One code of seven may differ from round to round, the coarse one too."""
    codes = np.concatenate([frames(10), np.tile(frames(4, seed=1), (10, 1)), frames(10, seed=2)])
    codes[10:50, :num_slips] = NOISE.integers(0, 4096, (40, num_slips))
    assert ok == check(ids_of(codes)).ok


def test_one_coarse_code_under_changing_details_is_no_loop():
    """So noisy silence is encoded; whether it is too long, the audio check hears."""
    codes = frames(60)
    codes[10:40, 0] = 5
    assert check(ids_of(codes)).ok


def test_a_short_repetition_is_none():
    """max_loop_s is the limit: fourteen frames (1.19 s) of one pattern pass, fifteen do not."""
    for num_frames, ok in ((14, True), (15, False)):
        codes = np.concatenate(
            [frames(20), np.tile(frames(2, seed=1), (8, 1))[:num_frames], frames(20, seed=2)]
        )
        assert ok == check(ids_of(codes)).ok


def steady(num_frames):
    """Equal frames, as silence is encoded."""
    return np.tile(frames(1, seed=9), (num_frames, 1))


def test_silence_around_speech_is_no_loop():
    """Seconds of equal frames before and after it are what a model pauses with; the stitcher trims them."""
    codes = np.concatenate([steady(20), frames(40), steady(40)])
    assert () == check(ids_of(codes)).problems


def test_silence_that_flickers_is_silence():
    """Its coarse code slips now and then, and the very first and last frames differ: still no loop."""
    codes = np.concatenate([frames(2, seed=5), steady(20), frames(40), steady(40), frames(2, seed=6)])
    codes[[8, 15, 70, 80, 90], 0] += 1
    assert () == check(ids_of(codes % 4096)).problems


def test_a_loop_after_silence_is_found_in_its_place():
    """Seconds are counted from the first frame, the silence before speech included."""
    codes = np.concatenate([steady(20), frames(10), np.tile(frames(4, seed=1), (6, 1)), frames(10, seed=2)])
    assert "from 2.56 s on" in check(ids_of(codes)).problems[0]


def test_a_pause_inside_is_a_loop_only_beyond_what_silence_may_last():
    """Codes can't tell a pause from a drone: up to max_silence_s it may be one, and the audio check hears."""
    for num_frames, ok in ((17, True), (18, False)):  # 1.45 and 1.54 s
        codes = np.concatenate([frames(30), steady(num_frames), frames(30, seed=2)])
        assert ok == check(ids_of(codes)).ok


def test_a_drone_to_the_limit_is_a_loop():
    """A tail of equal frames is silence only if the model stopped by itself after it."""
    codes = np.concatenate([frames(30), steady(60)])
    assert any("it repeats" in problem for problem in check(ids_of(codes), finish_reason="length").problems)


def test_nothing_but_one_frame_is_a_loop():
    """A tail and a lead-in with no speech between them."""
    assert any("it repeats" in problem for problem in check(ids_of(steady(60))).problems)


def test_long_vowels_are_no_loops():
    """A held vowel keeps its coarse code for several frames while the finer ones move on."""
    codes = frames(60)
    for start in (5, 20, 40):
        codes[start : start + 8, 0] = codes[start, 0]
    assert () == check(ids_of(codes)).problems


def test_worse_takes_score_lower():
    """The order in which a listener would choose among bad takes."""
    codes = frames(60)
    ragged = check(ids_of(codes)[:-3], 420)
    lost_little, lost_much = (ids_of(codes) for _ in range(2))
    lost_little[400], lost_much[100] = 3, 3
    streams = [
        check(ids_of(codes), 420),
        ragged,
        check(lost_little, 420),
        check(ids_of(codes), 420, finish_reason="length"),
        check(lost_much, 420),
        check(ids_of(codes), 420, finish_reason="error"),
        check([], 420),
    ]
    scores = [verdict.score for verdict in streams]
    assert sorted(scores, reverse=True) == scores
    assert all(verdict.score > -1.0 if verdict.ok else verdict.score <= -1.0 for verdict in streams)


@settings(max_examples=200)
@given(
    token_ids=st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 10 + 7 * 4096), max_size=60),
    finish_reason=st.sampled_from(["stop", "length", "error"]),
    expected=st.integers(1, 5000),
)
def test_any_stream_at_all_is_judged(token_ids, finish_reason, expected):
    """Never an exception; what is called usable can be decoded and is what stood at the beginning."""
    verdict = check(token_ids, expected, finish_reason)
    assert verdict.ok == (not verdict.problems)
    assert np.isfinite(verdict.score) and (verdict.score > -1.0) == verdict.ok
    usable = verdict.usable_token_ids
    assert len(usable) // 7 == LAYOUT.to_codes(usable).num_frames
    np.testing.assert_array_equal(token_ids[: len(usable)], usable)
    np.testing.assert_array_equal(usable, usable_token_ids(np.array(token_ids, dtype=np.int32), LAYOUT))
