"""Tokens a second of 1, 2 and 4 GPUs in Orpheus-3B's shape: through Ray, and as independent processes without it.

Each GPU has the embedded engine with random weights (`orpheus_throughput.py`: its shape, its sentences, forced lengths;
no codec, no checks) and as much work as every other: ``--requests`` sentences for each. Two ways:

- ``ray``: `RayEngine`, as ``--ray`` uses it: one stream of requests, fed from here to an actor a GPU;
- ``processes``: N processes that know nothing of each other, each with one GPU and its Nth share, as ``--shard i/N``.

Engines are made and warmed up first; the clock runs from the first request to the last stream. ``scaling`` is the
speed over that of one GPU, the same way, in this run. ``driver_cpu_s`` is the CPU time of the process that feeds.

    python benchmarks/multi_gpu.py --gpus 1,2,4                       # both ways; four GPUs in one machine
    python benchmarks/multi_gpu.py --gpus 1,2 --ways processes        # without Ray
    python benchmarks/multi_gpu.py --tiny --gpus 1,2                  # on a CPU: does it run?

It needs no network. Where Ray is not installed and can't be fetched, carry its wheels along (for Python 3.12 on x86-64;
torch, numpy, click, filelock, msgpack, packaging, protobuf, PyYAML and requests are taken to be there):

    pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 -d wheels \
        ray==2.60.0 jsonschema jsonschema-specifications referencing rpds-py attrs typing_extensions
    zip -qd wheels/ray-*.whl 'ray/jars/*' 'ray/dashboard/client/*' 'ray/rllib/*'     # if size matters: 79 MB become 43
    pip install --no-index --no-deps --target site wheels/*.whl && export PYTHONPATH=site        # over there

(The folder `site` packs to 24 MB with xz.) The last line is JSON.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from about import about

from orpheus_batch.engine.trtllm.gpus import query_gpus
from orpheus_batch.units import TOKENS_PER_SECOND

FOLDER = Path(__file__).parent
WARM_UP = 64
"""short sentences for each engine"""
PATIENCE_S = 600.0
"""for engines to be made, and for a share to be done"""


def make(options: argparse.Namespace) -> Any:
    """Return one engine, on the one GPU that its process sees."""
    sys.path.insert(0, str(FOLDER))
    from orpheus_throughput import make_engine

    with tempfile.TemporaryDirectory() as folder:
        return make_engine(
            Path(folder), options.device, options.batch_size, tiny=options.tiny, frames=options.frames
        )


def work(options: argparse.Namespace, num_gpus: int) -> tuple[list, list]:
    """Return requests to warm up with, and those to be timed."""
    from orpheus_throughput import as_requests, sentences

    made = sentences(options.requests * num_gpus)
    if options.tiny:
        made = [(prompt, min(length, 42)) for prompt, length in made]
    warm = [(prompt, 14) for prompt, _ in sentences(WARM_UP * num_gpus)]
    return as_requests(warm), as_requests(made)


def count(streams: list, requests: list) -> int:
    """Return the tokens of streams, which must answer all requests as forced."""
    wrong = [stream for stream in streams if stream.finish_reason != "length"]
    if wrong or len(streams) != len(requests):
        raise SystemExit(
            f"{len(streams)} streams for {len(requests)} requests, {len(wrong)} wrong: {wrong[:1]}"
        )
    return sum(len(stream.token_ids) for stream in streams)


def through_ray(options: argparse.Namespace, num_gpus: int) -> dict[str, Any]:
    """Time one stream of requests through `RayEngine`."""
    from orpheus_batch.engine.ray import RayEngine

    began = time.perf_counter()
    engine = RayEngine(
        functools.partial(make, options), address="local", device=options.device, num_workers=num_gpus
    )
    try:
        warm, requests = work(options, num_gpus)
        list(engine.generate(warm))
        load_s = time.perf_counter() - began
        cpu_s, began = cpu_seconds(), time.perf_counter()
        streams = list(engine.generate(requests))
        wall_s = time.perf_counter() - began
    finally:
        engine.close()
    return row(num_gpus, count(streams, requests), wall_s, load_s, cpu_seconds() - cpu_s)


def as_processes(options: argparse.Namespace, num_gpus: int) -> dict[str, Any]:
    """Time N processes that begin together, each with its share."""
    began = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(num_gpus + 1), context.Queue()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(num_gpus)]
    processes = []
    for index in range(num_gpus):
        os.environ["CUDA_VISIBLE_DEVICES"] = names[index]  # the child's, before it imports torch
        arguments = (options, index, num_gpus, ready, answers)
        processes.append(context.Process(target=one_process, args=arguments, daemon=True))
        processes[-1].start()
    if visible is None:
        del os.environ["CUDA_VISIBLE_DEVICES"]
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    ready.wait(PATIENCE_S)
    load_s = time.perf_counter() - began
    cpu_s, began = cpu_seconds(), time.perf_counter()
    tokens = [answers.get(timeout=PATIENCE_S) for _ in processes]
    wall_s = time.perf_counter() - began
    for process in processes:
        process.join()
    return row(num_gpus, sum(tokens), wall_s, load_s, cpu_seconds() - cpu_s)


def one_process(options: argparse.Namespace, index: int, num_gpus: int, ready: Any, answers: Any) -> None:
    """Make an engine, wait for the others, and generate a share."""
    try:
        engine = make(options)
        warm, requests = (made[index::num_gpus] for made in work(options, num_gpus))
        list(engine.generate(warm))
    except BaseException:
        ready.abort()
        raise
    ready.wait(PATIENCE_S)
    answers.put(count(list(engine.generate(requests)), requests))
    engine.close()


def cpu_seconds() -> float:
    """Return the CPU time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def row(num_gpus: int, num_tokens: int, wall_s: float, load_s: float, driver_cpu_s: float) -> dict[str, Any]:
    """Return the figures of one run."""
    return {
        "gpus": num_gpus,
        "num_tokens": num_tokens,
        "wall_s": round(wall_s, 2),
        "tokens_per_s": round(num_tokens / wall_s),
        "speedup": round(num_tokens / wall_s / TOKENS_PER_SECOND, 1),
        "load_s": round(load_s, 1),
        "driver_cpu_s": round(driver_cpu_s, 2),
    }


WAYS = {"ray": through_ray, "processes": as_processes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", default="1,2,4", help="numbers of GPUs, comma-separated; the first is 1")
    parser.add_argument("--ways", help="ray, processes, or both, comma-separated; without: those that can be")
    parser.add_argument("--device", help="cuda or cpu; without: cuda where there is one")
    parser.add_argument("--batch-size", type=int, default=1024, help="sequences of each GPU")
    parser.add_argument("--requests", type=int, default=4096, help="sentences for each GPU")
    parser.add_argument(
        "--frames", action=argparse.BooleanOptionalAction, default=True, help="whole frames ahead"
    )
    parser.add_argument("--tiny", action="store_true", help="a small model, a few short sentences, on the CPU")
    options = parser.parse_args()
    if options.tiny:
        options.requests, options.batch_size, options.device = 6, 2, "cpu"
    if options.device is None:
        # Asked of the driver's tool, not of torch: this process must not hold a context on any GPU.
        options.device = "cuda" if query_gpus() else "cpu"
    has_ray = importlib.util.find_spec("ray") is not None
    ways = options.ways.split(",") if options.ways else [way for way in WAYS if has_ray or way != "ray"]
    # Ray's workers are this process' children: they find the package and this folder as it does.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *filter(None, sys.path)])
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as Ray gives its workers
    rows = []
    for way in ways:
        alone = None
        for num_gpus in (int(number) for number in options.gpus.split(",")):
            found = {"way": way, **WAYS[way](options, num_gpus)}
            alone = alone or found["tokens_per_s"] / num_gpus
            rows.append(found | {"scaling": round(found["tokens_per_s"] / alone, 3)})
            print(json.dumps(rows[-1]), flush=True)
    import torch

    print(
        json.dumps(
            {
                "benchmark": "multi_gpu",
                **about(options.device),
                "torch": torch.__version__,
                "ray": importlib.metadata.version("ray") if "ray" in ways else None,
                "is_tiny": options.tiny,
                "batch_size": options.batch_size,
                "requests_per_gpu": options.requests,
                "frames": options.frames,
                "weights": "random, bfloat16",
                "lengths": "forced; no codec, no checks",
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
