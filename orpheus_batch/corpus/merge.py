"""`merge_parts`: the folders of independent processes become one, as if one process had done it all.

Files are linked where the filesystem allows it, else copied; the parts stay as they are.
"""

import dataclasses
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orpheus_batch.config import Config
from orpheus_batch.corpus.card import write_card
from orpheus_batch.corpus.manifest import write_manifests
from orpheus_batch.corpus.shards import AUDIO_FOLDER, MANIFEST_FOLDER, SHARD_FOLDER
from orpheus_batch.errors import EncodeError, InputError, LedgerError
from orpheus_batch.ledger.items import ItemLedger
from orpheus_batch.ledger.merge import MergedLedger
from orpheus_batch.ledger.store import LEDGER_NAME
from orpheus_batch.pipeline.after import recorded_config
from orpheus_batch.pipeline.books import book_folders
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.pipeline.parts import Part, part_folders

_WORK_FOLDER = ".merging"


@dataclasses.dataclass(frozen=True, slots=True)
class MergeReport:
    """What was merged."""

    folder: str
    kind: str
    """prompts or corpus"""
    num_parts: int
    counts: dict[str, int]
    """items planned, done and failed"""
    num_bad: int
    num_files: int
    """linked or copied"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


def merge_parts(out: Path) -> MergeReport:
    """Make one output folder of those of all parts.

    Args:
        out: As it was given to each part.

    Raises:
        InputError: There are no parts, one is missing, or they do not go together.
        LedgerError: One is being written, or ``out`` has a ledger already.
        EncodeError: Files can't be linked or copied.
    """
    parts = _complete(out)
    if (out / LEDGER_NAME).exists():
        raise LedgerError(
            f"{out} holds a ledger already: it was merged, or rendered to; move it away to merge again"
        )
    work = out / _WORK_FOLDER
    shutil.rmtree(work, ignore_errors=True)
    with ExitStack() as stack:
        for folder in parts.values():
            stack.enter_context(ItemLedger.open(folder)).claim_any(("prompts", "corpus"))
        with MergedLedger.open(work) as merged:
            for index, folder in enumerate(parts.values()):
                merged.take_in(folder, first=index == 0)
            num_missing = max(merged.num_missing(folder) for folder in parts.values())
            if num_missing:
                raise InputError(
                    f"{num_missing} items are in no part: the parts were not planned from the same sources. Run all of "
                    "them on the same sources, in an empty output folder, and merge again"
                )
            facts = merged.facts()
            if "corpus" in facts:
                merged.set_facts({"corpus": facts["corpus"] | {"part": "0/1"}})
            config = recorded_config(facts["config"])
            report = _finish(out, merged, parts, facts["kind"], config)
    (work / LEDGER_NAME).replace(out / LEDGER_NAME)
    shutil.rmtree(work)
    return report


def _complete(out: Path) -> dict[Part, Path]:
    parts = part_folders(out)
    if not parts:
        if book_folders(out):
            raise InputError(f"{out} holds no parts: what `render --shard` makes lies together already")
        raise InputError(f"{out} holds no parts (part-0000-of-0004, …); run with --shard i/N first")
    counts = {part.count for part in parts}
    if len(counts) > 1:
        raise InputError(
            f"{out} holds parts of {' and of '.join(map(str, sorted(counts)))}; move the wrong ones away"
        )
    missing = sorted(set(range(counts.pop())) - {part.index for part in parts})
    if missing:
        raise InputError(f"{out}: the parts {', '.join(map(str, missing))} are missing; run them first")
    return parts


def _finish(out: Path, merged: MergedLedger, parts: dict[Part, Path], kind: str, config: Config) -> MergeReport:
    try:
        names = merged.files_made()
        num_files = 0
        for folder in parts.values():
            inside = [folder / name for name in names]
            for sub in (SHARD_FOLDER, MANIFEST_FOLDER, AUDIO_FOLDER) if kind == "corpus" else ():
                inside += sorted(path for path in (folder / sub).rglob("*") if not path.name.startswith("."))
            for path in inside:
                if path.is_file():
                    _link(path, out / path.relative_to(folder))
                    num_files += 1
    except OSError as error:
        raise EncodeError(f"can't put the parts' files into {out}: {error.strerror or error}") from error
    if kind == "corpus":
        write_card(out, merged, pack_of(config), config.corpus)
    else:
        source, _ = merged.open_source("table", "")
        write_manifests(out, merged.manifest_rows(source))
    return MergeReport(str(out), kind, len(parts), merged.counts(), merged.num_bad_rows(), num_files)


def _link(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:  # another filesystem, or one without links
        shutil.copy2(path, target)
