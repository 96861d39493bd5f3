"""Token streams as bytes, small, and their checksum.

The ids are cut into four byte planes before zlib: the planes of an id's high bytes repeat with the frame and
nearly vanish, so an id costs about what its code's entropy is, whatever the vocabulary, and this file need not
know the layout.
"""

import hashlib
import zlib

import numpy as np

from orpheus_batch.errors import LedgerError

_BYTES_PER_ID = 4


def take_sha256(segment_id: str, attempt: int, token_ids: np.ndarray) -> bytes:
    """Return the checksum of a take: of its tokens and of whose they are.

    With the tokens alone, a damaged index could hand out another segment's take, whole and with a checksum that
    fits.

    Args:
        segment_id: The segment's.
        attempt: The take's number.
        token_ids: int [num_tokens], in [0, 2^32).
    """
    digest = hashlib.sha256(f"{segment_id} {attempt} ".encode())
    digest.update(_little_endian(token_ids).tobytes())
    return digest.digest()


def encode_tokens(token_ids: np.ndarray) -> bytes:
    """Return ``token_ids`` (int [num_tokens], in [0, 2^32)) as a compressed blob."""
    planes = _little_endian(token_ids).view(np.uint8).reshape(-1, _BYTES_PER_ID).T
    return zlib.compress(planes.tobytes(), 6)


def decode_tokens(blob: bytes) -> np.ndarray:
    """Return the ids of a blob, int32 [num_tokens]: the inverse of `encode_tokens`.

    Raises:
        LedgerError: The bytes are no such blob. That they are the right one, `take_sha256` tells.
    """
    try:
        raw = zlib.decompress(blob)
    except zlib.error as error:
        raise LedgerError(f"damaged tokens: {error}") from error
    if len(raw) % _BYTES_PER_ID:
        raise LedgerError(f"damaged tokens: {len(raw)} bytes")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(_BYTES_PER_ID, -1)
    return np.ascontiguousarray(planes.T).view("<u4").reshape(-1).astype(np.int32)


def _little_endian(token_ids: np.ndarray) -> np.ndarray:
    ids = np.asarray(token_ids)
    if ids.ndim != 1 or (ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= 1 << 32)):
        raise LedgerError(f"token ids must be whole numbers in [0, 2^32), one dimension; got {ids.dtype}")
    return np.ascontiguousarray(ids, dtype="<u4")
