"""What `build-engine` writes beside an engine, and what is checked before one is loaded.

An engine is bound to the release, the GPU and the limits that it was built with, and its weights no longer say
which model they are: the manifest does. It is written last, so a folder without one is not finished.
"""

import dataclasses
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.engine.trtllm.gpus import Gpu
from orpheus_batch.errors import EngineError
from orpheus_batch.fingerprint import fingerprint_entries, sha256_file
from orpheus_batch.tokens import TokenLayout

MANIFEST_NAME = "orpheus-batch.json"
FORMAT_VERSION = 1
FP8_CACHE = "+fp8-kv"
"""after the weights' precision: keys and values in fp8"""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file of the folder."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """How an engine or a prepared checkpoint was made."""

    format_version: int
    kind: str
    """"engine" for TensorRT, "checkpoint" for the PyTorch backend"""
    made_by: str
    tensorrt_llm: str
    """version that it was built by"""
    gpu: str
    """compute capability that it was built for; empty where it does not matter"""
    precision: str
    """what went into the model's fingerprint: "bfloat16", "fp8", "fp8+fp8-kv" """
    kv_cache_dtype: str
    """"auto" or "fp8" """
    max_batch_size: int
    """0 where it was left open, which only a checkpoint can"""
    max_input_len: int
    max_seq_len: int
    max_num_tokens: int
    tensor_parallel_size: int
    source: tuple[tuple[str, str], ...]
    """name and sha256 of the files of the model that it was made from, in the fingerprint's order"""
    request: str
    """hash of everything that was asked for: the same again is nothing to do"""
    files: tuple[BuiltFile, ...]

    def model_fingerprint(self, layout: TokenLayout, kv_cache_dtype: str) -> str:
        """Return what `ModelPack.model_fingerprint` says of the source at this precision and with such a cache."""
        weights = self.precision.removesuffix(FP8_CACHE)
        suffix = FP8_CACHE if kv_cache_dtype == "fp8" else ""
        return fingerprint_entries(self.source, salt=f"{layout}|{weights}{suffix}")


def read_manifest(folder: Path) -> Manifest | None:
    """Return a folder's manifest, None where there is none.

    Raises:
        EngineError: It can't be read, or is of another release of this package.
    """
    file = folder / MANIFEST_NAME
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if raw["format_version"] != FORMAT_VERSION:
            raise EngineError(
                f"{file}: format_version {raw['format_version']}; this release reads {FORMAT_VERSION}; build again"
            )
        raw["files"] = tuple(BuiltFile(**entry) for entry in raw["files"])
        raw["source"] = tuple((str(name), str(sha256)) for name, sha256 in raw["source"])
        return Manifest(**raw)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"can't read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"{file} is damaged ({error}); build again with `orpheus-batch build-engine`"
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest."""
    values: dict[str, Any] = dataclasses.asdict(manifest)
    (folder / MANIFEST_NAME).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def built_files(folder: Path) -> tuple[BuiltFile, ...]:
    """Hash what lies in a folder, the manifest left out."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != MANIFEST_NAME)
    return tuple(BuiltFile(str(f.relative_to(folder)), f.stat().st_size, sha256_file(f)) for f in files)


def check_files(folder: Path, manifest: Manifest) -> None:
    """See that every file is as it was built.

    Raises:
        EngineError: One is missing or has changed.
    """
    for built in manifest.files:
        file = folder / built.name
        if not file.is_file():
            raise EngineError(f"{file} is missing: build again with `orpheus-batch build-engine`")
        if file.stat().st_size != built.num_bytes or sha256_file(file) != built.sha256:
            raise EngineError(f"{file} is not as it was built: build again with `orpheus-batch build-engine`")


def check_fits(folder: Path, manifest: Manifest, *, gpus: list[Gpu], max_batch_size: int | None) -> None:
    """See that an engine runs here and holds what is asked of it; a checkpoint has no such limits.

    Args:
        folder: For messages.
        manifest: Of the folder.
        gpus: Of this machine, from the one on that is to run it; none: not checked.
        max_batch_size: Asked for; None: what it was built for.

    Raises:
        EngineError: Another release, another kind of GPU or fewer of them, or a batch beyond the built one.
    """
    again = "build again with `orpheus-batch build-engine`"
    if gpus and len(gpus) < manifest.tensor_parallel_size:
        raise EngineError(
            f"{folder} was built for {manifest.tensor_parallel_size} GPUs, and {len(gpus)} can be used: {again}"
        )
    if manifest.kind != "engine":
        return
    if max_batch_size is not None and max_batch_size > manifest.max_batch_size:
        raise EngineError(
            f"engine.max_batch_size is {max_batch_size}, and {folder} was built for {manifest.max_batch_size}; "
            f"lower it, or {again}"
        )
    installed = installed_version()
    if installed != manifest.tensorrt_llm:
        raise EngineError(
            f"{folder} was built by tensorrt_llm {manifest.tensorrt_llm}, and {installed or 'none'} is installed; "
            f"an engine runs on the release that built it: {again}"
        )
    if gpus and manifest.gpu and gpus[0].compute_capability != manifest.gpu:
        raise EngineError(
            f"{folder} was built for compute capability {manifest.gpu}, and this is a {gpus[0].name} "
            f"({gpus[0].compute_capability}): {again}"
        )


def installed_version() -> str:
    """Return the installed TensorRT-LLM's version without importing it; empty where there is none."""
    try:
        return importlib.metadata.version("tensorrt_llm")
    except importlib.metadata.PackageNotFoundError:
        return ""
