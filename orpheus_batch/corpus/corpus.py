"""`make_corpus`: texts in, sealed shards of speech out, a night at a time."""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.config import Config
from orpheus_batch.corpus.audio_files import AudioFiles
from orpheus_batch.corpus.card import write_card
from orpheus_batch.corpus.corpus_planner import CorpusPlanner
from orpheus_batch.corpus.corpus_run import CorpusRun
from orpheus_batch.corpus.nights import Night
from orpheus_batch.corpus.prompts import drive
from orpheus_batch.corpus.rows import TableFormat
from orpheus_batch.corpus.sources import find_corpus_sources
from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.pipeline.books import lexicon_of
from orpheus_batch.pipeline.models import Factories, Models, pack_of
from orpheus_batch.pipeline.parts import Part
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.report import EXIT_DONE, EXIT_ERROR
from orpheus_batch.units import TOKENS_PER_SECOND

SUMMARY_NAME = "last-night.json"


@dataclasses.dataclass(frozen=True, slots=True)
class CorpusReport:
    """A night's work, and where the corpus stands."""

    folder: str
    num_items: int
    """sealed, of all nights"""
    num_shards: int
    audio_s: float
    """in them"""
    by_split: dict[str, dict[str, Any]]
    by_voice: dict[str, dict[str, Any]]
    num_planned: int
    """items still to be made"""
    planned_audio_s: float
    """as predicted"""
    num_failed: int
    """items of which no take passed; they are in no shard"""
    left_out: dict[str, int]
    """texts that are no items, by the reason"""
    unreadable: tuple[tuple[str, str], ...]
    """sources that can't be read, with the reason"""
    was_stopped: bool
    """the night ended before the work did"""
    night_items: int
    """made in this run"""
    night_audio_s: float
    night_shards: int
    num_takes: int
    wall_s: float
    """models' loading left out"""
    load_s: float
    word_error_rate: float | None = None
    """of finished items that a recogniser heard; None where it heard none"""

    @property
    def speedup(self) -> float | None:
        """Seconds of speech made a second of `wall_s`; None where the run made none."""
        return self.night_audio_s / self.wall_s if self.night_audio_s > 0 and self.wall_s > 0 else None

    @property
    def exit_code(self) -> int:
        """0 done or stopped as asked, 1 a source can't be read."""
        return EXIT_ERROR if self.unreadable else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, derived numbers included."""
        return dataclasses.asdict(self) | {"speedup": self.speedup, "exit_code": self.exit_code}


def make_corpus(
    patterns: Sequence[str],
    out: Path,
    config: Config,
    *,
    table: TableFormat | None = None,
    night: Night | None = None,
    part: Part | None = None,
    factories: Factories | None = None,
    progress: Progress | None = None,
) -> CorpusReport:
    """Speak what the sources hold and no earlier night has spoken, until it is done or the night is over.

    Args:
        patterns: Books, tables, folders and globs.
        out: The corpus' folder.
        config: The whole configuration.
        table: How tables are read; None: recognised.
        night: When to stop; None: when all is done.
        part: Of independent processes; None: this one does all.
        factories: How engine and codec are made; None: the real ones.
        progress: Hears of every step.

    Returns:
        What was done, and where the corpus stands.

    Raises:
        ConfigError: The pack, an option or a lexicon is wrong.
        InputError: A pattern leads to no file.
        LedgerError: The folder is in use, or was begun with another model, voice layout or size of shards.
        EngineError, CodecError, EncodeError: The models, ffmpeg or the disk can't go on.
    """
    sources = find_corpus_sources(patterns)
    find_ffmpeg()
    part, night = part or Part(), night or Night()
    out = part.folder(out)
    progress = progress or Progress()
    pack = pack_of(config)
    lexicon_of(config, pack)  # a mistake in it is told before anything is made
    models = Models(pack, config, factories or Factories(), progress)
    started = time.monotonic()
    try:
        with CorpusLedger.open(out) as ledger:
            _claim(ledger, models, config, part)
            unreadable = CorpusPlanner(ledger, models, config, table or TableFormat(), part).plan(sources)
            ledger.apply_max_attempts(config.quality.max_attempts)
            ledger.reopen_retried()
            run = _run(ledger, out, config, models, progress, night)
            write_card(out, ledger, models.pack, config.corpus)
            report = _report(ledger, out, models, run, unreadable, started)
            _write_summary(out, report)
    finally:
        models.close()
    return report


def _claim(ledger: CorpusLedger, models: Models, config: Config, part: Part) -> None:
    """See that the folder is a corpus of this very model and layout, or make it one."""
    ledger.claim("corpus")
    identity = {
        "model": models.model_fingerprint,
        "sampling": dataclasses.asdict(models.pack.sampling),
        "shard_items": config.corpus.shard_items,
        "layout": config.corpus.layout,
        "keep_codes": config.corpus.keep_codes,
        "part": f"{part.index}/{part.count}",
    }
    known = ledger.facts().get("corpus")
    if known is not None and known != identity:
        changed = ", ".join(name for name, value in identity.items() if known.get(name) != value)
        raise LedgerError(
            f"{ledger.folder} was begun with another {changed}; give this corpus a folder of its own"
        )
    ledger.set_facts({"corpus": identity, "config": config.to_dict()})


def _run(
    ledger: CorpusLedger, out: Path, config: Config, models: Models, progress: Progress, night: Night
) -> CorpusRun:
    length = models.pack.length
    num_segments, num_pending, tokens = ledger.work_left(length.base_tokens, length.tokens_per_char)
    progress.planned(num_segments, num_pending, tokens / TOKENS_PER_SECOND)
    with AudioFiles(out, config.audio, durable=False) as files:
        run = CorpusRun(ledger, models, config, progress, files, out, night)
        drive(run, models, config)
        run.finish()
    return run


def _report(
    ledger: CorpusLedger,
    out: Path,
    models: Models,
    run: CorpusRun,
    unreadable: Sequence[tuple[str, str]],
    started: float,
) -> CorpusReport:
    totals, counts = ledger.totals(), ledger.counts()
    left_out: Counter[str] = Counter()
    for _, report in ledger.source_reports():
        left_out.update(report.get("left_out", {}))
    length = models.pack.length
    _, num_pending, tokens = ledger.work_left(length.base_tokens, length.tokens_per_char)
    return CorpusReport(
        folder=str(out),
        num_items=totals["num_items"],
        num_shards=totals["num_shards"],
        audio_s=totals["audio_s"],
        by_split=totals["by_split"],
        by_voice=totals["by_voice"],
        num_planned=num_pending,
        planned_audio_s=tokens / TOKENS_PER_SECOND,
        num_failed=counts["failed"],
        left_out=dict(left_out),
        unreadable=tuple(unreadable),
        was_stopped=run.was_stopped and num_pending > 0,
        night_items=run.num_made,
        night_audio_s=run.made_audio_s,
        night_shards=run.num_sealed,
        num_takes=run.num_takes,
        wall_s=time.monotonic() - started - models.load_s,
        load_s=models.load_s,
        word_error_rate=ledger.word_error_rate(),
    )


def _write_summary(out: Path, report: CorpusReport) -> None:
    text = json.dumps(report.to_dict(), ensure_ascii=False, indent=1)
    (out / SUMMARY_NAME).write_text(text + "\n", encoding="utf-8")
