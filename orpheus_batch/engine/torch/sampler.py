"""From logits over the legal ids to one choice a sequence.

The order is that of `transformers`: repetition penalty, temperature, top-p; the same distribution over the
same legal set. A draw is the inverse of the cumulative distribution at a given uniform number, in the order
of ids, so it depends on nothing but logits, settings and that number. Which ids the columns stand for is not
known here.

Source: repetition penalty, CTRL (arXiv:1909.05858); top-p, Holtzman et al. (arXiv:1904.09751).
"""

import torch


def apply_repetition_penalty_(logits: torch.Tensor, seen: torch.Tensor, penalty: torch.Tensor) -> None:
    """Make ids that the sequence already holds less likely, in place.

    Args:
        logits: float32 [n, ids].
        seen: bool [n, ids].
        penalty: float32 [n]; positive logits are divided by it, the others multiplied. 1 changes nothing.
    """
    by = penalty[:, None]
    penalized = torch.where(logits > 0, logits / by, logits * by)
    logits.copy_(torch.where(seen, penalized, logits))


def top_p_threshold(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Return the smallest probability in the smallest set of likeliest ids whose mass reaches ``top_p``.

    Args:
        probabilities: float32 [n, ids], rows summing to 1.
        top_p: float32 [n] in (0, 1].

    Returns:
        float32 [n, 1]; ids of equal probability are in or out together.
    """
    ascending = _sort_rows(probabilities)
    tail_mass = ascending.cumsum(-1)
    num_out = (tail_mass <= (1.0 - top_p)[:, None]).sum(-1, keepdim=True)
    return ascending.gather(-1, num_out.clamp_max(ascending.shape[-1] - 1))


def sample(
    logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor | None, uniform: torch.Tensor
) -> torch.Tensor:
    """Draw one id a row.

    Args:
        logits: float32 [n, ids]; -inf for ids that are not legal.
        temperature: float32 [n]; 0 takes the likeliest.
        top_p: float32 [n] in (0, 1], or None where no row cuts anything.
        uniform: float32 [n] in [0, 1).

    Returns:
        int64 [n], the column of each choice.
    """
    greedy = temperature == 0
    divisor = torch.where(greedy, 1.0, temperature)
    weights = torch.softmax(logits / divisor[:, None], dim=-1)
    if top_p is not None:
        weights = torch.where(weights >= top_p_threshold(weights, top_p), weights, 0.0)
    cumulative = weights.cumsum(-1)
    total = cumulative[:, -1]
    # rounding may lift uniform * total to total itself, past the last id
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, target[:, None], right=True).squeeze(-1)
    return torch.where(greedy, logits.argmax(-1), drawn)


def _sort_rows(values: torch.Tensor) -> torch.Tensor:
    """Return each row in ascending order; on CPU by numpy, whose vectorised sort is eight times as fast."""
    if values.device.type == "cpu":
        import numpy as np

        return torch.from_numpy(np.sort(values.numpy(), axis=-1))
    return values.sort(dim=-1).values
