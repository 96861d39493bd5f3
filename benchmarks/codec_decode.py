"""How fast does the codec turn codes into samples on this machine?

Random weights in the shape of the built-in voice's codec (or a real codec folder), random codes. For each
decoder width and number of threads it decodes the same streams and reports seconds of audio a second: by the
clock, and by CPU time, which other processes disturb less. ``peer`` is the `snac` package's own ``decode``,
weight norm folded, one stream at a time. It says nothing about how the codec sounds.

    python benchmarks/codec_decode.py --widths 256,384 --threads 1,2

The last line is JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from snac import SNAC

from orpheus_batch.codec.snac import SnacCodec, load_model
from orpheus_batch.data import SnacCodes
from orpheus_batch.units import num_frames_to_seconds

CONFIG = {
    "sampling_rate": 24_000,
    "encoder_dim": 32,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": 1024,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}


def write_random_codec(folder: Path, decoder_dim: int) -> None:
    """Write a codec folder with random weights, float16, encoder left out."""
    config = CONFIG | {"decoder_dim": decoder_dim}
    torch.manual_seed(0)
    weights = SNAC(**config).state_dict()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(
        {name: tensor.half() for name, tensor in weights.items() if not name.startswith("encoder.")},
        folder / "model.safetensors",
    )


def best_times(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the shortest wall and CPU seconds of ``work``, after one run to warm up."""
    work()
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        wall_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
    return min(wall_s), min(cpu_s)


def measure(folder: Path, width: int, threads: int, streams: list[SnacCodes], args: argparse.Namespace) -> dict:
    """Return one row of the table."""
    audio_s = sum(num_frames_to_seconds(codes.num_frames) for codes in streams)
    codec = SnacCodec(folder, device=args.device, num_threads=threads)
    wall_s, cpu_s = best_times(lambda: codec.decode(streams, range(len(streams))), args.repeats)
    row = {
        "decoder_dim": width,
        "threads": threads,
        "x_real_time": round(audio_s / wall_s, 1),
        "x_real_time_by_cpu": round(audio_s / cpu_s, 1),
    }
    if args.peer:
        torch.set_num_threads(threads)
        model = load_model(folder).to(codec.device)
        codes = [
            [
                torch.from_numpy(level.astype(np.int64))[None].to(codec.device)
                for level in (stream.coarse, stream.mid, stream.fine)
            ]
            for stream in streams
        ]

        def peer() -> None:
            with torch.inference_mode():
                for stream in codes:
                    model.decode(stream).cpu()

        wall_s, cpu_s = best_times(peer, args.repeats)
        row["peer_x_real_time"] = round(audio_s / wall_s, 1)
        row["peer_x_real_time_by_cpu"] = round(audio_s / cpu_s, 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", default="256,384", help="decoder_dim values, comma-separated")
    parser.add_argument("--codec-dir", type=Path, help="a real codec instead of random weights")
    parser.add_argument("--threads", default="1,2", help="comma-separated")
    parser.add_argument("--num-streams", type=int, default=8)
    parser.add_argument("--num-frames", type=int, default=64, help="mean; streams are half to 1.5 times it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave the snac package out")
    args = parser.parse_args()

    random = np.random.default_rng(0)
    rows = []
    for width in [0] if args.codec_dir else [int(w) for w in args.widths.split(",")]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.codec_dir or Path(temporary)
            if not args.codec_dir:
                write_random_codec(folder, width)
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            lengths = np.linspace(0.5, 1.5, args.num_streams) * args.num_frames
            streams = [
                SnacCodes(
                    *(
                        random.integers(0, config["codebook_size"], int(n) * k).astype(np.int32)
                        for k in (1, 2, 4)
                    )
                )
                for n in lengths
            ]
            for threads in [int(t) for t in args.threads.split(",")]:
                rows.append(measure(folder, config["decoder_dim"], threads, streams, args))
                print(rows[-1], flush=True)
    print(json.dumps({"benchmark": "codec_decode", "device": args.device, "rows": rows}))


if __name__ == "__main__":
    main()
