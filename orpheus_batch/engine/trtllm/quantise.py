"""Quantises a Hugging Face checkpoint to fp8 with NVIDIA's ModelOpt, calibrated on the voice's own speech.

    python -m orpheus_batch.engine.trtllm.quantise MODEL_DIR OUTPUT_DIR [--fp8-kv-cache] PROMPTS.json

Run by `build-engine` in a process of its own. Calibration text from the web would measure the ranges of a language
that the model no longer speaks: here it generates audio tokens for sentences in each of its voices, as in a book.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any


def quantise(model_dir: Path, output_dir: Path, calibration: dict[str, Any], *, fp8_kv_cache: bool) -> None:
    """Write an fp8 checkpoint with ``hf_quant_config.json``, as TensorRT-LLM's PyTorch backend loads it.

    Args:
        model_dir: A Llama in floating point.
        output_dir: Gets weights and configuration; it exists.
        calibration: ``prompts`` (token ids), ``max_new_tokens`` of each, ``stop_id`` and ``sampling``.
        fp8_kv_cache: Scale keys and values for fp8 too.
    """
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.export import export_hf_checkpoint
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(model_dir).to(device, torch.bfloat16).eval()
    recipe = copy.deepcopy(mtq.FP8_DEFAULT_CFG)
    if fp8_kv_cache:
        recipe["quant_cfg"] = recipe["quant_cfg"] | mtq.FP8_KV_CFG["quant_cfg"]
    sampling = calibration["sampling"]
    greedy = sampling["temperature"] == 0
    drawing = {} if greedy else {"temperature": sampling["temperature"], "top_p": sampling["top_p"]}

    def speak(quantised: Any) -> None:
        torch.manual_seed(0)
        pairs = zip(calibration["prompts"], calibration["max_new_tokens"], strict=True)
        for number, (prompt, max_new_tokens) in enumerate(pairs, 1):
            quantised.generate(
                torch.tensor([prompt], device=device),
                max_new_tokens=max_new_tokens,
                do_sample=not greedy,
                repetition_penalty=sampling["repetition_penalty"],
                eos_token_id=calibration["stop_id"],
                pad_token_id=calibration["stop_id"],
                **drawing,
            )
            print(f"calibrated on {number} of {len(calibration['prompts'])} sentences", flush=True)

    with torch.inference_mode():
        model = mtq.quantize(model, recipe, speak)
        export_hf_checkpoint(model, export_dir=str(output_dir))


if __name__ == "__main__":
    *folders, prompts_file = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    quantise(
        Path(folders[0]),
        Path(folders[1]),
        json.loads(Path(prompts_file).read_text(encoding="utf-8")),
        fp8_kv_cache="--fp8-kv-cache" in sys.argv[1:],
    )
