"""What float8 costs: the built-in voice's first logits in bfloat16 and in float8, for the same prompts.

    python benchmarks/float8_error.py samples/buster-bear-goes-fishing.txt

Of each segment of a book, the logits of the first step (the same tokens go in, so nothing else differs), by PyTorch's
reference operations, on any machine. ``error`` is the norm of the difference over the norm, ``kl`` the mean divergence,
in nats, of float8's distribution at temperature 1 from bfloat16's, ``same_choice`` the share of segments whose
likeliest code stays. What it costs in words: render with both, then `voice_wer.py`. Orpheus's own weights may take it
otherwise.

The last line is JSON.
"""

import argparse
import json
from pathlib import Path

import torch
from about import about

from orpheus_batch.config import PauseConfig
from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.kernels import reference
from orpheus_batch.prompt import PromptBuilder
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.segment import plan_book
from orpheus_batch.units import TOKENS_PER_FRAME
from orpheus_batch.voices import load_pack


def first_logits(pack, requests: list[TokenRequest], **settings) -> torch.Tensor:
    """Return float32 [segments, codes], in the order in which the engine takes them."""
    seen = []
    plain = reference.sample_step

    def listening(logits, place, *rest) -> None:
        if place == 0:
            seen.append(logits[:, : pack.layout.codebook_size].float().clone())
        plain(logits, place, *rest)

    reference.sample_step = listening
    try:
        engine = TorchEngine(
            pack.language_model_dir,
            pack.layout,
            device="cpu",
            precision="bfloat16",
            frames=True,
            max_batch_size=len(requests),
            **settings,
        )
        list(engine.generate(requests))
        engine.close()
    finally:
        reference.sample_step = plain
    return seen[0][: len(requests)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("book", type=Path)
    parser.add_argument("--num", type=int, default=200, help="segments at most")
    args = parser.parse_args()
    pack = load_pack("builtin")
    plans = plan_book(
        read_book(args.book), pack=pack, voice=pack.default_voice, model_fingerprint="", pauses=PauseConfig()
    )
    texts = [segment.text for plan in plans for segment in plan.segments][: args.num]
    prompts = PromptBuilder(pack)
    requests = [
        TokenRequest(
            segment_id=str(index),
            prompt_token_ids=prompts.prompt_token_ids(text, pack.default_voice),
            max_new_tokens=TOKENS_PER_FRAME,
            expected_num_tokens=TOKENS_PER_FRAME,
            sampling=Sampling(0.0, 1.0, 1.0),
            seed=0,
            forced_num_tokens=TOKENS_PER_FRAME,
        )
        for index, text in enumerate(texts)
    ]
    exact = first_logits(pack, requests)
    rows = {}
    for name, settings in (
        ("weights", {"weight_precision": "float8"}),
        ("keys and values", {"kv_precision": "float8"}),
        ("both", {"weight_precision": "float8", "kv_precision": "float8"}),
    ):
        rough = first_logits(pack, requests, **settings)
        p, q = (x.log_softmax(dim=1) for x in (exact, rough))
        rows[name] = {
            "error": round(((exact - rough).norm() / exact.norm()).item(), 4),
            "kl": round((p.exp() * (p - q)).sum(dim=1).mean().item(), 4),
            "same_choice": round((exact.argmax(1) == rough.argmax(1)).float().mean().item(), 3),
        }
    print(json.dumps({"benchmark": "float8_error", "segments": len(requests), **rows, **about("cpu")}))


if __name__ == "__main__":
    main()
