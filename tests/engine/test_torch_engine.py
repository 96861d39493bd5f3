"""What the engine promises whoever pulls from it."""

import dataclasses
import gc
import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from engine_models import GREEDY, LAYOUT, reference_sampled, requests, write_llama

from orpheus_batch.data import Sampling, TokenStream
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.errors import EngineError

LIVELY = Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small random Llama and its folder."""
    folder = tmp_path_factory.mktemp("llama")
    return write_llama(folder), folder


@pytest.fixture
def make_engine(model):
    """Make engines on the small Llama, closed at the end."""
    made = []

    def make(**settings) -> TorchEngine:
        defaults = {"device": "cpu", "max_batch_size": 4, "tokens_per_block": 8, "num_threads": 1}
        made.append(TorchEngine(model[1], LAYOUT, **defaults | settings))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def plain(streams: list[TokenStream]) -> list[tuple]:
    """Return streams as values that compare."""
    return [(s.segment_id, s.finish_reason, s.seed, s.attempt, s.token_ids.tolist()) for s in streams]


def by_id(streams: list[TokenStream]) -> dict[str, tuple]:
    """Return streams as values that compare, whatever their order."""
    return {value[0]: value for value in plain(streams)}


def test_sampled_tokens_are_those_of_a_plain_loop(model, make_engine):
    """Penalty, temperature, top-p and noise, each request with its own: as `transformers` and a scalar draw."""
    settings = (LIVELY, Sampling(0.7, 1.0, 1.0), Sampling(1.5, 0.5, 1.5), GREEDY)
    wanted = [replace(request, sampling=settings[i % 4]) for i, request in enumerate(requests(16))]
    streams = by_id(list(make_engine().generate(wanted)))
    reasons = set()
    for request in wanted:
        token_ids, reason = reference_sampled(model[0], LAYOUT, request)
        assert (token_ids, reason) == (streams[request.segment_id][4], streams[request.segment_id][1])
        reasons.add(reason)
    assert {"stop", "length"} == reasons


def test_streams_do_not_depend_on_how_the_engine_is_cut(make_engine):
    """Block size, batch size, lanes and cache budget decide when a segment runs, never what it says."""
    wanted = requests(14, LIVELY)
    expected = by_id(list(make_engine().generate(wanted)))
    for settings in (
        {"tokens_per_block": 1},
        {"tokens_per_block": 64, "max_batch_size": 14},
        {"max_batch_size": 5, "num_threads": 2},
        {"max_batch_size": 1},
        {"kv_cache_gb": 2e-4},
    ):
        assert expected == by_id(list(make_engine(**settings).generate(wanted)))
    assert expected == by_id(list(make_engine().generate(reversed(wanted))))


def test_every_run_starts_empty(make_engine):
    """Run again, and again after a run that was left in the middle: the same streams in the same order."""
    engine, wanted = make_engine(num_threads=2), requests(14, LIVELY)
    expected = plain(list(engine.generate(wanted)))
    left = engine.generate(reversed(wanted))
    for _ in range(3):
        next(left)
    left.close()
    assert expected == plain(list(engine.generate(wanted)))


RUN_AND_HASH = """
import dataclasses, hashlib, json, sys
from pathlib import Path
from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.tokens import TokenLayout

given = json.loads(Path(sys.argv[1]).read_text())
requests = [TokenRequest(**r | {"sampling": Sampling(**r["sampling"])}) for r in given["requests"]]
engine = TorchEngine(
    Path(given["model_dir"]), TokenLayout(**given["layout"]), device="cpu", max_batch_size=5, num_threads=2
)
made = [(s.segment_id, s.finish_reason, s.token_ids.tolist()) for s in engine.generate(requests)]
print(hashlib.sha256(json.dumps(made).encode()).hexdigest())
"""


def test_two_processes_give_the_same_bytes(model, tmp_path):
    """Order, reasons and every id, with two lanes: nothing depends on addresses, hashes or who was faster."""
    given = {
        "model_dir": str(model[1]),
        "layout": dataclasses.asdict(LAYOUT),
        "requests": [dataclasses.asdict(request) for request in requests(20, LIVELY)],
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    (tmp_path / "run.py").write_text(RUN_AND_HASH)
    command = [sys.executable, tmp_path / "run.py", tmp_path / "given.json"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert len(hashlib.sha256().hexdigest()) == len(runs[0].strip())
    assert runs[0] == runs[1]


def test_the_seed_is_heard(make_engine):
    """Another seed gives other tokens; two segments of one seed too."""
    request = requests(1, Sampling(1.0, 1.0, 1.0))[0]
    request = replace(request, max_new_tokens=70, forced_num_tokens=70)
    variants = [request, replace(request, seed=99), replace(request, segment_id="other")]
    streams = list(make_engine().generate(variants))
    assert len({tuple(stream.token_ids) for stream in streams}) == 3
    assert [(r.segment_id, r.seed) for r in variants] == [(s.segment_id, s.seed) for s in streams]


def test_only_legal_ids_and_whole_frames(make_engine):
    """At a temperature where anything goes, every id lies in its position's range."""
    for stream in make_engine().generate(requests(30, Sampling(50.0, 1.0, 1.0), max_frames=20)):
        codes = LAYOUT.to_codes(stream.token_ids)  # raises on a ragged end or an id out of its range
        assert stream.token_ids.dtype == "int32"
        assert codes.num_frames >= 1


def test_stop_is_legal_only_after_the_first_frame(tmp_path):
    """A model that always wants to stop says one frame; one forced to a length says all of it."""
    write_llama(tmp_path, tie_word_embeddings=False)
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    # the final norm gives the sign of each hidden unit away: a row along it wins or loses at every step
    weights["model.norm.weight"].zero_()[0] = 1.0
    weights["lm_head.weight"][:, 0] = 0.0
    weights["lm_head.weight"][LAYOUT.stop_id, 0] = 100.0
    embedding = weights["model.embed_tokens.weight"]
    embedding[:, 0] = 50.0
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[0] = 0.0
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    engine = TorchEngine(tmp_path, LAYOUT, device="cpu", max_batch_size=2, num_threads=1)
    asked = [
        replace(r, max_new_tokens=35, forced_num_tokens=forced)
        for r, forced in zip(requests(3), (None, 28, 30), strict=True)
    ]
    streams = by_id(list(engine.generate(asked)))
    assert ("stop", 7) == (streams["segment-0"][1], len(streams["segment-0"][4]))
    assert ("length", 28) == (streams["segment-1"][1], len(streams["segment-1"][4]))
    assert ("length", 35) == (streams["segment-2"][1], len(streams["segment-2"][4]))  # 30, up to whole frames


def test_a_cap_between_frames_is_rounded_down(make_engine):
    """20 tokens are two frames; the third would go beyond."""
    request = replace(requests(1)[0], max_new_tokens=20, sampling=LIVELY, seed=3)
    (stream,) = make_engine().generate([request])
    assert ("length", 14) == (stream.finish_reason, len(stream.token_ids))


def test_requests_that_cannot_run_do_not_stop_the_others(make_engine):
    """Empty, too long for the model, too long for the cache: error streams with reasons; the rest as ever."""
    good = requests(6)
    bad = [
        replace(good[0], segment_id="empty", prompt_token_ids=()),
        replace(good[0], segment_id="model", prompt_token_ids=(8,) * 506, expected_num_tokens=14),
        replace(good[0], segment_id="cache", prompt_token_ids=(8,) * 130),
    ]
    engine = make_engine(kv_cache_gb=16 * 8 * 3 * 2 * 32 * 4 / 1e9)  # 16 blocks of 8 tokens
    streams = list(engine.generate([bad[0], *good[:3], bad[1], *good[3:], bad[2]]))
    errors = {s.segment_id: s.error for s in streams if s.finish_reason == "error"}
    assert {"empty", "model", "cache"} == set(errors)
    assert "empty" in errors["empty"]
    assert "512" in errors["model"]
    assert "kv_cache_gb" in errors["cache"]
    expected = by_id(list(make_engine().generate(good)))
    assert expected == by_id([s for s in streams if s.finish_reason != "error"])


def test_a_take_asked_for_late_joins_the_run(make_engine):
    """`None` while a stream is awaited, then a retake made from it: answered before the requests end."""
    first, second = requests(2, LIVELY)
    seen: list[str] = []

    def source():
        yield first
        while not seen:
            yield None
        yield replace(second, attempt=1)
        yield None
        yield None

    for stream in make_engine().generate(source()):
        seen.append(f"{stream.segment_id}/{stream.attempt}")
    assert ["segment-0/0", "segment-1/1"] == seen


def test_no_requests_give_no_streams(make_engine):
    """Nothing, and nothing but "not now": the run ends all the same."""
    engine = make_engine()
    assert [] == list(engine.generate([]))
    assert [] == list(engine.generate(iter([None, None, None])))


def test_requests_are_pulled_a_few_batches_ahead_and_no_further(make_engine):
    """A book of 10,000 segments must not be held in memory, nor its end be decided at its start."""
    pulled = []

    def source():
        for index in range(10_000):
            pulled.append(index)
            yield replace(requests(1)[0], segment_id=str(index), max_new_tokens=7, expected_num_tokens=7)

    streams = make_engine(max_batch_size=4).generate(source())
    most = 0
    for count, _ in zip(range(1, 60), streams, strict=False):
        most = max(most, len(pulled) - count)
    streams.close()
    assert 4 <= most <= 4 * 4 + 2 * 4


def test_an_error_in_the_requests_reaches_the_caller_and_leaves_the_engine_whole(make_engine):
    """The planner fails in the middle: its error comes out as it is, and the next run is as ever."""
    engine, wanted = make_engine(), requests(8, LIVELY)
    expected = plain(list(engine.generate(wanted)))

    def source():
        yield from wanted[:5]
        raise ZeroDivisionError("in the plan")

    with pytest.raises(ZeroDivisionError, match="in the plan"):
        list(engine.generate(source()))
    assert expected == plain(list(engine.generate(wanted)))


def test_misuse_is_refused(make_engine):
    """Two runs at a time would share blocks; a closed engine has none."""
    engine = make_engine()
    first = engine.generate(requests(4))
    next(first)
    with pytest.raises(EngineError, match="generating already"):
        next(engine.generate(requests(1)))
    first.close()
    assert 1 == len(list(engine.generate(requests(1))))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        next(engine.generate(requests(1)))


def test_the_caller_keeps_its_own_torch(make_engine):
    """Between streams neither inference mode nor the engine's thread count is the caller's."""
    before = torch.get_num_threads()
    for _ in make_engine(num_threads=3, max_batch_size=3).generate(requests(4)):
        assert not torch.is_inference_mode_enabled()
        assert before == torch.get_num_threads()


def test_memory_is_flat(make_engine):
    """800 requests leave behind no tensor and no other object that 100 had not made, and no block in use."""
    engine = make_engine(max_batch_size=16)

    def run(count: int) -> tuple[int, int, int]:
        asked = requests(20, LIVELY, max_frames=2)
        for index in range(0, count, 20):
            for _ in engine.generate([replace(r, segment_id=f"{index}/{r.segment_id}") for r in asked]):
                pass
        gc.collect()
        things = gc.get_objects()
        num_tensors = sum(issubclass(type(thing), torch.Tensor) for thing in things)
        return num_tensors, len(things), engine.stats().peak_num_blocks

    num_tensors, num_objects, peak = run(100)
    later = run(800)
    assert (num_tensors, peak) == (later[0], later[2])
    assert later[1] <= num_objects + 50  # the interpreter's own caches


def test_stats_count_what_was_done(make_engine):
    """Streams, tokens and prompts of a run, errors among the streams."""
    engine, wanted = make_engine(num_threads=2), requests(9, LIVELY)
    streams = list(engine.generate([*wanted, replace(wanted[0], prompt_token_ids=())]))
    stats = engine.stats()
    assert 10 == stats.num_streams
    assert sum(len(s.token_ids) for s in streams) == stats.num_generated_tokens
    assert sum(len(r.prompt_token_ids) - 1 for r in wanted) == stats.num_prefill_tokens
    assert 1 <= stats.mean_batch_size <= 4
    assert stats.busy_s > 0
    assert 0 < stats.prefill_share < 1


def test_the_description_is_one_line_with_what_matters(make_engine):
    """Device, precision, batch and cache, for the log and the user."""
    line = make_engine(max_batch_size=3, kv_cache_gb=0.01).describe()
    assert "\n" not in line
    for part in ("float32", "cpu", "3 sequences", "10.0 MB"):
        assert part in line
