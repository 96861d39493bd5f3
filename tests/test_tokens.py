"""The token layout: ids to codes and back, and Orpheus's own numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orpheus_batch.data import SnacCodes
from orpheus_batch.errors import TokenStreamError
from orpheus_batch.voices import load_pack

ORPHEUS = load_pack("orpheus-3b").layout
BUILTIN = load_pack("builtin").layout


def test_orpheus_numbers():
    """Token = 128266 + 4096 p + code; the highest audio id is 156,937 and the stop is 128,258."""
    assert [128266 + 4096 * p for p in range(7)] == [ORPHEUS.position_start(p) for p in range(7)]
    assert 156_937 == ORPHEUS.audio_end - 1
    assert 128_258 == ORPHEUS.stop_id


def test_positions_go_to_their_levels():
    """Level 0 is p0; level 1 p1 and p4; level 2 p2, p3, p5 and p6: every code different, so that no swap hides."""
    frame = np.array([ORPHEUS.position_start(p) + 10 + p for p in range(7)])
    codes = ORPHEUS.to_codes(frame)
    assert ([10], [11, 14], [12, 13, 15, 16]) == (
        codes.coarse.tolist(),
        codes.mid.tolist(),
        codes.fine.tolist(),
    )


def test_code_zero_is_kept_and_code_4096_refused():
    """Two faults of public decoders: `> 0` drops code 0, `> 4096` lets 4096 in."""
    lowest = np.array([ORPHEUS.position_start(p) for p in range(7)])
    assert [0] == ORPHEUS.to_codes(lowest).coarse.tolist()
    with pytest.raises(TokenStreamError, match="frame 0, position 6"):
        ORPHEUS.to_codes(lowest + np.array([0, 0, 0, 0, 0, 0, 4096]))


def test_a_ragged_end_is_refused():
    """Whole frames only; who has a ragged end cuts it knowingly."""
    with pytest.raises(TokenStreamError, match="whole frames"):
        ORPHEUS.to_codes(np.array([ORPHEUS.position_start(0)] * 6))


@given(st.lists(st.tuples(*[st.integers(0, 1023)] * 7), max_size=30))
def test_builtin_streams_read_through_orpheus(frames):
    """A built-in stream re-based to Orpheus's ids gives the same codes: two packs, one shape."""
    codes = np.array(frames, dtype=np.int64).reshape(-1, 7)
    ours = codes + BUILTIN.audio_offset + BUILTIN.codebook_size * np.arange(7)
    theirs = codes + 128_266 + 4_096 * np.arange(7)
    a, b = BUILTIN.to_codes(ours.reshape(-1)), ORPHEUS.to_codes(theirs.reshape(-1))
    for level in ("coarse", "mid", "fine"):
        assert getattr(a, level).tolist() == getattr(b, level).tolist()
    assert theirs.reshape(-1).tolist() == ORPHEUS.from_codes(b).tolist()


@pytest.mark.parametrize(("mid", "fine"), [(1, 4), (2, 3)])
def test_levels_of_other_lengths_are_refused(mid, fine):
    """One coarse, two middle, four fine codes a frame."""
    codes = SnacCodes(np.zeros(1, int), np.zeros(mid, int), np.zeros(fine, int))
    with pytest.raises(TokenStreamError, match="1 : 2 : 4"):
        ORPHEUS.from_codes(codes)


def test_a_code_out_of_range_is_refused():
    """A code that would become another position's id."""
    codes = SnacCodes(np.array([4096]), np.zeros(2, int), np.zeros(4, int))
    with pytest.raises(TokenStreamError, match="outside"):
        ORPHEUS.from_codes(codes)
