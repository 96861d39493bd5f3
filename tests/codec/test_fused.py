"""SNAC's half-precision decoder: each fused operation equals its reference, the whole equals float32's decoder.

Triton decides at import whether it interprets, so the kernels' run on a CPU is a process of its own, started by the
last test. The decoder itself runs on a CPU with the reference operations too.
"""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from snac import SNAC

from orpheus_batch.codec.kernels import reference
from orpheus_batch.codec.kernels.types import Columns, FilterWeights
from orpheus_batch.codec.snac_decoder import SnacDecoder, Snake, normal_noise
from orpheus_batch.codec.snac_fused import FusedSnacDecoder

HAS_TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GPU = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
)
on_each = pytest.mark.parametrize(
    "device",
    [
        GPU,
        pytest.param(
            "cpu",
            marks=pytest.mark.skipif(not (INTERPRETED and HAS_TRITON), reason="run by the last test"),
        ),
    ],
)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
ERROR = {torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 1.2e-2 if INTERPRETED else 6e-3}
"""Norm of the difference over the norm, of one operation: numbers have 24, 11 and 8 bits, the fast sine 21, and the
interpreter cuts off what does not fit bfloat16."""


@pytest.fixture
def fused(monkeypatch):
    """The Triton operations; interpreted, with few and large programs, for each costs the same."""
    from orpheus_batch.codec.kernels import fused

    if INTERPRETED:
        monkeypatch.setattr(fused, "_LANE_TILE", 256)
        monkeypatch.setattr(fused, "_TILE", 256)
        monkeypatch.setattr(fused, "_WIDEST", 16)
        monkeypatch.setattr(fused, "_STEPS", 6)
    return fused


@pytest.fixture(autouse=True)
def _no_tf32(monkeypatch):
    """A GPU's convolutions round what they multiply to 11 bits unless told not to: too coarse for a reference."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def random(*shape, device, dtype=torch.float32, seed=0):
    """Return normal numbers, the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device=device, dtype=dtype)


def check(expected, got, dtype):
    """Compare by the norm of the difference."""
    assert torch.isfinite(got.float()).all()
    assert expected.shape == got.shape
    difference = (expected.float() - got.float()).norm() / expected.float().norm()
    assert difference < ERROR[dtype], difference


CHANNELS = 24
"""no power of two, and more than a tile when interpreted"""


def columns(device, dtype, num_columns=37, offset=3, margin=5):
    """Return a padded batch: a full stream, short ones, one of a single position; what lies outside is loud."""
    stops = torch.tensor([num_columns, 7, 1, num_columns - 1], dtype=torch.int32, device=device)
    values = random(4, num_columns + margin, CHANNELS, device=device, dtype=dtype)
    for row, stop in zip(values, stops.tolist(), strict=True):
        row[:offset] = 300.0
        row[offset + stop :] = 300.0
    return Columns(values, random(CHANNELS, device=device, seed=1), stops, num_columns, offset)


def snake(device, seed):
    alpha = random(CHANNELS, device=device, seed=seed).abs() + 0.3
    return Snake(alpha, alpha.reciprocal())


def inside(x):
    """Return which rows of which streams hold positions, bool [B, rows]."""
    position = torch.arange(x.values.shape[1], device=x.values.device) - x.offset
    return (position >= 0) & (position < x.stops[:, None])


@on_each
@pytest.mark.parametrize(
    ("dtype", "dilation", "has_snakes"),
    [
        (torch.float32, 1, True),
        (torch.float32, 9, True),
        (torch.float16, 3, True),
        (torch.bfloat16, 9, True),
        (torch.float16, 1, False),
    ],
)
def test_filter(fused, device, dtype, dilation, has_snakes):
    """Lanes meet at every dilation, at the ends there is silence, and what lies outside is not heard."""
    x = columns(device, dtype)
    taps = FilterWeights(
        random(7, CHANNELS, device=device, seed=3), random(CHANNELS, device=device, seed=4), dilation
    )
    snakes = (snake(device, 5), snake(device, 6)) if has_snakes else (None, None)
    expected = reference.filtered(x, snakes[0], taps, snakes[1])
    got = fused.filtered(x, snakes[0], taps, snakes[1])
    check(expected[inside(x)], got[inside(x)], dtype)
    assert torch.isfinite(got.float()).all()


@on_each
@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours(fused, device, dtype):
    """Every number, the zeros around each stream among them."""
    x = columns(device, dtype)
    expected = reference.with_neighbour(x, snake(device, 5))
    got = fused.with_neighbour(x, snake(device, 5))
    check(expected, got, dtype)
    assert torch.equal(expected == 0, got == 0)


@on_each
@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_is_added(fused, device, dtype):
    """In place, and rows that are no position only get the bias."""
    x = columns(device, dtype)
    product = random(*x.values.shape, device=device, dtype=dtype, seed=2)
    bias = random(CHANNELS, device=device, seed=3)
    noise = random(4, x.num_columns, device=device, seed=4)
    expected, got = (dataclasses.replace(x, values=x.values.clone()) for _ in range(2))
    reference.add_noise(expected, product, bias, noise)
    fused.add_noise(got, product, bias, noise)
    check(expected.values[inside(x)], got.values[inside(x)], dtype)
    check(expected.values, got.values, dtype)


@on_each
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples(fused, device, dtype):
    """Every sample; silence past each stream's end, and no overflow where the convolution is loud."""
    x = columns(device, dtype)
    weight = random(7, CHANNELS, device=device, seed=3) * 0.05
    expected = reference.to_samples(x, snake(device, 5), weight, 0.25)
    got = fused.to_samples(x, snake(device, 5), weight, 0.25)
    check(expected, got, torch.float32)
    assert torch.float32 == got.dtype
    assert 0 == got[2, 1:].abs().sum()


@on_each
def test_loud_samples(fused, device):
    """A convolution far beyond what tanh tells apart gives -1 or 1, not infinity over infinity."""
    x = columns(device, torch.float32, num_columns=7)
    weight = torch.zeros(7, CHANNELS, device=device)
    for loud in (1e6, -1e6):
        got = fused.to_samples(x, snake(device, 5), weight, loud)
        assert torch.equal(torch.full_like(got[0], loud).sign(), got[0])


@on_each
def test_noise_is_the_plain_decoders(fused, device):
    """Seeds of every size, odd lengths, and each block its own."""
    seeds = [0, 1, 1 << 40, (1 << 63) - 1]
    tensor = torch.tensor(seeds, device=device)
    for block, length in ((0, 1), (1, 2), (2, 515), (3, 1030)):
        expected = normal_noise(seeds, block, length, torch.device(device))
        assert (expected - fused.normal_noise(tensor, block, length)).abs().max() < 1e-4
        assert torch.equal(expected, reference.normal_noise(tensor, block, length))


def plain_decoder(device):
    """Return a narrow decoder in the shape of SNAC 24 kHz whose channels all differ, and whose noise is loud."""
    torch.manual_seed(0)
    model = SNAC(
        sampling_rate=24_000,
        encoder_dim=4,
        encoder_rates=[2, 4, 8, 8],
        decoder_dim=64,
        decoder_rates=[8, 8, 4, 2],
        attn_window_size=None,
        codebook_size=64,
        codebook_dim=4,
        vq_strides=[4, 2, 1],
    )
    for module in model.modules():
        if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
    model.requires_grad_(False)
    for name, tensor in model.state_dict().items():
        if name.endswith("alpha"):
            tensor.uniform_(0.3, 3.0)
        if ".linear." in name:
            tensor.mul_(2.0)
    return SnacDecoder(model.eval(), torch.device(device))


def batch(device, lengths):
    """Return codes, stops and seeds of streams of so many frames."""
    random = torch.Generator().manual_seed(1)
    levels = [
        torch.randint(0, 64, (len(lengths), k * max(lengths)), generator=random, dtype=torch.int32).to(device)
        for k in (1, 2, 4)
    ]
    return levels, 4 * torch.tensor(lengths, device=device), torch.arange(len(lengths), device=device) + 7


DECODER_ERROR = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 3e-2}


@pytest.mark.parametrize("device", [GPU, "cpu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_decoder_equals_float32s(device, dtype):
    """Streams of unequal length, together and each alone: within half precision of float32, in batch or out."""
    plain = plain_decoder(device)
    lengths = [5, 1, 3]
    levels, stops, seeds = batch(device, lengths)
    with torch.inference_mode():
        expected = plain.decode(levels, stops, seeds, tiled=False)
        decoder = FusedSnacDecoder(plain, dtype, None if device == "cuda" else reference)
        got = decoder.decode(levels, stops, seeds)
        assert torch.float32 == got.dtype
        assert expected.shape == got.shape
        for row, frames in enumerate(lengths):
            stop = 2048 * frames
            alone = decoder.decode(
                [level[row : row + 1, : k * frames] for level, k in zip(levels, (1, 2, 4), strict=True)],
                stops[row : row + 1],
                seeds[row : row + 1],
            )[0]
            size = expected[row, :stop].norm()
            assert size > 1
            assert (expected[row, :stop] - got[row, :stop]).norm() < DECODER_ERROR[dtype] * size
            assert (alone - got[row, :stop]).norm() < DECODER_ERROR[dtype] * size
            assert 0 == got[row, stop:].abs().sum()


@on_each
def test_decoder_with_the_fused_operations(device, monkeypatch):
    """Operation after operation, float16; interpreted, in programs so large that a few do."""
    from orpheus_batch.codec.kernels import fused

    if INTERPRETED:
        for name in ("_LANE_TILE", "_TILE", "_PAIRS"):
            monkeypatch.setattr(fused, name, 1 << 13)
    plain = plain_decoder(device)
    levels, stops, seeds = batch(device, [2, 1])
    with torch.inference_mode():
        expected = plain.decode(levels, stops, seeds, tiled=False)
        got = FusedSnacDecoder(plain, torch.float16, fused).decode(levels, stops, seeds)
    assert (expected - got).norm() < DECODER_ERROR[torch.float16] * expected.norm()


def test_they_compile_for_a_gpu_that_is_not_here():
    """Every kernel becomes machine code of compute capability 9.0, and the fast sine is one instruction."""
    if not HAS_TRITON or INTERPRETED:
        pytest.skip("needs Triton, not its interpreter")
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]
    assert "all compiled" in done.stdout


def test_interpreted_on_a_cpu():
    """The tests above, by Triton's interpreter."""
    if not HAS_TRITON or INTERPRETED:
        pytest.skip("needs Triton, in a process that does not interpret yet")
    wanted = "test_filter or test_neighbours or test_noise or samples or fused_operations"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"cpu and ({wanted})", __file__],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )
    assert 0 == done.returncode, done.stdout[-5000:]
    assert "17 passed" in done.stdout, done.stdout[-500:]
