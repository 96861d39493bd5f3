"""What books, prompts and corpora have in common while they run: streams are judged, recorded, and taken again.

What is pending and what has been taken stands in the ledger; what becomes of the audio is the subclass' affair.
Which segments run together, and when, is not known here.
"""

import dataclasses
import logging
from collections.abc import Collection, Iterator, Sequence

from orpheus_batch.config import Config
from orpheus_batch.data import TokenStream, Waveform
from orpheus_batch.errors import (
    CoverageError,
    DeliveryError,
    EncodeError,
    InputError,
    LedgerError,
    TokenStreamError,
)
from orpheus_batch.ledger.records import PendingSegment, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.books import pending_segments, predicted_s
from orpheus_batch.pipeline.judge import DECODE_BATCH, Finished, batched, judge
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.units import TOKENS_PER_SECOND

logger = logging.getLogger(__name__)

BOOK_ERRORS = (InputError, CoverageError, LedgerError, EncodeError, DeliveryError, TokenStreamError)
"""what one book's trouble raises; a run goes on with the other books. Anything else is the end of the run"""


class SegmentRun:
    """Segments of one ledger, open for writing until `close`.

    Args:
        ledger: Closed with it.
        models: For judging; the codec is loaded if a stream passes.
        config: The whole configuration.
        progress: Hears of takes.
    """

    title = ""
    """what is worked on, for messages"""

    def __init__(self, ledger: Ledger, models: Models, config: Config, progress: Progress):
        self.ledger = ledger
        self.error = ""
        """the first thing that went wrong; the rest is done all the same where possible"""
        self.num_takes = 0
        """recorded in this run"""
        self.settled_audio_s = 0.0
        """of segments settled in this run"""
        self._models = models
        self._config = config
        self._progress = progress

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def next_block(self, size: int, busy: Collection[str] = ()) -> list[PendingSegment]:
        """Return what is generated next, together and from an empty engine; nothing at the end.

        The lowest attempt first, in plan order, so that retakes form blocks of their own, and the same ones
        whether blocks are generated one after another or several at once.

        Args:
            size: Of a block.
            busy: Ids of segments in blocks that are being generated. If these may leave something to be taken
                again, nothing is returned before they are settled.
        """
        attempt = self.ledger.next_attempt()
        if attempt is None:
            return []
        return free_segments(self.ledger.pending(attempt=attempt, limit=size + len(busy)), busy)[:size]

    def pending(self) -> Iterator[PendingSegment]:
        """Yield what the ledger wants, in plan order, each segment once though it may be refused meanwhile."""
        return pending_segments(self.ledger)

    def arrived(self, item: PendingSegment, stream: TokenStream) -> None:
        """Tell of a stream that the engine has finished."""
        self._progress.generated(
            self.title_of(item),
            predicted_s(self._models.pack, item.segment.text),
            len(stream.token_ids) / TOKENS_PER_SECOND,
        )

    def settle(self, finished: Sequence[Finished]) -> list[PendingSegment]:
        """Judge streams and record them, all in one transaction, after `keep` has had the audio of good ones.

        Args:
            finished: Streams with what was asked for; at most a block.

        Returns:
            What is to be taken again, with the next attempt's number, in order.

        Raises:
            LedgerError: The ledger can't be written; nothing of it is recorded then.
            EncodeError: The audio can't be kept, likewise.
            CodecError: The codec can't go on.
        """
        takes = []
        for batch in batched(finished, DECODE_BATCH):
            judged = judge(batch, self._models, self._config.quality)
            takes += [take for take, _ in judged]
            self.keep(
                [
                    (item, take, waveform)
                    for (item, _), (take, waveform) in zip(batch, judged, strict=True)
                    if waveform is not None
                ]
            )
        self.finish_keeping()
        max_attempts = self._config.quality.max_attempts
        self.ledger.record_takes(takes, max_attempts=max_attempts)
        self.num_takes += len(takes)
        retakes = []
        for (item, _), take in zip(finished, takes, strict=True):
            if take.accepted or item.num_tries + 1 >= max_attempts:
                self.settled_audio_s += take.num_audio_s
                self._progress.settled(1)
            else:
                logger.debug("%s: %s", item.segment.segment_id[:12], "; ".join(take.problems))
                self._progress.retake(predicted_s(self._models.pack, item.segment.text), take.num_audio_s)
                retakes.append(
                    dataclasses.replace(item, attempt=item.attempt + 1, num_tries=item.num_tries + 1)
                )
        return retakes

    def keep(self, good: Sequence[tuple[PendingSegment, Take, Waveform]]) -> None:
        """Begin to keep the audio of accepted takes, which are not recorded yet; nothing need be kept."""

    def finish_keeping(self) -> None:
        """Wait for what was begun; the takes are recorded next."""

    def title_of(self, item: PendingSegment) -> str:
        """Return what a watcher is shown of where a segment stands."""
        return self.title

    def fail(self, error: str) -> None:
        """Note what went wrong; the first thing counts."""
        self._progress.book_failed(self.title, error)
        self.error = self.error or error


def free_segments(pending: Sequence[PendingSegment], busy: Collection[str]) -> list[PendingSegment]:
    """Return those of ``pending`` that are not being generated."""
    return [item for item in pending if item.segment.segment_id not in busy]
