"""The fused operations equal their PyTorch references: interpreted on a CPU, compiled on a GPU.

Triton decides at import whether it interprets, so the CPU's run is a process of its own, started by the last test.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from orpheus_batch.engine.torch.kernels import reference
from orpheus_batch.engine.torch.kernels.types import LayerCache, Product, SamplingState
from orpheus_batch.engine.torch.noise import segment_words
from orpheus_batch.engine.torch.rope import rotations

HAS_TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
FLOAT8 = torch.float8_e4m3fn
CASES = [
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
    ),
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not (INTERPRETED and HAS_TRITON), reason="run by the last test")
    ),
]
on_each = pytest.mark.parametrize("device", CASES)


@pytest.fixture
def fused():
    """The Triton operations."""
    if INTERPRETED:
        _let_loops_end_at_loaded_numbers()
    from orpheus_batch.engine.torch.kernels import fused

    return fused


def _let_loops_end_at_loaded_numbers() -> None:
    """Triton 3.6's interpreter calls int() on an array of one element, which numpy 2.4 refuses."""
    from triton.runtime import interpreter

    plain = interpreter._patch_lang_tensor
    if plain.__name__ == "patched":
        return

    def patched(tensor, scope) -> None:
        plain(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patched


def random(*shape: int, device: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Return normal numbers, the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device=device, dtype=dtype)


def check(expected: torch.Tensor, got: torch.Tensor, dtype: torch.dtype) -> None:
    """Compare by the norm of the difference: bf16 has 8 bits; float8 has 4, and the interpreter cuts off the rest."""
    bound = {torch.float32: 1e-5, torch.bfloat16: 6e-3, FLOAT8: 0.1 if INTERPRETED else 0.02}[dtype]
    assert torch.isfinite(got.float()).all()
    assert expected.shape == got.shape
    difference = (expected.float() - got.float()).norm() / expected.float().norm()
    assert difference < bound, difference


def product(rows: int, columns: int, device: str, dtype: torch.dtype, scaled: bool) -> Product:
    """Return a random product, with factors or without."""
    values = random(rows, columns, device=device, dtype=dtype, seed=3)
    if not scaled:
        return Product(values)
    factors = [random(n, device=device, seed=4).abs() + 0.1 for n in (rows, columns)]
    return Product(values, *factors)


@on_each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("float8", [False, True])
def test_norm_and_gate(fused, device, dtype, scaled, float8):
    """A width that is no power of two, factors on the way in and float8 on the way out."""
    weight = random(48, device=device, dtype=dtype, seed=1)
    for delta in (None, product(5, 48, device, dtype, scaled)):
        hidden = random(5, 48, device=device, dtype=dtype)
        mine = hidden.clone()
        expected = reference.add_norm(hidden, delta, weight, 1e-5, float8)
        got = fused.add_norm(mine, delta, weight, 1e-5, float8)
        check(hidden, mine, dtype)
        check(expected.values, got.values, FLOAT8 if float8 else dtype)
        if float8:
            check(expected.row_scale, got.row_scale, torch.bfloat16)
    gate_up = product(5, 96, device, dtype, scaled)
    expected, got = reference.gated(gate_up, float8), fused.gated(gate_up, float8)
    check(expected.values, got.values, FLOAT8 if float8 else dtype)
    rows = random(3, 40, device=device, dtype=dtype)
    expected, got = reference.to_float8(rows), fused.to_float8(rows)
    check(expected.values, got.values, FLOAT8)
    check(expected.row_scale, got.row_scale, torch.bfloat16)


def cache_of(device: str, dtype: torch.dtype, kv_heads: int, size: int, head_dim: int) -> LayerCache:
    """Return a cache of 24 blocks full of what does not belong there."""
    shape = (24, kv_heads, size, head_dim)
    keys, values = ((random(*shape, device=device, seed=seed) * 3).to(dtype) for seed in (11, 12))
    return LayerCache(keys, values)


SHAPES = [(6, 2, 16, 8), (3, 1, 20, 16), (8, 8, 32, 4)]
"""heads, kv heads, head_dim, tokens a block"""


@on_each
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim", "size"), SHAPES)
@pytest.mark.parametrize("cache_dtype", [torch.float32, torch.bfloat16, FLOAT8])
@pytest.mark.parametrize("scaled", [False, True])
def test_rotation_into_the_cache(fused, device, heads, kv_heads, head_dim, size, cache_dtype, scaled):
    """Slots in scattered blocks, the first and the last cell of one, an idle slot that must leave no trace."""
    dtype = torch.float32 if cache_dtype == torch.float32 else torch.bfloat16
    qkv = product(5, (heads + 2 * kv_heads) * head_dim, device, dtype, scaled)
    positions = torch.tensor([0, size - 1, size, -1, 3 * size + 1], dtype=torch.int32, device=device)
    table = torch.randperm(24, generator=torch.Generator().manual_seed(2))[:20].view(5, 4)
    table = table.int().to(device)
    angles = rotations(torch.arange(4 * size), torch.linspace(1, 0.1, head_dim // 2)).squeeze(1).to(device)
    cosines, sines = angles.real.contiguous(), angles.imag.contiguous()
    expected_cache, got_cache = (cache_of(device, cache_dtype, kv_heads, size, head_dim) for _ in range(2))
    before = expected_cache.keys.float().clone()
    expected = reference.rotate_and_store(qkv, positions, cosines, sines, table, expected_cache)
    got = fused.rotate_and_store(qkv, positions, cosines, sines, table, got_cache)
    busy = positions >= 0
    check(expected[busy], got[busy], dtype)
    check(expected_cache.keys, got_cache.keys, cache_dtype)
    check(expected_cache.values, got_cache.values, cache_dtype)
    changed = (got_cache.keys.float() != before).any(-1).any(1)
    assert 4 == changed.sum()


@on_each
@pytest.mark.parametrize(("heads", "kv_heads", "head_dim", "size"), SHAPES)
@pytest.mark.parametrize("cache_dtype", [torch.float32, torch.bfloat16, FLOAT8])
def test_attention(fused, device, heads, kv_heads, head_dim, size, cache_dtype):
    """Sequences of one token, of whole blocks, of more than a tile; what lies past the end is not looked at."""
    dtype = torch.float32 if cache_dtype == torch.float32 else torch.bfloat16
    cache = cache_of(device, cache_dtype, kv_heads, size, head_dim)
    query = random(5, heads * head_dim, device=device, dtype=dtype)
    positions = [0, size - 1, -1, 2 * size, 19 * size + 2]
    table = torch.randint(24, (5, 20), generator=torch.Generator().manual_seed(2)).int().to(device)
    positions = torch.tensor(positions, dtype=torch.int32, device=device)
    expected = reference.decode_attention(query, positions, table, cache)
    got = fused.decode_attention(query, positions, table, cache)
    check(expected, got, dtype if dtype == torch.bfloat16 else torch.float32)
    assert 0 == got[2].abs().sum()
    order = torch.argsort(positions, descending=True).int()
    assert torch.equal(got, fused.decode_attention(query, positions, table, cache, order))


def sampling_state(num_slots: int, codebook_size: int, device: str) -> SamplingState:
    """Return slots of every kind: greedy, without top-p, without penalty, idle, about to end."""

    def ints(values: list[int], dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return torch.tensor((values * num_slots)[:num_slots], dtype=dtype, device=device)

    def floats(values: list[float]) -> torch.Tensor:
        return torch.tensor((values * num_slots)[:num_slots], dtype=torch.float32, device=device)

    words = [segment_words(f"segment {i}") for i in range(num_slots)]
    seen = torch.rand(num_slots, 7, codebook_size, generator=torch.Generator().manual_seed(1)) < 0.2
    return SamplingState(
        token=ints([5]),
        position=ints([10, 20, -1, 30]),
        step=ints([0, 7, 7, 13, 7]),
        stop_from_step=ints([7, 7, 7, 1 << 30]),
        end_step=ints([14, 700, 700]),
        seed=ints([3, 1 << 40, (1 << 62) + 5, -1], torch.int64),
        segment=torch.tensor(words, dtype=torch.int64, device=device),
        temperature=floats([0.6, 0.0, 1.3, 0.6, 0.9]),
        top_p=floats([0.9, 1.0, 0.5]),
        repetition_penalty=floats([1.1, 1.0, 1.5]),
        seen=seen.to(torch.uint8).to(device),
        frame=ints([9]).repeat(7, 1).T.contiguous(),
    )


@on_each
@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("codebook_size", [48, 1024])
def test_draws(fused, device, place, codebook_size):
    """Every part of the state after three draws in a row is the reference's, with a likely stop id."""
    num_slots = 40
    states = [sampling_state(num_slots, codebook_size, device) for _ in range(2)]
    for draw in range(3):
        logits = random(num_slots, codebook_size + 8, device=device, dtype=torch.float32, seed=draw) * 3
        logits[:, codebook_size] += 9
        for operations, state in zip((reference, fused), states, strict=True):
            stop_column = codebook_size if place == 0 else None
            operations.sample_step(logits, place, stop_column, 7, 100, codebook_size, state)
        for name in ("token", "position", "step", "frame", "seen"):
            expected, got = (getattr(state, name) for state in states)
            assert torch.equal(expected, got), (draw, name)
    if place == 0:
        assert (states[1].token == 7).any()


@on_each
def test_draws_at_the_edges(fused, device):
    """Almost all weight on one code, everything equal, all but one code impossible: always a legal code."""
    codebook_size = 64
    logits = torch.zeros(4, codebook_size)
    logits[0, 63] = 200.0
    logits[2] = -torch.inf
    logits[2, 17] = -5.0
    logits[3, :32] = -torch.inf
    state = sampling_state(4, codebook_size, device)
    state.position.fill_(1)
    state.temperature.fill_(0.5)
    state.repetition_penalty.fill_(1.0)
    state.top_p.copy_(torch.tensor([1e-6, 1e-6, 1.0, 1.0]))
    fused.sample_step(logits.to(device), 2, None, 7, 100, codebook_size, state)
    token = state.token.tolist()
    assert [163, 117] == [token[0], token[2]]
    assert 100 <= token[1] < 164
    assert 132 <= token[3] < 164


def test_they_compile_for_a_gpu_that_is_not_here():
    """Every kernel becomes machine code of compute capability 9.0, with the types of a bf16 and a float8 run."""
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
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cpu", __file__],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TRITON_INTERPRET": "1"},
    )
    assert 0 == done.returncode, done.stdout[-5000:]
    assert "40 passed" in done.stdout, done.stdout[-500:]
