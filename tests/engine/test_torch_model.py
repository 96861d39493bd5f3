"""Products and logits: the packed forms are exact, and bfloat16 is as near as it can be."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from engine_models import LAYOUT, write_llama
from transformers import LlamaForCausalLM

from orpheus_batch.engine.torch import products
from orpheus_batch.engine.torch.attention import FrameAttention
from orpheus_batch.engine.torch.blocks import BlockTables
from orpheus_batch.engine.torch.model import Llama
from orpheus_batch.engine.torch.paged_cache import PagedCache
from orpheus_batch.engine.torch.products import Linear, PairProduct
from orpheus_batch.engine.torch.weights import load_weights, read_config

CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return float32 noise, always the same."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("rows", [1, 3, 64, 200])
def test_linear_is_the_plain_product(monkeypatch, packed, rows):
    """With oneDNN's layout and without, for any number of rows, with a bias and without."""
    if not packed:
        monkeypatch.setattr(products, "can_pack", lambda dtype: False)
    weight, bias, x = random(96, 64), random(96, seed=1), random(rows, 64, seed=2)
    torch.testing.assert_close(Linear(weight)(x), F.linear(x, weight))
    torch.testing.assert_close(Linear(weight, bias)(x), F.linear(x, weight, bias))
    residual = random(rows, 96, seed=3)
    expected = residual + F.linear(x, weight, bias)
    torch.testing.assert_close(Linear(weight, bias).plus(x, residual), expected)
    torch.testing.assert_close(residual, random(rows, 96, seed=3))  # not written to


def test_a_torch_that_cannot_pack_is_noticed(monkeypatch):
    """The operators are torch's own affair: gone, or wrong in their results, they are not used."""
    assert not products.can_pack.__wrapped__(torch.float64)
    for broken in (lambda *args: 1 / torch.zeros(2, 32), None):
        monkeypatch.setattr(products, "_pack", broken or (lambda weight: weight.no_such_attribute))
        assert not products.can_pack.__wrapped__(torch.float32)


@pytest.mark.parametrize("most_threads", [0, 1000])
def test_products_of_pairs_are_the_plain_ones(monkeypatch, most_threads):
    """By numpy and by torch."""
    monkeypatch.setattr(products, "_MAX_THREADS_FOR_NUMPY", most_threads)
    left, right = random(50, 3, 16), random(50, 16, 8, seed=1)
    for dtype in (torch.float32, torch.bfloat16):
        operands, out = (left.to(dtype), right.to(dtype)), torch.empty(50, 3, 8, dtype=dtype)
        multiply = PairProduct(*operands, out)
        for _ in range(2):
            operands[0].mul_(2)  # it is what they hold when it is called that counts
            multiply()
            torch.testing.assert_close(out, operands[0] @ operands[1])


def next_logits(folder: Path, prompts: list[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Prefill and decode one token a prompt; return logits [prompts, stop id and all codes]."""
    config = read_config(folder)
    model = Llama(config, load_weights(folder, config, LAYOUT, CPU, dtype))
    tables = BlockTables(len(prompts), 50, 8)
    cache = PagedCache(config.num_layers, config.num_kv_heads, config.head_dim, 50, 8, CPU, dtype)
    blocks, cells = [], []
    for slot, prompt in enumerate(prompts):
        tables.grow(slot, len(prompt))
        for position in range(len(prompt) - 1):
            blocks.append(tables.table[slot, position // 8])
            cells.append(position % 8)
    cache.use_blocks(tables.allocator.high_water)
    with torch.inference_mode():
        lengths = [len(prompt) - 1 for prompt in prompts if len(prompt) > 1]
        ids = torch.cat([prompt[:-1] for prompt in prompts])
        model.prefill(ids, lengths, torch.tensor(blocks), torch.tensor(cells), cache)
        positions = torch.tensor([len(prompt) - 1 for prompt in prompts])
        attention = FrameAttention(cache, tables, len(prompts), config.num_heads)
        hidden = model.decode(torch.stack([p[-1] for p in prompts]), positions, attention)
        return torch.cat([model.logits(hidden, position) for position in range(7)], dim=1)


def reference_logits(model: LlamaForCausalLM, prompts: list[torch.Tensor]) -> torch.Tensor:
    """Return what `transformers` makes of each prompt alone, float32 in the order of `next_logits`."""
    with torch.inference_mode():
        logits = torch.stack([model(prompt[None]).logits[0, -1] for prompt in prompts]).float()
    stop = logits[:, LAYOUT.stop_id, None]
    return torch.cat([stop, logits[:, LAYOUT.audio_offset : LAYOUT.audio_end]], dim=1)


def test_logits_are_those_of_transformers(tmp_path):
    """Prompts of 1 to 50 ids, logits of all seven positions; bfloat16 errs no more than theirs does.

    Tokens alone would not show an error that is small today and moves a choice tomorrow.
    """
    own_error = their_error = 0.0
    prompts = [random(length, seed=length).abs().mul(10).long() + 8 for length in (1, 30, 7, 50)]
    for seed in range(4):
        reference = write_llama(tmp_path / str(seed), seed=seed)
        expected = reference_logits(reference, prompts)
        torch.testing.assert_close(
            next_logits(tmp_path / str(seed), prompts, torch.float32), expected, rtol=1e-4, atol=1e-4
        )
        short = next_logits(tmp_path / str(seed), prompts, torch.bfloat16)
        own_error += float((short - expected).square().mean())
        their_error += float((reference_logits(reference.bfloat16(), prompts) - expected).square().mean())
    assert 0 < own_error < 1.5 * their_error
