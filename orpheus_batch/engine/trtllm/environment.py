"""The environment of the process that runs TensorRT-LLM, made before that process imports anything.

Left-overs of a batch system would make MPI believe that it is one rank of many; a second GPU that is visible
would be taken. It changes a copy: the caller's own environment stays as it is.
"""

from collections.abc import Mapping

from orpheus_batch.engine.trtllm.gpus import device_index
from orpheus_batch.errors import EngineError

MULTI_NODE_PREFIXES = ("SLURM_", "PMI_", "PMIX_", "PMI2_", "OMPI_", "MPI_LOCAL", "HYDRA_", "FLUX_", "PALS_")
"""variables by which a launcher tells a process its rank"""
KEPT_PREFIXES = ("OMPI_MCA_btl", "OMPI_MCA_coll", "OMPI_MCA_pml", "OMPI_MCA_plm_rsh", "OMPI_ALLOW_RUN_AS_ROOT")
"""settings of the MPI library itself, which images set on purpose"""


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
    environment = {
        name: value
        for name, value in base.items()
        if not name.startswith(MULTI_NODE_PREFIXES) or name.startswith(KEPT_PREFIXES)
    }
    visible = _visible_devices(base.get("CUDA_VISIBLE_DEVICES"), device, tensor_parallel_size)
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    if tensor_parallel_size == 1:
        # without it even one GPU gets an MPI worker, which runs the caller's main module once more
        environment["TLLM_WORKER_USE_SINGLE_PROCESS"] = "1"
    else:
        environment.pop("TLLM_WORKER_USE_SINGLE_PROCESS", None)
    environment["TRTLLM_NO_USAGE_STATS"] = "1"  # telemetry, on by default in the newest
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    environment.setdefault("TLLM_LOG_LEVEL", "WARNING")
    return environment


def _visible_devices(inherited: str | None, device: str, num_gpus: int) -> str | None:
    """Return CUDA_VISIBLE_DEVICES for ``num_gpus`` from the device on; None leaves it as it is."""
    first = device_index(device)
    names = [name.strip() for name in inherited.split(",") if name.strip()] if inherited is not None else None
    if names is not None and names and len(names) < (first or 0) + num_gpus:
        raise EngineError(
            f"{device} with tensor_parallel_size {num_gpus} wants GPU {(first or 0) + num_gpus - 1}, and "
            f"CUDA_VISIBLE_DEVICES={inherited} leaves {len(names)}"
        )
    if first is None and names is None:
        return None if num_gpus > 1 else "0"
    names = names if names is not None else [str(i) for i in range((first or 0) + num_gpus)]
    return ",".join(names[(first or 0) : (first or 0) + num_gpus])
