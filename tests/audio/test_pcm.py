"""Sixteen bits: the rule by which samples are rounded, on which byte-exactness rests."""

import numpy as np

from orpheus_batch.audio.pcm import from_int16, to_int16


def test_rounds_half_to_even_and_clips():
    """The stated rule, by hand: halves go to the even neighbour, full scale is clipped and not wrapped."""
    samples = np.array([0.5, 1.5, -0.5, -1.5, 2.4, 2.6], np.float32) / 32768
    assert [0, 2, 0, -2, 2, 3] == to_int16(samples).tolist()
    assert [32767, -32768, 32767, -32768] == to_int16(np.array([1.0, -1.0, 7.0, -7.0])).tolist()


def test_every_16_bit_sample_survives_the_way_through_floats():
    """Audio read from the cache is rounded again by the stitcher; that must change nothing."""
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(to_int16(from_int16(every)), every)
