"""From a Hugging Face checkpoint to something TensorRT-LLM serves: an engine, or a prepared checkpoint.

Which of the two follows from the installed release: engines exist as long as it has their backend. Everything is
made in a folder beside the target (`build_folder`), described in a manifest, and moved into place whole, so a target
is either finished or not there; the same again is nothing to do. What the tools are called with is in
`build_commands`.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from orpheus_batch import __version__
from orpheus_batch.engine.trtllm import build_commands as commands
from orpheus_batch.engine.trtllm.build_folder import build_folder, build_lock, move_into_place
from orpheus_batch.engine.trtllm.checkpoint import plain_checkpoint
from orpheus_batch.engine.trtllm.environment import tool_environment
from orpheus_batch.engine.trtllm.features import has_engine_backend
from orpheus_batch.engine.trtllm.gpus import Gpu, query_gpus, require_fp8
from orpheus_batch.engine.trtllm.limits import (
    MAX_NUM_TOKENS,
    SequenceLimits,
    default_batch_size,
    read_shape,
    sequence_limits,
)
from orpheus_batch.engine.trtllm.manifest import (
    FORMAT_VERSION,
    FP8_CACHE,
    MANIFEST_NAME,
    Manifest,
    built_files,
    check_files,
    installed_version,
    read_manifest,
    write_manifest,
)
from orpheus_batch.engine.trtllm.process import importable
from orpheus_batch.errors import EngineError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.prompt import PromptBuilder
from orpheus_batch.units import format_bytes, format_duration
from orpheus_batch.voices import SOURCE_RECORD, ModelPack

Say = Callable[[str], None]

COMPANIONS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", SOURCE_RECORD)
"""of the weights, which go with what is built of them"""
CALIBRATION_SENTENCES = (
    "No.",
    "What do you suppose has become of it?",
    "The old clock in the hall had stopped again, and nobody could remember when.",
    "She had never in her life seen so many books, or been told so firmly not to touch them!",
    "At seven the next morning, in a thin rain, they set out along the river with two horses, a tent, and rather less "
    "bread than they had hoped for.",
)
"""spoken in each voice to find the range of activations for fp8: read and generated ids are as in a book"""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is to be built."""

    target: Path
    backend: Literal["auto", "tensorrt", "pytorch"] = "auto"
    quant: Literal["none", "fp8"] = "none"
    kv_cache: Literal["auto", "fp8"] = "auto"
    tensor_parallel_size: int = 1
    max_batch_size: int | None = None
    """None: as many as the GPU's memory holds"""
    max_num_tokens: int = MAX_NUM_TOKENS
    max_chars: int | None = None
    """longest segment; None: the pack's"""
    examples: Path | None = None
    """of TensorRT-LLM, where ``convert_checkpoint.py`` lies; None: where the release image has them"""
    calib_dataset: str | None = None
    """for fp8; None: the library's own default, which it downloads"""

    @property
    def precision(self) -> str:
        """What goes into the fingerprint of the built model."""
        weights = "fp8" if self.quant == "fp8" else "bfloat16"
        return f"{weights}{FP8_CACHE}" if self.kv_cache == "fp8" else weights

    @property
    def weight_bytes(self) -> int:
        """Bytes a weight."""
        return 1 if self.quant == "fp8" else 2


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What was built."""

    manifest: Manifest
    built_now: bool
    """False where it was there already"""
    elapsed_s: float


def build_engine(pack: ModelPack, request: BuildRequest, say: Say) -> BuildResult:
    """Build an engine, or prepare a checkpoint where the release has no engines.

    Args:
        pack: Whose `language_model_dir` holds the checkpoint; its lengths make the limits.
        request: What to build.
        say: Hears of each step, a line at a time.

    Returns:
        The manifest, and whether anything had to be done.

    Raises:
        ConfigError: The weights are not there.
        EngineError: A tool is missing or fails, the model does not fit the GPU, or the target holds something
            else; nothing is left in its place then.
    """
    started = time.monotonic()
    kind = _kind(request)
    say(f"reading {pack.language_model_dir}")
    plan = _plan(pack, request, kind, query_gpus())
    try:
        with build_lock(request.target, say):
            known = _finished(request.target, plan)
            if known is not None:
                say(f"{request.target} is already built just so; nothing to do")
                return BuildResult(known, built_now=False, elapsed_s=time.monotonic() - started)
            manifest = _build(pack, request, plan, say)
    except OSError as error:
        raise EngineError(f"can't write {request.target}: {error}") from error
    elapsed_s = time.monotonic() - started
    num_bytes = sum(file.num_bytes for file in manifest.files)
    say(f"{request.target}: {format_bytes(num_bytes)}, built in {format_duration(elapsed_s)}")
    return BuildResult(manifest, built_now=True, elapsed_s=elapsed_s)


def _build(pack: ModelPack, request: BuildRequest, plan: Manifest, say: Say) -> Manifest:
    """Make what is planned and move it into place; returns its manifest."""
    is_engine = plan.kind == "engine"
    say(
        f"building {'an engine' if is_engine else 'a checkpoint for the PyTorch backend'} in {request.target}: "
        f"{plan.precision}, batch {plan.max_batch_size or 'open'}, prompts up to {plan.max_input_len} and sequences "
        f"up to {plan.max_seq_len} tokens, {plan.tensor_parallel_size} GPU{'s' * (plan.tensor_parallel_size > 1)}"
    )
    _check_room(pack, request, is_engine=is_engine)
    with build_folder(request.target) as work:
        built = work / "built"
        built.mkdir()
        if is_engine:
            plan = _make_engine(pack, request, plan, work, built, say)
        else:
            _make_checkpoint(pack, request, work, built, say)
        say("hashing what was built")
        manifest = replace(plan, files=built_files(built))
        write_manifest(built, manifest)
        move_into_place(built, request.target)
    return manifest


def _kind(request: BuildRequest) -> str:
    """Return "engine" or "checkpoint", as the installed release can do it."""
    has_engines = has_engine_backend()
    if request.backend == "tensorrt" and not has_engines:
        raise EngineError(
            f"tensorrt_llm {installed_version() or '(not installed)'} has no TensorRT engines (they ended with "
            "1.3.0rc20); leave --backend out to prepare a checkpoint for its PyTorch backend"
        )
    if request.backend == "auto" and not installed_version():
        raise EngineError(
            "tensorrt_llm is not installed: run this in NVIDIA's release image (see the Dockerfile), or give "
            "--backend pytorch to prepare a checkpoint here and serve it elsewhere"
        )
    if request.backend == "tensorrt" or (request.backend == "auto" and has_engines):
        if request.kv_cache == "fp8" and request.quant != "fp8":
            raise EngineError(
                "an engine with --kv-cache fp8 wants --quant fp8 too: both are calibrated together"
            )
        return "engine"
    return "checkpoint"


def _plan(pack: ModelPack, request: BuildRequest, kind: str, gpus: list[Gpu]) -> Manifest:
    """Return the manifest of what would be built, its files left open."""
    shape = read_shape(pack.language_model_dir)
    limits = sequence_limits(pack, request.max_chars, shape.max_positions)
    batch, max_num_tokens = request.max_batch_size or 0, request.max_num_tokens
    if kind == "engine":
        if request.quant == "fp8":
            require_fp8(gpus)
        batch = batch or default_batch_size(
            shape,
            limits,
            free_bytes=gpus[0].free_bytes if gpus else None,
            weight_bytes=request.weight_bytes,
            kv_dtype=request.kv_cache,
            num_gpus=request.tensor_parallel_size,
        )
        max_num_tokens = min(max(max_num_tokens, batch), batch * limits.max_seq_len)
    source = tuple((file.name, sha256_file(file)) for file in _existing(pack.language_model_files()))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind=kind,
        made_by=f"orpheus-batch {__version__}",
        tensorrt_llm=installed_version(),
        gpu=gpus[0].compute_capability if gpus and kind == "engine" else "",
        precision=request.precision,
        kv_cache_dtype=request.kv_cache,
        max_batch_size=batch,
        max_input_len=limits.max_input_len,
        max_seq_len=limits.max_seq_len,
        max_num_tokens=max_num_tokens,
        tensor_parallel_size=request.tensor_parallel_size,
        source=source,
        request="",
        files=(),
    )
    asked = {**asdict(manifest), "calib_dataset": request.calib_dataset}
    if kind == "checkpoint":
        asked["tensorrt_llm"] = ""  # any release with the PyTorch backend loads it
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
    return replace(manifest, request=digest)


def _existing(files: list[Path]) -> list[Path]:
    for file in files:
        if not file.is_file():
            raise EngineError(f"{file} is missing: fetch the model again with `orpheus-batch fetch-model`")
    return files


def _finished(target: Path, plan: Manifest) -> Manifest | None:
    """Return the manifest of a target that is built just so and whole; refuse a folder of something else."""
    if not target.exists():
        return None
    manifest = read_manifest(target)
    if manifest is None:
        if any(target.iterdir()):
            raise EngineError(
                f"{target} is there and holds no {MANIFEST_NAME}: give another folder, or empty it"
            )
        return None
    if manifest.request != plan.request:
        return None
    try:
        check_files(target, manifest)
    except EngineError:
        return None  # damaged: built again
    return manifest


def _check_room(pack: ModelPack, request: BuildRequest, *, is_engine: bool) -> None:
    """See that the weights fit on the disk as often as they are written: converted and built, or quantised."""
    num_copies = 2 if is_engine else 1 if request.quant == "fp8" else 0
    num_bytes = num_copies * read_shape(pack.language_model_dir).num_weights * request.weight_bytes
    free = shutil.disk_usage(request.target.parent).free
    if free < num_bytes:
        raise EngineError(
            f"about {format_bytes(num_bytes)} will be written to {request.target.parent}, which has "
            f"{format_bytes(free)} free: make room, or give another folder"
        )


def _make_engine(
    pack: ModelPack, request: BuildRequest, plan: Manifest, work: Path, built: Path, say: Say
) -> Manifest:
    """Convert the checkpoint and build an engine of it; returns the plan with the limits that it really has."""
    converter = commands.find_converter(request.examples)
    builder = commands.find_builder()
    converted = work / "converted"
    tp, fp8 = request.tensor_parallel_size, request.quant == "fp8"
    environment = tool_environment(os.environ, tp)
    convert = commands.convert_command(
        converter,
        plain_checkpoint(pack.language_model_dir),
        converted,
        tp_size=tp,
        fp8=fp8,
        fp8_kv_cache=request.kv_cache == "fp8",
        calib_dataset=request.calib_dataset,
    )
    commands.run_step("converting the checkpoint", convert, environment, say)
    commands.check_outputs(converted, "rank{}.safetensors", tp)
    build = commands.build_command(
        builder,
        converted,
        built,
        SequenceLimits(plan.max_input_len, plan.max_seq_len),
        max_batch_size=plan.max_batch_size,
        max_num_tokens=plan.max_num_tokens,
        workers=tp,
    )
    commands.run_step("building the engine", build, environment, say)
    commands.check_outputs(built, "rank{}.engine", tp)
    max_num_tokens = commands.check_built_limits(built, plan)
    for name in COMPANIONS:
        if (pack.language_model_dir / name).is_file():
            shutil.copyfile(pack.language_model_dir / name, built / name)
    return replace(plan, max_num_tokens=max_num_tokens)


def _make_checkpoint(pack: ModelPack, request: BuildRequest, work: Path, built: Path, say: Say) -> None:
    """Lay a checkpoint for the PyTorch backend out: linked where that is possible, quantised if asked."""
    model_dir = plain_checkpoint(pack.language_model_dir)
    if request.quant == "fp8":
        quantise = commands.quantise_command(
            model_dir, built, fp8_kv_cache=request.kv_cache == "fp8", dataset=request.calib_dataset
        )
        prompts = work / "prompts.json"
        prompts.write_text(json.dumps(_calibration(pack)), encoding="utf-8")
        command = [sys.executable, *quantise, str(prompts)]
        environment = importable(tool_environment(os.environ, 1))
        commands.run_step("quantising the weights to fp8", command, environment, say)
        if not (built / "hf_quant_config.json").is_file():
            raise EngineError(
                f"ModelOpt left no hf_quant_config.json in {built}: the weights are not quantised"
            )
    else:
        say("linking the weights: the PyTorch backend loads them as they are")
        for file in sorted([*model_dir.glob("*.safetensors"), *model_dir.glob("*.json")]):
            if file.name != MANIFEST_NAME:
                _link_or_copy(file, built / file.name)
    for name in COMPANIONS:
        if (pack.language_model_dir / name).is_file() and not (built / name).exists():
            shutil.copyfile(pack.language_model_dir / name, built / name)


def _calibration(pack: ModelPack) -> dict[str, Any]:
    """Return what to speak while activations are measured: each voice, sentences of every length."""
    builder = PromptBuilder(pack)
    requests = [
        (builder.prompt_token_ids(text, voice.name), pack.length.expected_num_tokens(text))
        for voice in pack.voices
        for text in CALIBRATION_SENTENCES
    ]
    return {
        "prompts": [list(prompt) for prompt, _ in requests],
        "max_new_tokens": [num_tokens for _, num_tokens in requests],
        "stop_id": pack.layout.stop_id,
        "sampling": asdict(pack.sampling),
    }


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)
