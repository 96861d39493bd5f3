"""Tokens a second of vLLM on the sentences of `orpheus_throughput.py`: dummy weights in the same shape.

    python benchmarks/peer_vllm.py --batch-size 1024 [--float8]

Needs vLLM, which this package does not install. The last line is JSON.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from orpheus_throughput import ORPHEUS, SAMPLING, sentences

from orpheus_batch.units import TOKENS_PER_SECOND

_GRAPHS = (1, 8, 32, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1536, 2048)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--requests", type=int, default=4096)
    parser.add_argument("--float8", action="store_true", help="weights and KV cache")
    args = parser.parse_args()
    import vllm

    settings = {
        "temperature": SAMPLING.temperature,
        "top_p": SAMPLING.top_p,
        "repetition_penalty": SAMPLING.repetition_penalty,
        "ignore_eos": True,
        "detokenize": False,
    }
    config = ORPHEUS | {
        "architectures": ["LlamaForCausalLM"],
        "torch_dtype": "bfloat16",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        model = vllm.LLM(
            model=scratch,
            load_format="dummy",
            skip_tokenizer_init=True,
            dtype="bfloat16",
            max_model_len=2304,
            max_num_seqs=args.batch_size,
            gpu_memory_utilization=0.85,
            enable_prefix_caching=False,
            quantization="fp8" if args.float8 else None,
            kv_cache_dtype="fp8" if args.float8 else "auto",
            max_num_batched_tokens=8192,
            seed=0,
            compilation_config={"cudagraph_capture_sizes": [n for n in _GRAPHS if n <= args.batch_size]},
        )
        made = sentences(args.requests)
        prompts = [{"prompt_token_ids": prompt} for prompt, _ in made]
        sampling = [vllm.SamplingParams(max_tokens=length, **settings) for _, length in made]
        model.generate(prompts[:64], [vllm.SamplingParams(max_tokens=16, **settings)] * 64, use_tqdm=False)
        began = time.perf_counter()
        done = model.generate(prompts, sampling, use_tqdm=False)
        wall_s = time.perf_counter() - began
    num_tokens = sum(len(one.outputs[0].token_ids) for one in done)
    print(
        json.dumps(
            {
                "benchmark": "peer_vllm",
                "vllm": vllm.__version__,
                "batch_size": args.batch_size,
                "float8": args.float8,
                "num_tokens": num_tokens,
                "wall_s": round(wall_s, 2),
                "tokens_per_s": round(num_tokens / wall_s),
                "speedup": round(num_tokens / wall_s / TOKENS_PER_SECOND, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
