"""A sealed shard on disk: a WebDataset tar (or a folder of files) and a Parquet manifest, written once.

The same items give the same bytes: no time, user or order of arrival is in a shard. It does not know the ledger.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orpheus_batch.errors import EncodeError
from orpheus_batch.files import read_sha256, sync

MANIFEST_FOLDER = "manifest"
SHARD_FOLDER = "shards"
AUDIO_FOLDER = "audio"

COLUMNS = {
    "id": "string",
    "file": "string",
    "shard": "string",
    "text": "string",
    "normalized_text": "string",
    "voice": "string",
    "seed": "int64",
    "temperature": "float64",
    "duration_s": "float64",
    "num_tokens": "int32",
    "sample_rate_hz": "int32",
    "loudness_db": "float64",
    "score": "float64",
    "word_error_rate": "float64",
    "heard": "string",
    "recogniser": "string",
    "attempts": "int32",
    "quality_flags": "list",
    "split": "string",
    "source": "string",
    "source_id": "string",
    "model": "string",
    "model_sha256": "string",
    "codec_sha256": "string",
    "licence": "string",
    "text_licence": "string",
    "synthetic": "bool",
}
"""of the manifest, with the names of their types in Arrow ("list": of strings); "file" and "shard" are not in JSON"""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One item, ready to be put into a shard."""

    key: str
    """the item's id; holds no dot"""
    audio: Path
    """a FLAC file"""
    facts: dict[str, Any]
    """what JSON and manifest say"""
    codes: np.ndarray | None
    """int16 [F, 7], the order of the language model's frame; None: left out"""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file that was put in place."""

    num_bytes: int
    sha256: str
    """hexadecimal"""


def write_shard(out: Path, name: str, samples: Sequence[Sample], layout: str) -> SealedFile:
    """Write a shard and its manifest, synced and under their names.

    Args:
        out: The corpus' folder.
        name: "train-000012"; also the manifest's.
        samples: In order.
        layout: "shards" or "files".

    Returns:
        The tar's size and hash; in the layout "files" the manifest's.

    Raises:
        EncodeError: It can't be written; nothing half-made has the shard's name.
    """
    try:
        if layout == "files":
            _write_files(out / AUDIO_FOLDER / name, samples)
            return _write_manifest(out, name, samples, f"{AUDIO_FOLDER}/{name}")
        sealed = _write_tar(out / SHARD_FOLDER / f"{name}.tar", samples)
        _write_manifest(out, name, samples, f"{SHARD_FOLDER}/{name}.tar")
    except OSError as error:
        raise EncodeError(
            f"can't write the shard {name} in {out}: {error.strerror or error}; make room and run the same "
            "command again"
        ) from error
    return sealed


def _write_tar(path: Path, samples: Sequence[Sample]) -> SealedFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    with tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            _add(tar, f"{sample.key}.flac", sample.audio.read_bytes())
            content = json.dumps(sample.facts, ensure_ascii=False, sort_keys=True).encode()
            _add(tar, f"{sample.key}.json", content)
            if sample.codes is not None:
                sink = io.BytesIO()
                np.save(sink, sample.codes)
                _add(tar, f"{sample.key}.codes.npy", sink.getvalue())
    return _put(draft, path)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))


def _write_files(folder: Path, samples: Sequence[Sample]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        draft = folder / f".{sample.key}.part"
        draft.write_bytes(sample.audio.read_bytes())
        sync(draft)
        draft.replace(folder / f"{sample.key}.flac")
        if sample.codes is not None:
            np.save(folder / f"{sample.key}.codes.npy", sample.codes)
    sync(folder)
    sync(folder.parent)


def _write_manifest(out: Path, name: str, samples: Sequence[Sample], place: str) -> SealedFile:
    import pyarrow
    import pyarrow.parquet

    in_files = place.startswith(AUDIO_FOLDER)
    rows = [
        {
            **sample.facts,
            "file": f"{place}/{sample.key}.flac" if in_files else f"{sample.key}.flac",
            "shard": place,
        }
        for sample in samples
    ]
    table = pyarrow.Table.from_pylist(
        [{column: row.get(column) for column in COLUMNS} for row in rows],
        schema=pyarrow.schema([(column, _arrow_type(name)) for column, name in COLUMNS.items()]),
    )
    path = out / MANIFEST_FOLDER / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    pyarrow.parquet.write_table(table, draft, compression="zstd")
    return _put(draft, path)


def _arrow_type(name: str) -> Any:
    import pyarrow

    return pyarrow.list_(pyarrow.string()) if name == "list" else pyarrow.type_for_alias(name)


def _put(draft: Path, path: Path) -> SealedFile:
    """Sync a draft, give it its name, and sync that."""
    sha256 = read_sha256(draft)
    sync(draft)
    num_bytes = draft.stat().st_size
    draft.replace(path)
    sync(path.parent)
    return SealedFile(num_bytes, sha256)


def frames_of(codes: np.ndarray, codebook_size: int, audio_offset: int) -> np.ndarray:
    """Return a stream's codes frame by frame.

    Args:
        codes: int [7F] token ids, each legal at its place.
        codebook_size: Of the layout.
        audio_offset: Likewise.

    Returns:
        int16 [F, 7]: coarse, mid, fine, fine, mid, fine, fine.
    """
    frames = np.asarray(codes, dtype=np.int64).reshape(-1, 7)
    return (frames - audio_offset - codebook_size * np.arange(7)).astype(np.int16)


def facts_without_nothing(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts, those that are not known left out."""
    return {name: value for name, value in facts.items() if value is not None}


__all__ = [
    "AUDIO_FOLDER",
    "COLUMNS",
    "MANIFEST_FOLDER",
    "SHARD_FOLDER",
    "Sample",
    "SealedFile",
    "facts_without_nothing",
    "frames_of",
    "write_shard",
]
