"""How far the output folder of prompts or a corpus is, and what in it failed or may sound odd.

Looking needs no lock, so it works beside a running command.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.ledger.item_records import ItemReport
from orpheus_batch.ledger.lock import holder
from orpheus_batch.pipeline.after import BookStatus, output_folders, status_of_book

KINDS = ("prompts", "corpus")


@dataclass(frozen=True, slots=True)
class ItemsStatus:
    """Where a table of prompts, or a corpus, stands."""

    folder: str
    kind: str
    """prompts or corpus"""
    num_done: int
    """items with a file, or in a shard, that passed the checks"""
    num_failed: int
    """of which no take passed"""
    num_planned: int
    """still to be made"""
    num_bad: int
    """rows that can't be items"""
    num_takes: int
    audio_s: float
    """of items done"""
    by_voice: dict[str, dict[str, Any]]
    """number and seconds of items done"""
    by_split: dict[str, dict[str, Any]]
    """likewise; empty for prompts"""
    num_shards: int
    word_error_rate: float | None
    """None where no recogniser listened"""
    failures: tuple[ItemReport, ...]
    """all of them"""
    bad_rows: tuple[tuple[int, str], ...]
    """line and reason, all of them"""
    left_out: dict[str, int]
    """texts of a corpus' sources that are no items, by the reason"""
    suspects: tuple[ItemReport, ...] = field(default=())
    """the worst that passed"""
    writer: str | None = None
    """who works on it at this moment: "process 4711 on host" """

    error = ""
    """as `BookStatus` has one"""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)


def output_status(out: Path, *, num_suspects: int = 0) -> list[BookStatus | ItemsStatus]:
    """Return where every book, table and corpus under an output folder stands.

    Args:
        out: As given to a command, or one book's or one part's folder in it.
        num_suspects: How many of the worst segments or items to name for each.

    Raises:
        LedgerError: There is no ledger at all.
    """
    return [
        _items_status(folder, num_suspects) or status_of_book(folder, num_suspects)
        for folder in output_folders(out)
    ]


def _items_status(folder: Path, num_suspects: int) -> ItemsStatus | None:
    """Return the standing of a folder of items, None if it is a book's or can't be read."""
    try:
        with CorpusLedger.open(folder, read_only=True) as ledger:
            kind = ledger.facts().get("kind")
            return _status(folder, kind, ledger, num_suspects) if kind in KINDS else None
    except LedgerError:
        return None


def _status(folder: Path, kind: str, ledger: CorpusLedger, num_suspects: int) -> ItemsStatus:
    counts, totals = ledger.counts(), ledger.totals()
    left_out: Counter[str] = Counter()
    for _, report in ledger.source_reports():
        left_out.update(report.get("left_out", {}))
    return ItemsStatus(
        folder=str(folder),
        kind=kind,
        num_done=counts["done"],
        num_failed=counts["failed"],
        num_planned=counts["planned"],
        num_bad=ledger.num_bad_rows(),
        num_takes=ledger.num_takes(),
        audio_s=totals["audio_s"],
        by_voice=totals["by_voice"],
        by_split=totals["by_split"] if kind == "corpus" else {},
        num_shards=totals["num_shards"],
        word_error_rate=ledger.word_error_rate(),
        failures=tuple(ledger.failed_items()),
        bad_rows=tuple(ledger.bad_rows(-1)),
        left_out=dict(left_out),
        suspects=tuple(ledger.worst_items(num_suspects)),
        writer=holder(folder),
    )
