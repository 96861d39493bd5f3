"""Puts the rows of a table into the ledger, a batch at a time: new ones, changed ones, and what is wrong with others.

A row that stands there as it was costs a look-up; only new and changed rows are normalised and cut. Memory holds
one batch, however long the table.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from orpheus_batch.corpus.items import BadRow, Item, Speaker, Wish, Wisher
from orpheus_batch.corpus.rows import Row
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger.item_records import ItemRecord, KnownItem
from orpheus_batch.ledger.items import ItemLedger
from orpheus_batch.pipeline.judge import batched

BATCH_ROWS = 1000
ID_CHARS = 16
"""of the ids that are made of a row's content: 64 bits"""
_SHOWN_CHARS = 500
"""of a bad row's text in the ledger"""

Bad = tuple[int, str, str, str]
"""line, id, text, reason"""


class TablePlanner:
    """Plans one table; use once.

    Args:
        ledger: Where to.
        source: The table's key in it.
        wisher: Checks rows.
        speaker: Cuts texts into segments.
        owns: Whether an item's number is this process' own; other items are planned, but not put on the line.
    """

    def __init__(
        self,
        ledger: ItemLedger,
        source: int,
        wisher: Wisher,
        speaker: Speaker,
        owns: Callable[[int], bool] = lambda number: True,
    ):
        self._owns = owns
        self._ledger = ledger
        self._source = source
        self._wisher = wisher
        self._speaker = speaker
        self._epoch = 0
        self._number = 0
        self._repeats: dict[str, int] = {}
        """how often a content that makes an id was met again; holds repeated ones alone"""

    def plan(self, rows: Iterable[Row], digest: str) -> None:
        """Read the whole table; rows that were in it before and no longer are leave the plan.

        Raises:
            InputError: The table can't be read.
            LedgerError: The ledger can't be written.
        """
        self._epoch = self._ledger.begin_source(self._source)
        self._number = self._ledger.next_number()
        for batch in batched(rows, BATCH_ROWS):
            self._plan_batch(batch)
        self._ledger.end_source(self._source, digest, {}, leave_epoch=self._epoch)

    def _plan_batch(self, rows: Iterable[Row]) -> None:
        bad: list[Bad] = []
        wishes: list[Wish] = []
        for row in rows:
            try:
                if row.problem:
                    raise BadRow(row.problem)
                wishes.append(self._wisher.wish(row.line, row.values))
            except BadRow as error:
                bad.append((row.line, _shown(row.values.get("id")), _shown(row.values.get("text")), str(error)))
        known = self._ledger.known_items([wish.item_id or _made_id(wish, 1) for wish in wishes])
        names = list(self._named(wishes, known, bad))
        self._settle_files(names, known, bad)

    def _named(
        self, wishes: list[Wish], known: dict[str, KnownItem], bad: list[Bad]
    ) -> Iterator[tuple[str, Wish]]:
        """Yield each wish with its id; a second row of one id is bad, equal rows without ids are counted."""
        taken: set[str] = set()

        def is_taken(item_id: str) -> bool:
            return item_id in taken or (item_id in known and known[item_id].epoch == self._epoch)

        for wish in wishes:
            item_id = wish.item_id
            if item_id and is_taken(item_id):
                bad.append((wish.line, item_id, _shown(wish.text), f"the id '{item_id}' stands above already"))
                continue
            if not item_id:
                base = item_id = _made_id(wish, 1)
                while is_taken(item_id):
                    self._repeats[base] = self._repeats.get(base, 1) + 1
                    item_id = _made_id(wish, self._repeats[base])
                    if item_id not in known:
                        known.update(self._ledger.known_items([item_id]))
            taken.add(item_id)
            yield item_id, wish

    def _settle_files(self, names: list[tuple[str, Wish]], known: dict[str, KnownItem], bad: list[Bad]) -> None:
        """Plan what is new, and see that no two rows make one file, by names that differ in case alone."""
        files = {item_id: (wish.file or f"{item_id}.{wish.format}") for item_id, wish in names}
        in_use = self._ledger.files_in_use(files.values(), self._epoch)
        met: list[tuple[int, int]] = []
        planned: list[ItemRecord] = []
        for item_id, wish in names:
            file = files[item_id]
            if file.lower() in in_use:
                _, line = in_use[file.lower()]
                bad.append(
                    (wish.line, item_id, _shown(wish.text), f"line {line} makes the file '{file}' already")
                )
                continue
            found = known.get(item_id)
            number = self._number if found is None else found.number
            if found is not None and found.on_line and found.row_sha256 == wish.digest:
                met.append((number, wish.line))
            else:
                try:
                    item = self._speaker.item(number, item_id, wish)
                except BadRow as error:
                    bad.append((wish.line, item_id, _shown(wish.text), str(error)))
                    continue
                if not self._owns(number):
                    item = dataclasses.replace(item, wish=dataclasses.replace(wish, line=None), segments=())
                planned.append(record_of(item))
                self._number += found is None
            in_use[file.lower()] = (number, wish.line)
        self._ledger.plan_items(self._source, self._epoch, met, planned, bad)


def record_of(item: Item) -> ItemRecord:
    """Return an item as the ledger keeps it."""
    wish = item.wish
    return ItemRecord(
        number=item.number,
        item_id=item.item_id,
        row_sha256=wish.digest,
        text=wish.text,
        voice=wish.voice,
        seed=item.seed,
        temperature=wish.temperature,
        format=wish.format,
        file=item.file,
        split=wish.split,
        extra=json.dumps(wish.extra, ensure_ascii=False, sort_keys=True),
        line=wish.line,
        segments=item.segments,
    )


def source_digest(path: str, settings: Any) -> str:
    """Return what a source's plan depends on: its content and the settings; "" for standard input.

    The content's hash is remembered by path, size and time, so an unchanged file is not even read.
    """
    if path == "-":
        return ""
    plain = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(f"{sha256_file(Path(path))}|{plain}".encode()).hexdigest()


def _made_id(wish: Wish, occurrence: int) -> str:
    """Return an id for a row without one: of its content, so that it stays when rows come before it."""
    digest = wish.content.hex()[:ID_CHARS]
    return digest if occurrence == 1 else f"{digest}-{occurrence}"


def _shown(value: Any) -> str:
    return "" if value is None else str(value)[:_SHOWN_CHARS].encode("utf-8", "replace").decode()
