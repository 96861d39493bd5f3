"""What is beside the audio of prompts: `manifest.csv` and `manifest.jsonl`, a line for each row of the table."""

import csv
import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orpheus_batch.errors import EncodeError
from orpheus_batch.ledger.item_records import ManifestRow

COLUMNS = (
    "id",
    "file",
    "text",
    "voice",
    "seed",
    "duration_s",
    "tokens",
    "attempts",
    "status",
    "loudness_db",
    "word_error_rate",
    "line",
    "reason",
    "synthetic",
)


def write_manifests(folder: Path, rows: Iterable[ManifestRow]) -> None:
    """Write both files beside their old ones, and put them in their places at the end.

    Args:
        folder: Of the audio.
        rows: Read once, in the order of the table.

    Raises:
        EncodeError: They can't be written.
    """
    names = ("manifest.csv", "manifest.jsonl")
    drafts = [folder / f".{name}.part" for name in names]
    try:
        with (
            drafts[0].open("w", encoding="utf-8", newline="") as table,
            drafts[1].open("w", encoding="utf-8") as lines,
        ):
            writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in rows:
                values = _values(row)
                writer.writerow(values)
                lines.write(json.dumps(values, ensure_ascii=False) + "\n")
            for file in (table, lines):
                file.flush()
                os.fsync(file.fileno())
        for draft, name in zip(drafts, names, strict=True):
            draft.replace(folder / name)
    except OSError as error:
        raise EncodeError(f"can't write the manifest in {folder}: {error.strerror or error}") from error


def _values(row: ManifestRow) -> dict[str, Any]:
    found = dataclasses.asdict(row)
    return {
        "id": found["item_id"],
        "tokens": found["num_tokens"],
        "synthetic": row.status in ("done", "failed"),
    } | {
        name: round(found[name], 4) if isinstance(found[name], float) else found[name]
        for name in COLUMNS
        if name in found
    }
