"""How fast is SNAC at Orpheus's full width, by precision and compiler, and how far from float32?

Random weights in snac_24khz's shape, random codes, batches of streams of 70 frames (6 s). ``fused`` is this package's
decoder for GPUs, and ``codec`` the same from codes on the host to samples on the host; ``own`` is its decoder laid out
for CPUs, ``peer`` the `snac` package's. An error is the norm of the difference to the same weights and noise in float32
(of ``peer``, to itself in float32), over the norm of that. Rows run in turn, and one that fails says why and does not
stop the others. ``--kernels`` adds the time of each operation of one ``fused`` float16 batch.

    python benchmarks/codec_modes.py
    python benchmarks/codec_modes.py --only fused --kernels
    python benchmarks/codec_modes.py --tiny      # seconds on a CPU: does it run?

The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from snac import SNAC

from orpheus_batch.codec.batches import BatchedDecoder
from orpheus_batch.codec.snac import MAX_BATCH_BYTES
from orpheus_batch.codec.snac_decoder import SnacDecoder
from orpheus_batch.codec.snac_fused import FusedSnacDecoder
from orpheus_batch.data import SnacCodes
from orpheus_batch.units import num_frames_to_seconds

SHAPE = {
    "sampling_rate": 24_000,
    "encoder_dim": 48,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 1024,
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}


def timed(work: Callable[[], torch.Tensor], repeats: int) -> tuple[float, float, torch.Tensor]:
    """Return seconds of the first run (compiling included) and of the best after it, and what comes out."""

    def once() -> tuple[float, torch.Tensor]:
        began = time.perf_counter()
        out = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began, out

    first_s, out = once()
    return first_s, min(once()[0] for _ in range(repeats)), out


@dataclass(frozen=True, slots=True)
class Mode:
    """One row."""

    decoder: str
    precision: str
    decode: Callable[[], torch.Tensor]
    tf32: bool = False
    autocast: bool = False
    compiled: bool = False


def time_of_operations(work: Callable[[], torch.Tensor]) -> dict[str, float]:
    """Return milliseconds of the fifteen operations that take most of one run, by name."""
    with torch.profiler.profile() as profile:
        is_cuda = work().is_cuda
        if is_cuda:
            torch.cuda.synchronize()
    times = [
        (e.self_device_time_total if is_cuda else e.self_cpu_time_total, e.key) for e in profile.key_averages()
    ]
    return {name[:80]: round(time_us / 1000, 3) for time_us, name in sorted(times, reverse=True)[:15]}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-frames", type=int, default=70)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", metavar="NAMES", help="fused, codec, own, peer; comma-separated")
    parser.add_argument(
        "--kernels", action="store_true", help="add the time of each operation of a fused batch"
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument(
        "--tiny", action="store_true", help="a narrow codec, two short streams, nothing compiled"
    )
    return parser.parse_args()


def measure(
    mode: Mode, device: torch.device, repeats: int, exact: dict[str, torch.Tensor], audio_s: float
) -> dict:
    """Return one row; ``exact`` holds what float32 gives, by decoder."""
    row = {"decoder": mode.decoder, "precision": mode.precision, "compiled": mode.compiled}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode.tf32
    run = torch.compile(mode.decode, dynamic=False) if mode.compiled else mode.decode
    cast = torch.autocast(device.type, torch.bfloat16) if mode.autocast else nullcontext()
    try:
        with torch.inference_mode(), cast:
            first_s, best_s, out = timed(run, repeats)
        truth = exact.setdefault("peer", out.float()) if mode.decoder == "peer" else exact["own"]
        error = (out.to(device).float() - truth).norm() / truth.norm()
        row |= {
            "speedup": round(audio_s / best_s),
            "first_s": round(first_s, 1),
            "error": float(f"{error:.3g}"),
        }
    except Exception as error:
        # a mode that this torch or compiler does not do is a result
        row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return row


def main() -> None:
    args = options()
    shape = SHAPE
    if args.tiny:
        args.batch_size, args.num_frames, args.repeats, args.compile = 2, 8, 1, False
        shape = SHAPE | {"decoder_dim": 64, "encoder_dim": 8}
    device = torch.device(args.device)
    torch.manual_seed(0)
    model = SNAC(**shape).eval().requires_grad_(False)
    for module in model.modules():
        if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    own = SnacDecoder(model, device)
    model = model.to(device)
    size, frames = args.batch_size, args.num_frames
    codes = [torch.randint(0, shape["codebook_size"], (size, frames * k), device=device) for k in (1, 2, 4)]
    stops = torch.full((size,), 4 * frames, device=device)
    seeds = torch.arange(size, device=device)
    streams = [SnacCodes(*(level[i].int().cpu().numpy() for level in codes)) for i in range(size)]

    def decode_own() -> torch.Tensor:
        return own.decode(codes, stops, seeds, tiled=False)

    def decode_peer() -> torch.Tensor:
        torch.manual_seed(0)
        return model.decode(codes).squeeze(1)

    modes, fused = [], {}
    for precision in ("float16", "bfloat16"):
        fused[precision] = FusedSnacDecoder(own, getattr(torch, precision))
        modes.append(Mode("fused", precision, partial(fused[precision].decode, codes, stops, seeds)))
    max_frames = max(MAX_BATCH_BYTES // fused["float16"].bytes_per_frame, 1)
    batches = BatchedDecoder(fused["float16"].decode, device, max_frames)
    modes.append(
        Mode(
            "codec",
            "float16",
            lambda: torch.from_numpy(np.stack(batches.decode(streams, range(size)))),
        )
    )
    for name, decode in (("own", decode_own), ("peer", decode_peer)):
        modes += [
            Mode(name, "float32", decode),
            Mode(name, "tf32", decode, tf32=True),
            Mode(name, "bfloat16", decode, tf32=True, autocast=True),
            Mode(name, "bfloat16", decode, tf32=True, autocast=True, compiled=True),
        ]
    only = args.only.split(",") if args.only else [mode.decoder for mode in modes]
    modes = [mode for mode in modes if mode.decoder in only and (args.compile or not mode.compiled)]

    audio_s = size * num_frames_to_seconds(frames)
    torch.backends.cudnn.allow_tf32 = False
    with torch.inference_mode():
        exact = {"own": decode_own()}
    rows = []
    for mode in modes:
        row = measure(mode, device, args.repeats, exact, audio_s)
        rows.append(row)
        print(json.dumps(row), flush=True)
    head = {}
    if args.kernels:
        with torch.inference_mode():
            head["kernels_ms"] = time_of_operations(partial(fused["float16"].decode, codes, stops, seeds))
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    head |= {"benchmark": "codec_modes", "hardware": hardware, "torch": torch.__version__, "is_tiny": args.tiny}
    print(json.dumps(head | {"batch_size": size, "num_frames": frames, "rows": rows}))


if __name__ == "__main__":
    main()
