"""Checkpoints as TensorRT-LLM reads them: the built-in voice's int8 matrices multiplied out once.

The embedded engine reads int8 with one scale a row; TensorRT-LLM does not. An unpacked copy lies in the user's
cache folder, known by the hash of what it was made from.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from orpheus_batch.errors import EngineError
from orpheus_batch.fingerprint import fingerprint_files

_FORMAT_VERSION = 1
_DONE = "config.json"
"""copied last, so a folder that has it is whole"""


def is_packed_int8(model_dir: Path) -> bool:
    """Return whether a checkpoint holds int8 matrices in this package's own form.

    Raises:
        EngineError: A file can't be read.
    """
    from safetensors import SafetensorError, safe_open

    for file in sorted(model_dir.glob("*.safetensors")):
        try:
            with safe_open(file, "numpy") as tensors:
                names = set(tensors.keys())
                if any(
                    f"{name}_scale" in names and tensors.get_slice(name).get_dtype() == "I8" for name in names
                ):
                    return True
        except (OSError, SafetensorError) as error:
            raise EngineError(f"can't read {file}: {error}; it may be cut short, fetch it again") from error
    return False


def plain_checkpoint(model_dir: Path) -> Path:
    """Return a folder with the same model that TensorRT-LLM can read: this one, or an unpacked copy of it.

    Raises:
        EngineError: The checkpoint can't be read, or the copy can't be written.
    """
    if not is_packed_int8(model_dir):
        return model_dir
    files = [*sorted(model_dir.glob("*.safetensors")), model_dir / "config.json"]
    key = fingerprint_files(files, salt=f"bfloat16|{_FORMAT_VERSION}")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orpheus-batch" / "checkpoints"
    target = base / key[:32]
    if (target / _DONE).is_file():
        return target
    try:
        base.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=base, prefix=".unpacking-"))
        try:
            unpack_int8(model_dir, beside)
            shutil.rmtree(target, ignore_errors=True)
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        if (target / _DONE).is_file():  # another process was faster
            return target
        raise EngineError(f"can't unpack {model_dir} to {target}: {error}") from error
    return target


def unpack_int8(model_dir: Path, target: Path) -> None:
    """Write a checkpoint with every matrix in bfloat16, in a folder that exists.

    Args:
        model_dir: Hugging Face Llama directory whose int8 matrices have a ``NAME_scale`` of one number a row.
        target: Gets weights, tokenizer files and, last, ``config.json``.

    Raises:
        OSError: A file can't be read or written.
    """
    import torch
    from safetensors.torch import load_file, save_file

    for file in sorted(model_dir.glob("*.safetensors")):
        stored = load_file(file)
        plain = {}
        for name, tensor in stored.items():
            if name.endswith("_scale") and name.removesuffix("_scale") in stored:
                continue
            values = tensor.float()
            if f"{name}_scale" in stored:
                values = values * stored[f"{name}_scale"].float().reshape(-1, 1)
            plain[name] = values.to(torch.bfloat16).contiguous()
        save_file(plain, target / file.name, metadata={"format": "pt"})
    for file in sorted(model_dir.glob("*.json")):
        if file.name != "config.json":
            shutil.copyfile(file, target / file.name)
    config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    config["torch_dtype"] = "bfloat16"
    (target / _DONE).write_text(json.dumps(config, indent=1), encoding="utf-8")
