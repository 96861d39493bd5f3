"""How fast is SNAC at Orpheus's full width, by precision and compiler, and how far from float32?

Random weights in snac_24khz's shape, random codes, batches of streams of 70 frames (6 s). ``own`` is this package's
decoder, ``peer`` the `snac` package's. An error is the norm of the difference to the same decoder in float32, over the
norm of that; each mode runs in turn, and one that fails says why and does not stop the others.

    python benchmarks/codec_modes.py
    python benchmarks/codec_modes.py --tiny      # seconds on a CPU: does it run?

The last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from snac import SNAC

from orpheus_batch.codec.snac_decoder import SnacDecoder
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
        if out.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began, out

    first_s, out = once()
    return first_s, min(once()[0] for _ in range(repeats)), out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-frames", type=int, default=70)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument(
        "--tiny", action="store_true", help="a narrow codec, two short streams, nothing compiled"
    )
    args = parser.parse_args()
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

    def decode_own(*levels: torch.Tensor) -> torch.Tensor:
        return own.decode(list(levels), stops, list(range(size)), tiled=False)

    def decode_peer(*levels: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return model.decode(list(levels)).squeeze(1)

    audio_s = size * num_frames_to_seconds(frames)
    rows, exact = [], {}
    for name, decode in (("own", decode_own), ("peer", decode_peer)):
        for tf32, bf16, compiled in (
            (False, False, False),
            (True, False, False),
            (True, True, False),
            (True, True, True),
        ):
            if compiled and not args.compile:
                continue
            row = {"decoder": name, "tf32": tf32, "bf16": bf16, "compiled": compiled}
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            run = torch.compile(decode, dynamic=False) if compiled else decode
            cast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
            try:
                with torch.inference_mode(), cast:
                    first_s, best_s, out = timed(lambda run=run: run(*codes), args.repeats)
                exact.setdefault(name, out.float())
                error = (out.float() - exact[name]).norm() / exact[name].norm()
                row |= {
                    "speedup": round(audio_s / best_s),
                    "first_s": round(first_s, 1),
                    "error": float(f"{error:.3g}"),
                }
            except Exception as error:
                # a mode that this torch or compiler does not do is a result
                row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            rows.append(row)
            print(json.dumps(row), flush=True)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    head = {"benchmark": "codec_modes", "hardware": hardware, "torch": torch.__version__, "is_tiny": args.tiny}
    print(json.dumps(head | {"batch_size": size, "num_frames": frames, "rows": rows}))


if __name__ == "__main__":
    main()
