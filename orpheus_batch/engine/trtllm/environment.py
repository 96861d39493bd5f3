"""The environment of whatever runs TensorRT-LLM, made before that process imports anything.

Left-overs of a batch system would make MPI believe that it is one rank of many; a second GPU that is visible
would be taken. It changes a copy: the caller's own environment stays as it is.
"""

from collections.abc import Mapping

from orpheus_batch.engine.trtllm.gpus import device_index
from orpheus_batch.errors import EngineError

LAUNCHER_PREFIXES = (
    *("SLURM_", "PMI_", "PMIX_", "PMI2_", "OMPI_", "PRTE_", "MPI_LOCAL", "HYDRA_", "FLUX_", "PALS_", "JSM_"),
    *("TORCHELASTIC_", "TLLM_SPAWN_PROXY_PROCESS"),
)
"""variables by which a launcher tells a process its rank"""
LAUNCHER_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK")
"""likewise, torchrun's"""
KEPT_PREFIXES = ("OMPI_MCA_btl", "OMPI_MCA_coll", "OMPI_MCA_pml", "OMPI_MCA_plm_rsh", "OMPI_ALLOW_RUN_AS_ROOT")
"""settings of the MPI library itself, which images set on purpose"""


def clean_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of ``base`` without any launcher's variables, in which the library reports to nobody."""
    environment = {
        name: value
        for name, value in base.items()
        if name not in LAUNCHER_NAMES
        and (not name.startswith(LAUNCHER_PREFIXES) or name.startswith(KEPT_PREFIXES))
    }
    environment["TRTLLM_NO_USAGE_STATS"] = "1"  # telemetry, on by default in the newest
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    return environment


def tool_environment(base: Mapping[str, str], num_gpus: int) -> dict[str, str]:
    """Return the environment for a tool that builds: the first GPUs of those that the caller may use, if any."""
    environment = clean_environment(base)
    names = _names(base.get("CUDA_VISIBLE_DEVICES"))
    if names is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(names[:num_gpus])
    elif num_gpus == 1:
        environment["CUDA_VISIBLE_DEVICES"] = "0"  # the one that the plan was made for
    return environment


def worker_environment(base: Mapping[str, str], *, device: str, tensor_parallel_size: int) -> dict[str, str]:
    """Return the environment for one engine.

    Args:
        base: Of the caller.
        device: "cuda", "cuda:N" or "auto"; N counts among the GPUs that the caller may use.
        tensor_parallel_size: GPUs of the engine, from N on.

    Raises:
        EngineError: ``device`` is none of a GPU's names, or fewer GPUs are visible than are needed.
    """
    if device not in ("auto", "cpu", "cuda") and device_index(device) is None:
        raise EngineError(f"there is no device '{device}': give auto, cuda or cuda:N")
    environment = clean_environment(base)
    visible = _visible_devices(base.get("CUDA_VISIBLE_DEVICES"), device, tensor_parallel_size)
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    if tensor_parallel_size == 1:
        # without it even one GPU gets an MPI worker, which runs the caller's main module once more
        environment["TLLM_WORKER_USE_SINGLE_PROCESS"] = "1"
    else:
        environment.pop("TLLM_WORKER_USE_SINGLE_PROCESS", None)
    environment.setdefault("TLLM_LOG_LEVEL", "WARNING")
    return environment


def _visible_devices(inherited: str | None, device: str, num_gpus: int) -> str | None:
    """Return CUDA_VISIBLE_DEVICES for ``num_gpus`` from the device on; None leaves it as it is."""
    first = device_index(device)
    names = _names(inherited)
    if names and len(names) < (first or 0) + num_gpus:
        raise EngineError(
            f"{device} with tensor_parallel_size {num_gpus} wants GPU {(first or 0) + num_gpus - 1}, and "
            f"CUDA_VISIBLE_DEVICES={inherited} leaves {len(names)}"
        )
    if first is None and names is None:
        return None if num_gpus > 1 else "0"
    names = names if names is not None else [str(i) for i in range((first or 0) + num_gpus)]
    return ",".join(names[(first or 0) : (first or 0) + num_gpus])


def _names(visible_devices: str | None) -> list[str] | None:
    """Return what CUDA_VISIBLE_DEVICES lists, None where it is not set."""
    if visible_devices is None:
        return None
    return [name.strip() for name in visible_devices.split(",") if name.strip()]
