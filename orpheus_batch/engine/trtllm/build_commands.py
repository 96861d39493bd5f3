"""The tools of TensorRT-LLM as command lines: what they are called, where they lie, and whether they did it.

Flags are those of the releases up to 1.3.0rc20, the last with engines.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orpheus_batch.engine.trtllm.limits import SequenceLimits
from orpheus_batch.engine.trtllm.manifest import Manifest
from orpheus_batch.engine.trtllm.process_tree import kill_tree
from orpheus_batch.errors import EngineError
from orpheus_batch.units import format_duration

CONVERTER = "convert_checkpoint.py"
EXAMPLE_FOLDERS = ("models/core/llama", "llama")
"""under the examples, newest first"""
IMAGE_EXAMPLES = (
    "/app/tensorrt_llm/examples",
    "/workspace/TensorRT-LLM/examples",
    "/code/tensorrt_llm/examples",
)
"""where release and development images have them"""
SAY_EVERY_S = 30.0
_LOG_TAIL_LINES = 25
_POLL_S = 0.05


def find_converter(examples: Path | None) -> Path:
    """Return ``convert_checkpoint.py`` for Llama.

    Args:
        examples: The examples folder, or the one in which the script lies; None: where images have it.

    Raises:
        EngineError: It is not there; says where was looked.
    """
    roots = [examples] if examples is not None else [Path(root) for root in IMAGE_EXAMPLES]
    tried = [root / folder / CONVERTER for root in roots for folder in EXAMPLE_FOLDERS]
    tried += [examples / CONVERTER] if examples is not None else []
    for file in tried:
        if file.is_file():
            return file
    raise EngineError(
        f"{CONVERTER} is in none of {', '.join(str(file.parent) for file in tried)}; give the `examples` folder of the "
        "TensorRT-LLM release that is installed with --trtllm-examples"
    )


def find_builder() -> Path:
    """Return ``trtllm-build``.

    Raises:
        EngineError: It is neither on the PATH nor beside this Python.
    """
    found = shutil.which("trtllm-build") or shutil.which("trtllm-build", path=str(Path(sys.executable).parent))
    if found is None:
        raise EngineError("trtllm-build is not on the PATH: it comes with tensorrt_llm up to 1.3.0rc20")
    return Path(found)


def convert_command(
    converter: Path,
    model_dir: Path,
    output_dir: Path,
    *,
    tp_size: int,
    fp8: bool,
    fp8_kv_cache: bool,
    calib_dataset: str | None,
) -> list[str]:
    """Return the call that turns a Hugging Face checkpoint into one of TensorRT-LLM's."""
    command = [sys.executable, str(converter), "--model_dir", str(model_dir), "--output_dir", str(output_dir)]
    command += ["--dtype", "bfloat16", "--tp_size", str(tp_size)]
    if fp8:
        command.append("--use_fp8")
    if fp8_kv_cache:
        command.append("--fp8_kv_cache")
    if fp8 and calib_dataset is not None:
        command += ["--calib_dataset", calib_dataset]
    return command


def build_command(
    builder: Path,
    checkpoint_dir: Path,
    output_dir: Path,
    limits: SequenceLimits,
    *,
    max_batch_size: int,
    max_num_tokens: int,
    workers: int,
) -> list[str]:
    """Return the call that builds an engine of TensorRT-LLM's checkpoint."""
    command = [str(builder), "--checkpoint_dir", str(checkpoint_dir), "--output_dir", str(output_dir)]
    command += ["--max_batch_size", str(max_batch_size), "--max_input_len", str(limits.max_input_len)]
    command += ["--max_seq_len", str(limits.max_seq_len), "--max_num_tokens", str(max_num_tokens)]
    command += ["--gemm_plugin", "auto", "--use_paged_context_fmha", "enable"]
    return [*command, "--workers", str(workers)] if workers > 1 else command


def quantise_command(
    model_dir: Path, output_dir: Path, *, fp8_kv_cache: bool, dataset: str | None
) -> list[str]:
    """Return the arguments for Python that quantise a checkpoint by ModelOpt.

    Raises:
        EngineError: ModelOpt is not installed, or a data set is named, which it does not take here.
    """
    if dataset is not None:
        raise EngineError("--calib-dataset is for engines; on the PyTorch backend samples of speech calibrate")
    if importlib.util.find_spec("modelopt") is None:
        raise EngineError(
            "fp8 weights want NVIDIA's ModelOpt, which is not installed: `pip install nvidia-modelopt`, or leave "
            "--quant out (--kv-cache fp8 alone needs none)"
        )
    command = ["-m", "orpheus_batch.engine.trtllm.quantise", str(model_dir), str(output_dir)]
    return [*command, "--fp8-kv-cache"] if fp8_kv_cache else command


def run_step(
    what: str, command: Sequence[str], environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Run a tool, say now and then that it still runs, and show the end of its output if it fails.

    Args:
        what: It does, for people.
        command: Program and arguments.
        environment: The whole of it.
        say: Hears of each step, a line at a time.

    Raises:
        EngineError: It can't be started or fails.
    """
    say(what)
    started = time.monotonic()
    next_line_s = SAY_EVERY_S
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(f"{what}: can't start {command[0]}: {error}") from error
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                elapsed_s = time.monotonic() - started
                if elapsed_s >= next_line_s:
                    next_line_s += SAY_EVERY_S
                    last = next(iter(_last_lines(log, 1)), "no output yet")
                    say(f"{what}: {format_duration(elapsed_s)} so far; {last.strip()[:120]}")
        finally:
            kill_tree(process.pid)  # its own helpers too, whatever ended the wait
            process.wait()
        if process.returncode:
            raise EngineError(
                f"{what} failed (exit code {process.returncode}). The command was\n  {' '.join(command)}\nand its "
                "last words:\n" + "\n".join(f"  {line}" for line in _last_lines(log, _LOG_TAIL_LINES))
            )


def check_outputs(folder: Path, name: str, num_ranks: int) -> None:
    """See that a tool that says it succeeded has left a file for each rank, and a configuration.

    Raises:
        EngineError: One is missing.
    """
    for file in [folder / "config.json", *(folder / name.format(rank) for rank in range(num_ranks))]:
        if not file.is_file() or not file.stat().st_size:
            raise EngineError(f"the tool reported success and left no {file}")


def check_built_limits(folder: Path, plan: Manifest) -> int:
    """See that an engine has the limits that were asked for: a tool may lower them.

    Returns:
        Its ``max_num_tokens``, of which fewer than were asked for do too, as long as they hold the batch.

    Raises:
        EngineError: Its ``config.json`` is not an engine's, or says something else.
    """
    file = folder / "config.json"
    try:
        built = json.loads(file.read_text(encoding="utf-8"))["build_config"]
        found = {name: built[name] for name in ("max_batch_size", "max_input_len", "max_seq_len")}
        max_num_tokens = int(built["max_num_tokens"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{file} is not an engine's configuration: {type(error).__name__} {error}") from error
    wanted = {name: getattr(plan, name) for name in found}
    if found != wanted or max_num_tokens < plan.max_batch_size:
        found["max_num_tokens"] = max_num_tokens
        raise EngineError(f"asked for {wanted}, and trtllm-build made {found}: give these limits, or others")
    return max_num_tokens


def _last_lines(log: Path, num_lines: int) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-num_lines:]
