"""One book while it is rendered: recording its takes, and sending settled chapters to the encoders.

Everything that a stage decides is written to the ledger before the next one reads it; what is held here is only
what can be worked out again. Which segments run together, and when, is not known here.
"""

import dataclasses
import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from orpheus_batch.audio.cache import AudioCache, PackedRecord
from orpheus_batch.audio.encode import ChapterFile, ChapterJob, ChapterPiece, ChapterTags, chapter_filename
from orpheus_batch.audio.encoders import Encoders
from orpheus_batch.config import Config
from orpheus_batch.data import Cue, Waveform
from orpheus_batch.errors import (
    LedgerError,
    OrpheusBatchError,
)
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger.records import ChapterRow, EncodedFile, PendingSegment, Take
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.books import PlannedBook
from orpheus_batch.pipeline.judge import DECODE_BATCH, batched, decode
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import BookResult, ChapterResult, FailedSegment
from orpheus_batch.pipeline.segment_run import BOOK_ERRORS, SegmentRun
from orpheus_batch.units import SAMPLE_RATE_HZ, seconds_to_samples

logger = logging.getLogger(__name__)

CACHE_FOLDER = "cache"
MAX_PACKING = 4
"""records packed at once: one ffmpeg packs some thousand seconds of audio a second"""
RECIPE_VERSION = 2
"""of stitching and encoding; raised when the same takes and settings give other bytes"""


class BookRun(SegmentRun):
    """A book with its ledger open for writing, until `close`.

    Args:
        book: Planned already.
        models: For decoding; loaded only where audio is not in the cache.
        config: The whole configuration.
        cover: Of every file.
        encoders: Where settled chapters go.
        progress: Hears of takes and files.

    Raises:
        LedgerError: The ledger can't be opened.
        EncodeError: The audio cache can't.
    """

    def __init__(
        self,
        book: PlannedBook,
        models: Models,
        config: Config,
        cover: bytes | None,
        encoders: Encoders,
        progress: Progress,
    ):
        self.book = book
        self.num_encoding = 0
        self._cover = cover
        self._encoders = encoders
        self._encoded_now: set[int] = set()
        codec_fingerprint = models.codec_fingerprint
        with ExitStack() as on_error:
            super().__init__(on_error.enter_context(Ledger.open(book.folder)), models, config, progress)
            self._cache = AudioCache(book.folder / CACHE_FOLDER, codec_fingerprint)
            self._spoken = [row for row in self.ledger.chapters() if row.num_segments]
            on_error.pop_all()
        self._titles = {row.index: row.title for row in self._spoken}
        self._unfinished = list(self._spoken)
        self._packers = ThreadPoolExecutor(MAX_PACKING, "pack audio")  # no thread before there is audio
        self._packing: deque[tuple[int, Future[list[PackedRecord]]]] = deque()

    def keep(self, good: Sequence[tuple[PendingSegment, Take, Waveform]]) -> None:
        """Put audio into the cache, packed beside the decoding of what follows.

        Raises:
            EncodeError: The cache can't be written.
        """
        by_chapter: dict[int, list[tuple[str, int, Waveform]]] = {}
        for item, take, waveform in good:
            entry = (take.segment_id, take.attempt, waveform)
            by_chapter.setdefault(item.segment.chapter_index, []).append(entry)
        for chapter_index, entries in by_chapter.items():
            self._write_packed(leave=MAX_PACKING - 1)
            self._packing.append((chapter_index, self._packers.submit(self._cache.pack, entries)))

    def finish_keeping(self) -> None:
        """Write to the cache what is still being packed.

        Raises:
            EncodeError: The cache can't be written.
        """
        self._write_packed(leave=0)

    def _write_packed(self, leave: int) -> None:
        """Write, in the order in which they came, all records but so many."""
        while len(self._packing) > leave:
            chapter_index, records = self._packing.popleft()
            self._cache.append(chapter_index, records.result())

    def close(self) -> None:
        """Close the ledger; what is still being packed is dropped."""
        self._packers.shutdown(cancel_futures=True)
        super().close()

    def title_of(self, item: PendingSegment) -> str:
        """Return the chapter's title."""
        return self._titles.get(item.segment.chapter_index, "")

    def finish_chapters(self) -> None:
        """Send every chapter that has become settled to the encoders, unless its files are as they should be.

        A chapter that can't be done is noted in `error`; the others go on.
        """
        waiting, self._unfinished = self._unfinished, []
        for row in waiting:
            if not self.ledger.chapter_is_settled(row.index):
                self._unfinished.append(row)
                continue
            try:
                self._finish(row)
            except BOOK_ERRORS as error:
                self._note(row, error)

    def _finish(self, row: ChapterRow) -> None:
        number = self._spoken.index(row)
        name = chapter_filename(number, len(self._spoken), row.title)
        tags = ChapterTags(
            title=row.title or Path(name).stem,
            album=self.book.title,
            artist=self.book.author,
            track_number=number + 1,
            num_tracks=len(self._spoken),
            genre=self._config.audio.genre,
            year=self._config.audio.year,
            language=self.book.language,
        )
        audio = dataclasses.replace(self._config.audio, cover=None, encoder_processes=None)
        settings = {
            "version": RECIPE_VERSION,
            "name": name,
            "codec": self._models.codec_fingerprint,
            "audio": dataclasses.asdict(audio),
            "tags": dataclasses.asdict(tags),
            "cover": hashlib.sha256(self._cover).hexdigest() if self._cover else None,
        }
        recipe = self.ledger.recipe_sha256(row.index, settings)
        if self.ledger.is_encoded(row.index, recipe):
            return
        pieces = tuple(
            ChapterPiece(p.segment.segment_id, p.segment.index, p.attempt, p.segment.pause_after_s)
            for p in self.ledger.chapter_pieces(row.index)
        )
        self._fill_cache(row.index, pieces)
        job = ChapterJob(
            chapter_index=row.index,
            output_path=self.book.folder / name,
            cache_dir=self.book.folder / CACHE_FOLDER,
            codec_fingerprint=self._models.codec_fingerprint,
            pieces=pieces,
            tags=tags,
            audio=audio,
            cover=self._cover,
        )
        self.num_encoding += 1
        self._encoders.submit(job, lambda outcome: self._encoded(row, recipe, outcome))

    def _encoded(
        self, row: ChapterRow, recipe: str, outcome: tuple[ChapterFile, ...] | OrpheusBatchError
    ) -> None:
        """Mark a chapter whose files are in place."""
        self.num_encoding -= 1
        if isinstance(outcome, OrpheusBatchError):
            self._note(row, outcome)
            return
        files = [EncodedFile(f.path.name, f.num_bytes, f.sha256, f.duration_s) for f in outcome]
        try:
            self.ledger.mark_encoded(row.index, recipe, files, _cues_of_chapter(outcome))
        except LedgerError as error:
            self._note(row, error)
            return
        self._encoded_now.add(row.index)
        for file in outcome:
            self._progress.encoded(str(file.path), file.duration_s)

    def _fill_cache(self, chapter_index: int, pieces: Iterable[ChapterPiece]) -> None:
        """Decode what the cache lacks, from the recorded tokens."""
        keys = ((piece.segment_id, piece.attempt) for piece in pieces if piece.attempt is not None)
        for batch in batched(self._cache.missing(keys), DECODE_BATCH):
            takes = [
                (take.segment_id, take.attempt, take.token_ids)
                for take in (self.ledger.chosen_take(segment_id) for segment_id, _ in batch)
                if take is not None
            ]
            waveforms = decode(takes, self._models)
            entries = [(take[0], take[1], waveform) for take, waveform in zip(takes, waveforms, strict=True)]
            self._cache.put(chapter_index, entries)

    def _note(self, row: ChapterRow, error: OrpheusBatchError) -> None:
        text = f"chapter {row.index + 1}{f' ({row.title})' if row.title else ''}: {error}"
        logger.debug("%s", text, exc_info=error)
        self.fail(text)

    @property
    def title(self) -> str:
        """The book's."""
        return self.book.title

    def finish(self) -> BookResult:
        """Remove files that are no chapter's any more, and say what the book has become.

        Only files that the ledger knows as made by it, and that are unchanged since, are removed.
        """
        if not self.error:
            self._remove_superseded()
        chapters = [
            ChapterResult(
                title=row.title,
                path=str(self.book.folder / file.name),
                duration_s=file.duration_s,
                encoded_now=row.index in self._encoded_now,
            )
            for row in self.ledger.chapters()
            if row.encoded is not None
            for file in row.encoded.files
        ]
        failures = [
            FailedSegment(f.segment_id, f.chapter_title, f.text, "; ".join(f.problems))
            for f in self.ledger.failures()
        ]
        return BookResult(
            source=str(self.book.source),
            title=self.book.title,
            folder=str(self.book.folder),
            num_segments=self.book.num_segments,
            chapters=tuple(chapters),
            failures=tuple(failures),
            error=self.error,
        )

    def _remove_superseded(self) -> None:
        gone = []
        for file in self.ledger.superseded_files():
            path = self.book.folder / file.name
            if path.is_file() and sha256_file(path) == file.sha256:
                path.unlink()
                logger.info("removed %s: no chapter of the book is called so any more", path)
            gone.append(file.name)
        if gone:
            self.ledger.forget_files(gone)


def _cues_of_chapter(files: Sequence[ChapterFile]) -> list[Cue]:
    """Return a chapter's cues, those of a later part counted on from the parts before it."""
    cues, offset = [], 0
    for file in files:
        cues += [dataclasses.replace(cue, start_sample=cue.start_sample + offset) for cue in file.cues]
        offset += seconds_to_samples(file.duration_s, SAMPLE_RATE_HZ)
    return cues
