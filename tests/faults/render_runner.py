"""The command line in a process of its own, on fakes, that can be made to die at a chosen instant.

    python render_runner.py SPEC.json render BOOK -o OUT ...

SPEC holds "folder", of a `line_helpers.Line`, and may hold

- "kill": "target" ("module:Class.name"), "when" ("before" or "after") and "nth" say at which call of a function
  the process kills itself, "delay_s" later;
- "stream_s": how long a stream takes;
- "hang_on_close": the engine takes a minute to close;
- "max_file_bytes": past which the system refuses to write;
- "peak_file": where to write the process's largest memory, in KiB.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from line_helpers import Line, LoggedEngine  # found through the line above

import orpheus_batch.corpus.corpus
import orpheus_batch.corpus.prompts
import orpheus_batch.pipeline.run
from orpheus_batch.cli import main


def die_at(target: str, when: str, nth: int, delay_s: float = 0.0) -> None:
    """Replace a function by one that kills this process at a call of it."""
    module_name, _, path = target.partition(":")
    owner = importlib.import_module(module_name)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    num_calls = 0

    def replacement(*args, **kwargs):
        nonlocal num_calls
        num_calls += 1
        if num_calls == nth and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if num_calls == nth:
            time.sleep(delay_s)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, replacement)


def run(spec: dict) -> None:
    """Run the command line as ``spec`` says."""
    line = Line(Path(spec["folder"]))
    factories = line.factories
    orpheus_batch.pipeline.run.Factories = lambda: factories
    orpheus_batch.corpus.corpus.Factories = lambda: factories
    orpheus_batch.corpus.prompts.Factories = lambda: factories
    if spec.get("stream_s"):
        stream = LoggedEngine.stream

        def slow_stream(self, request):
            time.sleep(spec["stream_s"])
            return stream(self, request)

        LoggedEngine.stream = slow_stream
    if spec.get("hang_on_close"):
        LoggedEngine.close = lambda self: time.sleep(60)
    if spec.get("max_file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (spec["max_file_bytes"], spec["max_file_bytes"]))
    if spec.get("kill"):
        die_at(**spec["kill"])
    try:
        main()
    finally:
        if spec.get("peak_file"):
            peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            Path(spec["peak_file"]).write_text(str(peak_kib), encoding="utf-8")


if __name__ == "__main__":
    run(json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8")))
