"""Tokens a second of the embedded engine in Orpheus-3B's shape, beside what the device could do at most.

Random weights made on the device, 4,096 sentences: prompts of 20 to 60 tokens, audio of log-normal lengths (median
420 tokens), forced on each request, since random weights do not know when to stop. No quality checks, no retakes, no
codec. The floor is counted for the very lengths run: the larger of arithmetic and reading weights, plus reading keys
and values, over ceilings measured on the spot; so overlapping the two could go beyond 100 %.

    python benchmarks/orpheus_throughput.py --batch-sizes 512,1024
    python benchmarks/orpheus_throughput.py --weights float8 --kv float8
    python benchmarks/orpheus_throughput.py --tiny          # seconds on a CPU: does it run?

The last line is JSON.
"""

import argparse
import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from about import about

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch import engine as engine_module
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.engine.torch.weights import LayerWeights, LlamaConfig, LlamaWeights
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME, TOKENS_PER_SECOND

ORPHEUS = {
    "model_type": "llama",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 156_940,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "max_position_embeddings": 8192,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
    },
}
TINY = ORPHEUS | {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
LAYOUT = TokenLayout(
    prompt_prefix=(128_259, 128_000),
    prompt_suffix=(128_009, 128_260, 128_261, 128_257),
    stop_id=128_258,
    audio_offset=128_266,
    codebook_size=4096,
)
FLOAT8_NOTE = "float8 is unproven on Orpheus's own weights"
SAMPLING = Sampling(temperature=0.6, top_p=0.9, repetition_penalty=1.1)


def sentences(count: int) -> list[tuple[list[int], int]]:
    """Return prompts and lengths, always the same; `peer_vllm.py` takes them too."""
    noise = random.Random(0)
    lengths = [max(70, min(1600, int(noise.lognormvariate(6.04, 0.55)) // 7 * 7)) for _ in range(count)]
    return [([noise.randrange(3, 128_000) for _ in range(noise.randint(20, 60))], n) for n in lengths]


def as_requests(made: list[tuple[list[int], int]]) -> list[TokenRequest]:
    return [
        TokenRequest(
            segment_id=f"sentence-{index}",
            prompt_token_ids=tuple(prompt),
            max_new_tokens=length,
            expected_num_tokens=length,
            sampling=SAMPLING,
            seed=0,
            forced_num_tokens=length,
        )
        for index, (prompt, length) in enumerate(made)
    ]


def random_weights(_folder, config: LlamaConfig, layout: TokenLayout, device, dtype) -> LlamaWeights:
    """Stand in for `load_weights`: normal numbers, made where they are used."""
    noise = torch.Generator(device).manual_seed(0)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        made = torch.empty(rows, columns, device=device, dtype=dtype)
        return made.normal_(0.0, columns**-0.5, generator=noise)

    ones = torch.ones(config.hidden_size, device=device, dtype=dtype)
    heads, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    embedding = matrix(config.vocab_size, config.hidden_size)
    rows = [
        embedding[layout.position_start(place) : layout.position_start(place + 1)]
        for place in range(TOKENS_PER_FRAME)
    ]
    rows[0] = torch.cat([embedding[layout.stop_id : layout.stop_id + 1], rows[0]])
    layers = tuple(
        LayerWeights(
            input_norm=ones,
            qkv=Linear(matrix(heads + 2 * kv, config.hidden_size)),
            out=Linear(matrix(config.hidden_size, heads)),
            post_attention_norm=ones,
            gate_up=Linear(matrix(2 * config.intermediate_size, config.hidden_size)),
            down=Linear(matrix(config.hidden_size, config.intermediate_size)),
        )
        for _ in range(config.num_layers)
    )
    return LlamaWeights(embedding, layers, ones, tuple(Linear(part) for part in rows))


@dataclass(frozen=True)
class Ceilings:
    """What the device does at most, measured on the spot."""

    bandwidth: float
    """bytes a second of a copy, read and written"""
    rate: float
    """operations a second of a bf16 product"""
    float8_rate: float | None
    """likewise of a float8 product; None where there is none"""


def ceilings(device: torch.device) -> Ceilings:
    """Measure the ceilings."""
    size = 2**32 if device.type == "cuda" else 2**26
    side = 8192 if device.type == "cuda" else 256
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def best(work) -> float:
        times = []
        for _ in range(6):
            wait(device)
            began = time.perf_counter()
            for _ in range(4):
                work()
            wait(device)
            times.append((time.perf_counter() - began) / 4)
        return min(times)

    float8_rate = None
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9):
        one = torch.ones((), device=device)
        rows, columns = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn).t()
        float8_rate = (
            2 * side**3 / best(lambda: torch._scaled_mm(rows, columns, one, one, out_dtype=left.dtype))
        )
    return Ceilings(
        2 * size / best(lambda: target.copy_(source)), 2 * side**3 / best(lambda: left @ right), float8_rate
    )


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def floor_s(
    config: LlamaConfig, made: list, num_frames: float, kv_bytes: int, weights: str, top: Ceilings
) -> float:
    """Return the seconds that arithmetic (or weights) and keys and values take at the measured ceilings."""
    layers = config.num_parameters - config.vocab_size * config.hidden_size
    head = LAYOUT.codebook_size * config.hidden_size
    num_tokens = sum(frames_of(length) for _, length in made)
    num_prompt = sum(len(prompt) - 1 for prompt, _ in made)
    contexts = sum(
        frames_of(length) * len(prompt) + frames_of(length) * (frames_of(length) - 1) // 2
        for prompt, length in made
    )
    steps = num_frames * TOKENS_PER_FRAME
    layer_rate, layer_bytes = (top.float8_rate or top.rate, 1) if weights == "float8" else (top.rate, 2)
    arithmetic = 2 * (num_tokens + num_prompt) * layers / layer_rate + 2 * num_tokens * head / top.rate
    reading = steps * (layer_bytes * layers + 2 * head) / top.bandwidth
    attention = 4 * contexts * config.num_layers * config.num_heads * config.head_dim / top.rate
    return max(arithmetic, reading) + attention + contexts * kv_bytes / top.bandwidth


def frames_of(length: int) -> int:
    """Return tokens of whole frames."""
    return -(-length // TOKENS_PER_FRAME) * TOKENS_PER_FRAME


def make_engine(
    folder: Path,
    device: str,
    batch_size: int,
    *,
    kv: str = "auto",
    weights: str = "bfloat16",
    tiny: bool = False,
    tokens_per_block: int = 32,
    frames: bool = True,
) -> TorchEngine:
    """Return the embedded engine with random weights; `multi_gpu.py` makes one a GPU."""
    (folder / "config.json").write_text(json.dumps(TINY if tiny else ORPHEUS), encoding="utf-8")
    with mock.patch.object(engine_module, "load_weights", random_weights):
        return TorchEngine(
            folder,
            LAYOUT,
            device=device,
            precision="bfloat16",
            max_batch_size=batch_size,
            tokens_per_block=tokens_per_block,
            kv_cache_gb=0.05 if tiny else None,
            frames=frames,
            kv_precision=kv,
            **({} if weights == "bfloat16" else {"weight_precision": weights}),
        )


def measure(args, folder: Path, batch_size: int, kv: str, top: Ceilings) -> dict:
    began = time.perf_counter()
    engine = make_engine(
        folder,
        args.device,
        batch_size,
        kv=kv,
        weights=args.weights,
        tiny=args.tiny,
        tokens_per_block=args.tokens_per_block,
    )
    load_s = time.perf_counter() - began
    print(engine.describe(), f"made in {load_s:.1f} s", flush=True)
    device = torch.device(args.device)
    warm = as_requests([(prompt, 14) for prompt, _ in sentences(min(64, args.requests))])
    list(engine.generate(warm))
    warmed = engine.stats()
    made = sentences(args.requests)
    if args.tiny:
        made = [(prompt, min(length, 42)) for prompt, length in made]
    requests = as_requests(made)
    wait(device)
    began = time.perf_counter()
    streams = list(engine.generate(requests))
    wait(device)
    wall_s = time.perf_counter() - began
    num_tokens = sum(len(stream.token_ids) for stream in streams)
    wrong = [s for s in streams if s.finish_reason != "length"]
    if wrong or num_tokens != sum(frames_of(length) for _, length in made):
        raise SystemExit(f"{len(wrong)} streams did not end as forced: {wrong[:2]}")
    stats = engine.stats()
    num_frames = max(lane.num_frames for lane in engine._lane_stats) - round(
        warmed.num_generated_tokens / TOKENS_PER_FRAME / max(warmed.mean_batch_size, 1)
    )
    token_bytes = engine._config.kv_bytes_per_token(engine._kv_dtype)
    floor = floor_s(engine._config, made, num_frames, token_bytes, args.weights, top)
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    row = {
        "batch_size": sum(engine._lanes.lane_sizes),
        "kv": kv,
        "weights": args.weights,
        **({"note": FLOAT8_NOTE} if "float8" in (args.weights, kv) else {}),
        "num_tokens": num_tokens,
        "wall_s": round(wall_s, 2),
        "tokens_per_s": round(num_tokens / wall_s),
        "speedup": round(num_tokens / wall_s / TOKENS_PER_SECOND, 1),
        "mean_batch": round(num_tokens / TOKENS_PER_FRAME / num_frames, 1),
        "ms_per_step": round(wall_s / num_frames / TOKENS_PER_FRAME * 1e3, 2),
        "late_frames": round(sum(lane.num_late_frames for lane in engine._lane_stats) / num_frames, 3),
        "floor_s": round(floor, 2),
        "share_of_roofline": round(floor / wall_s, 3),
        "load_s": round(load_s, 1),
        "peak_gb": round(memory, 1),
        "num_streams": stats.num_streams - warmed.num_streams,
    }
    engine.close()
    del engine
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-sizes", default="1024", help="comma-separated")
    parser.add_argument("--kv", default="auto", help="auto, float8 or both, comma-separated")
    parser.add_argument("--weights", choices=("bfloat16", "float8"), default="bfloat16")
    parser.add_argument("--requests", type=int, default=4096)
    parser.add_argument("--tokens-per-block", type=int, default=32)
    parser.add_argument("--tiny", action="store_true", help="a small model and four short sentences")
    args = parser.parse_args()
    if args.tiny:
        args.requests, args.batch_sizes = 4, "2"
    top = ceilings(torch.device(args.device))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for kv in args.kv.split(","):
            for batch_size in (int(size) for size in args.batch_sizes.split(",")):
                rows.append(measure(args, folder, batch_size, kv, top))
                print(json.dumps(rows[-1]), flush=True)
    print(
        json.dumps(
            {
                "benchmark": "orpheus_throughput",
                **about(args.device),
                "torch": torch.__version__,
                "is_tiny": args.tiny,
                "weights": "random",
                "lengths": "forced; no checks, no retakes",
                "copy_tb_per_s": round(top.bandwidth / 1e12, 3),
                "bf16_tflop_per_s": round(top.rate / 1e12, 1),
                "float8_tflop_per_s": top.float8_rate and round(top.float8_rate / 1e12, 1),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
