"""The stand-in for tensorrt_llm as tests use it."""

import json
import os
from pathlib import Path


class StandIn:
    """A written stand-in and the environment that steers it."""

    def __init__(self, version: str, path: Path, folder: Path):
        self.version = version
        self.path = path
        self.folder = folder
        self.log_file = folder / "calls.jsonl"

    def environment(self, *faults: dict, **more: str) -> dict[str, str]:
        """Return the whole environment of a process that imports the stand-in."""
        rules = [{"marks": str(self.folder / "fault"), **fault} for fault in faults]
        steering = {
            "PYTHONPATH": str(self.path),
            "TRTLLM_STANDIN_GPU": "1",
            "TRTLLM_STANDIN_LOG": str(self.log_file),
            "TRTLLM_STANDIN_FAULTS": json.dumps(rules),
            "XDG_CACHE_HOME": str(self.path.parent / "cache"),
        }
        return os.environ | steering | more

    def calls(self, event: str) -> list[dict]:
        """Return what was logged of one kind, "llm" or "request"."""
        if not self.log_file.exists():
            return []
        lines = map(json.loads, self.log_file.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["event"] == event]
