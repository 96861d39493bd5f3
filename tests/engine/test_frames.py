"""Frames that run ahead of the host say what the plain path says; by reference operations on a CPU, or on a GPU."""

import pytest
import torch
from engine_models import GREEDY, LAYOUT, reference_greedy, requests, write_llama

from orpheus_batch.data import Sampling
from orpheus_batch.engine.torch import engine as engine_module
from orpheus_batch.engine.torch import frame_model
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.float8 import Float8Linear, as_float8
from orpheus_batch.engine.torch.frame_engine import FrameEngine
from orpheus_batch.engine.torch.kernels import reference
from orpheus_batch.engine.torch.kernels.reference import unscaled
from orpheus_batch.engine.torch.kernels.types import Rows
from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.engine.torch.resources import resolve_float8
from orpheus_batch.engine.torch.weights import LayerWeights, LlamaWeights
from orpheus_batch.errors import EngineError

LIVELY = Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.2)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
    ),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small random Llama and its folder."""
    folder = tmp_path_factory.mktemp("llama")
    return write_llama(folder), folder


@pytest.fixture
def make_engine(model):
    """Make engines of frames on the small Llama; so small that a second thread only waits."""
    made = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def make(model_dir=model[1], **settings) -> TorchEngine:
        defaults = {"device": "cpu", "precision": "float32", "max_batch_size": 4, "tokens_per_block": 8}
        defaults |= {"kv_cache_gb": 2e-3, "frames": True}
        made.append(TorchEngine(model_dir, LAYOUT, **defaults | settings))
        return made[-1]

    yield make
    torch.set_num_threads(threads)
    for engine in made:
        engine.close()


def by_id(streams) -> dict[str, tuple]:
    """Return streams as values that compare, whatever their order."""
    values = {s.segment_id: (s.finish_reason, s.token_ids.tolist()) for s in streams}
    return values


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("sampling", [GREEDY, LIVELY])
def test_same_streams_as_the_plain_path(make_engine, device, sampling):
    """More requests than slots, stops and caps, slots that close up, blocks used again: nothing shows."""
    wanted = requests(20, sampling)
    expected = by_id(make_engine(frames=False).generate(wanted))
    engine = make_engine(device=device, max_batch_size=7)
    assert expected == by_id(engine.generate(wanted))
    assert {"stop", "length"} == {reason for reason, _ in expected.values()}
    assert sum(len(ids) for _, ids in expected.values()) == engine.stats().num_generated_tokens
    assert expected == by_id(engine.generate(reversed(wanted)))


@pytest.mark.parametrize("device", DEVICES)
def test_greedy_tokens_are_those_of_transformers(model, make_engine, device):
    """A few hundred steps in float32."""
    wanted = requests(2, GREEDY, max_frames=60)
    streams = by_id(make_engine(device=device).generate(wanted))
    for request in wanted:
        token_ids, reason = reference_greedy(model[0], LAYOUT, request)
        assert (reason, token_ids) == streams[request.segment_id]


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_left_in_the_middle_leaves_nothing(make_engine, device):
    """Three streams, then another run: as if the first had never been."""
    engine, wanted = make_engine(device=device), requests(14, LIVELY)
    expected = [(s.segment_id, s.token_ids.tolist()) for s in engine.generate(wanted)]
    left = engine.generate(reversed(wanted))
    for _ in range(3):
        next(left)
    left.close()
    assert expected == [(s.segment_id, s.token_ids.tolist()) for s in engine.generate(wanted)]


def test_it_waits_for_requests_that_are_not_there_yet(make_engine):
    """None among the requests: the streams in flight come out meanwhile."""
    wanted = requests(3, LIVELY)
    seen = []

    def slowly():
        yield wanted[0]
        while not seen:
            yield None
        yield from wanted[1:]

    for stream in make_engine().generate(slowly()):
        seen.append(stream.segment_id)
    assert {r.segment_id for r in wanted} == set(seen)


@pytest.mark.parametrize("device", DEVICES)
def test_prompts_go_on_where_a_step_is_full(make_engine, monkeypatch, device):
    """Steps of at most 24 rows, prompts of up to 60: the same streams."""
    wanted = requests(12, LIVELY)
    expected = by_id(make_engine(device=device).generate(wanted))
    monkeypatch.setattr(frame_model, "_PROMPT_SIZES", (8, 24))
    assert expected == by_id(make_engine(device=device).generate(wanted))


def test_the_batch_shrinks_until_it_fits(make_engine, monkeypatch):
    """Room for four sequences of the sixteen that were asked for: the engine says four, and works."""
    wanted = requests(12, LIVELY)
    expected = by_id(make_engine().generate(wanted))
    plain = FrameEngine._make

    def cramped(self, *args):
        if sum(self.plan.lane_sizes) > 4:
            raise torch.OutOfMemoryError("too many")
        plain(self, *args)

    monkeypatch.setattr(FrameEngine, "_make", cramped)
    engine = make_engine(max_batch_size=16)
    assert "up to 4 sequences" in engine.describe()
    assert expected == by_id(engine.generate(wanted))


def test_where_triton_cannot_compile_the_plain_path_goes_on(make_engine, monkeypatch, caplog):
    """Triton installed and no C compiler: a word about it and the same streams; an error for who asked for frames."""
    wanted = requests(12, LIVELY)
    expected = by_id(make_engine(frames=False).generate(wanted))

    def no_compiler(self, *args):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(FrameEngine, "_make", no_compiler)
    with pytest.raises(EngineError, match="C compiler"):
        make_engine(frames=True)
    plain = engine_module._frames_that_run
    monkeypatch.setattr(engine_module, "_frames_that_run", lambda make, is_asked_for: plain(make, False))
    engine = make_engine(frames=True)  # as None is, on a GPU
    assert "goes on without them" in caplog.text
    assert expected == by_id(engine.generate(wanted))


def test_float8_on_a_gpu_without_it_is_refused(monkeypatch):
    """An A100: the reason by name, not a traceback from the compiler."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    with pytest.raises(EngineError, match="A100 has no float8"):
        resolve_float8("weights", "float8", torch.bfloat16, True, torch.device("cuda"))


FLOAT8 = [
    pytest.param(names, id="+".join(names))
    for names in (("kv_precision",), ("weight_precision",), ("weight_precision", "kv_precision"))
]


@pytest.mark.parametrize("what", FLOAT8)
def test_float8_logits_stay_close(tmp_path, make_engine, monkeypatch, what):
    """What is drawn from in the first frame, by norm: bfloat16 keeps 8 bits of a number, float8 keeps 4."""
    model = write_llama(
        tmp_path
    )  # whose softmax is so sharp that any rounding decides; a third of that is calm
    for weight in model.parameters():
        weight.data.div_(3.0 if weight.ndim > 1 else 1.0)
    model.save_pretrained(tmp_path)
    seen = []
    plain = reference.sample_step

    def listening(logits, *rest):
        if len(seen[-1]) == 0:
            seen[-1].append(logits.float().clone())
        plain(logits, *rest)

    monkeypatch.setattr(reference, "sample_step", listening)
    for settings in ({}, dict.fromkeys(what, "float8")):
        seen.append([])
        engine = make_engine(model_dir=tmp_path, precision="bfloat16", **settings)
        list(engine.generate(requests(4, GREEDY)))
    (exact,), (rough,) = seen
    assert 0.001 < (exact - rough).norm() / exact.norm() < 0.2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("what", FLOAT8)
def test_float8_loses_nothing(make_engine, device, what):
    """Every request is answered; and the plain path says that it can't."""
    wanted = requests(12, LIVELY)
    engine = make_engine(device=device, precision="bfloat16", **dict.fromkeys(what, "float8"))
    assert "float8" in engine.describe()
    assert {r.segment_id for r in wanted} == by_id(engine.generate(wanted)).keys()
    with pytest.raises(EngineError, match="need a GPU"):
        make_engine(frames=False, **dict.fromkeys(what, "float8"))


@pytest.mark.parametrize("device", DEVICES)
def test_float8_product_is_within_five_percent(device):
    """A weight and rows with very different scales a row: factors take them up."""
    noise = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 64, generator=noise) * torch.logspace(-3, 2, 48)[:, None]
    rows = torch.randn(16, 64, generator=noise) * torch.logspace(2, -2, 16)[:, None]
    expected = rows.double() @ weight.double().t()
    rounded = reference.to_float8(rows)
    rounded = Rows(*(part.to(device) for part in rounded))
    got = unscaled(Float8Linear(weight.to(device), torch.bfloat16)(rounded)).double().cpu()
    sizes = rows.double().norm(dim=1)[:, None] * weight.double().norm(dim=1) / rows.shape[1] ** 0.5
    assert 0.001 < ((got - expected) / sizes).square().mean().sqrt() < 0.05


def test_float8_weights_of_a_model_that_does_not_allow_it_are_refused():
    """A side that is no multiple of 16: the reason, not a traceback from the product."""
    with pytest.raises(EngineError, match="multiples of 16"):
        as_float8(narrow_weights())


def narrow_weights() -> LlamaWeights:
    """Return one layer whose matrices are 8 wide."""
    linear, norm = Linear(torch.ones(8, 8)), torch.ones(8)
    layer = LayerWeights(norm, linear, linear, norm, linear, linear)
    return LlamaWeights(torch.ones(4, 8), (layer,), norm, ())
