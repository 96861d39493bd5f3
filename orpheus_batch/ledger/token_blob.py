"""Token streams as bytes, small and with a checksum.

The ids are cut into four byte planes before zlib: the planes of an id's high bytes repeat with the frame and
nearly vanish, so an id costs about what its code's entropy is, whatever the vocabulary, and this file need not
know the layout.
"""

import hashlib
import zlib

import numpy as np

from orpheus_batch.errors import LedgerError

_BYTES_PER_ID = 4


def tokens_sha256(token_ids: np.ndarray) -> bytes:
    """Return the sha256 of ``token_ids`` (int [num_tokens], in [0, 2^32)) as little-endian uint32."""
    return hashlib.sha256(_little_endian(token_ids).tobytes()).digest()


def encode_tokens(token_ids: np.ndarray) -> bytes:
    """Return ``token_ids`` (int [num_tokens], in [0, 2^32)) as a compressed blob."""
    planes = _little_endian(token_ids).view(np.uint8).reshape(-1, _BYTES_PER_ID).T
    return zlib.compress(planes.tobytes(), 6)


def decode_tokens(blob: bytes, sha256: bytes) -> np.ndarray:
    """Return the ids of a blob: the inverse of `encode_tokens`.

    Args:
        blob: From `encode_tokens`.
        sha256: From `tokens_sha256` of the same ids.

    Returns:
        int32 [num_tokens].

    Raises:
        LedgerError: The blob is not what was written.
    """
    try:
        raw = zlib.decompress(blob)
    except zlib.error as error:
        raise LedgerError(f"damaged tokens: {error}") from error
    if len(raw) % _BYTES_PER_ID:
        raise LedgerError(f"damaged tokens: {len(raw)} bytes")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(_BYTES_PER_ID, -1)
    ids = np.ascontiguousarray(planes.T).view("<u4").reshape(-1)
    if hashlib.sha256(ids.tobytes()).digest() != sha256:
        raise LedgerError("damaged tokens: checksum differs")
    return ids.astype(np.int32)


def _little_endian(token_ids: np.ndarray) -> np.ndarray:
    ids = np.asarray(token_ids)
    if ids.ndim != 1 or (ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= 1 << 32)):
        raise LedgerError(f"token ids must be whole numbers in [0, 2^32), one dimension; got {ids.dtype}")
    return np.ascontiguousarray(ids, dtype="<u4")
