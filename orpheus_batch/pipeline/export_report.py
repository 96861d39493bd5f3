"""What an export is asked for besides a preset, and what it made. Plain data."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.audio.delivery.cues import CueFormat
from orpheus_batch.audio.delivery.presets import Format
from orpheus_batch.audio.delivery.produce import DeliveredFile


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

    @property
    def ok(self) -> bool:
        """Whether files were made and all of them meet the preset."""
        return not self.error and all(file.verdict.ok for file in self.files)

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
            "files": files,
        }
