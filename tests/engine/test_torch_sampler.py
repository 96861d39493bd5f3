"""Sampling: the distribution is that of `transformers`' processors over the same ids."""

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from orpheus_batch.engine.torch.noise import seed_words, segment_words, uniforms
from orpheus_batch.engine.torch.sampler import apply_repetition_penalty_, sample, top_p_threshold

NUM_IDS = 200


def logits_of(seed: int, rows: int = 1) -> torch.Tensor:
    """Return random logits float32 [rows, NUM_IDS]."""
    return torch.randn(rows, NUM_IDS, generator=torch.Generator().manual_seed(seed)) * 3


def noise(count: int) -> torch.Tensor:
    """Return ``count`` uniform numbers, always the same."""
    steps = torch.arange(count)[None]
    return uniforms(torch.tensor([seed_words(0)]), torch.tensor([segment_words("s")]), steps)[0]


def reference(logits: torch.Tensor, seen: list[int], temperature: float, top_p: float, penalty: float):
    """Return the probabilities [NUM_IDS] that `transformers` would sample from."""
    scores = logits.clone()
    if seen:
        scores = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([seen]), scores)
    scores = TemperatureLogitsWarper(temperature)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize(
    ("temperature", "top_p", "penalty"),
    [(1.0, 1.0, 1.0), (0.6, 0.9, 1.1), (0.8, 0.8, 1.3), (1.7, 0.95, 1.0), (0.3, 0.5, 2.0)],
)
def test_draws_follow_the_reference_distribution(temperature, top_p, penalty):
    """200,000 draws: nothing outside the reference's support, chi-square below its 99.9th percentile."""
    logits, seen = logits_of(3), list(range(0, NUM_IDS, 3))
    expected = reference(logits, seen, temperature, top_p, penalty)
    mask = torch.zeros(1, NUM_IDS, dtype=torch.bool)
    mask[0, seen] = True
    own = logits.clone()
    apply_repetition_penalty_(own, mask, torch.tensor([penalty]))
    count = 200_000
    drawn = torch.cat(
        [
            sample(
                own.expand(len(part), -1),
                torch.full_like(part, temperature),
                torch.full_like(part, top_p),
                part,
            )
            for part in noise(count).split(20_000)
        ]
    )
    counts = torch.bincount(drawn, minlength=NUM_IDS).double()
    assert counts[expected == 0].sum() == 0
    # ids rarer than 5 draws are pooled, as the test's approximation asks
    wanted = expected.double() * count
    often = wanted >= 5
    pooled = torch.stack([counts[~often].sum(), wanted[~often].sum()])
    statistic = ((counts - wanted)[often] ** 2 / wanted[often]).sum()
    if pooled[1] >= 5:
        statistic += (pooled[0] - pooled[1]) ** 2 / pooled[1]
    freedom = max(1, int(often.sum()))
    # Wilson and Hilferty's approximation of the 99.9th percentile (3.09 standard deviations)
    bound = freedom * (1 - 2 / (9 * freedom) + 3.09 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert statistic < bound


def test_each_row_has_its_own_settings():
    """A batch of unlike rows draws what each row draws alone; a setting taken from another row would show."""
    logits, uniform = logits_of(5, rows=6), noise(6)
    temperature = torch.tensor([0.0, 1.0, 0.5, 0.0, 2.0, 0.9])
    top_p = torch.tensor([1.0, 0.2, 0.9, 0.1, 1.0, 0.7])
    together = sample(logits, temperature, top_p, uniform)
    for row in range(6):
        one = slice(row, row + 1)
        assert sample(logits[one], temperature[one], top_p[one], uniform[one]).item() == together[row].item()
    assert logits[0].argmax() == together[0]
    assert logits[3].argmax() == together[3]


def test_illegal_ids_are_never_drawn_not_even_at_the_edges():
    """First and last ids at -inf, noise at both of its ends: rounding must not step outside."""
    logits = logits_of(7).repeat(4, 1)
    logits[:, :5] = logits[:, -5:] = -torch.inf
    uniform = torch.tensor([0.0, 1 - 2.0**-24, 0.0, 1 - 2.0**-24])
    temperature = torch.tensor([1.0, 1.0, 1e-3, 100.0])
    for top_p in (None, torch.ones(4), torch.full((4,), 1e-6)):
        drawn = sample(logits, temperature, top_p, uniform)
        assert ((drawn >= 5) & (drawn < NUM_IDS - 5)).all()


def test_top_p_keeps_the_smallest_sufficient_set():
    """0.5 + 0.3 reaches 0.8 exactly as `transformers` counts it; a hair more needs the third."""
    probabilities = torch.tensor([[0.125, 0.5, 0.25, 0.125]]).repeat(4, 1)
    expected = [0.5, 0.25, 0.125, 0.125]
    threshold = top_p_threshold(probabilities, torch.tensor([0.5, 0.75, 0.8, 1.0]))
    assert expected == threshold.squeeze(1).tolist()


def test_penalty_divides_positive_and_multiplies_negative_logits():
    """CTRL's rule by hand; an unseen id and a penalty of 1 stay as they are."""
    logits = torch.tensor([[2.0, -2.0, 2.0, 0.0], [2.0, -2.0, 2.0, 0.0]])
    seen = torch.tensor([[True, True, False, True]] * 2)
    apply_repetition_penalty_(logits, seen, torch.tensor([2.0, 1.0]))
    assert [[1.0, -4.0, 2.0, 0.0], [2.0, -2.0, 2.0, 0.0]] == logits.tolist()
