"""A run: books in, chapter files and a report out.

It opens and closes things and sees to it that one book's trouble stays its own; what happens to a segment is in
`book_run`, and what runs together in `generate`.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orpheus_batch.audio.encode import check_audio_config, read_cover
from orpheus_batch.audio.encoders import Encoders, default_num_processes
from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.config import Config
from orpheus_batch.errors import ConfigError, LedgerError
from orpheus_batch.pipeline.book_run import BookRun
from orpheus_batch.pipeline.books import (
    PlannedBook,
    Shelf,
    check_disk,
    find_sources,
    lexicon_of,
    record_plan,
)
from orpheus_batch.pipeline.casting import check_single
from orpheus_batch.pipeline.generate import Queue, run_blocks
from orpheus_batch.pipeline.models import Factories, Models, is_pack_folder, pack_of
from orpheus_batch.pipeline.parts import Part
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import BookResult, RunReport
from orpheus_batch.pipeline.segment_run import BOOK_ERRORS

logger = logging.getLogger(__name__)


def render_books(
    paths: Sequence[Path],
    out: Path,
    config: Config,
    *,
    part: Part | None = None,
    factories: Factories | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Render books to chapter files, going on wherever an earlier run was stopped.

    Args:
        paths: Text or Markdown files, or folders of them.
        out: Each book gets its own folder in it, with its ledger and its audio cache.
        config: The whole configuration.
        part: Of independent processes, which share the books; None: this one does all.
        factories: How engine and codec are made; None: the real ones.
        progress: Hears of every step.

    Returns:
        What was done. A book that could not be done is in it, with the reason.

    Raises:
        ConfigError: The pack, an option, a lexicon or the model's folder is wrong.
        InputError: A folder among ``paths`` holds no book.
        LedgerError: The disk can't hold what is to be made.
        EngineError: The language model can't be loaded or can't go on.
        CodecError: The same of the codec.
        EncodeError: There is no ffmpeg, or the cover can't be read.
    """
    config = _with_absolute_paths(config)
    sources = find_sources(paths)
    if config.text.title is not None and len(sources) > 1:
        raise ConfigError(f"text.title is for a single book, and there are {len(sources)}")
    check_single(config, len(sources))
    sources = (part or Part()).share(sources)
    check_audio_config(config.audio)
    find_ffmpeg()
    cover = read_cover(Path(config.audio.cover)) if config.audio.cover else None
    progress = progress or Progress()
    pack = pack_of(config)
    lexicon_of(config, pack)  # a mistake in it is told before a long run, not in it
    models = Models(pack, config, factories or Factories(), progress)
    num_processes = config.audio.encoder_processes or default_num_processes(models.device)
    started = time.monotonic()
    try:
        with Encoders(num_processes) as encoders:
            results, num_takes, audio_s = _Run(out, config, models, cover, encoders, progress).run(sources)
    finally:
        models.close()
    return RunReport(
        books=tuple(results),
        num_takes=num_takes,
        audio_s=audio_s,
        wall_s=time.monotonic() - started - models.load_s,
        load_s=models.load_s,
    )


class _Run:
    """Books on their way through the line."""

    def __init__(
        self,
        out: Path,
        config: Config,
        models: Models,
        cover: bytes | None,
        encoders: Encoders,
        progress: Progress,
    ):
        self._out = out
        self._config = config
        self._models = models
        self._cover = cover
        self._encoders = encoders
        self._progress = progress
        self._results: dict[Path, BookResult] = {}
        self._open: list[BookRun] = []
        self._given_up: set[BookRun] = set()
        self._num_takes = 0
        self._audio_s = 0.0

    def run(self, sources: Sequence[Path]) -> tuple[list[BookResult], int, float]:
        """Return what became of each source, the number of takes, and the seconds of audio settled."""
        books = self._plan(sources)
        check_disk(self._out, sum(book.pending_audio_s for book in books), self._config)
        self._progress.planned(
            sum(book.num_segments for book in books),
            sum(book.num_pending for book in books),
            sum(book.pending_audio_s for book in books),
        )
        try:
            if self._models.deterministic:
                for run in self._opened(books):
                    try:
                        run_blocks(run, self._models, self._config.engine.block_size, self._settled)
                    except BOOK_ERRORS as error:
                        self._fail(run, error)
            else:
                Queue(self._opened(books), self._models, self._settled, self._fail).run()
            self._encoders.drain()
            for run in list(self._open):
                self._close(run)
        finally:
            for run in self._open:
                run.close()
        return [self._results[source] for source in sources], self._num_takes, self._audio_s

    def _plan(self, sources: Sequence[Path]) -> list[PlannedBook]:
        """Put every book's plan into its ledger; all of them are read before anything is generated."""
        shelf = Shelf(self._out)
        model = {
            "pack": self._models.pack.name,
            "fingerprint": self._models.model_fingerprint,
            "device": self._models.device,
        }
        books = []
        for source in sources:
            try:
                books.append(record_plan(source, shelf, self._models.pack, self._config, model))
            except BOOK_ERRORS as error:
                self._refuse(source, error)
        return books

    def _opened(self, books: Sequence[PlannedBook]) -> Iterator[BookRun]:
        """Open one book after another."""
        for book in books:
            try:
                cover = self._cover or book.cover
                run = BookRun(book, self._models, self._config, cover, self._encoders, self._progress)
            except BOOK_ERRORS as error:
                self._refuse(book.source, error)
                continue
            self._open.append(run)
            yield run
            self._close_finished()

    def _settled(self, run: BookRun) -> None:
        """Go on with a book after streams of it were recorded, or it was opened."""
        run.finish_chapters()
        self._encoders.collect()

    def _close_finished(self) -> None:
        """Close books of which nothing is left to do: a long list of them must not all be open at once."""
        for run in [r for r in self._open if not r.num_encoding]:
            try:
                is_finished = run in self._given_up or run.ledger.next_attempt() is None
            except LedgerError as error:
                self._fail(run, error)
                is_finished = True
            if is_finished:
                self._close(run)

    def _fail(self, run: BookRun, error: Exception) -> None:
        """Give up a book; what of it is with the encoders is still waited for."""
        logger.debug("%s", run.book.source, exc_info=error)
        run.fail(str(error))
        self._given_up.add(run)

    def _close(self, run: BookRun) -> None:
        self._open.remove(run)
        self._num_takes += run.num_takes
        self._audio_s += run.settled_audio_s
        try:
            self._results[run.book.source] = run.finish()
        except BOOK_ERRORS as error:
            self._refuse(run.book.source, error)
        finally:
            run.close()

    def _refuse(self, source: Path, error: Exception) -> None:
        """Note a book that can't be done at all."""
        logger.debug("%s", source, exc_info=error)
        self._progress.book_failed(str(source), str(error))
        self._results[source] = BookResult(source=str(source), error=str(error))


def _with_absolute_paths(config: Config) -> Config:
    """Return ``config`` as it must be recorded: meaning the same from any working directory."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str(Path(path).expanduser().resolve())

    model = dataclasses.replace(
        config.model,
        pack=absolute(config.model.pack) if is_pack_folder(config.model.pack) else config.model.pack,
        model_dir=absolute(config.model.model_dir),
        codec_dir=absolute(config.model.codec_dir),
    )
    audio = dataclasses.replace(config.audio, cover=absolute(config.audio.cover))
    text = dataclasses.replace(
        config.text,
        lexicon=tuple(str(Path(p).expanduser().resolve()) for p in config.text.lexicon),
        cast=absolute(config.text.cast),
        script=absolute(config.text.script),
    )
    return dataclasses.replace(config, model=model, audio=audio, text=text)
