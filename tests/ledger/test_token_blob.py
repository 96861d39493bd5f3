"""Token streams as bytes: exact, small, and never silently wrong."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.token_blob import decode_tokens, encode_tokens, take_sha256

IDS = hnp.arrays(np.int32, st.integers(0, 200), elements=st.integers(0, 2**31 - 1))


@given(ids=IDS)
def test_blobs_give_back_the_ids(ids):
    """Any ids at all, none included; they come back as int32 of their own, ready to be written to."""
    found = decode_tokens(encode_tokens(ids))
    np.testing.assert_array_equal(ids, found)
    assert np.int32 == found.dtype
    found[:] = 0


@settings(max_examples=300)
@given(ids=IDS, data=st.data())
def test_any_flipped_bit_is_noticed(ids, data):
    """zlib's own checksum does not cover its header, so it is the sha256 that must catch what passes it."""
    blob = bytearray(encode_tokens(ids))
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[bit // 8] ^= 1 << bit % 8
    try:
        found = decode_tokens(bytes(blob))
    except LedgerError as error:
        assert "damaged tokens" in str(error)
    else:
        same = np.array_equal(ids, found)
        assert same == (take_sha256("a", 0, ids) == take_sha256("a", 0, found))


def test_orpheus_tokens_take_half_their_width():
    """Random codes are the worst case, 12 bits each; four-byte ids must come near that, not stay at 32."""
    codes = np.random.default_rng(0).integers(0, 4096, (100, 7))
    ids = (codes + 128_266 + 4096 * np.arange(7)).reshape(-1).astype(np.int32)
    assert 2.2 * len(ids) > len(encode_tokens(ids))


@pytest.mark.parametrize(
    "ids",
    [np.array([-1]), np.array([1.5]), np.array([[1, 2]]), np.array([1 << 32])],
    ids=["negative", "fractions", "two dimensions", "too large"],
)
def test_what_is_no_token_stream_is_refused(ids):
    """uint32 would wrap a negative id into a plausible one."""
    with pytest.raises(LedgerError, match="token ids must be whole numbers"):
        encode_tokens(ids)


def test_the_checksum_does_not_depend_on_the_integer_type():
    """Engines give int32 or int64; the same stream must not look like another one."""
    expected = take_sha256("a", 0, np.arange(7, dtype=np.int32))
    assert expected == take_sha256("a", 0, np.arange(7, dtype=np.int64))


def test_the_checksum_says_whose_tokens_they_are():
    """A damaged index finds another segment's row, whole and intact: its checksum must not fit."""
    ids = np.arange(7)
    assert 3 == len({take_sha256("a", 0, ids), take_sha256("a", 1, ids), take_sha256("b", 0, ids)})
