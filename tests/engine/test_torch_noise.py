"""The noise of sampling: the generator is Philox, and a draw depends on seed, segment and step alone."""

import numpy as np
import torch

from orpheus_batch.engine.torch.noise import philox, seed_words, segment_words, uniforms

# known answers of the authors' Random123 library, philox4x32 with 10 rounds: counter, key, expected
KNOWN_ANSWERS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def test_philox_gives_the_published_answers():
    """All-ones and pi, where a product that overflows int64 wrongly would show."""
    for counter, key, expected in KNOWN_ANSWERS:
        assert list(expected) == philox(torch.tensor(counter), torch.tensor(key)).tolist()


def draw(segment_id: str, seed: int, steps: list[int]) -> list[float]:
    """Return the noise of some steps of one sequence."""
    return uniforms(
        torch.tensor([seed_words(seed)]), torch.tensor([segment_words(segment_id)]), torch.tensor([steps])
    )[0].tolist()


def test_noise_depends_on_each_of_seed_segment_and_step():
    """A word left out of counter or key would give two of these the same numbers."""
    expected = draw("a", 5, [0, 1, 2])
    assert expected == draw("a", 5, [0, 1, 2])
    assert expected[1:] == draw("a", 5, [1, 2])
    assert len({*expected, *draw("a", 5, [3]), *draw("b", 5, [0]), *draw("a", 6, [0])}) == 6
    assert draw("a", 5, [0]) != draw("a", 5 + (1 << 32), [0])


def test_noise_does_not_depend_on_the_batch():
    """The row of a sequence among a thousand others is what it gets alone."""
    seeds = torch.tensor([seed_words(seed) for seed in range(1000)])
    segments = torch.tensor([segment_words(f"s{i}") for i in range(1000)])
    steps = torch.arange(7).expand(1000, -1) + torch.arange(1000)[:, None]
    together = uniforms(seeds, segments, steps)
    for row in (0, 1, 500, 999):
        assert draw(f"s{row}", row, list(range(row, row + 7))) == together[row].tolist()


def test_noise_is_uniform_on_a_grid_that_float32_holds():
    """Sixteen bins of 70,000 draws, chi-square below its 99.9th percentile; never 1."""
    seeds = torch.tensor([seed_words(1)]).expand(1000, -1)
    segments = torch.tensor([segment_words(f"s{i}") for i in range(1000)])
    values = uniforms(seeds, segments, torch.arange(70).expand(1000, -1)).numpy().ravel()
    assert values.min() >= 0.0
    assert values.max() < 1.0
    assert np.array_equal(values * 2**24, np.round(values * 2**24))
    counts = np.histogram(values, bins=16, range=(0, 1))[0]
    expected = len(values) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # 15 degrees of freedom
