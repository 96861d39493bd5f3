"""The engine's greedy tokens are those of `transformers`' Llama with the same weights and legal ids."""

from pathlib import Path

import pytest
from engine_models import GREEDY, LAYOUT, reference_greedy, requests, write_llama

from orpheus_batch.data import Sampling
from orpheus_batch.engine.torch.engine import TorchEngine

PENALIZED = Sampling(temperature=0.0, top_p=1.0, repetition_penalty=1.4)
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES = {
    "grouped-query": {},
    "multi-head": {"num_key_value_heads": 4},
    "one kv head": {"num_key_value_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "wide heads": {"head_dim": 24},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "llama3 rope": {"rope_parameters": LLAMA3},
    "linear rope": {"rope_parameters": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0}},
}


def check_against_transformers(model, folder: Path, sampling: Sampling, **settings) -> list[str]:
    """Hold every stream of a batch with refills to the reference; return the finish reasons."""
    wanted = requests(14, sampling)
    engine = TorchEngine(
        folder, LAYOUT, device="cpu", **{"max_batch_size": 4, "tokens_per_block": 8} | settings
    )
    streams = {stream.segment_id: stream for stream in engine.generate(wanted)}
    assert {request.segment_id for request in wanted} == set(streams)
    for request in wanted:
        stream = streams[request.segment_id]
        expected = reference_greedy(model, LAYOUT, request)
        assert expected == (stream.token_ids.tolist(), stream.finish_reason)
    return [stream.finish_reason for stream in streams.values()]


@pytest.mark.parametrize("sampling", [GREEDY, PENALIZED], ids=["plain", "penalty"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_greedy_tokens_are_those_of_transformers(tmp_path, shape, sampling):
    """Prompts of 1 to 60 ids, 14 of them through 4 slots: prefill, refill, paging and the head all agree."""
    model = write_llama(tmp_path, **shape)
    check_against_transformers(model, tmp_path, sampling)
