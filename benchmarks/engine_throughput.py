"""How many tokens a second does the embedded engine generate on this machine, and where does the time go?

Random weights in the built-in voice's shape, or a pack of one's own. Prompts of about 80 tokens, log-normal
lengths of about 400 forced on each request (random weights do not know when to stop), sampling with
temperature, top-p and repetition penalty as a voice has them. A first run with a clock on every part gives
the shares; the runs that count carry none. It says nothing about how anything sounds.

python benchmarks/engine_throughput.py --threads 1,2 --batch-sizes 32,64

Other processes disturb the clock: take the best of several runs, and look at the load it reports. The last
line is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock, local
from typing import Any
from unittest import mock

import numpy as np
import torch
from about import about
from safetensors.torch import save_file

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch import lane as lane_module
from orpheus_batch.engine.torch.attention import FrameAttention
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.lane import Lane
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.pack_writer import character_layout, vocab_size
from orpheus_batch.testing import TINY_ALPHABET
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_SECOND
from orpheus_batch.voices import load_pack

SHAPE = {
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
CODEBOOK_SIZE = 1024
SAMPLING = Sampling(temperature=0.6, top_p=0.9, repetition_penalty=1.1)


def write_model(folder: Path, layout: TokenLayout) -> None:
    """Write a Llama of `SHAPE` with random weights."""
    config = SHAPE | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab_size(layout),
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 4096,
    }
    noise = torch.Generator().manual_seed(0)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=noise) * columns**-0.5

    hidden, intermediate, head = SHAPE["hidden_size"], SHAPE["intermediate_size"], SHAPE["head_dim"]
    kv_size = SHAPE["num_key_value_heads"] * head
    weights = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], hidden) * 4,
        "model.norm.weight": torch.ones(hidden),
    }
    for layer in range(SHAPE["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        weights |= {
            f"{prefix}.self_attn.q_proj.weight": matrix(hidden, hidden),
            f"{prefix}.self_attn.k_proj.weight": matrix(kv_size, hidden),
            f"{prefix}.self_attn.v_proj.weight": matrix(kv_size, hidden),
            f"{prefix}.self_attn.o_proj.weight": matrix(hidden, hidden),
            f"{prefix}.mlp.gate_proj.weight": matrix(intermediate, hidden),
            f"{prefix}.mlp.up_proj.weight": matrix(intermediate, hidden),
            f"{prefix}.mlp.down_proj.weight": matrix(hidden, intermediate),
            f"{prefix}.input_layernorm.weight": torch.ones(hidden),
            f"{prefix}.post_attention_layernorm.weight": torch.ones(hidden),
        }
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def make_requests(layout: TokenLayout, count: int, mean_tokens: float) -> list[TokenRequest]:
    """Return requests as a book makes them: prompts of about 80 tokens, log-normal lengths."""
    noise = np.random.default_rng(0)
    spread = 0.35
    lengths = np.exp(noise.normal(np.log(mean_tokens) - spread**2 / 2, spread, count))
    lengths = (lengths / 7).round().clip(5, 200).astype(int) * 7
    first_text_id = max(layout.prompt_suffix) + 1 if layout.audio_offset < 1000 else 0
    made = []
    for index, length in enumerate(lengths):
        # about as many characters as speech of this length has
        prompt = noise.integers(first_text_id, layout.audio_offset, max(8, round(length / mean_tokens * 80)))
        made.append(
            TokenRequest(
                segment_id=f"segment-{index}",
                prompt_token_ids=tuple(int(i) for i in prompt),
                max_new_tokens=int(length),
                expected_num_tokens=int(length),
                sampling=SAMPLING,
                seed=0,
                forced_num_tokens=int(length),
            )
        )
    return made


@contextmanager
def clocks() -> Iterator[dict[str, float]]:
    """Add up the CPU seconds that the lanes' threads spend in each part. For a CPU: a GPU's work is queued.

    A part inside another counts as itself, but everything inside the prefill counts as prefill.
    """
    seconds: dict[str, float] = defaultdict(float)
    lock, inside = Lock(), local()

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(inside, "part", None)
            if outer == "prefill":
                return function(*args, **kwargs)
            inside.part = part
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - began
                inside.part = outer
                with lock:
                    seconds[part] += spent
                    if outer is not None:  # counted there, not twice
                        seconds[outer] -= spent

        return call

    with ExitStack() as stack:
        for owner, name, part in (
            (Lane, "run_frame", "rest"),
            (Lane, "_take_in", "prefill"),
            (Linear, "__call__", "linears"),
            (FrameAttention, "attend", "attention"),
            (FrameAttention, "__init__", "cache"),
            (FrameAttention, "start_step", "cache"),
            (FrameAttention, "write", "cache"),
            (PagedCache, "use_blocks", "cache"),
            (PagedCache, "move_blocks", "cache"),
            (lane_module, "sample", "sampler"),
            (lane_module, "apply_repetition_penalty_", "sampler"),
        ):
            stack.enter_context(mock.patch.object(owner, name, timed(part, getattr(owner, name))))
        yield seconds


def measure(engine: TorchEngine, requests: list[TokenRequest]) -> dict[str, float]:
    """Return tokens a second by the clock and by CPU time of one run."""
    began, cpu_began = time.perf_counter(), time.process_time()
    num_tokens = sum(len(stream.token_ids) for stream in engine.generate(requests))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    return {
        "tokens_per_s": num_tokens / wall_s,
        "tokens_per_cpu_s": num_tokens / cpu_s,
        "num_tokens": num_tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", help="a model pack instead of random weights in the built-in voice's shape")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch-sizes", default="64", help="comma-separated")
    parser.add_argument("--tokens-per-block", type=int, default=32)
    parser.add_argument("--threads", default=str(os.cpu_count()), help="comma-separated")
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--mean-tokens", type=float, default=400.0)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        if args.pack:
            pack = load_pack(args.pack)
            model_dir, layout = pack.language_model_dir, pack.layout
        else:
            model_dir, layout = Path(scratch), character_layout(TINY_ALPHABET, CODEBOOK_SIZE)
            write_model(model_dir, layout)
        requests = make_requests(layout, args.requests, args.mean_tokens)
        for threads in (int(t) for t in args.threads.split(",")):
            for batch_size in (int(b) for b in args.batch_sizes.split(",")):
                engine = TorchEngine(
                    model_dir,
                    layout,
                    device=args.device,
                    precision=args.precision,
                    max_batch_size=batch_size,
                    tokens_per_block=args.tokens_per_block,
                    num_threads=threads,
                )
                print(engine.describe())
                with clocks() as seconds:
                    measure(engine, requests)
                shares = {part: round(s / sum(seconds.values()), 3) for part, s in seconds.items()}
                runs = [measure(engine, requests) for _ in range(args.repeats)]
                best = max(runs, key=lambda run: run["tokens_per_s"])
                result = {
                    "threads": threads,
                    "batch_size": batch_size,
                    "tokens_per_s": round(best["tokens_per_s"]),
                    "tokens_per_s_median": round(float(np.median([run["tokens_per_s"] for run in runs]))),
                    "tokens_per_cpu_s": round(max(run["tokens_per_cpu_s"] for run in runs)),
                    "speedup": round(best["tokens_per_s"] / TOKENS_PER_SECOND, 1),
                    "mean_batch": round(engine.stats().mean_batch_size, 1),
                    "num_tokens": int(best["num_tokens"]),
                    "shares": shares,
                    "load_1min": round(os.getloadavg()[0], 2),
                }
                print(result)
                results.append(result)
                engine.close()
    print(json.dumps({"benchmark": "engine_throughput", **settings(args), "results": results}))


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return what a number means nothing without."""
    return {
        **about(args.device),
        "num_cores": os.cpu_count(),
        "torch": torch.__version__,
        "precision": args.precision,
        "model": args.pack or SHAPE | {"codebook_size": CODEBOOK_SIZE},
        "requests": args.requests,
        "mean_tokens": args.mean_tokens,
        "sampling": [SAMPLING.temperature, SAMPLING.top_p, SAMPLING.repetition_penalty],
    }


if __name__ == "__main__":
    main()
