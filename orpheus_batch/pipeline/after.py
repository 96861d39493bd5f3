"""What can be asked of an output folder afterwards: how far it is, what sounds odd, another take.

Looking needs no lock, so it works beside a running render; asking for another take needs it for an instant.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config, load_config
from orpheus_batch.errors import InputError, LedgerError
from orpheus_batch.ledger.lock import holder
from orpheus_batch.ledger.records import RunSummary, SegmentReport, SegmentState
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.books import book_folders
from orpheus_batch.pipeline.models import Factories, pack_of
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import RunReport
from orpheus_batch.pipeline.run import render_books
from orpheus_batch.text.normalize import end_with_stop, normalize
from orpheus_batch.text.segment import segment_limits

MAX_MATCHES = 20
"""named when a text or an id fits several segments"""


@dataclass(frozen=True, slots=True)
class ChapterStatus:
    """One chapter's standing."""

    title: str
    num_segments: int
    num_settled: int
    num_failed: int
    audio_s: float
    files: tuple[str, ...]
    """finished ones"""


@dataclass(frozen=True, slots=True)
class HeardAt:
    """A segment that may not sound right, and where to hear it."""

    segment_id: str
    chapter_title: str
    text: str
    state: str
    score: float | None
    problems: tuple[str, ...]
    file: str | None
    """None while its chapter is not finished"""
    start_s: float | None
    """in that file"""


@dataclass(frozen=True, slots=True)
class BookStatus:
    """One book's standing; with an error and nothing else where its ledger can't be read."""

    folder: str
    summary: RunSummary | None = None
    chapters: tuple[ChapterStatus, ...] = ()
    failures: tuple[HeardAt, ...] = ()
    suspects: tuple[HeardAt, ...] = ()
    writer: str | None = None
    """who renders it at this moment: "process 4711 on host" """
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


def book_status(out: Path, *, num_suspects: int = 0) -> list[BookStatus]:
    """Return where every book under an output folder stands.

    Args:
        out: As given to `render_books`, or one book's folder in it.
        num_suspects: How many of the worst segments to name for each book.

    Raises:
        LedgerError: There is no ledger at all.
    """
    return [status_of_book(folder, num_suspects) for folder in output_folders(out)]


def status_of_book(folder: Path, num_suspects: int = 0) -> BookStatus:
    """Return where the book of a folder stands."""
    try:
        with Ledger.open(folder, read_only=True) as ledger:
            rows = ledger.chapters()
            chapters = tuple(
                ChapterStatus(
                    row.title,
                    row.num_segments,
                    row.num_settled,
                    row.num_failed,
                    row.num_audio_s,
                    tuple(str(folder / file.name) for file in row.encoded.files) if row.encoded else (),
                )
                for row in rows
            )
            files = {row.index: row.encoded.files if row.encoded else () for row in rows}
            return BookStatus(
                folder=str(folder),
                summary=ledger.summary(),
                chapters=chapters,
                failures=tuple(_heard_at(folder, report, files) for report in ledger.failures()),
                suspects=tuple(_heard_at(folder, report, files) for report in ledger.suspects(num_suspects)),
                writer=holder(folder),
            )
    except LedgerError as error:
        return BookStatus(folder=str(folder), error=str(error))


def _heard_at(folder: Path, report: SegmentReport, files: dict[int, tuple]) -> HeardAt:
    """Return a segment with its file and its time there; the files of a long chapter follow each other."""
    name, start_s = None, report.start_s
    for file in files.get(report.chapter_index, ()) if start_s is not None else ():
        name = str(folder / file.name)
        if start_s < file.duration_s:
            break
        start_s -= file.duration_s
    return HeardAt(
        segment_id=report.segment_id,
        chapter_title=report.chapter_title,
        text=report.text,
        state=report.state.value,
        score=report.score,
        problems=report.problems,
        file=name,
        start_s=start_s if name else None,
    )


@dataclass(frozen=True, slots=True)
class Redone:
    """What came of asking for another take."""

    run: RunReport
    heard: HeardAt | None
    """the segment as it is now; None where the book could not be rendered"""
    is_new: bool
    """False: the new takes did not pass the checks, and what was heard before is heard still"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self) | {"run": self.run.to_dict()}


def redo_segment(
    out: Path,
    *,
    segment_id: str = "",
    find: str = "",
    spoken: str | None = None,
    factories: Factories | None = None,
    progress: Progress | None = None,
) -> Redone:
    """Speak one segment again, or in another spelling, and make its chapters' files anew.

    The book is read and rendered as it was last, with the configuration that its ledger holds.

    Args:
        out: As given to `render_books`, or one book's folder in it.
        segment_id: The beginning of its id.
        find: A part of its text, instead.
        spoken: What to speak in its stead from now on, wherever the book has the same segment.
        factories: How engine and codec are made; None: the real ones.
        progress: Hears of every step.

    Raises:
        InputError: No segment fits, or several do, or the book's file is not where it was.
        LedgerError: There is no ledger, or another process writes to it.
        OrpheusBatchError: As in `render_books`.
    """
    folder, report = _find(out, segment_id, find)
    with Ledger.open(folder) as ledger:
        facts = ledger.facts()
        source = Path(facts["book"]["source_path"])
        if not source.is_file():
            raise InputError(
                f"the book of {folder} is not at {source} any more; put it back there, or render it first "
                "from where it is now: it keeps its folder"
            )
        config = recorded_config(facts["config"])
        text = report.text if spoken is None else _as_spoken(spoken, config)
        if text != report.text:
            ledger.set_override(report.text, text)
            attempt = 0
        else:
            attempt = ledger.request_retake(report.segment_id)
    run = render_books([source], folder.parent, config, factories=factories, progress=progress)
    if run.books[0].error:
        return Redone(run, None, is_new=False)
    with Ledger.open(folder, read_only=True) as ledger:
        now = next(found for found in ledger.find_segments(text=text, limit=-1) if found.text == text)
        files = {row.index: row.encoded.files for row in ledger.chapters() if row.encoded}
        is_new = now.attempt is not None and now.attempt >= attempt and now.state is SegmentState.ACCEPTED
        return Redone(run, _heard_at(folder, now, files), is_new)


def _as_spoken(text: str, config: Config) -> str:
    """Return a user's spelling as the voice reads it.

    Raises:
        InputError: Nothing of it can be spoken, or it is too long for one segment.
    """
    pack = pack_of(config)
    words = pack.puts_into_words(config.voice or pack.default_voice)
    spoken = normalize(" ".join(text.split()), alphabet=pack.alphabet, tags=pack.tags, words=words)
    if not spoken:
        raise InputError(f"the voice can't speak “{text}”; write it in letters")
    spoken = end_with_stop(spoken)
    _, max_chars = segment_limits(pack, config.text.min_chars, config.text.max_chars)
    if len(spoken) > max_chars:
        raise InputError(
            f"the new spelling takes {len(spoken)} characters, and the voice speaks {max_chars} at once"
        )
    return spoken


def recorded_config(tree: dict[str, Any]) -> Config:
    """Return the configuration that a ledger holds.

    Raises:
        ConfigError: Another release wrote it and this one does not know a key.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= (
            {f"{key}.{name}": inner for name, inner in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return load_config(None, flat)


def _find(out: Path, segment_id: str, text: str) -> tuple[Path, SegmentReport]:
    found = []
    items = ""
    for folder in output_folders(out):
        with Ledger.open(folder, read_only=True) as ledger:
            items = items or ledger.facts().get("kind", "")
            found += [
                (folder, report)
                for report in ledger.find_segments(id_prefix=segment_id, text=text, limit=MAX_MATCHES)
            ]
    what = f"the id {segment_id}" if segment_id else f"the words “{text}”"
    if not found and items:
        raise InputError(
            f"{out} holds {items}, and `redo` is for books: another seed in a row is another take of it, and a larger "
            "quality.max_attempts tries failed ones again"
        )
    if not found:
        raise InputError(f"no segment under {out} has {what}; `orpheus-batch status OUT --suspect` lists ids")
    if len(found) > 1:
        lines = "".join(
            f"\n  {report.segment_id[:12]}  {folder.name}, {report.chapter_title}: {report.text[:60]}"
            for folder, report in found[:MAX_MATCHES]
        )
        raise InputError(f"{len(found)} segments or more have {what}; name one with --segment:{lines}")
    return found[0]


def output_folders(out: Path) -> list[Path]:
    """Return the folders with a ledger: ``out`` itself, or those in it.

    Raises:
        LedgerError: There are none.
    """
    folders = book_folders(out)
    if not folders:
        raise LedgerError(f"nothing was rendered in {out}: neither it nor a folder in it holds a ledger")
    return folders
