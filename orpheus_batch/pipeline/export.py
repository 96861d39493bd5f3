"""From finished ledgers to files for a publisher, at any time after the render.

Nothing is generated but the credits, once; nothing is decoded but what the audio cache lacks. Two passes over a
book, each on all cores: chapters are measured, one gain is worked out for all of them, files are made. What a
file is made of is `orpheus_batch.audio.delivery`'s business.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.delivery.cover import prepare_cover
from orpheus_batch.audio.delivery.presets import Preset
from orpheus_batch.audio.delivery.produce import MAX_CORRECTION_DB, DeliveredFile, FileJob, produce_file
from orpheus_batch.audio.delivery.sections import (
    Section,
    SectionJob,
    SectionLevel,
    SpokenPiece,
    book_gain_db,
    measure_section,
)
from orpheus_batch.audio.delivery.split import split_at_sentences
from orpheus_batch.audio.delivery.tags import Tags
from orpheus_batch.audio.delivery.templates import fill_template
from orpheus_batch.audio.encode import ChapterPiece
from orpheus_batch.audio.mp3 import read_cover
from orpheus_batch.audio.naming import chapter_filename
from orpheus_batch.config import Config
from orpheus_batch.data import Boundary
from orpheus_batch.errors import DeliveryError, InputError, LedgerError, OrpheusBatchError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.after import recorded_config
from orpheus_batch.pipeline.book_run import CACHE_FOLDER
from orpheus_batch.pipeline.books import book_folders, load_book
from orpheus_batch.pipeline.credits import render_credits
from orpheus_batch.pipeline.encoders import Encoders
from orpheus_batch.pipeline.export_report import BookExport, ExportOptions, write_manifest
from orpheus_batch.pipeline.judge import DECODE_BATCH, batched, decode
from orpheus_batch.pipeline.models import Factories, Models, pack_of
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import RunReport
from orpheus_batch.units import SAMPLE_RATE_HZ, format_duration, seconds_to_samples

logger = logging.getLogger(__name__)

OPENING, CLOSING, RETAIL_SAMPLE = "Opening Credits", "Closing Credits", "Retail Sample"

_SENTENCE_ENDS = (Boundary.SENTENCE, Boundary.PARAGRAPH, Boundary.CHAPTER)
_CREDITS_CORRECTION_DB = 2 * MAX_CORRECTION_DB
"""Credits and the sample are short, so their level strays further; nothing is heard right beside them."""


def export_books(
    out: Path,
    preset: Preset,
    options: ExportOptions | None = None,
    *,
    factories: Factories | None = None,
    progress: Progress | None = None,
) -> list[BookExport]:
    """Make a publisher's files of every finished book under an output folder.

    Args:
        out: As given to `render_books`, or one book's folder in it.
        preset: What is asked.
        options: What else is wanted.
        factories: How engine and codec are made; None: the real ones.
        progress: Hears of files.

    Returns:
        What was made of each book, or why nothing was.

    Raises:
        LedgerError: There is no ledger at all.
        ConfigError: The preset does not go with the format.
        EncodeError: The cover can't be used, or there is no ffmpeg.
    """
    options = options or ExportOptions()
    folders = book_folders(out)
    if not folders:
        raise LedgerError(f"nothing was rendered in {out}: neither it nor a folder in it holds a ledger")
    cover = prepare_cover(read_cover(options.cover), str(options.cover)) if options.cover else None
    if options.format is not None:
        preset = preset.in_format(options.format)
    results = []
    for folder in folders:
        try:
            book = _Book(folder, preset, options, cover, factories or Factories(), progress or Progress())
            results.append(book.export())
        except OrpheusBatchError as error:
            logger.debug("%s", folder, exc_info=error)
            results.append(BookExport(str(folder), preset.name, "", (), str(error)))
    return results


def deliver_books(
    report: RunReport, preset: Preset, *, factories: Factories | None = None, progress: Progress | None = None
) -> list[BookExport]:
    """Make a publisher's files of every book that a run has finished; arguments as in `export_books`."""
    exports = []
    for folder in dict.fromkeys(book.folder for book in report.books if not book.error):
        exports += export_books(Path(folder), preset, factories=factories, progress=progress)
    return exports


class _Book:
    """One book on its way to a publisher."""

    def __init__(
        self,
        folder: Path,
        preset: Preset,
        options: ExportOptions,
        cover: bytes | None,
        factories: Factories,
        progress: Progress,
    ):
        self._folder = folder
        self._preset = preset
        self._options = options
        self._cover = cover
        self._factories = factories
        self._progress = progress
        with Ledger.open(folder, read_only=True) as ledger:
            facts, summary = ledger.facts(), ledger.summary()
        if summary.num_pending or not summary.num_segments:
            raise InputError(
                f"{folder} is not finished: {summary.num_pending} segments are still to be spoken; "
                "`orpheus-batch render` goes on with it"
            )
        self._facts: dict[str, Any] = facts["book"]
        self._config: Config = recorded_config(facts["config"])
        pack = pack_of(self._config)
        voice = self._config.voice or pack.default_voice
        self._narrator = options.narrator or f"{voice} (synthetic voice)"
        self._year = options.year or self._config.audio.year or ""
        self._models = Models(pack, self._config, factories, progress)
        self._name = preset.name if options.format is None else f"{preset.name}-{preset.format}"
        self._target = (options.to or folder) / re.sub(r"[^\w.-]+", "-", self._name)

    def export(self) -> BookExport:
        """Make all files; those of an earlier export that are not made any more are left alone."""
        bookends = self._credits()
        sections = self._sections(self._folder)
        try:
            self._target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeliveryError(f"can't make the folder {self._target}: {error.strerror or error}") from error
        with Encoders(self._options.num_processes or os.cpu_count() or 1) as encoders:
            levels = self._measure(encoders, sections)
            gain_db = book_gain_db(
                levels,
                target_db=self._preset.target_db,
                wants_lufs=self._preset.loudness == "lufs",
                silence_s=self._preset.head_s + self._preset.tail_s,
            )
            jobs = self._jobs(sections, levels, bookends, gain_db)
            files = _run(encoders, jobs, produce_file, self._made)
        write_manifest(self._target, self._facts["title"], self._preset, gain_db, files)
        return BookExport(str(self._folder), self._name, str(self._target), tuple(files))

    def _credits(self) -> dict[str, Section]:
        """Return opening and closing credits, spoken once and kept beside the book."""
        if not self._preset.credits or not self._options.credits:
            return {}
        values = {
            "title": self._facts["title"],
            "author": self._facts["author"],
            "narrator": self._narrator,
            "year": self._year,
        }
        texts = {
            OPENING: fill_template(self._preset.opening_credits, values),
            CLOSING: fill_template(self._preset.closing_credits, values),
        }
        texts = {name: text for name, text in texts.items() if text.strip()}
        folders = render_credits(texts, self._folder, self._config, self._factories, self._progress)
        return {
            name: Section(
                name,
                folder / CACHE_FOLDER,
                self._models.codec_fingerprint,
                tuple(piece for section in self._sections(folder) for piece in section.pieces),
            )
            for name, folder in folders.items()
        }

    def _sections(self, folder: Path) -> list[Section]:
        """Return a ledger's chapters, their audio in the cache."""
        with Ledger.open(folder) as ledger:
            sections = [
                Section(
                    title=row.title,
                    cache_dir=folder / CACHE_FOLDER,
                    codec_fingerprint=self._models.codec_fingerprint,
                    pieces=tuple(
                        SpokenPiece(
                            ChapterPiece(
                                p.segment.segment_id, p.segment.index, p.attempt, p.segment.pause_after_s
                            ),
                            p.segment.text,
                            p.segment.start,
                            p.segment.end,
                            p.segment.boundary in _SENTENCE_ENDS,
                        )
                        for p in ledger.chapter_pieces(row.index)
                    ),
                )
                for row in ledger.chapters()
                if row.num_segments
            ]
            self._fill_cache(ledger, sections)
        return sections

    def _fill_cache(self, ledger: Ledger, sections: Sequence[Section]) -> None:
        """Decode what the cache lacks, saying beforehand how long that will take."""
        if not sections:
            return
        cache = AudioCache(sections[0].cache_dir, self._models.codec_fingerprint)
        missing = [
            (index, key)
            for index, section in enumerate(sections)
            for key in cache.missing(
                (p.piece.segment_id, p.piece.attempt) for p in section.pieces if p.piece.attempt is not None
            )
        ]
        takes = {key: ledger.chosen_take(key[0]) for _, key in missing}
        left_s = sum(take.num_audio_s for take in takes.values() if take)
        started, done_s, is_told = time.monotonic(), 0.0, False
        for batch in batched(missing, DECODE_BATCH):
            found = [(index, takes[key]) for index, key in batch if takes[key] is not None]
            waveforms = decode([(t.segment_id, t.attempt, t.token_ids) for _, t in found], self._models)
            for (index, take), waveform in zip(found, waveforms, strict=True):
                cache.put(index, [(take.segment_id, take.attempt, waveform)])
                done_s += take.num_audio_s
            if not is_told and done_s < left_s:
                each_s = (time.monotonic() - started - self._models.load_s) / max(done_s, 1e-9)
                self._progress.told(
                    f"{self._facts['title']}: {format_duration(left_s)} of sound are not in the cache and are "
                    f"decoded first; that takes about {format_duration((left_s - done_s) * max(each_s, 0.0))}"
                )
                is_told = True

    def _measure(self, encoders: Encoders, sections: Sequence[Section]) -> list[SectionLevel]:
        wants_lufs = self._preset.loudness == "lufs"
        jobs = [SectionJob(section, self._target, wants_lufs) for section in sections]
        return _run(encoders, jobs, measure_section, lambda _: None)

    def _jobs(
        self,
        sections: Sequence[Section],
        levels: Sequence[SectionLevel],
        bookends: dict[str, Section],
        gain_db: float,
    ) -> list[FileJob]:
        """Return a job for each file, in the order of the book."""
        preset = self._preset
        is_one_file = preset.format == "m4b" or self._options.one_file
        if is_one_file:
            whole = [bookends.get(OPENING), *sections, bookends.get(CLOSING)]
            listed = [(self._facts["title"], tuple(s for s in whole if s is not None), 1, 1, 1)]
        else:
            listed = self._listed(sections, levels, bookends)
        cover = self._cover if self._cover is not None else self._own_cover()
        last = max(number for _, _, number, _, _ in listed)
        jobs = [
            FileJob(
                path=self._target / self._file_name(title, 0 if is_one_file else number, last, part, parts),
                sections=inside,
                preset=preset,
                gain_db=gain_db,
                tags=self._tags(title, number, last, part, parts),
                marks_chapters=len(inside) > 1,
                cover=cover,
                cues=self._options.cues,
                max_correction_db=_CREDITS_CORRECTION_DB if title in (OPENING, CLOSING) else MAX_CORRECTION_DB,
            )
            for title, inside, number, part, parts in listed
        ]
        if preset.retail_sample_s is not None and self._options.retail_sample and not is_one_file:
            jobs.append(self._retail_sample(sections[0], levels[0], gain_db, cover, last))
        return jobs

    def _listed(
        self, sections: Sequence[Section], levels: Sequence[SectionLevel], bookends: dict[str, Section]
    ) -> list[tuple[str, tuple[Section, ...], int, int, int]]:
        """Return (title, sections, number, part, parts) of every file; long chapters come in parts."""
        silence = seconds_to_samples(self._preset.head_s + self._preset.tail_s)
        longest = int(self._preset.max_file_s * SAMPLE_RATE_HZ) - silence
        listed = []
        if OPENING in bookends:
            listed.append((OPENING, (bookends[OPENING],), 1, 1, 1))
        for section, level in zip(sections, levels, strict=True):
            ends = [piece.ends_sentence for piece in section.pieces]
            parts = split_at_sentences(level.piece_samples, ends, longest)
            number = listed[-1][2] + 1 if listed else 1
            title = section.title or f"Chapter {number}"
            for part, (first, stop) in enumerate(parts, start=1):
                inside = Section(
                    title, section.cache_dir, section.codec_fingerprint, section.pieces[first:stop]
                )
                listed.append((title, (inside,), number, part, len(parts)))
        if CLOSING in bookends:
            listed.append((CLOSING, (bookends[CLOSING],), listed[-1][2] + 1, 1, 1))
        return listed

    def _retail_sample(
        self, section: Section, level: SectionLevel, gain_db: float, cover: bytes | None, last: int
    ) -> FileJob:
        """Return the job of a sample: from the first chapter's first sentence after its heading."""
        longest_s = self._preset.retail_sample_s or 0.0
        room = seconds_to_samples(longest_s - self._preset.head_s - self._preset.tail_s)
        pieces = section.pieces
        first = next((i for i, piece in enumerate(pieces) if piece.ends_sentence), 0)
        ends = [piece.ends_sentence for piece in pieces[first:]]
        length = stop = 0
        for index, samples in enumerate(level.piece_samples[first:]):
            length += samples
            if length > room:
                break
            if ends[index]:
                stop = index + 1
        parts = pieces[first : first + max(stop, 1)]
        inside = Section(RETAIL_SAMPLE, section.cache_dir, section.codec_fingerprint, parts)
        return FileJob(
            path=self._target / f"{RETAIL_SAMPLE}.{self._preset.format}",
            sections=(inside,),
            preset=self._preset,
            gain_db=gain_db,
            tags=self._tags(RETAIL_SAMPLE, last + 1, last + 1, 1, 1),
            marks_chapters=False,
            cover=cover,
            max_correction_db=_CREDITS_CORRECTION_DB,
        )

    def _file_name(self, title: str, number: int, last: int, part: int, parts: int) -> str:
        width = max(2, len(str(last)))
        values = {
            "number": str(number).zfill(width),
            "title": title,
            "book": self._facts["title"],
            "author": self._facts["author"],
        }
        name = self._preset.file_name.format_map(values) if number else title
        # The package's own rules make it safe; they put a number in front, which is taken off again.
        safe = chapter_filename(0, 1, name).removeprefix("01 - ").removesuffix(".mp3")
        suffix = f" (part {part})" if parts > 1 else ""
        return f"{safe}{suffix}.{self._preset.format}"

    def _tags(self, title: str, number: int, last: int, part: int, parts: int) -> Tags:
        return Tags(
            title=f"{title} (part {part})" if parts > 1 else title,
            album=self._facts["title"],
            artist=self._facts["author"] or "Unknown",
            composer=self._narrator,
            track=number,
            num_tracks=last,
            disc=part,
            num_discs=parts,
            year=self._year,
            genre=self._options.genre or self._config.audio.genre,
            language=self._facts.get("language", ""),
        )

    def _own_cover(self) -> bytes | None:
        """Return the cover that the book was rendered with, or the one inside its file."""
        given = self._config.audio.cover
        if given is not None:
            return prepare_cover(read_cover(Path(given)), given)
        source = Path(self._facts["source_path"])
        try:
            found = load_book(source, self._config).cover if source.is_file() else None
        except InputError:  # it has changed since; its sound is in the ledger all the same
            return None
        return prepare_cover(found, f"in {source}") if found else None

    def _made(self, file: DeliveredFile) -> None:
        self._progress.encoded(str(file.path), file.duration_s)


def _run(
    encoders: Encoders, jobs: Sequence[Any], work: Callable[[Any], Any], made: Callable[[Any], None]
) -> list:
    """Do jobs on all cores and return what they gave, in order.

    Raises:
        OrpheusBatchError: What the first that failed raised, once the others are done.
    """
    outcomes: dict[int, Any] = {}

    def done(number: int, outcome: Any) -> None:
        outcomes[number] = outcome
        if not isinstance(outcome, OrpheusBatchError):
            made(outcome)

    for number, job in enumerate(jobs):
        encoders.submit(job, lambda outcome, number=number: done(number, outcome), work)
    encoders.drain()
    results = [outcomes[number] for number in range(len(jobs))]
    for outcome in results:
        if isinstance(outcome, OrpheusBatchError):
            raise outcome
    return results
