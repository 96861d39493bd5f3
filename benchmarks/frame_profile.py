"""Where does a frame's time go? Each operation of a decode step alone, in Orpheus-3B's shape.

Captured as CUDA graphs of 28 layers' worth of calls (of one layer's data each, caches of 28 layers' size rotated), for
a batch at the mean context of a book. Sums, beside bytes over the measured copy rate, say what to work on next. On a
CPU (``--tiny``) the reference operations run: a check that the script works, no measurement.

The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from orpheus_batch.engine.torch.kernels import operations_for
from orpheus_batch.engine.torch.kernels.types import LayerCache, Product, SamplingState
from orpheus_batch.units import TOKENS_PER_FRAME


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the best time of one call."""
    for _ in range(2):
        work()
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1e3
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    times = []
    for _ in range(7):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return min(times)


def state_of(batch: int, codebook: int, context: int, device: torch.device) -> SamplingState:
    """Return busy slots that never end."""

    def ints(value: int, *shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return torch.full((batch, *shape), value, dtype=dtype, device=device)

    return SamplingState(
        token=ints(0),
        position=ints(context - 1),
        step=ints(14),
        stop_from_step=ints(1 << 30),
        end_step=ints(1 << 30),
        seed=ints(0, dtype=torch.int64),
        segment=torch.randint(1 << 32, (batch, 3), device=device),
        temperature=ints(0).float() + 0.6,
        top_p=ints(0).float() + 0.9,
        repetition_penalty=ints(0).float() + 1.1,
        seen=ints(0, TOKENS_PER_FRAME, codebook, dtype=torch.uint8),
        frame=ints(0, TOKENS_PER_FRAME),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--context", type=int, default=369)
    parser.add_argument("--tokens-per-block", type=int, default=32)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    device = torch.device("cpu" if args.tiny else "cuda")
    layers, hidden, inner, heads, kv_heads, head_dim, codebook = 28, 3072, 8192, 24, 8, 128, 4096
    if args.tiny:
        layers, hidden, inner, heads, kv_heads, head_dim, codebook = 2, 64, 96, 4, 2, 16, 64
        args.batch_size, args.context = 2, 40
    batch, context, size = args.batch_size, args.context, args.tokens_per_block
    operations = operations_for(device)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device).to(torch.bfloat16)

    per_slot = -(-(context + 1) // size)
    blocks = batch * per_slot
    table = torch.randperm(blocks, device=device).view(batch, per_slot).int()
    caches = [
        LayerCache(*(noise(blocks, kv_heads, size, head_dim) for _ in range(2))) for _ in range(min(layers, 4))
    ]
    state = state_of(batch, codebook, context, device)
    positions = state.position.clone()
    columns = (heads + 2 * kv_heads) * head_dim
    weights = [
        (
            noise(columns, hidden),
            noise(hidden, heads * head_dim),
            noise(2 * inner, hidden),
            noise(hidden, inner),
        )
        for _ in range(4)
    ]
    x, qkv, query, gate_up = (noise(batch, n) for n in (hidden, columns, heads * head_dim, 2 * inner))
    gated = noise(batch, inner)
    angles = torch.randn(context + 1, head_dim // 2, device=device)
    cosines, sines = angles.cos(), angles.sin()
    ones = torch.ones(hidden, device=device, dtype=torch.bfloat16)
    logits, head = noise(batch, codebook), noise(codebook, hidden)

    def each(work: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            for layer in range(layers):
                work(layer % 4 % len(caches))

        return run

    def linears(layer: int) -> None:
        for rows, weight in zip((x, query, x, gated), weights[layer], strict=True):
            F.linear(rows, weight)

    def draw() -> None:
        operations.sample_step(logits, 3, None, 0, 0, codebook, state)

    parts = {
        "linears": each(linears),
        "attention": each(lambda layer: operations.decode_attention(query, positions, table, caches[layer])),
        "rotate_and_store": each(
            lambda layer: operations.rotate_and_store(
                Product(qkv), positions, cosines, sines, table, caches[layer]
            )
        ),
        "two_norms": each(
            lambda _: [operations.add_norm(x, Product(query), ones, 1e-5, False) for _ in range(2)]
        ),
        "gate": each(lambda _: operations.gated(Product(gate_up), False)),
        "head": lambda: F.linear(x, head),
        "draw": draw,
    }
    row = {name: round(milliseconds(work, device), 3) for name, work in parts.items()}
    bytes_read = layers * batch * context * kv_heads * head_dim * 2 * 2
    result = {
        "benchmark": "frame_profile",
        "hardware": "cpu" if args.tiny else torch.cuda.get_device_name(device),
        "is_tiny": args.tiny,
        "batch_size": batch,
        "context": context,
        "ms": row,
        "sum_ms": round(sum(row.values()), 3),
        "attention_tb_per_s": round(bytes_read / row["attention"] / 1e9, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
