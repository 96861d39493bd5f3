"""From a pack and a configuration to a running TensorRT-LLM engine, and the fingerprint of what it speaks with."""

import dataclasses

from orpheus_batch.config import Config, EngineConfig
from orpheus_batch.engine.trtllm.checkpoint import plain_checkpoint
from orpheus_batch.engine.trtllm.engine import TrtllmEngine
from orpheus_batch.engine.trtllm.gpus import Gpu, device_index, query_gpus, require_fp8
from orpheus_batch.engine.trtllm.limits import (
    MAX_NUM_TOKENS,
    SequenceLimits,
    default_batch_size,
    read_shape,
    sequence_limits,
)
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings, check_extra
from orpheus_batch.engine.trtllm.manifest import FP8_CACHE, Manifest, check_files, check_fits, read_manifest
from orpheus_batch.errors import ConfigError, EngineError
from orpheus_batch.voices import ModelPack


def trtllm_fingerprint(pack: ModelPack, config: Config) -> str:
    """Return what identifies the output: weights, their precision, that of the cache, tokenizer, layout.

    An engine has the fingerprint of the model that it was built from, so a book goes on whichever runs it.

    Raises:
        ConfigError: The weights are not there.
        EngineError: The folder's manifest can't be read, or its engine has another cache than is asked for.
    """
    manifest = read_manifest(pack.language_model_dir)
    kv_dtype = _kv_cache_dtype(pack, config, manifest)
    if manifest is not None:
        return manifest.model_fingerprint(pack.layout, kv_dtype)
    return pack.model_fingerprint(f"{_precision(config)}{FP8_CACHE if kv_dtype == 'fp8' else ''}")


def trtllm_engine(pack: ModelPack, config: Config, device: str) -> TrtllmEngine:
    """Load the engine of a pack: an engine or a checkpoint that was built, or a Hugging Face checkpoint as it is.

    Args:
        pack: Whose `language_model_dir` holds it.
        config: The whole configuration.
        device: Of the configuration; "auto" is the first GPU.

    Raises:
        ConfigError: A setting does not go with the engine.
        EngineError: It can't be loaded.
    """
    settings = llm_settings(pack, config, query_gpus())
    return TrtllmEngine(
        settings,
        device=device,
        request_timeout_s=config.trtllm.request_timeout_s,
        start_timeout_s=config.trtllm.start_timeout_s,
    )


def llm_settings(pack: ModelPack, config: Config, gpus: list[Gpu]) -> LlmSettings:
    """Return what to load, from the pack, the configuration, the manifest and the memory there is.

    Raises:
        ConfigError: A setting does not go with the engine.
        EngineError: The engine does not fit this machine, or the model not its memory.
    """
    chosen = config.trtllm
    check_extra(chosen.extra_llm_args)
    for name, is_set, instead in (
        ("kv_cache_gb", config.engine.kv_cache_gb is not None, "max_tokens or free_gpu_memory_fraction"),
        (
            "tokens_per_block",
            config.engine.tokens_per_block != EngineConfig().tokens_per_block,
            "tokens_per_block",
        ),
    ):
        if is_set:
            raise ConfigError(
                f"engine.{name} is the embedded engine's: for TensorRT-LLM set trtllm.kv_cache_config.{instead}"
            )
    folder = pack.language_model_dir
    manifest = read_manifest(folder)
    gpus = gpus[device_index(config.engine.device) or 0 :]
    if manifest is not None:
        check_fits(folder, manifest, gpus=gpus, max_batch_size=config.engine.max_batch_size)
        _check_built_in(pack, config, manifest)
        check_files(folder, manifest)
    else:
        folder = plain_checkpoint(folder)
    kv_dtype = _kv_cache_dtype(pack, config, manifest)
    is_quantised = manifest is not None and manifest.precision.startswith("fp8")
    if is_quantised or kv_dtype == "fp8":
        require_fp8(gpus)
    limits = _limits(pack, config, manifest)
    num_gpus = manifest.tensor_parallel_size if manifest else chosen.tensor_parallel_size
    batch = config.engine.max_batch_size or (manifest.max_batch_size if manifest else 0)
    if not batch:
        batch = default_batch_size(
            read_shape(folder),
            limits,
            free_bytes=gpus[0].free_bytes if gpus else None,
            weight_bytes=1 if is_quantised else 2,
            kv_dtype=kv_dtype,
            memory_fraction=chosen.kv_cache_config.free_gpu_memory_fraction,
            num_gpus=num_gpus,
        )
    return LlmSettings(
        model=str(folder),
        backend="tensorrt" if manifest is not None and manifest.kind == "engine" else "pytorch",
        dtype="auto" if is_quantised else _precision(config),
        stop_id=pack.layout.stop_id,
        repetition_penalty=pack.sampling.repetition_penalty,
        max_batch_size=batch,
        max_seq_len=limits.max_seq_len,
        max_num_tokens=_max_num_tokens(pack, config, manifest, batch),
        tensor_parallel_size=num_gpus,
        enable_chunked_prefill=chosen.enable_chunked_prefill,
        load_format=chosen.load_format,
        sampler_type=chosen.sampler_type,
        kv_cache_config={**dataclasses.asdict(chosen.kv_cache_config), "dtype": kv_dtype},
        scheduler_config=dataclasses.asdict(chosen.scheduler_config),
        cuda_graph_config=dataclasses.asdict(chosen.cuda_graph_config) if chosen.cuda_graph_config else None,
        extra_llm_args=chosen.extra_llm_args,
    )


def _check_built_in(pack: ModelPack, config: Config, manifest: Manifest) -> None:
    """Refuse settings that what was built has otherwise, and that would be dropped without a word.

    Raises:
        EngineError: There is one; says which.
    """
    chosen = config.trtllm
    asked = [("tensor_parallel_size", chosen.tensor_parallel_size, {1, manifest.tensor_parallel_size})]
    if manifest.kind == "engine":
        asked += [
            ("kv_cache_config.tokens_per_block", chosen.kv_cache_config.tokens_per_block, {32}),
            ("load_format", chosen.load_format, {"auto"}),
            ("sampler_type", chosen.sampler_type, {"auto"}),
        ]
    for name, value, possible in asked:
        if value not in possible:
            raise EngineError(
                f"trtllm.{name} is {value}, and {pack.language_model_dir} has its own built in: leave it out, or "
                "build again with `orpheus-batch build-engine`"
            )


def _kv_cache_dtype(pack: ModelPack, config: Config, manifest: Manifest | None) -> str:
    """Return "fp8", or "auto" for keys and values of 16 bits.

    Raises:
        EngineError: fp8 is asked of an engine that was built without.
    """
    chosen = config.trtllm.kv_cache_config.dtype
    if manifest is None or chosen == manifest.kv_cache_dtype:
        return chosen
    if manifest.kind == "engine" and chosen == "fp8":
        raise EngineError(
            f"trtllm.kv_cache_config.dtype is fp8, and {pack.language_model_dir} was built with keys and values of "
            "16 bits: leave it out, or build again with `orpheus-batch build-engine --quant fp8 --kv-cache fp8`"
        )
    return "fp8"


def _max_num_tokens(pack: ModelPack, config: Config, manifest: Manifest | None, batch: int) -> int:
    """Return the tokens of a step: the batch at least, what the engine was built for at most.

    Raises:
        EngineError: More are asked for than the engine was built for.
    """
    wanted, built = config.trtllm.max_num_tokens, manifest.max_num_tokens if manifest else MAX_NUM_TOKENS
    if manifest is not None and manifest.kind == "engine" and wanted is not None and wanted > built:
        raise EngineError(
            f"trtllm.max_num_tokens is {wanted}, and {pack.language_model_dir} was built for {built}; lower it, or "
            "build again with `orpheus-batch build-engine`"
        )
    return max(wanted or built, batch)


def _limits(pack: ModelPack, config: Config, manifest: Manifest | None) -> SequenceLimits:
    """Return the limits of a sequence; an engine has those that it was built for.

    Raises:
        EngineError: An engine was built for less than is asked for, or than the longest segment needs.
    """
    folder = pack.language_model_dir
    shape = read_shape(folder)
    wanted, max_chars = config.trtllm.max_seq_len, config.text.max_chars
    if manifest is None or manifest.kind != "engine":
        if wanted is not None:
            return SequenceLimits(wanted, min(wanted, shape.max_positions))
        return sequence_limits(pack, max_chars, shape.max_positions)
    if wanted is not None and wanted > manifest.max_seq_len:
        raise EngineError(
            f"trtllm.max_seq_len is {wanted}, and {folder} was built for {manifest.max_seq_len}; lower it, or build "
            "again with `orpheus-batch build-engine`"
        )
    built = SequenceLimits(manifest.max_input_len, wanted or manifest.max_seq_len)
    needed = sequence_limits(pack, max_chars, shape.max_positions)
    if wanted is None and (
        needed.max_input_len > built.max_input_len or needed.max_seq_len > built.max_seq_len
    ):
        raise EngineError(
            f"the longest segment may take {needed.max_input_len} tokens of prompt and {needed.max_seq_len} with its "
            f"speech, and {folder} was built for {built.max_input_len} and {built.max_seq_len}; lower text.max_chars "
            f"({max_chars or pack.segment_limits.max_chars}), or build again with `orpheus-batch build-engine "
            "--max-chars`"
        )
    return built


def _precision(config: Config) -> str:
    if config.model.precision == "float32":
        raise ConfigError("TensorRT-LLM runs in bfloat16 or fp8: set model.precision to auto or bfloat16")
    return "bfloat16"
