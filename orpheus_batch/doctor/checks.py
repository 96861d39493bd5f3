"""Checks that need no model loaded: machine, GPU, libraries, ffmpeg, disk, and the files of model and codec."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orpheus_batch import __version__
from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.config import Config
from orpheus_batch.doctor.findings import Finding, Status
from orpheus_batch.engine.choose import EngineChoice
from orpheus_batch.engine.trtllm.environment import clean_environment
from orpheus_batch.engine.trtllm.gpus import query_gpus
from orpheus_batch.engine.trtllm.loading import llm_settings, trtllm_fingerprint
from orpheus_batch.engine.trtllm.manifest import installed_version, read_manifest
from orpheus_batch.engine.trtllm.process import WORKER_MODULE, importable
from orpheus_batch.errors import OrpheusBatchError
from orpheus_batch.fetch_model import check_record
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.units import format_bytes
from orpheus_batch.voices import ModelPack

OFFICIAL_SNAC = "4b8164cc6606bfa627f1a784734c1e539891518f1191ed9194fe1e3b9b4bff40"
"""sha256 of ``pytorch_model.bin`` in hubertsiuzdak/snac_24khz"""
MIN_FREE_BYTES = 2_000_000_000
"""some ten hours of a book with its cache"""
_PROBE_TIMEOUT_S = 300.0
_LIBRARIES = ("torch", "numpy", "transformers", "snac")


def check_machine() -> Finding:
    """Name the machine and the software."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    value = f"orpheus-batch {__version__}, Python {platform.python_version()}, {versions}; {cores} cores"
    return Finding("machine", Status.OK, f"{platform.platform(terse=True)}; {value}")


def check_gpu(choice: EngineChoice, config: Config) -> Iterator[Finding]:
    """Find the GPU by its driver, and see that torch can use it."""
    import torch

    wanted = choice.name == "trtllm" or config.engine.device.startswith("cuda")
    gpus = query_gpus()
    if not gpus:
        status = Status.WRONG if wanted else Status.NOTE
        remedy = "rent or plug in an NVIDIA GPU, and give it to the container (docker run --gpus all)"
        yield Finding("GPU", status, "none: nvidia-smi is missing or lists no GPU", remedy)
    for gpu in gpus:
        memory = f"{format_bytes(gpu.free_bytes)} of {format_bytes(gpu.total_bytes)} free"
        value = f"{gpu.index}: {gpu.name}, {memory}, driver {gpu.driver}, compute capability {gpu.compute_capability}"
        yield Finding("GPU", Status.OK, value)
    built = f"torch {torch.__version__} (CUDA {torch.version.cuda or 'none'})"
    if torch.cuda.is_available():
        yield Finding("CUDA", Status.OK, f"{built} sees {torch.cuda.device_count()} GPU")
    elif gpus:
        remedy = (
            "install a torch built for CUDA (in NVIDIA's image do not reinstall it), or a newer driver: CUDA 13 wants "
            "580 or later"
        )
        yield Finding("CUDA", Status.WRONG, f"{built} sees no GPU though the driver does", remedy)
    else:
        yield Finding("CUDA", Status.WRONG if wanted else Status.NOTE, f"{built}, no GPU")


def check_tensorrt_llm(choice: EngineChoice) -> Finding:
    """Import the library in a process of its own, and say which sampler it has and what that one heeds."""
    wanted = choice.name == "trtllm"
    if importlib.util.find_spec("tensorrt_llm") is None:
        remedy = (
            "run in NVIDIA's release image (Dockerfile, docs/tensorrt-llm.md); the embedded engine needs it not"
        )
        return Finding("TensorRT-LLM", Status.WRONG if wanted else Status.NOTE, "not installed", remedy)
    command = [sys.executable, "-m", WORKER_MODULE, "--probe"]
    environment = importable(clean_environment(os.environ))
    bad = Status.WRONG if wanted else Status.NOTE
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, env=environment, check=False
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Finding(
            "TensorRT-LLM", bad, f"importing it took more than {_PROBE_TIMEOUT_S:.0f} s", "see its log"
        )
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Finding(
            "TensorRT-LLM", bad, f"{installed_version()}: importing it failed: {last}", "mend the install"
        )
    if "error" in found:
        return Finding("TensorRT-LLM", bad, found["error"], "mend the install, or take NVIDIA's release image")
    heeds = [
        name for name, does in (("penalty", found["applies_penalty"]), ("seed", found["honours_seed"])) if does
    ]
    heeded = " and ".join(heeds) or "neither penalty nor seed"
    value = f"{found['version']}, sampler {found['name']}, which heeds {heeded}"
    if not found["applies_penalty"]:
        return Finding("TensorRT-LLM", bad, value, "use a release whose sampler applies the repetition penalty")
    return Finding("TensorRT-LLM", Status.OK, value)


def check_ffmpeg() -> Finding:
    """Find ffmpeg."""
    try:
        return Finding("ffmpeg", Status.OK, find_ffmpeg())
    except OrpheusBatchError as error:
        return Finding("ffmpeg", Status.WRONG, str(error), "install ffmpeg, or `pip install imageio-ffmpeg`")


def check_disk(folder: Path) -> Finding:
    """See that there is room where books go."""
    free = shutil.disk_usage(folder).free
    value = f"{format_bytes(free)} free in {folder.resolve()}"
    if free < MIN_FREE_BYTES:
        return Finding("disk", Status.WRONG, value, "free some space: an hour of speech takes about 180 MB")
    return Finding("disk", Status.OK, value)


def check_model(pack: ModelPack, choice: EngineChoice, config: Config) -> Finding:
    """See that the language model's files are there, whole, and what they should be."""
    folder = pack.language_model_dir
    try:
        manifest = read_manifest(folder) if choice.name == "trtllm" else None
        if manifest is not None:
            value = f"{manifest.kind}, {manifest.precision}, every file as built"
        else:
            files = pack.language_model_files()
            _check_safetensors(files)
            value = f"{len(files)} files, {format_bytes(sum(file.stat().st_size for file in files))}"
            fetched = check_record(folder)
            value += f", every file as {fetched} lists it" if fetched else ""
        if choice.name == "trtllm":
            settings = llm_settings(pack, config, query_gpus())
            value += f", batch {settings.max_batch_size}, sequences up to {settings.max_seq_len} tokens"
            digest = trtllm_fingerprint(pack, config)
        else:
            digest = pack.model_fingerprint("any precision")
    except OrpheusBatchError as error:
        return Finding(
            "model", Status.WRONG, str(error), "fetch it with `orpheus-batch fetch-model`, or build it again"
        )
    except OSError as error:
        return Finding(
            "model", Status.WRONG, f"{folder}: {error}", "fetch it again with `orpheus-batch fetch-model`"
        )
    return Finding("model", Status.OK, f"{pack.name}: {value}, fingerprint {digest[:12]} ({folder})")


def check_codec(pack: ModelPack) -> Finding:
    """See that the codec's files are there, and whether they are the official ones."""
    from orpheus_batch.codec.snac import codec_fingerprint

    try:
        digest = codec_fingerprint(pack.codec_dir)
        check_record(pack.codec_dir)
    except OrpheusBatchError as error:
        remedy = "fetch it with `orpheus-batch fetch-model` and give its folder with --codec-dir"
        return Finding("codec", Status.WRONG, str(error), remedy)
    weights = pack.codec_dir / "pytorch_model.bin"
    official = weights.is_file() and sha256_file(weights) == OFFICIAL_SNAC
    value = f"fingerprint {digest[:12]}{', the official SNAC 24 kHz' if official else ''} ({pack.codec_dir})"
    return Finding("codec", Status.OK, value)


def _check_safetensors(files: list[Path]) -> None:
    """Open every weight file: a download that was cut short does not open.

    Raises:
        OSError: One can't be opened, named with the reason.
    """
    from safetensors import SafetensorError, safe_open

    for file in files:
        if file.suffix == ".safetensors":
            try:
                with safe_open(file, "numpy"):
                    pass
            except SafetensorError as error:
                raise OSError(f"{file.name} is cut short or damaged ({error})") from error
