"""`render_prompts`: a table in, one audio file a row out, and a manifest of all rows."""

import dataclasses
import time
from itertools import islice
from pathlib import Path

from orpheus_batch.audio.encode import check_audio_config
from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.audio.stitch import StitchPiece
from orpheus_batch.config import Config
from orpheus_batch.corpus.audio_files import AudioFiles, AudioJob
from orpheus_batch.corpus.item_run import ItemRun, settings_digest
from orpheus_batch.corpus.items import FORMATS, Speaker, Wisher
from orpheus_batch.corpus.manifest import write_manifests
from orpheus_batch.corpus.planner import TablePlanner, source_digest
from orpheus_batch.corpus.report import MAX_NAMED, PromptsReport
from orpheus_batch.corpus.rows import TableFormat, read_rows
from orpheus_batch.errors import ConfigError, InputError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger.item_records import SettledItem
from orpheus_batch.ledger.items import ItemLedger
from orpheus_batch.pipeline.books import check_disk, lexicon_of
from orpheus_batch.pipeline.generate import Queue, run_blocks
from orpheus_batch.pipeline.models import Factories, Models, pack_of
from orpheus_batch.pipeline.parts import Part
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.segment_run import SegmentRun
from orpheus_batch.units import TOKENS_PER_SECOND

WINDOW_BLOCKS = 4
"""blocks' worth of rows that are finished before the next begin: a few retakes then come together"""
SOURCE = "table"
"""an output folder belongs to one table, whatever its file is called"""


def render_prompts(
    path: str,
    out: Path,
    config: Config,
    *,
    table: TableFormat | None = None,
    format: str = "wav",
    strict: bool = False,
    part: Part | None = None,
    factories: Factories | None = None,
    progress: Progress | None = None,
) -> PromptsReport:
    """Render every row of a table to a file of its own, going on wherever an earlier run was stopped.

    Args:
        path: CSV, TSV, JSONL, Parquet, or text lines; "-" is standard input.
        out: Folder of the files, the manifest and the ledger.
        config: The whole configuration.
        table: How to read the table; None: recognised.
        format: Of rows that do not say: wav, flac, mp3 or opus.
        strict: Do nothing if any row is bad.
        part: Of independent processes; None: this one does all.
        factories: How engine and codec are made; None: the real ones.
        progress: Hears of every step.

    Returns:
        What was done. Bad rows are in it, and in the manifest.

    Raises:
        ConfigError: The pack, an option, a lexicon or the model's folder is wrong.
        InputError: The table can't be read; or a row is bad, with ``strict``.
        LedgerError: The folder is in use, is another command's, or is full.
        EngineError, CodecError, EncodeError: The models or ffmpeg can't go on.
    """
    if format not in FORMATS:
        raise ConfigError(f"no format '{format}'; there are {', '.join(FORMATS)}")
    if path != "-" and not Path(path).is_file():
        what = "it is a folder; name the table in it" if Path(path).is_dir() else "there is no such file"
        raise InputError(f"can't read {path}: {what}")
    check_audio_config(config.audio)
    find_ffmpeg()
    part = part or Part()
    out = part.folder(out)
    progress = progress or Progress()
    pack = pack_of(config)
    lexicon_of(config, pack)  # a mistake in it is told before anything is made
    models = Models(pack, config, factories or Factories(), progress)
    started = time.monotonic()
    try:
        with ItemLedger.open(out) as ledger:
            source = _plan(ledger, path, config, models, table or TableFormat(), format, part)
            num_bad = ledger.num_bad_rows()
            if strict and num_bad:
                first = "; ".join(f"line {line}: {reason}" for line, reason in ledger.bad_rows(MAX_NAMED))
                raise InputError(f"{path}: {num_bad} bad rows, nothing was rendered: {first}")
            run = _render(ledger, out, config, models, progress)
            _remove_superseded(ledger, out)
            write_manifests(out, ledger.manifest_rows(source))
            counts = ledger.counts()
            failed = (row for row in ledger.manifest_rows(source) if row.status == "failed")
            named = (
                tuple((row.line, row.reason) for row in islice(failed, MAX_NAMED)) if counts["failed"] else ()
            )
            bad = tuple(ledger.bad_rows(MAX_NAMED))
            rate = ledger.word_error_rate()
    finally:
        models.close()
    return PromptsReport(
        folder=str(out),
        manifest=str(out / "manifest.csv"),
        num_done=counts["done"],
        num_failed=counts["failed"],
        num_planned=counts["planned"],
        num_bad=num_bad,
        bad_rows=bad,
        failed_rows=named,
        num_made=run.num_made,
        made_audio_s=run.made_audio_s,
        num_takes=run.num_takes,
        audio_s=run.settled_audio_s,
        wall_s=time.monotonic() - started - models.load_s,
        load_s=models.load_s,
        word_error_rate=rate,
    )


def _plan(
    ledger: ItemLedger,
    path: str,
    config: Config,
    models: Models,
    table: TableFormat,
    format: str,
    part: Part,
) -> int:
    """Put the table's rows into the ledger, unless they stand there already; return its key."""
    ledger.claim("prompts")
    pack = models.pack
    voice = config.voice or pack.default_voice
    lexicon = lexicon_of(config, pack).for_book("", path, "")
    settings = {
        "voice": voice,
        "format": format,
        "seed": config.seed,
        "sampling": dataclasses.astuple(pack.sampling),
        "model": models.model_fingerprint,
        "pauses": dataclasses.astuple(config.pauses),
        "limits": (config.text.min_chars, config.text.max_chars),
        "voices": sorted(v.name for v in pack.voices),
        "lexicon": lexicon.digest(),
        "words": pack.words,
    }
    digest = source_digest(path, [settings, dataclasses.asdict(table), dataclasses.astuple(part)])
    source, is_planned = ledger.open_source(SOURCE, digest)
    if not (digest and is_planned):
        window = window_items(config)
        wisher = Wisher(pack, voice, format, settings)
        speaker = Speaker(
            pack,
            models.model_fingerprint,
            config.pauses,
            config.seed,
            config.text.min_chars,
            config.text.max_chars,
            lexicon,
        )
        planner = TablePlanner(ledger, source, wisher, speaker, lambda number: part.owns(number // window))
        planner.plan(read_rows(path, table), digest)
    model = {"pack": pack.name, "fingerprint": models.model_fingerprint}
    ledger.set_facts({"config": config.to_dict(), "model": model})
    return source


def _render(ledger: ItemLedger, out: Path, config: Config, models: Models, progress: Progress) -> "PromptRun":
    ledger.apply_max_attempts(config.quality.max_attempts)
    ledger.reopen(settings_digest(models, config))
    gone = [number for number, name, num_bytes in ledger.made_files() if not _has_size(out / name, num_bytes)]
    ledger.mark_unmade(gone)
    length = models.pack.length
    num_segments, num_pending, tokens = ledger.work_left(length.base_tokens, length.tokens_per_char)
    check_disk(out, tokens / TOKENS_PER_SECOND, config)
    progress.planned(num_segments, num_pending, tokens / TOKENS_PER_SECOND)
    with AudioFiles(out, config.audio) as files:
        run = PromptRun(ledger, models, config, progress, files, window_items(config), out)
        drive(run, models, config)
        run.collect(wait=True)
    return run


def window_items(config: Config) -> int:
    """Return how many rows are finished together."""
    return WINDOW_BLOCKS * config.engine.block_size


def drive(run: ItemRun, models: Models, config: Config) -> None:
    """Run items through the line: in fixed blocks, or as one queue.

    Raises:
        EngineError, CodecError, EncodeError, LedgerError: It can't go on.
    """

    def on_settled(_run: SegmentRun) -> None:
        run.make_touched()

    def on_error(_run: SegmentRun, error: Exception) -> None:
        raise error

    run.make_all_settled()
    if models.deterministic:
        run_blocks(run, models, config.engine.block_size, on_settled)
    else:
        Queue(iter([run]), models, on_settled, on_error).run()
    if models.heard_by is not None:
        run.ledger.set_facts({"recogniser": models.heard_by})


class PromptRun(ItemRun):
    """Rows of a table, each to its own file under ``out``."""

    title = "prompts"

    def __init__(
        self,
        ledger: ItemLedger,
        models: Models,
        config: Config,
        progress: Progress,
        files: AudioFiles,
        window_items: int,
        out: Path,
    ):
        super().__init__(ledger, models, config, progress, files, window_items)
        self._out = out

    def job(self, item: SettledItem, pieces: tuple[StitchPiece, ...]) -> AudioJob:
        """Return the row's file."""
        assert item.file is not None
        return AudioJob(item.number, self._out / item.file, item.format, pieces)


def _has_size(path: Path, num_bytes: int) -> bool:
    try:
        return path.stat().st_size == num_bytes
    except OSError:
        return False


def _remove_superseded(ledger: ItemLedger, out: Path) -> None:
    """Remove files of rows that changed their file or left the table, if they are as they were made."""
    names = []
    for name, sha256 in ledger.superseded_item_files():
        path = out / name
        if path.is_file() and sha256_file(path) == sha256:
            path.unlink()
        names.append(name)
    ledger.forget_files(names)
