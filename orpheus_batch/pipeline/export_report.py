"""What an export is asked for besides a preset, and what it made: plain data, and the manifest of it."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.audio.delivery.cues import CueFormat
from orpheus_batch.audio.delivery.presets import Format, Preset
from orpheus_batch.audio.delivery.produce import DeliveredFile
from orpheus_batch.errors import DeliveryError

MANIFEST_NAME = "delivery.json"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """None keeps what the preset or the render said."""

    to: Path | None = None
    """folder for the files; None: the book's own"""
    format: Format | None = None
    cover: Path | None = None
    narrator: str | None = None
    year: str | None = None
    genre: str | None = None
    cues: CueFormat | None = None
    one_file: bool = False
    """the whole book in one file with chapters inside; always so for M4B"""
    credits: bool = True
    """False: none, whatever the preset says"""
    retail_sample: bool = True
    """likewise"""
    num_processes: int | None = None
    """None: one a core"""


@dataclass(frozen=True, slots=True)
class BookExport:
    """One book's files, or why there are none."""

    folder: str
    preset: str
    target: str
    files: tuple[DeliveredFile, ...]
    error: str = ""
    num_missing: int = 0
    """segments that could not be spoken at all, so that nothing of them is heard"""

    @property
    def ok(self) -> bool:
        """Whether files were made, with all of the book in them, and all meet the preset."""
        return not self.error and not self.num_missing and all(file.verdict.ok for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        files = [
            dataclasses.asdict(file) | {"path": str(file.path), "verdict": file.verdict.to_dict()}
            for file in self.files
        ]
        return {
            "folder": self.folder,
            "preset": self.preset,
            "target": self.target,
            "ok": self.ok,
            "error": self.error,
            "num_missing": self.num_missing,
            "files": files,
        }


def write_manifest(
    target: Path, title: str, preset: Preset, gain_db: float, files: Sequence[DeliveredFile]
) -> None:
    """Write what was made, with every number that was measured; no dates, so it can be made again.

    Raises:
        DeliveryError: It can't be written.
    """
    listed = []
    for file in files:
        verdict = file.verdict.to_dict()
        verdict["file"] = verdict["measured"]["file"] = file.path.name
        listed.append(
            verdict
            | {
                "sha256": file.sha256,
                "num_bytes": file.num_bytes,
                "gain_db": round(file.gain_db, 3),
                "correction_db": round(file.correction_db, 3),
                "num_encodings": file.num_encodings,
            }
        )
    tree = {
        "synthetic_speech": True,
        "title": title,
        "preset": preset.to_dict(),
        "book_gain_db": round(gain_db, 3),
        "files": listed,
    }
    path = target / MANIFEST_NAME
    temporary = path.with_suffix(".part")
    try:
        temporary.write_text(json.dumps(tree, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DeliveryError(f"can't write {path}: {error.strerror or error}") from error
