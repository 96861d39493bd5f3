"""What the installed TensorRT-LLM can do, read off its classes' fields; never off its version.

Releases differ in which sampler there is, whether it applies a repetition penalty, and which backends exist. A
version string does not say it: release candidates, branches and patched images carry any. Fields do.

Imported in the engine's process and by the probe of `doctor`; only `read_features` imports the library.
"""

import dataclasses
import enum
import importlib
import importlib.machinery
import importlib.util
import inspect
import typing
from dataclasses import dataclass
from typing import Any, Literal

from orpheus_batch.errors import EngineError

Backend = Literal["pytorch", "tensorrt"]

PENALTY_MARK = "prompt_ignore_length"
"""a field of SamplingParams that came with penalties in the PyTorch sampler: what a penalty is to leave out"""


@dataclass(frozen=True, slots=True)
class SamplerChoice:
    """Which sampler draws tokens, and what it can be relied on for."""

    name: str
    """"TRTLLMSampler", "TorchSampler", or "engine" for the engine backend's own"""
    llm_args: dict[str, Any]
    """what `LLM` must be given so that it is this one"""
    applies_penalty: bool
    """whether a repetition penalty has any effect"""
    honours_seed: bool
    """whether a request's seed alone decides its noise"""


@dataclass(frozen=True, slots=True)
class Features:
    """Field names of the installed library's classes, for one backend."""

    version: str
    """for people and ledgers; nothing is decided by it"""
    backend: Backend
    llm: frozenset[str]
    kv_cache: frozenset[str]
    scheduler: frozenset[str]
    cuda_graph: frozenset[str]
    """empty where the backend has none"""
    sampling: frozenset[str]
    sampler_values: frozenset[str]
    """what ``sampler_type`` takes; empty where it says nothing or is no field"""


def has_engine_backend() -> bool:
    """Return whether the installed library still has TensorRT engines, without importing it."""
    if importlib.util.find_spec("tensorrt_llm") is None:
        return False
    folders = importlib.util.find_spec("tensorrt_llm").submodule_search_locations or []
    return any(
        importlib.machinery.PathFinder.find_spec("_tensorrt_engine", [folder]) is not None for folder in folders
    )


def read_features(backend: Backend) -> Features:
    """Import the library and read its classes.

    Raises:
        EngineError: It can't be imported, or has no such backend; says what to install.
    """
    try:
        library = importlib.import_module("tensorrt_llm")
        llmapi = importlib.import_module("tensorrt_llm.llmapi")
        llm_args = importlib.import_module("tensorrt_llm.llmapi.llm_args")
    except Exception as error:  # the driver, CUDA, MPI: an import of this size fails in any way
        raise EngineError(
            f"tensorrt_llm can't be imported: {type(error).__name__}: {error}; run in NVIDIA's release image, or "
            "take the embedded engine with --engine torch"
        ) from error
    args_class = getattr(llm_args, "TrtLlmArgs" if backend == "tensorrt" else "TorchLlmArgs", None)
    if args_class is None or (backend == "tensorrt" and not has_engine_backend()):
        raise EngineError(
            f"the installed tensorrt_llm {getattr(library, '__version__', '')} has no {backend} backend; "
            "prepare the model again with `orpheus-batch build-engine`"
        )
    cuda_graph = getattr(llmapi, "CudaGraphConfig", None)
    return Features(
        version=str(getattr(library, "__version__", "unknown")),
        backend=backend,
        llm=field_names(args_class),
        kv_cache=field_names(llmapi.KvCacheConfig),
        scheduler=field_names(llmapi.SchedulerConfig),
        cuda_graph=field_names(cuda_graph) if cuda_graph and backend == "pytorch" else frozenset(),
        sampling=field_names(library.SamplingParams),
        sampler_values=_choices(args_class, "sampler_type"),
    )


def choose_sampler(features: Features, wanted: str = "auto") -> SamplerChoice:
    """Return the sampler to ask for: one that applies penalties and honours seeds, if there is one.

    Args:
        features: Of the installed library.
        wanted: "auto", or the configuration's ``sampler_type``.

    Raises:
        EngineError: The wanted one does not exist there.
    """
    if features.backend == "tensorrt":
        return SamplerChoice("engine", {}, applies_penalty=True, honours_seed=True)
    accepts = not features.sampler_values or "TRTLLMSampler" in features.sampler_values
    if "sampler_type" in features.llm and accepts:
        selection = {"sampler_type": "TRTLLMSampler"}
    elif "enable_trtllm_sampler" in features.llm:
        selection = {"enable_trtllm_sampler": True}
    else:
        selection = None
    if selection is not None and wanted != "TorchSampler":
        return SamplerChoice("TRTLLMSampler", selection, applies_penalty=True, honours_seed=True)
    if wanted == "TRTLLMSampler":
        raise EngineError(
            f"trtllm.sampler_type is TRTLLMSampler, which tensorrt_llm {features.version} does not have; "
            "set it to auto"
        )
    explicit = {"sampler_type": "TorchSampler"} if "sampler_type" in features.llm else {}
    # seeds: the newest hand the first row's to the whole batch, so even there a request's own does not count
    return SamplerChoice(
        "TorchSampler", explicit, applies_penalty=PENALTY_MARK in features.sampling, honours_seed=False
    )


def check_penalty(choice: SamplerChoice, features: Features, repetition_penalty: float) -> None:
    """Refuse to speak with a penalty that would be ignored without a word.

    Raises:
        EngineError: It would be; speech falls into loops without it.
    """
    if repetition_penalty == 1.0 or choice.applies_penalty:
        return
    raise EngineError(
        f"the {choice.name} of tensorrt_llm {features.version} would silently ignore the repetition penalty "
        f"{repetition_penalty:g}, and speech falls into loops without it; set trtllm.sampler_type to auto, or use "
        "a release that applies it (1.0 to 1.2 by TRTLLMSampler, 1.3.0rc24 and later by TorchSampler), or, if the "
        "voice does not need it, sampling.repetition_penalty: 1.0"
    )


def field_names(kind: type) -> frozenset[str]:
    """Return the names that a class's constructor takes: of a pydantic model, a dataclass, or any other."""
    fields = getattr(kind, "model_fields", None)
    if isinstance(fields, dict):
        aliases = {getattr(field, "alias", None) for field in fields.values()}
        return frozenset(fields) | frozenset(alias for alias in aliases if alias)
    if dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind) if field.init)
    return frozenset(name for name in inspect.signature(kind).parameters if name not in ("args", "kwargs"))


def _choices(kind: type, field: str) -> frozenset[str]:
    """Return the strings that a pydantic field's annotation allows, as literals or as an enum's values."""
    found = getattr(kind, "model_fields", {}).get(field)
    return frozenset(_strings(found.annotation)) if found is not None else frozenset()


def _strings(annotation: Any) -> set[str]:
    if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
        return {str(member.value) for member in annotation} | {member.name for member in annotation}
    if typing.get_origin(annotation) is Literal:
        return {str(value) for value in typing.get_args(annotation)}
    return {text for part in typing.get_args(annotation) for text in _strings(part)}
