"""Compiles every kernel for compute capability 9.0, with no GPU: Orpheus-3B's shape, bf16 and float8."""

import sys

import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from triton.runtime.jit import JITFunction

from orpheus_batch.engine.torch.kernels.attention import decode_attention_kernel
from orpheus_batch.engine.torch.kernels.rows import (
    add_norm_kernel,
    gated_kernel,
    rotate_and_store_kernel,
    to_float8_kernel,
)
from orpheus_batch.engine.torch.kernels.sampling import sample_step_kernel

INT, LONG, SINGLE, BYTE, HALF, EIGHTH = "*i32", "*i64", "*fp32", "*u8", "*bf16", "*fp8e4nv"


def build(kernel: JITFunction, types: list[str], num_warps: int = 4, **constants) -> None:
    """Compile one kernel and print what it takes of a multiprocessor."""
    names = [name for name in kernel.arg_names if name not in constants]
    signature = dict(zip(names, types, strict=True)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, {n: signature[n] for n in kernel.arg_names}, constants)
    # pointers are aligned as the launcher finds them
    source.attrs = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(kernel.arg_names)
        if signature[name].startswith("*")
    }
    made = compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps})
    print(f"{kernel.fn.__name__:26s} {types[0]:8s} shared {made.metadata.shared:6d} B")


def main() -> None:
    for eighth in (False, True):
        rows, cache = (EIGHTH if eighth else HALF), (EIGHTH if eighth else HALF)
        row_scale, column_scale = (SINGLE, SINGLE) if eighth else (HALF, HALF)
        scaled = {"SCALED": eighth, "FLOAT8": eighth}
        build(
            add_norm_kernel,
            [HALF, HALF, row_scale, column_scale, HALF, rows, row_scale, "fp32", "i32"],
            num_warps=16,
            HAS_DELTA=True,
            BLOCK=4096,
            **scaled,
        )
        build(
            gated_kernel,
            [HALF, row_scale, column_scale, rows, row_scale, "i32"],
            num_warps=16,
            BLOCK=8192,
            **scaled,
        )
        build(
            rotate_and_store_kernel,
            [HALF, row_scale, column_scale, INT, SINGLE, SINGLE, INT, cache, cache, HALF, "i32"],
            num_warps=4,
            NUM_HEADS=24,
            NUM_KV_HEADS=8,
            HEAD_DIM=128,
            TOKENS_PER_BLOCK=32,
            SCALED=eighth,
            CLAMP=eighth,
            HEADS=8,
            HALF=64,
        )
        build(
            decode_attention_kernel,
            [HALF, INT, INT, INT, cache, cache, HALF, "i32", "fp32"],
            num_warps=1,
            HAS_ORDER=True,
            NUM_KV_HEADS=8,
            SHARED=3,
            ROWS=16,
            HEAD_DIM=128,
            DIMS=128,
            TOKENS_PER_BLOCK=32,
            TILE=32,
            PRECISION="tf32",
            COMPUTE=tl.float16 if eighth else tl.bfloat16,
        )
    build(to_float8_kernel, [HALF, EIGHTH, SINGLE, "i32"], BLOCK=4096)
    for stop_column in (4096, -1):
        state = [INT, INT, INT, INT, INT, LONG, LONG, SINGLE, SINGLE, SINGLE, BYTE, INT]
        build(
            sample_step_kernel,
            [HALF, "i32", *state, "i32", "i32", "i32", "i32"],
            num_warps=8,
            STOP_COLUMN=stop_column,
            BLOCK=4096,
        )
    print("all compiled")


if __name__ == "__main__":
    sys.exit(main())
