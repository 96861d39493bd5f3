"""Every name, type and default that the adapter leans on, held against the published interface.

Against the stand-in of each release, and against the real library wherever it can be imported: the first user with
a GPU container runs `make test-trtllm` and knows. A probe in a process of its own reads the classes.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from standin_writer import FIRST_LINE, KEYS, NEWEST_KEY, contract, llm_fields

from orpheus_batch.config import load_config
from orpheus_batch.data import Sampling
from orpheus_batch.engine.trtllm.features import Features, check_penalty, choose_sampler
from orpheus_batch.engine.trtllm.llm_calls import LlmSettings, llm_arguments, request_arguments
from orpheus_batch.errors import EngineError

HERE = Path(__file__).parent
INSTALLED = "the installed library"
SOURCES = ("1.0.0", "1.2.1", "1.4.0rc1", INSTALLED)

PROBE = """
import dataclasses, importlib, inspect, json, sys
from orpheus_batch.engine.trtllm import features
found = {"backends": {}}
for backend in ("pytorch", "tensorrt"):
    try:
        found["backends"][backend] = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name, value in ((f.name, getattr(features.read_features(backend), f.name))
                                for f in dataclasses.fields(features.Features))}
    except features.EngineError as error:
        found["backends"][backend] = str(error)
import tensorrt_llm
from tensorrt_llm import llmapi
from tensorrt_llm.executor.utils import RequestError
from tensorrt_llm.llmapi import llm_args
def default(kind, name):
    fields = getattr(kind, "model_fields", None)
    if fields is not None:
        return fields[name].get_default(call_default_factory=True)
    return kind().__getattribute__(name)
found["defaults"] = {
    "max_tokens": tensorrt_llm.SamplingParams().max_tokens,
    "end_id": tensorrt_llm.SamplingParams().end_id,
    "detokenize": tensorrt_llm.SamplingParams().detokenize,
    "repetition_penalty": tensorrt_llm.SamplingParams().repetition_penalty,
    "free_gpu_memory_fraction": default(llmapi.KvCacheConfig, "free_gpu_memory_fraction"),
    "enable_padding": default(llmapi.CudaGraphConfig, "enable_padding"),
    "max_num_tokens": default(llm_args.TorchLlmArgs, "max_num_tokens"),
    "enable_chunked_prefill": default(llm_args.TorchLlmArgs, "enable_chunked_prefill"),
}
found["policies"] = [name for name in ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH")
                     if hasattr(llmapi.CapacitySchedulerPolicy, name)]
found["request_error"] = issubclass(RequestError, RuntimeError)
found["generate_async"] = sorted(inspect.signature(tensorrt_llm.LLM.generate_async).parameters)
found["llm"] = sorted(n for n in dir(tensorrt_llm.LLM) if not n.startswith("_"))
print("PROBED" + json.dumps(found, default=str))
"""


@pytest.fixture(scope="module")
def probed(written):
    """What the classes of each source are, read once; a source that can't be had is skipped with the reason."""
    known = {}

    def probe(source):
        if source not in known:
            path = (
                {} if source == INSTALLED else {"PYTHONPATH": str(written(source)), "TRTLLM_STANDIN_GPU": "1"}
            )
            known[source] = subprocess.run(
                [sys.executable, "-c", PROBE],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | path,
            )
        done = known[source]
        if done.returncode and source == INSTALLED:
            pytest.skip(f"tensorrt_llm can't be imported here: {done.stderr.strip().splitlines()[-1]}")
        assert 0 == done.returncode, done.stderr
        return json.loads(done.stdout.split("PROBED")[1])

    return probe


@pytest.fixture(params=SOURCES)
def source(request):
    return request.param


def features_of(probed, source, backend="pytorch"):
    found = probed(source)["backends"][backend]
    return Features(**{k: frozenset(v) if isinstance(v, list) else v for k, v in found.items()})


def settings(backend="pytorch", **more):
    trtllm = load_config().trtllm
    values = {
        "model": "m",
        "backend": backend,
        "dtype": "bfloat16",
        "stop_id": 7,
        "repetition_penalty": 1.1,
        "max_batch_size": 512,
        "max_seq_len": 2048,
        "max_num_tokens": trtllm.max_num_tokens,
        "tensor_parallel_size": 1,
        "enable_chunked_prefill": trtllm.enable_chunked_prefill,
        "load_format": trtllm.load_format,
        "sampler_type": trtllm.sampler_type,
        "kv_cache_config": dataclasses.asdict(trtllm.kv_cache_config),
        "scheduler_config": dataclasses.asdict(trtllm.scheduler_config),
        "cuda_graph_config": dataclasses.asdict(trtllm.cuda_graph_config),
        "extra_llm_args": {},
    }
    return LlmSettings(**values | more)


def test_every_argument_of_llm_is_one_of_its_fields(probed, source):
    """With our defaults nothing is left out and nothing is refused: `LLM` and its three configuration classes."""
    features = features_of(probed, source)
    arguments = llm_arguments(settings(), features, choose_sampler(features))
    assert set() == set(arguments) - features.llm
    assert {"max_batch_size", "max_seq_len", "kv_cache_config", "cuda_graph_config", "load_format"} < set(
        arguments
    )
    assert set() == set(arguments["kv_cache_config"]) - features.kv_cache
    assert set() == set(arguments["scheduler_config"]) - features.scheduler
    assert set() == set(arguments["cuda_graph_config"]) - features.cuda_graph
    assert 512 == arguments["cuda_graph_config"]["max_batch_size"]  # 128 unless told
    assert "batch_sizes" not in arguments["cuda_graph_config"]  # exactly one of the two


def test_every_argument_of_a_request_is_a_field_of_sampling_params(probed, source):
    """Greedy and not, seeded and not."""
    features = features_of(probed, source)
    for temperature in (0.0, 0.6):
        sampling = dataclasses.asdict(Sampling(temperature, 0.9, 1.1))
        arguments = request_arguments(
            sampling, max_tokens=70, seed=1, stop_id=7, ignore_eos=False, honours_seed=True
        )
        assert set() == set(arguments) - features.sampling
        assert (1 if temperature == 0 else None) == arguments.get("top_k")


def test_the_defaults_that_traps_come_from(probed, source):
    """The library's own: 32 tokens, no stop id, no chunked prefill. Were they others, our reasons would be too."""
    found = probed(source)["defaults"]
    assert (32, None, True, None) == tuple(
        found[name] for name in ("max_tokens", "end_id", "detokenize", "repetition_penalty")
    )
    assert (0.9, False, 8192, False) == tuple(
        found[name]
        for name in ("free_gpu_memory_fraction", "enable_padding", "max_num_tokens", "enable_chunked_prefill")
    )


def test_names_that_the_worker_calls(probed, source):
    """Methods, policies and the error of a failed request are where the worker looks for them."""
    found = probed(source)
    assert {"generate_async", "shutdown"} <= set(found["llm"])
    assert {"inputs", "sampling_params"} <= set(found["generate_async"])
    assert ["GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"] == found["policies"]
    assert found["request_error"]


@pytest.mark.parametrize(
    ("release", "sampler", "arguments", "honours_seed"),
    [
        ("1.0.0", "TRTLLMSampler", {"enable_trtllm_sampler": True}, True),
        ("1.2.1", "TRTLLMSampler", {"sampler_type": "TRTLLMSampler"}, True),
        ("1.4.0rc1", "TorchSampler", {}, False),
    ],
)
def test_the_sampler_that_applies_penalties_is_chosen(probed, release, sampler, arguments, honours_seed):
    """By fields alone: the version is made unreadable first."""
    features = dataclasses.replace(features_of(probed, release), version="0+unknown")
    choice = choose_sampler(features)
    assert (sampler, arguments, True, honours_seed) == dataclasses.astuple(choice)
    check_penalty(choice, features, 1.1)


def test_a_sampler_that_would_ignore_the_penalty_is_refused(probed):
    """1.2's TorchSampler, asked for by name; and a release in which nothing says that penalties are applied."""
    features = features_of(probed, "1.2.1")
    choice = choose_sampler(features, "TorchSampler")
    with pytest.raises(EngineError, match=r"silently ignore the repetition penalty 1\.1"):
        check_penalty(choice, features, 1.1)
    check_penalty(choice, features, 1.0)  # a voice that needs none may speak
    bare = dataclasses.replace(features, llm=features.llm - {"sampler_type"}, sampler_values=frozenset())
    with pytest.raises(EngineError, match="silently ignore"):
        check_penalty(choose_sampler(bare), bare, 1.1)


def test_a_sampler_that_is_not_there_is_refused(probed):
    """The newest rejects TRTLLMSampler; so do we, before it is loaded."""
    with pytest.raises(EngineError, match="does not have"):
        choose_sampler(features_of(probed, "1.4.0rc1"), "TRTLLMSampler")


def test_the_engine_backend_is_found_where_it_is(probed):
    """Up to 1.3.0rc20; the newest says what to do instead."""
    assert "no tensorrt backend" in probed("1.4.0rc1")["backends"]["tensorrt"]
    features = features_of(probed, "1.2.1", "tensorrt")
    choice = choose_sampler(features)
    assert ("engine", True, True) == (choice.name, choice.applies_penalty, choice.honours_seed)
    arguments = llm_arguments(settings("tensorrt"), features, choice)
    assert set() == set(arguments) - features.llm
    # built into the engine, and asserted to be left alone there
    assert {"dtype", "tokens_per_block"}.isdisjoint(arguments["kv_cache_config"])
    assert {"cuda_graph_config", "load_format", "dtype"}.isdisjoint(arguments)


@pytest.mark.parametrize("release", ["1.2.1", "1.4.0rc1"])
def test_the_stand_in_is_the_contract(probed, release):
    """Field for field, so that what passes on it passes on the interface as published."""
    have = contract()["versions"][KEYS[release]]
    features = features_of(probed, release)
    assert set(llm_fields(release, "pytorch")) == features.llm
    assert set(have["SamplingParams"]) == features.sampling
    assert set(have["KvCacheConfig"]) == features.kv_cache
    assert set(have["SchedulerConfig"]) == features.scheduler
    assert NEWEST_KEY in contract()["versions"]


@pytest.mark.parametrize("release", ["1.2.1", "1.4.0rc1"])
def test_the_stand_in_says_what_it_is(written, release):
    """On the first line of every file: nobody shall take it for the library."""
    files = list(written(release).rglob("tensorrt_llm/**/*.py"))
    assert len(files) >= 8
    assert {FIRST_LINE} == {file.read_text(encoding="utf-8").splitlines(keepends=True)[0] for file in files}


TRAPS = """
import asyncio, json, os, pickle, numpy
from pathlib import Path
from tensorrt_llm import LLM, SamplingParams
from tensorrt_llm.llmapi import CudaGraphConfig, KvCacheConfig
said = {}
def trap(name, call):
    try:
        said[name] = repr(call())
    except BaseException as error:
        said[name] = type(error).__name__
model, good = os.environ["MODEL"], SamplingParams(end_id=7, max_tokens=14, temperature=0.5, seed=1)
trap("unknown argument", lambda: LLM(model=model, no_such=1))
trap("quant_config", lambda: LLM(model=model, quant_config={}))
trap("unknown field", lambda: KvCacheConfig(no_such=1))
trap("both graph limits", lambda: CudaGraphConfig(batch_sizes=[1], max_batch_size=2))
trap("graphs end at", lambda: CudaGraphConfig().max_batch_size)
trap("top_p", lambda: SamplingParams(top_p=2))
trap("n greedy", lambda: SamplingParams(n=2))
trap("positional", lambda: SamplingParams(32))
if __name__ == "__main__":
    llm = LLM(model=model, skip_tokenizer_init=True, max_num_tokens=32)
    prompt = [2, 1, 20, 21, 3, 4, 5, 6]
    trap("no stop id", lambda: llm.generate_async(prompt, SamplingParams()))
    trap("tuple", lambda: llm.generate_async(tuple(prompt), good))
    trap("numpy", lambda: llm.generate([numpy.int64(i) for i in prompt], good))
    trap("tuple of prompts", lambda: llm.generate((prompt, prompt), good))
    trap("empty", lambda: llm.generate([], good))
    trap("long", lambda: llm.generate_async([9] * 40, good))
    trap("pickle", lambda: pickle.dumps(llm))
    trap("timeout", lambda: len(llm.generate_async(prompt, good).result(timeout=1e-9).outputs[0].token_ids))
    trap("default cap", lambda: len(llm.generate(prompt, SamplingParams(end_id=7, temperature=1)).outputs[0].token_ids))
    llm.shutdown()
    trap("after shutdown", lambda: llm.generate_async(prompt, good))
    print("SAID" + json.dumps(said))
"""


@pytest.mark.parametrize("release", ["1.2.1", "1.4.0rc1"])
def test_the_stand_in_refuses_and_misreads_as_the_library_does(standin_of, tiny, release):
    """What would fail there fails here: without this, a green suite would mean less than it seems."""
    standin = standin_of(release)
    script = standin.folder / "traps.py"
    script.write_text(TRAPS, encoding="utf-8")
    more = {"TRTLLM_STANDIN_PACK": str(tiny), "MODEL": str(tiny / "language_model")}
    environment = standin.environment(TLLM_WORKER_USE_SINGLE_PROCESS="1", **more)
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    said = json.loads(done.stdout.split("SAID")[1])
    assert {
        "unknown argument": "ValueError",
        "quant_config": "ValueError",
        "unknown field": "ValidationError",
        "both graph limits": "ValidationError",
        "graphs end at": "128",
        "top_p": "ValueError",
        "n greedy": "ValueError",
        "positional": "TypeError",
        "no stop id": "ValueError",
        "tuple": "TypeError",
        "numpy": "TypeError",
        "tuple of prompts": "TypeError",
        "empty": "IndexError",
        "long": "ValueError",
        "pickle": "RuntimeError",
        "timeout": "14",
        "default cap": "32",
        "after shutdown": "RuntimeError",
    } == said
