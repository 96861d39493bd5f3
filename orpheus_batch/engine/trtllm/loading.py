"""From a pack and a configuration to a running TensorRT-LLM engine, and the fingerprint of what it speaks with."""

import dataclasses

from orpheus_batch.config import Config
from orpheus_batch.engine.trtllm.checkpoint import plain_checkpoint
from orpheus_batch.engine.trtllm.engine import TrtllmEngine
from orpheus_batch.engine.trtllm.gpus import Gpu, device_index, query_gpus
from orpheus_batch.engine.trtllm.limits import (
    SequenceLimits,
    default_batch_size,
    read_shape,
    sequence_limits,
    to_llm_limits,
)
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings
from orpheus_batch.engine.trtllm.manifest import Manifest, check_files, check_fits, read_manifest
from orpheus_batch.errors import ConfigError, EngineError
from orpheus_batch.voices import ModelPack


def trtllm_fingerprint(pack: ModelPack, config: Config) -> str:
    """Return what identifies the output: weights, their precision, that of the cache, tokenizer, layout.

    An engine has the fingerprint of the model that it was built from, so a book goes on whichever runs it.

    Raises:
        ConfigError: The weights are not there.
        EngineError: The folder's manifest can't be read.
    """
    manifest = read_manifest(pack.language_model_dir)
    if manifest is not None:
        return manifest.model_fingerprint(pack.layout)
    suffix = "+fp8-kv" if config.trtllm.kv_cache_config.dtype == "fp8" else ""
    return pack.model_fingerprint(f"{_precision(config)}{suffix}")


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
    folder = pack.language_model_dir
    manifest = read_manifest(folder)
    if manifest is not None:
        check_fits(folder, manifest, gpus=gpus, max_batch_size=config.engine.max_batch_size)
        check_files(folder, manifest)
    else:
        folder = plain_checkpoint(folder)
    kv_dtype = chosen.kv_cache_config.dtype
    if manifest is not None and manifest.kv_cache_dtype == "fp8":
        kv_dtype = "fp8"
    limits = _limits(pack, config, manifest)
    batch = config.engine.max_batch_size or (manifest.max_batch_size if manifest else None)
    num_gpus = manifest.tensor_parallel_size if manifest else chosen.tensor_parallel_size
    if batch is None:
        gpu = gpus[device_index(config.engine.device) or 0 :][:1]
        batch = default_batch_size(
            read_shape(folder),
            limits,
            free_bytes=gpu[0].free_bytes if gpu else None,
            kv_dtype=kv_dtype,
            memory_fraction=chosen.kv_cache_config.free_gpu_memory_fraction,
            num_gpus=num_gpus,
        )
    max_num_tokens = manifest.max_num_tokens if manifest else chosen.max_num_tokens
    is_quantised = manifest is not None and manifest.precision.startswith("fp8")
    return LlmSettings(
        model=str(folder),
        backend="tensorrt" if manifest is not None and manifest.kind == "engine" else "pytorch",
        dtype="auto" if is_quantised else _precision(config),
        stop_id=pack.layout.stop_id,
        repetition_penalty=pack.sampling.repetition_penalty,
        tensor_parallel_size=num_gpus,
        enable_chunked_prefill=chosen.enable_chunked_prefill,
        load_format=chosen.load_format,
        sampler_type=chosen.sampler_type,
        kv_cache_config={**dataclasses.asdict(chosen.kv_cache_config), "dtype": kv_dtype},
        scheduler_config=dataclasses.asdict(chosen.scheduler_config),
        cuda_graph_config=dataclasses.asdict(chosen.cuda_graph_config) if chosen.cuda_graph_config else None,
        extra_llm_args=chosen.extra_llm_args,
        **to_llm_limits(limits, batch, max_num_tokens),
    )


def _limits(pack: ModelPack, config: Config, manifest: Manifest | None) -> SequenceLimits:
    """Return the limits of a sequence; what was built goes before what would be needed."""
    wanted = config.trtllm.max_seq_len
    if manifest is not None:
        if wanted is not None and wanted > manifest.max_seq_len:
            raise EngineError(
                f"trtllm.max_seq_len is {wanted}, and {pack.language_model_dir} was built for "
                f"{manifest.max_seq_len}; lower it, or build again with `orpheus-batch build-engine`"
            )
        return SequenceLimits(manifest.max_input_len, wanted or manifest.max_seq_len)
    shape = read_shape(pack.language_model_dir)
    if wanted is not None:
        return SequenceLimits(wanted, min(wanted, shape.max_positions))
    return sequence_limits(pack, config.text.max_chars, shape.max_positions)


def _precision(config: Config) -> str:
    if config.model.precision == "float32":
        raise ConfigError("TensorRT-LLM runs in bfloat16 or fp8: set model.precision to auto or bfloat16")
    return "bfloat16"
