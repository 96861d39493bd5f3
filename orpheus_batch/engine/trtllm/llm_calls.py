"""The library's calls in its own words: arguments for `LLM` and for each request's `SamplingParams`.

Every name here is TensorRT-LLM's. An argument that the installed release does not know is refused by name if
someone asked for it, and left out if it is only our default.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orpheus_batch.engine.trtllm.features import Features, SamplerChoice
from orpheus_batch.errors import ConfigError, EngineError

OWN_SETTINGS = {
    "model": "model.model_dir",
    "dtype": "model.precision",
    "max_batch_size": "engine.max_batch_size",
    "enable_trtllm_sampler": "trtllm.sampler_type",
    "kv_cache_dtype": "trtllm.kv_cache_config.dtype",
    **{
        name: f"trtllm.{name}"
        for name in (
            *("max_seq_len", "max_num_tokens", "tensor_parallel_size", "enable_chunked_prefill", "load_format"),
            *("sampler_type", "kv_cache_config", "scheduler_config", "cuda_graph_config"),
        )
    },
}
"""arguments of `LLM` that have a setting of their own, which checks and fingerprints heed"""
DECIDED_HERE = frozenset(
    {
        *("backend", "build_config", "skip_tokenizer_init", "tokenizer", "tokenizer_mode", "custom_tokenizer"),
        *(
            "speculative_config",
            "decoding_config",
            "enable_mixed_sampler",
            "max_beam_width",
            "generation_config",
        ),
        *("force_dynamic_quantization", "quant_config", "model_kwargs", "sparse_attention_config"),
        *("kv_cache_compression_config", "encode_only"),
    }
)
"""arguments that change which tokens come: by another sampler, which may ignore the penalty, or another model"""


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """What an engine is loaded with; plain values, so that it can cross to another process."""

    model: str
    """folder of a checkpoint or an engine"""
    backend: str
    """"pytorch" or "tensorrt" """
    dtype: str
    """"bfloat16", or "auto" for what the checkpoint says"""
    stop_id: int
    repetition_penalty: float
    """of the voice: to refuse a sampler that ignores it before anything is loaded"""
    max_batch_size: int
    max_seq_len: int
    max_num_tokens: int
    tensor_parallel_size: int
    enable_chunked_prefill: bool
    load_format: str
    sampler_type: str
    kv_cache_config: dict[str, Any]
    scheduler_config: dict[str, Any]
    cuda_graph_config: dict[str, Any] | None
    extra_llm_args: dict[str, Any]


def check_extra(extra_llm_args: dict[str, Any]) -> None:
    """Refuse extra arguments that would go behind the back of what is checked and recorded.

    Raises:
        ConfigError: One has a setting of its own, or would change what is spoken without anything saying so.
    """
    for name in extra_llm_args:
        if name in OWN_SETTINGS:
            raise ConfigError(f"trtllm.extra_llm_args: {name} has a setting of its own, {OWN_SETTINGS[name]}")
        if name in DECIDED_HERE:
            raise ConfigError(
                f"trtllm.extra_llm_args: {name} can't be given: it would change which tokens are drawn, past the "
                "check that the repetition penalty is applied and past the fingerprint of what speaks"
            )


def llm_arguments(settings: LlmSettings, features: Features, sampler: SamplerChoice) -> dict[str, Any]:
    """Return the keyword arguments of `LLM` as plain values, its configuration classes as dictionaries.

    Raises:
        EngineError: ``extra_llm_args``, or a setting that is not at its default, names what this release does not
            have.
    """
    arguments: dict[str, Any] = {
        "model": settings.model,
        "skip_tokenizer_init": True,
        "max_batch_size": settings.max_batch_size,
        "max_seq_len": settings.max_seq_len,
        "max_num_tokens": settings.max_num_tokens,
        "kv_cache_config": _kv_cache(settings, features),
        "scheduler_config": _known(
            settings.scheduler_config, features.scheduler, "scheduler_config", features.version
        ),
        "enable_chunked_prefill": settings.enable_chunked_prefill,
        "tensor_parallel_size": settings.tensor_parallel_size,
        **sampler.llm_args,
    }
    if settings.backend == "pytorch":
        arguments |= {
            "dtype": settings.dtype,
            "load_format": settings.load_format,
            "cuda_graph_config": _cuda_graphs(settings, features),
        }
    unknown = sorted(set(settings.extra_llm_args) - features.llm)
    if unknown:
        raise EngineError(
            f"trtllm.extra_llm_args: tensorrt_llm {features.version} ({features.backend} backend) takes no "
            f"{', '.join(unknown)}"
        )
    arguments |= settings.extra_llm_args
    missing = sorted(set(arguments) - features.llm)
    optional = {"enable_chunked_prefill", "scheduler_config", "cuda_graph_config", "max_num_tokens"}
    refused = [name for name in missing if name not in optional]
    if refused:
        raise EngineError(
            f"tensorrt_llm {features.version} ({features.backend} backend) takes no {', '.join(refused)}: this "
            "release is not supported; 1.0 to 1.4 are"
        )
    return {name: value for name, value in arguments.items() if name not in missing}


def request_arguments(
    sampling: dict[str, float],
    *,
    max_tokens: int,
    seed: int,
    stop_id: int,
    ignore_eos: bool,
    honours_seed: bool,
) -> dict[str, Any]:
    """Return the keyword arguments of one request's `SamplingParams`.

    Args:
        sampling: ``temperature`` (0 is greedy), ``top_p``, ``repetition_penalty``.
        max_tokens: Always given: the library's own default is 32.
        seed: Of the request.
        stop_id: Given as ``end_id`` since the library has no tokenizer here, and refuses to guess.
        ignore_eos: For benchmarks: exactly ``max_tokens``.
        honours_seed: Whether the sampler heeds a seed; one that does not is not given any.
    """
    arguments: dict[str, Any] = {
        "max_tokens": max_tokens,
        "end_id": stop_id,
        "pad_id": stop_id,
        "ignore_eos": ignore_eos,
        "detokenize": False,
        "add_special_tokens": False,
    }
    if sampling["temperature"] == 0:
        arguments["top_k"] = 1  # greedy in every release; some refuse a temperature of 0
    else:
        arguments |= {"temperature": sampling["temperature"], "top_p": sampling["top_p"]}
    if sampling["repetition_penalty"] != 1.0:
        arguments["repetition_penalty"] = sampling["repetition_penalty"]
    if honours_seed:
        arguments["seed"] = seed
    return arguments


def prompt_argument(token_ids: Sequence[int]) -> list[int]:
    """Return a prompt as the one form that is not misread: a list of Python's own integers."""
    return [int(token_id) for token_id in token_ids]


def _kv_cache(settings: LlmSettings, features: Features) -> dict[str, Any]:
    wanted = {name: value for name, value in settings.kv_cache_config.items() if value is not None}
    if settings.backend == "tensorrt":
        # the engine has its cache's type and block size built in, and refuses to be told
        wanted = {name: value for name, value in wanted.items() if name not in ("dtype", "tokens_per_block")}
    elif wanted.get("dtype") == "auto" and "dtype" not in features.kv_cache:
        del wanted["dtype"]
    if wanted.get("tokens_per_block") == 32 and "tokens_per_block" not in features.kv_cache:
        del wanted["tokens_per_block"]
    return _known(wanted, features.kv_cache, "kv_cache_config", features.version)


def _cuda_graphs(settings: LlmSettings, features: Features) -> dict[str, Any] | None:
    if settings.cuda_graph_config is None:
        return None
    wanted = dict(settings.cuda_graph_config)
    if wanted.get("max_batch_size") is None:
        wanted["max_batch_size"] = settings.max_batch_size  # graphs end at 128 unless told
    return _known(wanted, features.cuda_graph, "cuda_graph_config", features.version)


def _known(values: dict[str, Any], fields: frozenset[str], section: str, version: str) -> dict[str, Any]:
    unknown = sorted(set(values) - fields)
    if unknown:
        raise EngineError(f"trtllm.{section}: tensorrt_llm {version} takes no {', '.join(unknown)} there")
    return values
