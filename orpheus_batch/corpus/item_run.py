"""Items on the line: like a book's segments they are generated, judged and recorded, and then made into files.

Items go through in windows of a fixed number, each finished, retakes included, before the next begins: so files
appear early, and what a window is follows from the plan alone. What happens to an item's audio is the subclass'
affair.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from orpheus_batch.audio.pcm import to_int16
from orpheus_batch.audio.stitch import StitchPiece
from orpheus_batch.config import Config
from orpheus_batch.corpus.audio_files import AudioFile, AudioFiles, AudioJob
from orpheus_batch.data import Waveform
from orpheus_batch.ledger.item_records import ItemPiece, MadeItem, SettledItem
from orpheus_batch.ledger.items import ItemLedger
from orpheus_batch.ledger.records import PendingSegment, Take
from orpheus_batch.pipeline.judge import DECODE_BATCH, Finished, batched, decode
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.segment_run import SegmentRun, free_segments

RECIPE_VERSION = 1
"""of stitching and encoding items; raised when the same takes and settings give other bytes"""
MAX_FRESH_SAMPLES = 64 << 20
"""audio held for items whose other segments are yet to come: 128 MB; what is dropped is decoded again"""

Key = tuple[str, int]
"""segment_id and attempt"""


class ItemRun(SegmentRun):
    """Items of one ledger, open for writing until `close`.

    Args:
        ledger: Planned.
        models: For judging and decoding.
        config: The whole configuration.
        progress: Hears of takes and files.
        files: Makes the audio.
        window_items: Items that are finished together.
    """

    def __init__(
        self,
        ledger: ItemLedger,
        models: Models,
        config: Config,
        progress: Progress,
        files: AudioFiles,
        window_items: int,
    ):
        super().__init__(ledger, models, config, progress)
        self.ledger: ItemLedger = ledger
        self.num_made = 0
        """files made in this run"""
        self.made_audio_s = 0.0
        self._files = files
        self._window_items = window_items
        self._settings = settings_digest(models, config)
        self._fresh: dict[Key, np.ndarray] = {}
        self._num_fresh_samples = 0
        self._in_work: dict[int, SettledItem] = {}
        self._touched: set[int] = set()

    # What is generated

    def stopped(self) -> bool:
        """Return whether nothing more is to be begun."""
        return False

    def next_block(self, size: int, busy: Collection[str] = ()) -> list[PendingSegment]:
        """Return the next block of the first window that has one; see `SegmentRun.next_block`."""
        first = None if self.stopped() else self.ledger.first_pending_number()
        while first is not None:
            end = (first // self._window_items + 1) * self._window_items
            pending = self.ledger.pending_between(first, end, size + len(busy))
            if found := free_segments(pending, busy):
                return found[:size]
            first = self.ledger.first_pending_number(end)
        return []

    def pending(self) -> Iterator[PendingSegment]:
        """Yield what the ledger wants until `stopped`."""
        for item in super().pending():
            if self.stopped():
                return
            yield item

    def title_of(self, item: PendingSegment) -> str:
        """Return the item's number, for people."""
        return f"item {item.segment.chapter_index + 1}"

    # What becomes of it

    def keep(self, good: Sequence[tuple[PendingSegment, Take, Waveform]]) -> None:
        """Hold audio until its items are settled, as long as there is room."""
        for _, take, waveform in good:
            if self._num_fresh_samples < MAX_FRESH_SAMPLES:
                samples = to_int16(waveform.samples)
                self._fresh[take.segment_id, take.attempt] = samples
                self._num_fresh_samples += len(samples)

    def settle(self, finished: Sequence[Finished]) -> list[PendingSegment]:
        """Judge and record; see `SegmentRun.settle`."""
        retakes = super().settle(finished)
        self._touched.update(self.ledger.numbers_of(item.segment.segment_id for item, _ in finished))
        return [] if self.stopped() else retakes

    def make_all_settled(self) -> None:
        """Begin to make whatever an earlier run left settled and not made."""
        for page in self.ledger.settled_pages():
            for batch in batched(page, DECODE_BATCH):
                self._make(batch)
                self.collect()

    def make_touched(self) -> None:
        """Begin to make the items that settled since the last call."""
        touched, self._touched = sorted(self._touched), set()
        for batch in batched(touched, DECODE_BATCH):
            self._make(batch)
            self.collect()

    def collect(self, *, wait: bool = False) -> None:
        """Mark what has been made."""
        if wait:
            self._files.flush()
        files = list(self._files.finished(wait=wait))
        if files:
            self.made(files)

    def made(self, files: Sequence[AudioFile]) -> None:
        """Record finished files."""
        items = [self._in_work.pop(file.number) for file in files]
        self.ledger.mark_made(
            [made_item(file, item, failed=item.failed) for file, item in zip(files, items, strict=True)],
            self._settings,
        )
        self.num_made += len(files)
        self.made_audio_s += sum(file.duration_s for file in files)

    def wants(self, item: SettledItem) -> bool:
        """Return whether a file is made of an item: not where no take of it has any audio."""
        return any(piece.attempt is not None for piece in item.pieces)

    def job(self, item: SettledItem, pieces: tuple[StitchPiece, ...]) -> AudioJob:
        """Return what is to be made of an item."""
        raise NotImplementedError

    def _make(self, numbers: Sequence[int]) -> None:
        items = [item for item in self.ledger.settled(numbers) if item.number not in self._in_work]
        audio = self._audio_of([piece for item in items if self.wants(item) for piece in item.pieces])
        silent = []
        for item in items:
            if not self.wants(item):
                silent.append(MadeItem(item.number, True, None, None, 0.0, None))
                continue
            last = len(item.pieces) - 1
            pieces = tuple(
                StitchPiece(
                    segment_id=piece.segment.segment_id,
                    segment_index=index,
                    samples=audio.get(_key(piece)),
                    pause_after_s=0.0 if index == last else piece.segment.pause_after_s,
                )
                for index, piece in enumerate(item.pieces)
            )
            self._in_work[item.number] = item
            self._files.submit(self.job(item, pieces))
        if silent:
            self.ledger.mark_made(silent, self._settings)

    def _audio_of(self, pieces: Sequence[ItemPiece]) -> dict[Key, np.ndarray]:
        """Return int16 samples of chosen takes: what is held, and the rest decoded from the recorded tokens."""
        keys = dict.fromkeys(_key(piece) for piece in pieces if piece.attempt is not None)
        audio = {}
        lacking = []
        for key in keys:
            samples = self._fresh.pop(key, None)
            if samples is None:
                lacking.append(key)
            else:
                self._num_fresh_samples -= len(samples)
                audio[key] = samples
        for batch in batched(lacking, DECODE_BATCH):
            takes = [self.ledger.chosen_take(segment_id) for segment_id, _ in batch]
            known = [(take.segment_id, take.attempt, take.token_ids) for take in takes if take is not None]
            for (segment_id, attempt, _), waveform in zip(known, decode(known, self._models), strict=True):
                audio[segment_id, attempt] = to_int16(waveform.samples)
        return audio


def settings_digest(models: Models, config: Config) -> str:
    """Return what the bytes of every item depend on beside its takes, pauses and format."""
    audio = dataclasses.replace(config.audio, cover=None, encoder_processes=None)
    settings: list[Any] = [RECIPE_VERSION, models.codec_fingerprint, dataclasses.asdict(audio)]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _key(piece: ItemPiece) -> Key:
    return piece.segment.segment_id, -1 if piece.attempt is None else piece.attempt


def made_item(file: AudioFile, item: SettledItem, *, failed: bool) -> MadeItem:
    """Return what the ledger keeps of a finished file."""
    return MadeItem(
        number=file.number,
        failed=failed,
        num_bytes=file.num_bytes,
        sha256=file.sha256,
        duration_s=file.duration_s,
        loudness_db=file.loudness_db,
        num_words=item.num_words,
        num_wrong_words=item.num_wrong_words,
    )
