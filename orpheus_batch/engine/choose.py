"""Which engine runs, and why: TensorRT-LLM where it is installed and a GPU is there, else the embedded one.

It looks, and imports neither: finding out that TensorRT-LLM is missing must not take the minute that importing it
does.
"""

import importlib.util
from dataclasses import dataclass
from typing import Literal

from orpheus_batch.config import Config
from orpheus_batch.engine.trtllm.gpus import query_gpus


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine and the reason for it."""

    name: Literal["torch", "trtllm"]
    reason: str
    """for people, to follow the name"""

    def __str__(self) -> str:
        title = {"torch": "embedded engine", "trtllm": "TensorRT-LLM"}[self.name]
        return f"{title}: {self.reason}"


def choose_engine(config: Config) -> EngineChoice:
    """Return the engine for a configuration: what it names, or what goes with it on this machine."""
    if config.engine.name != "auto":
        return EngineChoice(config.engine.name, "asked for")
    obstacle = _obstacle(config)
    if obstacle:
        return EngineChoice("torch", obstacle)
    gpus = query_gpus()
    if not gpus:
        return EngineChoice("torch", "tensorrt_llm is installed, but no NVIDIA GPU is there")
    return EngineChoice("trtllm", f"it is installed, and there is a GPU ({gpus[0].name})")


def _obstacle(config: Config) -> str:
    """Return why TensorRT-LLM is out of the question before any GPU is looked for; empty if it is not."""
    for is_so, obstacle in (
        (config.engine.device == "cpu", "TensorRT-LLM does not run on a CPU"),
        (bool(config.engine.deterministic), "TensorRT-LLM can't repeat every byte"),
        (config.model.precision == "float32", "TensorRT-LLM does not run in float32"),
        (config.engine.kv_cache_gb is not None, "engine.kv_cache_gb is a setting for it"),
        (
            "float8" in (config.model.precision, config.model.kv_precision),
            "model.precision and model.kv_precision speak of the embedded engine's float8; TensorRT-LLM's is built "
            "(build-engine --quant fp8 --kv-cache fp8)",
        ),
        (importlib.util.find_spec("tensorrt_llm") is None, "tensorrt_llm is not installed"),
    ):
        if is_so:
            return obstacle
    return ""
