"""From finished ledgers to files for a publisher, at any time after the render.

Nothing is generated but the credits, once; nothing is decoded but what the audio cache lacks. A book goes through
all cores twice: its chapters are stitched and measured, one gain is worked out for all of them, files are made.
What a file is made of is `orpheus_batch.audio.delivery`'s business, which files there are `export_plan`'s.
"""

import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orpheus_batch.audio.delivery.cover import prepare_cover
from orpheus_batch.audio.delivery.presets import Preset
from orpheus_batch.audio.delivery.produce import DeliveredFile, produce_file
from orpheus_batch.audio.delivery.sections import (
    Section,
    SectionJob,
    StitchedSection,
    book_gain_db,
    stitch_section,
)
from orpheus_batch.audio.delivery.templates import fill_template
from orpheus_batch.audio.encoders import Encoders, num_cores
from orpheus_batch.audio.mp3 import read_cover
from orpheus_batch.config import Config
from orpheus_batch.errors import DeliveryError, InputError, LedgerError, OrpheusBatchError
from orpheus_batch.files import work_folder
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.after import recorded_config
from orpheus_batch.pipeline.books import book_folders, load_book
from orpheus_batch.pipeline.credits import render_credits
from orpheus_batch.pipeline.export_plan import BookFacts, plan_files
from orpheus_batch.pipeline.export_report import BookExport, ExportOptions, write_manifest
from orpheus_batch.pipeline.models import Factories, Models, pack_of
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import RunReport
from orpheus_batch.pipeline.spoken import spoken_sections
from orpheus_batch.units import SAMPLE_RATE_HZ, format_duration

logger = logging.getLogger(__name__)

OPENING, CLOSING = "Opening Credits", "Closing Credits"


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
        to = folder if options.to is None else options.to if len(folders) == 1 else options.to / folder.name
        try:
            book = _Book(folder, to, preset, options, cover, factories or Factories(), progress or Progress())
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
        to: Path,
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
        if "book" not in facts:
            raise InputError(f"{folder} holds {facts.get('kind', 'no book')}: only a book can be exported")
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
        self._target = to / re.sub(r"[^\w.-]+", "-", self._name)

    def export(self) -> BookExport:
        """Make all files; those of an earlier export that are not made any more are left alone."""
        bookends = self._credits()
        chapters = self._spoken(self._folder)
        try:
            self._target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DeliveryError(
                f"can't make the folder {self._target}: {error.strerror or error}; give another with --to"
            ) from error
        work = self._target / ".stitched.part"
        with (
            work_folder(work, self._target),
            Encoders(self._options.num_processes or num_cores()) as encoders,
        ):
            stitched = self._stitch(encoders, [*chapters, *bookends.values()], work)
            chapters_stitched = stitched[: len(chapters)]
            spoken_credits = dict(zip(bookends, stitched[len(chapters) :], strict=True))
            gain_db = book_gain_db(
                chapters_stitched,
                target_db=self._preset.target_db,
                wants_lufs=self._preset.loudness == "lufs",
                silence_s=self._preset.head_s + self._preset.tail_s,
            )
            jobs = plan_files(
                self._book_facts(gain_db),
                self._preset,
                spoken_credits.get(OPENING),
                chapters_stitched,
                spoken_credits.get(CLOSING),
                one_file=self._options.one_file or self._preset.format == "m4b",
                retail_sample=self._options.retail_sample,
            )
            total_s = sum(span.num_samples for job in jobs for span in job.spans) / SAMPLE_RATE_HZ
            what = f"{len(jobs)} file{'s' if len(jobs) > 1 else ''}, {format_duration(total_s)} of sound"
            self._progress.told(f"{self._facts['title']}: {what}")
            lengths = [sum(span.num_samples for span in job.spans) for job in jobs]
            files = _run(encoders, jobs, lengths, produce_file, self._made)
        write_manifest(self._target, self._facts["title"], self._preset, gain_db, files)
        spoken = (piece for section in (*chapters, *bookends.values()) for piece in section.pieces)
        num_missing = sum(piece.piece.attempt is None for piece in spoken)
        return BookExport(
            str(self._folder), self._name, str(self._target), tuple(files), num_missing=num_missing
        )

    def _spoken(self, folder: Path) -> list[Section]:
        with_words = self._options.cues is not None
        return spoken_sections(folder, self._models, self._progress, with_words=with_words)

    def _stitch(self, encoders: Encoders, sections: Sequence[Section], work: Path) -> list[StitchedSection]:
        wants_lufs = self._preset.loudness == "lufs"
        jobs = [
            SectionJob(section, work / f"{number:04d}.pcm", wants_lufs)
            for number, section in enumerate(sections)
        ]
        lengths = [len(section.pieces) for section in sections]
        return _run(encoders, jobs, lengths, stitch_section, lambda _: None)

    def _book_facts(self, gain_db: float) -> BookFacts:
        return BookFacts(
            target=self._target,
            title=self._facts["title"],
            author=self._facts["author"],
            narrator=self._narrator,
            language=self._facts.get("language") or self._models.pack.language,
            year=self._year,
            genre=self._options.genre or self._config.audio.genre,
            cover=self._cover if self._cover is not None else self._own_cover(),
            gain_db=gain_db,
            cues=self._options.cues,
        )

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
        found = {}
        for name, folder in folders.items():
            sections = self._spoken(folder)
            pieces = tuple(piece for section in sections for piece in section.pieces)
            found[name] = dataclasses.replace(sections[0], title=name, pieces=pieces)
        return found

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
    encoders: Encoders,
    jobs: Sequence[Any],
    lengths: Sequence[int],
    work: Callable[[Any], Any],
    made: Callable[[Any], None],
) -> list:
    """Do jobs on all cores, the longest first, and return what they gave, in order.

    Raises:
        OrpheusBatchError: What the first that failed raised, once the others are done.
    """
    outcomes: dict[int, Any] = {}

    def done(number: int, outcome: Any) -> None:
        outcomes[number] = outcome
        if not isinstance(outcome, OrpheusBatchError):
            made(outcome)

    for number in sorted(range(len(jobs)), key=lambda number: -lengths[number]):
        encoders.submit(jobs[number], lambda outcome, number=number: done(number, outcome), work)
    encoders.drain()
    results = [outcomes[number] for number in range(len(jobs))]
    for outcome in results:
        if isinstance(outcome, OrpheusBatchError):
            raise outcome
    return results
