"""Tokens a second of vLLM on the sentences of `orpheus_throughput.py`: dummy weights in the same shape.

    python benchmarks/peer_vllm.py --batch-size 1024 [--float8]
    python benchmarks/peer_vllm.py --batch-size 1024 --float8 --processes 2   # sharing the GPU, 512 each

Several processes load one after another (each measures what memory is free), then start at the same moment; the
time runs until the last has finished. With NVIDIA's MPS their kernels run beside each other, else in turns: start it
before (`nvidia-cuda-mps-control -d`). Needs vLLM, which this package does not install. The last line is JSON.
"""

import argparse
import json
import multiprocessing
import queue
import tempfile
import time
from pathlib import Path

from orpheus_throughput import ORPHEUS, SAMPLING, sentences

from orpheus_batch.units import TOKENS_PER_SECOND

_GRAPHS = (1, 8, 32, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1536, 2048)
_MEMORY_SHARE = 0.85
"""of the GPU, all processes together"""
_FOLDER = Path(tempfile.gettempdir()) / "peer-vllm"
"""of the model's configuration; the same each time, so that vLLM finds what it has compiled"""
_SETTINGS = {
    "temperature": SAMPLING.temperature,
    "top_p": SAMPLING.top_p,
    "repetition_penalty": SAMPLING.repetition_penalty,
    "ignore_eos": True,
    "detokenize": False,
}
_MODEL = ORPHEUS | {
    "architectures": ["LlamaForCausalLM"],
    "torch_dtype": "bfloat16",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def make_model(batch_size: int, float8: bool, memory_share: float):
    """Return a vLLM that has run once."""
    import vllm

    model = vllm.LLM(
        model=str(_FOLDER),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=2304,
        max_num_seqs=batch_size,
        gpu_memory_utilization=memory_share,
        enable_prefix_caching=False,
        quantization="fp8" if float8 else None,
        kv_cache_dtype="fp8" if float8 else "auto",
        max_num_batched_tokens=8192,
        seed=0,
        compilation_config={
            "cudagraph_capture_sizes": sorted({*(n for n in _GRAPHS if n < batch_size), batch_size})
        },
    )
    generate(model, [(prompt, 16) for prompt, _ in sentences(64)])
    return model


def generate(model, made: list[tuple[list[int], int]]) -> int:
    """Return the number of tokens that came of prompts and lengths."""
    import vllm

    prompts = [{"prompt_token_ids": prompt} for prompt, _ in made]
    sampling = [vllm.SamplingParams(max_tokens=length, **_SETTINGS) for _, length in made]
    done = model.generate(prompts, sampling, use_tqdm=False)
    return sum(len(one.outputs[0].token_ids) for one in done)


def run_process(number: int, args: argparse.Namespace, go, events) -> None:
    """Be one of several; report "ready", and after ``go`` when it began, when it ended, and its tokens."""
    batch_size = args.batch_size // args.processes
    model = make_model(batch_size, args.float8, _MEMORY_SHARE / args.processes)
    made = sentences(args.requests)[number :: args.processes]
    events.put("ready")
    go.wait()
    began = time.perf_counter()  # one clock for all processes of a Linux
    num_tokens = generate(model, made)
    events.put((began, time.perf_counter(), num_tokens))


def measure(args: argparse.Namespace) -> tuple[int, float]:
    """Return tokens and seconds.

    Raises:
        SystemExit: A process died.
    """
    context = multiprocessing.get_context("spawn")  # never forked: CUDA
    go, events, processes = context.Event(), context.Queue(), []

    def next_event():
        while True:
            try:
                return events.get(timeout=1)
            except queue.Empty:
                if dead := [process.exitcode for process in processes if process.exitcode]:
                    for process in processes:
                        process.kill()
                    raise SystemExit(f"a process ended with {dead[0]}") from None

    for number in range(args.processes):
        processes.append(context.Process(target=run_process, args=(number, args, go, events)))
        processes[-1].start()
        next_event()
    go.set()
    began, ended, num_tokens = zip(*(next_event() for _ in processes), strict=True)
    for process in processes:
        process.join()
    return sum(num_tokens), max(ended) - min(began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=1024, help="of all processes together")
    parser.add_argument("--requests", type=int, default=4096)
    parser.add_argument("--float8", action="store_true", help="weights and KV cache")
    parser.add_argument("--processes", type=int, default=1, help="that share the GPU")
    args = parser.parse_args()
    import vllm

    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / "config.json").write_text(json.dumps(_MODEL), encoding="utf-8")
    num_tokens, wall_s = measure(args)
    print(
        json.dumps(
            {
                "benchmark": "peer_vllm",
                "vllm": vllm.__version__,
                "batch_size": args.batch_size,
                "float8": args.float8,
                "processes": args.processes,
                "num_tokens": num_tokens,
                "wall_s": round(wall_s, 2),
                "tokens_per_s": round(num_tokens / wall_s),
                "speedup": round(num_tokens / wall_s / TOKENS_PER_SECOND, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
