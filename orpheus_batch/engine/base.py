"""What the line asks of an engine: token streams for requests, in any order.

An engine knows token ids. It does not know text, books, the codec, or whether a stream sounds right.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from orpheus_batch.data import FinishReason, TokenRequest, TokenStream


class Engine(Protocol):
    """A language model that generates many token streams at once.

    One that may go on for long without asking for a request or yielding a stream, while it starts again, say, has an
    ``interrupt()`` too: called from another thread, it has the generator end soon, with streams missing.
    """

    name: str
    """"torch", "trtllm", …; recorded beside each stream"""
    max_batch_size: int
    """sequences that run together at most"""

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Generate one stream for each request and yield it as soon as it ends, in any order.

        Requests are pulled only as there is room, at frame boundaries. A ``None`` among them means "nothing
        now, ask again after the next frame"; an engine with nothing in flight sleeps a few milliseconds and
        asks again. A request that can't be served (a prompt that does not fit, say) yields
        a stream with ``finish_reason`` "error"; it does not end the others. Called afresh, an engine starts
        empty: the same requests in the same order give the same streams on the same hardware.

        Raises:
            EngineError: The engine can't go on at all.
        """
        ...

    def close(self) -> None:
        """Free the model. Called once; `generate` must not be called after it."""
        ...


def token_stream(
    request: TokenRequest, token_ids: np.ndarray, finish_reason: FinishReason, error: str = ""
) -> TokenStream:
    """Return the stream that answers ``request``; int32 [num_tokens]."""
    return TokenStream(
        segment_id=request.segment_id,
        token_ids=token_ids,
        finish_reason=finish_reason,
        seed=request.seed,
        attempt=request.attempt,
        error=error,
    )
