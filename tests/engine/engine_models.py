"""Small random Llamas written as Hugging Face writes them, and the plain reference that engines are held to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch.noise import seed_words, segment_words, uniforms
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

NUM_TEXT_IDS = 40
LAYOUT = TokenLayout(
    prompt_prefix=(2, 1), prompt_suffix=(3, 4, 5, 6), stop_id=7, audio_offset=NUM_TEXT_IDS, codebook_size=48
)
GREEDY = Sampling(temperature=0.0, top_p=1.0, repetition_penalty=1.0)


def write_llama(folder: Path, seed: int = 0, **overrides: Any) -> LlamaForCausalLM:
    """Write a random float32 Llama with `transformers` itself and return it."""
    settings: dict[str, Any] = {
        "vocab_size": LAYOUT.audio_end,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "attn_implementation": "eager",
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**settings | overrides)).eval().float()
        for name, parameter in model.named_parameters():
            # wide logits and norms that are not all one: a wrong row or a forgotten norm must show
            scale = 0.3 if parameter.ndim == 1 else 3.0 * parameter.shape[1] ** -0.5
            parameter.data.normal_(0.0, scale)
            if name.endswith("norm.weight"):
                parameter.data.add_(1.0)
    model.save_pretrained(folder)
    return model


def requests(
    count: int, sampling: Sampling = GREEDY, *, seed: int = 0, max_frames: int = 9
) -> list[TokenRequest]:
    """Return requests with prompts of 1 to 60 ids and caps of 1 to ``max_frames`` frames."""
    noise = np.random.default_rng(seed)
    made = []
    for index in range(count):
        prompt = noise.integers(8, NUM_TEXT_IDS, 1 + (index * 17) % 60)
        frames = int(noise.integers(1, max_frames + 1))
        made.append(
            TokenRequest(
                segment_id=f"segment-{index}",
                prompt_token_ids=tuple(int(i) for i in prompt),
                max_new_tokens=frames * TOKENS_PER_FRAME,
                expected_num_tokens=max(1, frames - 1) * TOKENS_PER_FRAME,
                sampling=sampling,
                seed=index,
            )
        )
    return made


@torch.inference_mode()
def reference(
    model: LlamaForCausalLM,
    layout: TokenLayout,
    request: TokenRequest,
    choose: Callable[[torch.Tensor, int], int],
) -> tuple[list[int], str]:
    """Generate one request alone with `transformers`, legal ids only.

    Args:
        model: The model.
        layout: Which ids are legal.
        request: Its forced length is not looked at.
        choose: Given penalised scores [legal ids] and the step, returns which.

    Returns:
        Token ids and finish reason.
    """
    penalty = RepetitionPenaltyLogitsProcessor(request.sampling.repetition_penalty)
    ids = list(request.prompt_token_ids)
    made: list[int] = []
    cache, fresh = None, ids
    while len(made) < request.max_new_tokens:
        result = model(torch.tensor([fresh]), past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        scores = penalty(torch.tensor([ids]), result.logits[:, -1].float())[0]
        position = len(made) % TOKENS_PER_FRAME
        start = layout.position_start(position)
        legal = list(range(start, start + layout.codebook_size))
        if position == 0 and made:
            legal.insert(0, layout.stop_id)
        token = legal[choose(scores[legal], len(made))]
        if token == layout.stop_id:
            return made, "stop"
        made.append(token)
        ids.append(token)
        fresh = [token]
    return made, "length"


def reference_greedy(
    model: LlamaForCausalLM, layout: TokenLayout, request: TokenRequest
) -> tuple[list[int], str]:
    """Take the likeliest each time."""
    return reference(model, layout, request, lambda scores, step: int(scores.argmax()))


def reference_sampled(
    model: LlamaForCausalLM, layout: TokenLayout, request: TokenRequest
) -> tuple[list[int], str]:
    """Draw each time from what `transformers` leaves, by walking up the ids until the noise is used up."""
    sampling = request.sampling
    seeds, segments = (
        torch.tensor([seed_words(request.seed)]),
        torch.tensor([segment_words(request.segment_id)]),
    )

    def choose(scores: torch.Tensor, step: int) -> int:
        if sampling.temperature == 0:
            return int(scores.argmax())
        scores = TemperatureLogitsWarper(sampling.temperature)(None, scores[None])
        if sampling.top_p < 1:
            scores = TopPLogitsWarper(sampling.top_p)(None, scores)
        probabilities = scores[0].double().softmax(-1).tolist()
        left = uniforms(seeds, segments, torch.tensor([[step]])).item()
        for index, probability in enumerate(probabilities):
            left -= probability
            if left < 0:
                return index
        return len(probabilities) - 1

    return reference(model, layout, request, choose)
