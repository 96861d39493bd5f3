"""From what the library answers to a `TokenStream`, whatever it is that it answered.

It knows the worker's messages; it does not know processes, or whose fault an error is.
"""

import hashlib
from typing import Any

import numpy as np

from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.engine.base import token_stream

_MAX_TOKEN_ID = (1 << 31) - 1


def noise_seed(request: TokenRequest) -> int:
    """Return a seed of the request's own: the library's sampler knows no segments, and equal seeds give equal noise."""
    digest = hashlib.sha256(f"{request.segment_id}|{request.seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def stream_of(request: TokenRequest, message: dict[str, Any], stop_id: int) -> TokenStream:
    """Return the stream that answers a request: cut at the stop id, whether the library left it in or not.

    Args:
        request: That was answered.
        message: The worker's, of a result or a failure.
        stop_id: Ends speech.
    """
    if message["event"] == "failed":
        return error_stream(request, message["error"])
    ids = np.asarray(message["token_ids"], dtype=np.int64)
    stops = np.flatnonzero(ids == stop_id)
    finish = {"stop": "stop", "length": "length"}.get(message["finish_reason"])
    if len(stops) and request.forced_num_tokens is None:
        ids, finish = ids[: stops[0]], "stop"
    if len(ids) and (ids.min() < 0 or ids.max() > _MAX_TOKEN_ID):
        return error_stream(request, f"an id outside of any vocabulary: {int(ids.min())} to {int(ids.max())}")
    if finish is None:
        return error_stream(request, f"it ended with finish_reason {message['finish_reason']!r}")
    return token_stream(request, ids.astype(np.int32), finish)


def error_stream(request: TokenRequest, error: str) -> TokenStream:
    """Return the stream of a request that can't be served."""
    return token_stream(request, np.empty(0, dtype=np.int32), "error", error)
