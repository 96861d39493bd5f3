"""Compiles every kernel of SNAC's decoder for compute capability 9.0, with no GPU: the widths of SNAC 24 kHz."""

import sys

from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from triton.runtime.jit import JITFunction

from orpheus_batch.codec.kernels.columns import (
    add_noise_kernel,
    filter_kernel,
    neighbour_kernel,
    samples_kernel,
)
from orpheus_batch.codec.kernels.noise import noise_kernel

INT, LONG, SINGLE = "*i32", "*i64", "*fp32"


def build(kernel: JITFunction, types: list[str], **constants) -> str:
    """Compile one kernel, print what it takes of a multiprocessor, and return its assembly."""
    names = [name for name in kernel.arg_names if name not in constants]
    signature = dict(zip(names, types, strict=True)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, {n: signature[n] for n in kernel.arg_names}, constants)
    # pointers are aligned as the launcher finds them
    source.attrs = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(kernel.arg_names)
        if signature[name].startswith("*")
    }
    made = compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})
    print(f"{kernel.fn.__name__:18s} {types[0]:6s} {constants} shared {made.metadata.shared} B")
    return made.asm["ptx"]


def main() -> None:
    for half, channels, dilation, first in (("*fp16", 64, 9, True), ("*bf16", 768, 1, False)):
        width = min(channels, 128)
        ptx = build(
            filter_kernel,
            [half, *[SINGLE] * 7, INT, half, "i32"],
            OFFSET=1,
            CHANNELS=channels,
            DILATION=dilation,
            FIRST=first,
            SECOND=first,
            STEPS=16,
            LANES=512 // width,
            WIDTH=width,
        )
        if first and "sin.approx" not in ptx:
            sys.exit("the fast sine is not one instruction")
        tile = {"OFFSET": 1, "CHANNELS": 128, "ROWS": 8, "WIDTH": 128}
        build(neighbour_kernel, [half, *[SINGLE] * 3, INT, half, "i32", "i32"], **tile)
        build(add_noise_kernel, [half, SINGLE, half, SINGLE, SINGLE, "i32", "i32"], **tile)
        build(
            samples_kernel,
            [half, *[SINGLE] * 4, "fp32", INT, SINGLE, "i32", "i32"],
            OFFSET=1,
            CHANNELS=64,
            STEPS=16,
            LANES=8,
            WIDTH=64,
        )
    build(noise_kernel, [LONG, SINGLE, "i32", "i32"], PAIRS=256)
    print("all compiled")


if __name__ == "__main__":
    sys.exit(main())
