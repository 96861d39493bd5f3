"""What a figure means nothing without."""

import platform
import subprocess
from pathlib import Path


def about(device: str = "cpu") -> dict[str, str]:
    """Return ``hardware``, the processor's or the GPU's name, and ``commit``, short."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return {"hardware": _hardware(device), "commit": commit.stdout.strip()}


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()
