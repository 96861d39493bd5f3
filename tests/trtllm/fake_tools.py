"""Fakes of convert_checkpoint.py, trtllm-build and nvidia-smi, whose flags are the contract's. Not TensorRT-LLM's.

They record how they were called, refuse flags that the contract does not know, and write what the stand-in's engine
backend loads: weights as they came, and a config.json with the keys by which the library tells an engine.
"""

import json
import sys
from pathlib import Path

from standin_writer import contract

COMMON = """
import argparse, json, os, shutil, sys, time
from pathlib import Path
time.sleep(float(os.environ.get("FAKE_TOOL_SLEEPS_S", 0)))
with open({log!r}, "a") as log:
    log.write(json.dumps([[Path(sys.argv[0]).name, *sys.argv[1:]], dict(os.environ)]) + "\\n")
if os.environ.get("FAKE_TOOL_FAILS") == Path(sys.argv[0]).name:
    print("CUDA error: out of memory")
    sys.exit(7)
parser = argparse.ArgumentParser(allow_abbrev=False)
"""

CONVERT = """
for flag in {flags!r}:
    switch = flag in ("--use_fp8", "--fp8_kv_cache", "--int8_kv_cache", "--load_model_on_cpu", "--use_weight_only")
    parser.add_argument(flag, **({{"action": "store_true"}} if switch else {{}}))
args = parser.parse_args()
assert args.dtype in ("float16", "bfloat16", "auto"), args.dtype
source, target = Path(args.model_dir), Path(args.output_dir)
target.mkdir(parents=True)
config = json.loads((source / "config.json").read_text())
config |= {{"architecture": "LlamaForCausalLM", "dtype": args.dtype, "fp8": args.use_fp8}}
(target / "config.json").write_text(json.dumps(config))
for rank in range(int(args.tp_size or 1)):
    shutil.copyfile(source / "model.safetensors", target / f"rank{{rank}}.safetensors")
"""

BUILD = """
defaults = {flags!r}
for flag, default in defaults.items():
    choices = default if isinstance(default, list) else None
    kind = int if isinstance(default, int) else str
    is_open = choices or default == "plugin arg"
    parser.add_argument(flag, type=kind, choices=choices, default=None if is_open else default)
args = parser.parse_args()
assert args.gemm_plugin in ("auto", "float16", "bfloat16", "fp8", "disable", None), args.gemm_plugin
assert args.use_paged_context_fmha in ("enable", "disable", None), args.use_paged_context_fmha
source, target = Path(args.checkpoint_dir), Path(args.output_dir)
config = json.loads((source / "config.json").read_text())
limits = ("max_batch_size", "max_input_len", "max_seq_len", "max_num_tokens")
built = {{name: int(getattr(args, name)) for name in limits}}
built["max_batch_size"] = min(built["max_batch_size"], int(os.environ.get("FAKE_TOOL_LOWERS_BATCH", 1 << 20)))
built["max_num_tokens"] = min(built["max_num_tokens"], int(os.environ.get("FAKE_TOOL_LOWERS_TOKENS", 1 << 20)))
target.mkdir(parents=True, exist_ok=True)
(target / "config.json").write_text(
    json.dumps({{"version": {version!r}, "pretrained_config": config, "build_config": built}}))
for file in source.glob("rank*.safetensors"):
    shutil.copyfile(file, target / f"{{file.stem}}.engine")
"""

SMI = """
import sys
assert sys.argv[1:] == ["--query-gpu=index,name,memory.total,memory.free,driver_version,compute_cap,uuid",
                        "--format=csv,noheader,nounits"], sys.argv
for index in range({num_gpus}):
    print(f"{{index}}, NVIDIA H100 80GB HBM3, 81559, {free_mib}, 580.95.05, {capability}, GPU-{{index}}234-5678")
"""


class Tools:
    """A folder for the PATH, and the log of its fakes."""

    def __init__(self, folder: Path, version: str = "1.2.1"):
        self.folder = folder / "bin"
        self.examples = folder / "examples"
        self.log = folder / "tools.jsonl"
        path = contract()["engine_path"]
        common = COMMON.format(log=str(self.log))
        convert = self.examples / "models/core/llama/convert_checkpoint.py"
        convert.parent.mkdir(parents=True)
        convert.write_text(common + CONVERT.format(flags=path["convert_checkpoint_flags"]), encoding="utf-8")
        self.folder.mkdir()
        build = BUILD.format(flags=path["trtllm_build_flags"], version=version)
        self._executable("trtllm-build", common + build)

    def add_gpu(self, *, free_mib: int = 80_000, capability: str = "9.0", num_gpus: int = 1) -> None:
        """Let nvidia-smi tell of GPUs."""
        self._executable("nvidia-smi", SMI.format(num_gpus=num_gpus, free_mib=free_mib, capability=capability))

    def calls(self) -> list[list[str]]:
        """Return every call so far: the tool's name and its arguments."""
        if not self.log.exists():
            return []
        return [json.loads(line)[0] for line in self.log.read_text(encoding="utf-8").splitlines()]

    def environments(self) -> list[dict[str, str]]:
        """Return the environment of every call."""
        return [json.loads(line)[1] for line in self.log.read_text(encoding="utf-8").splitlines()]

    def _executable(self, name: str, source: str) -> None:
        file = self.folder / name
        file.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        file.chmod(0o755)
