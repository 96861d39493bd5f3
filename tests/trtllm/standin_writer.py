"""Writes a stand-in for the package tensorrt_llm, generated from `api_contract.json`. It is not TensorRT-LLM.

    python tests/trtllm/standin_writer.py 1.2.1 /tmp/standin
    PYTHONPATH=/tmp/standin TRTLLM_STANDIN_GPU=1 orpheus-batch render book.txt -o out --engine trtllm

Modules, classes, field names, types and the defaults that are known come from the contract of the version; how the
classes behave is in `standin_runtime.py`, which is copied beside them. What agrees with this agrees with the
published interface; it has not met the library.

Not in the contract, and assumed: which of the fields of `LLM` the engine backend takes (those that the contract
lists before the PyTorch backend's first own one, and ``TrtLlmArgs_only``).
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONTRACT = HERE / "api_contract.json"
NEWEST_KEY = "1.3.0rc26-27 (newest documented; 1.4.0rc1 partly)"
KEYS = {"1.0.0": "1.0", "1.2.1": "1.2", "1.4.0rc1": NEWEST_KEY}
"""release → its entry in the contract"""

FIRST_LINE = '"""A stand-in generated from the published interface for tests. This is not TensorRT-LLM."""\n'
FIRST_PYTORCH_FIELD = "garbage_collection_gen0_threshold"
SIMPLE_NAMES = ("int", "float", "bool", "str", "dict", "list", "Path", "None", "Any", "Literal")


def contract() -> dict:
    """Return the contract."""
    return json.loads(CONTRACT.read_text(encoding="utf-8"))


def entry(version: str) -> dict:
    """Return what the contract has of a release."""
    return contract()["versions"][KEYS[version]]


def llm_fields(version: str, backend: str) -> dict[str, dict]:
    """Return the fields that `LLM` takes on a backend."""
    have = entry(version)
    own = have.get("TrtLlmArgs_only", {})
    fields = have["LLM"]["init"]
    absent = have["LLM"].get("absent_vs_1.2", [])
    if backend == "tensorrt":
        shared = list(fields)[: list(fields).index(FIRST_PYTORCH_FIELD)]
        return {name: fields[name] for name in shared} | {"backend": fields["backend"]} | own
    return {name: field for name, field in fields.items() if name not in own and name not in absent}


def write(version: str, folder: Path) -> Path:
    """Write the package for a release into ``folder`` and return the folder, for PYTHONPATH."""
    have = entry(version)
    package = folder / "tensorrt_llm"
    has_engines = "TrtLlmArgs_only" in have
    files = {
        "__init__.py": (
            f'__version__ = "{version}"\n'
            "from tensorrt_llm.sampling_params import SamplingParams\n"
            "from tensorrt_llm._standin import LLM, initialise_mpi\n"
            "from tensorrt_llm import llmapi\n"
            "initialise_mpi()\n"
        ),
        "sampling_params.py": _dataclass("SamplingParams", have["SamplingParams"], "check_sampling"),
        "executor/__init__.py": "",
        "executor/result.py": _dataclass("CompletionOutput", have["CompletionOutput"]["fields"], None),
        "executor/utils.py": "class RequestError(RuntimeError):\n    pass\n",
        "llmapi/llm_args.py": _llm_args(version, has_engines),
        "llmapi/__init__.py": (
            "from tensorrt_llm.sampling_params import SamplingParams\n"
            "from tensorrt_llm.executor.result import CompletionOutput\n"
            "from tensorrt_llm.llmapi.llm_args import (\n"
            "    CapacitySchedulerPolicy, CudaGraphConfig, KvCacheConfig, SchedulerConfig, TorchLlmArgs)\n"
            "from tensorrt_llm._standin import LLM, RequestOutput\n"
        ),
        "_release.py": (
            f"VERSION = {version!r}\n"
            f"APPLIES_PENALTY = {not {'sampler_type', 'enable_trtllm_sampler'} & set(llm_fields(version, 'pytorch'))}\n"
        ),
        "_standin.py": (HERE / "standin_runtime.py").read_text(encoding="utf-8"),
    }
    if has_engines:
        files["_tensorrt_engine/__init__.py"] = "from tensorrt_llm._standin import EngineLLM as LLM\n"
    for name, source in files.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FIRST_LINE + source, encoding="utf-8")
    info = folder / f"tensorrt_llm-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tensorrt_llm\nVersion: {version}\n")
    return folder


def _llm_args(version: str, has_engines: bool) -> str:
    have = entry(version)
    source = (
        "import enum\nfrom pathlib import Path\nfrom typing import Any, Literal\n"
        "from pydantic import BaseModel, ConfigDict, Field, model_validator\n\n\n"
        "class StrictBaseModel(BaseModel):\n"
        '    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)\n\n\n'
    )
    policies = have["SchedulerConfig"]["capacity_scheduler_policy"]["values"]
    source += _enum("CapacitySchedulerPolicy", policies)
    samplers = have["LLM"]["init"].get("sampler_type", {}).get("values")
    if samplers:
        source += _enum("SamplerType", samplers)
    known = {"CapacitySchedulerPolicy", "SamplerType"} if samplers else {"CapacitySchedulerPolicy"}
    graphs = next(key for key in have if "CudaGraphConfig" in key and not key.endswith("_rule"))
    for name, key in (("KvCacheConfig", None), ("SchedulerConfig", None), ("CudaGraphConfig", graphs)):
        source += _model(name, have[key or name], known)
        known.add(name)
    source += (
        "    @model_validator(mode='after')\n    def _exactly_one(self):\n"
        "        if self.batch_sizes and self.max_batch_size:\n"
        "            raise ValueError('set either batch_sizes or max_batch_size')\n"
        "        if not self.batch_sizes:\n"
        "            object.__setattr__(self, 'max_batch_size', self.max_batch_size or 128)\n"
        "        return self\n\n\n"
    )
    source += _model("TorchLlmArgs", llm_fields(version, "pytorch"), known)
    if has_engines:
        source += _model("TrtLlmArgs", llm_fields(version, "tensorrt"), known)
    return source


def _enum(name: str, values: list[str]) -> str:
    return f"class {name}(str, enum.Enum):\n" + "".join(f"    {v} = {v!r}\n" for v in values) + "\n\n"


def _model(name: str, fields: dict[str, dict], known: set[str]) -> str:
    lines = [f"class {name}(StrictBaseModel):"]
    for field, spec in fields.items():
        lines.append(f"    {field}: {_type(spec, known)} = Field({_default(spec, known)}{_bounds(spec)})")
    return "\n".join(lines) + "\n\n"


def _type(spec: dict, known: set[str]) -> str:
    """Return a type as the contract has it, where it is one of Python's or of ours; else anything goes."""
    text = spec["type"]
    names = set(_names(text)) - set(SIMPLE_NAMES)
    if (names <= known and "Literal['" in text) or (names <= known and "'" not in text):
        return text
    return "Any"


def _names(text: str) -> list[str]:
    """Return the names in a type expression, string literals left out."""
    return re.findall(r"[A-Za-z_][A-Za-z_0-9]*", re.sub(r"'[^']*'", "", text))


def _default(spec: dict, known: set[str]) -> str:
    if spec.get("required"):
        return "..."
    default = spec.get("default")  # None too where the contract does not know it
    if isinstance(default, str) and default.startswith("<factory"):
        kind = next((name for name in known if name in f"{default} {spec['type']}"), None)
        return f"default_factory={kind or 'dict'}"
    if isinstance(default, str) and default.startswith("LoadFormat."):
        return repr("auto")
    if isinstance(default, str) and default.startswith("None->"):
        return "None"
    return f"CapacitySchedulerPolicy.{default}" if spec["type"] == "CapacitySchedulerPolicy" else repr(default)


def _bounds(spec: dict) -> str:
    constraint = spec.get("constraint", "")
    if constraint == "[0,1]":
        return ", ge=0, le=1"
    if constraint.startswith(">="):
        return ", ge=0"
    return ", gt=0" if constraint.startswith(">0") else ""


def _dataclass(name: str, fields: dict[str, dict], check: str | None) -> str:
    only = ", kw_only=True" if check else ""
    lines = ["from dataclasses import dataclass, field", "from typing import Any", "", ""]
    lines += [f"@dataclass(slots=True{only})", f"class {name}:"]
    for field, spec in fields.items():
        if spec.get("required"):
            lines.append(f"    {field}: Any")
        elif isinstance(spec.get("default"), list):
            lines.append(f"    {field}: Any = field(default_factory=list)")
        else:
            lines.append(f"    {field}: Any = {spec.get('default')!r}")
    if check:
        lines += ["", "    def __post_init__(self):", f"        from tensorrt_llm._standin import {check}", ""]
        lines += [f"        {check}(self)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(write(sys.argv[1], Path(sys.argv[2])))
