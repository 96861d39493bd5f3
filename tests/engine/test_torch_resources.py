"""How much of the machine the engine takes, and what it says when that was too much."""

import pytest
import torch
from engine_models import LAYOUT, requests, write_llama

from orpheus_batch.engine.torch import resources
from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.lane import Lane
from orpheus_batch.engine.torch.resources import LanePlan, plan_lanes
from orpheus_batch.engine.torch.weights import read_config
from orpheus_batch.errors import EngineError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def config(tmp_path):
    """The shape of a small Llama: 3 layers of 2 key-value heads of 16, so 768 bytes a token in float32."""
    write_llama(tmp_path)
    config = read_config(tmp_path)
    assert 768 == config.kv_bytes_per_token(torch.float32)
    return config


def plan(config, device, dtype=torch.float32, **settings) -> LanePlan:
    """Plan with defaults but for what is given."""
    defaults = {"tokens_per_block": 32, "max_batch_size": None, "kv_cache_gb": None, "num_threads": 2}
    return plan_lanes(config, device, dtype, **defaults | settings)


def test_a_cpu_has_a_lane_a_core_up_to_four(config, monkeypatch):
    """64 slots and 4,096 tokens a slot, threads shared out; slots that do not divide go to the first lanes."""
    monkeypatch.setattr(resources, "_free_ram_bytes", lambda: 10**12)
    assert LanePlan((64,), 64 * 128, 1) == plan(config, CPU, num_threads=1)
    assert LanePlan((64, 64), 64 * 128, 1) == plan(config, CPU)
    assert LanePlan((64,) * 4, 64 * 128, 4) == plan(config, CPU, num_threads=16)
    assert LanePlan((3, 2), 5 * 64, 1) == plan(config, CPU, max_batch_size=5)
    assert LanePlan((1,), 128, 2) == plan(config, CPU, max_batch_size=1)


def test_a_cpu_cache_takes_at_most_half_of_the_free_memory(config, monkeypatch):
    """A small budget is not divided among lanes either: each must hold a long sequence."""
    monkeypatch.setattr(resources, "_free_ram_bytes", lambda: 768 * 32 * 2 * 1000)
    assert LanePlan((64, 64), 500, 1) == plan(config, CPU)
    monkeypatch.setattr(resources, "_free_ram_bytes", lambda: 768 * 32 * 2 * 200)
    assert LanePlan((128,), 200, 2) == plan(config, CPU)
    assert LanePlan((128,), 100, 2) == plan(config, CPU, kv_cache_gb=768 * 32 * 100 / 1e9)


def test_a_gpu_is_filled_from_its_free_memory(config, monkeypatch):
    """80 % for the cache, 1,024 tokens a slot, at most 1,024 slots; bfloat16 holds twice as many tokens."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (768 * 1024 * 1000, 0))
    assert LanePlan((800,), 800 * 32, 0) == plan(config, CUDA)
    assert LanePlan((1024,), 1600 * 32, 0) == plan(config, CUDA, torch.bfloat16)
    assert LanePlan((7,), 800 * 32, 0) == plan(config, CUDA, max_batch_size=7)
    assert LanePlan((10,), 10 * 32, 0) == plan(config, CUDA, kv_cache_gb=768 * 1024 * 10 / 1e9)


def test_running_out_of_memory_says_what_to_lower(tmp_path, monkeypatch):
    """In a lane's thread; another failure there comes out as it is. Afterwards the engine runs as ever."""
    write_llama(tmp_path)
    engine = TorchEngine(tmp_path, LAYOUT, device="cpu", max_batch_size=4, num_threads=2)
    wanted = requests(6)
    expected = [stream.token_ids.tolist() for stream in engine.generate(wanted)]
    for failure, error, message in (
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            EngineError,
            "max_batch_size",
        ),
        (MemoryError("no more"), EngineError, "kv_cache_gb"),
        (RuntimeError("sizes do not match"), RuntimeError, "do not match"),
    ):

        def fail(lane, failure=failure):
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(Lane, "_decode", fail)
            with pytest.raises(error, match=message):
                list(engine.generate(wanted))
    assert expected == [stream.token_ids.tolist() for stream in engine.generate(wanted)]
    engine.close()


def test_a_cache_that_cannot_be_had_is_refused_at_loading(tmp_path):
    """A petabyte."""
    write_llama(tmp_path)
    with pytest.raises(EngineError, match=r"out of memory while loading .*kv_cache_gb"):
        TorchEngine(tmp_path, LAYOUT, device="cpu", kv_cache_gb=1e6)
