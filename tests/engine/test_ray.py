"""Engines on a real local Ray: the same bytes as without, and nothing lost with a worker."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from engine_models import LAYOUT as MODEL_LAYOUT
from engine_models import write_llama

ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402 (Ray is optional)

from orpheus_batch.config import load_config  # noqa: E402
from orpheus_batch.corpus.prompts import render_prompts  # noqa: E402
from orpheus_batch.data import Sampling, TokenRequest  # noqa: E402
from orpheus_batch.engine import ray as ray_engine  # noqa: E402
from orpheus_batch.engine.base import Engine  # noqa: E402
from orpheus_batch.engine.ray import RayEngine, Worker, check_address  # noqa: E402
from orpheus_batch.engine.torch.engine import TorchEngine  # noqa: E402
from orpheus_batch.errors import ConfigError, EngineError  # noqa: E402
from orpheus_batch.pack_writer import character_layout  # noqa: E402
from orpheus_batch.pipeline.models import Factories, chosen_engine  # noqa: E402
from orpheus_batch.testing import FakeEngine  # noqa: E402

LAYOUT = character_layout("abc", 64)


class SlowEngine(FakeEngine):
    """A fake that takes its time, and leaves word of which process it is."""

    def __init__(self, folder: Path):
        super().__init__(LAYOUT, max_batch_size=4)
        (folder / str(os.getpid())).touch()

    def stream(self, request):
        time.sleep(0.02)
        return super().stream(request)


class BrokenEngine(FakeEngine):
    """A fake whose process dies at its first request."""

    def stream(self, request):
        os._exit(1)


def make_slow(folder: str) -> FakeEngine:
    return SlowEngine(Path(folder))


def requests(num: int) -> list[TokenRequest]:
    sampling = Sampling(1.0, 1.0, 1.0)
    return [TokenRequest(f"s{i}", (1,), 700, 70 + 7 * (i % 5), sampling, i) for i in range(num)]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A machine with two processors; the workers find this module by the path."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # or Ray writes a token into the home folder
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    ray.init(
        address=made.address,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}},
    )
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def engine(tmp_path):
    made = RayEngine(functools.partial(make_slow, str(tmp_path)), address="local", device="cpu", num_workers=2)
    yield made
    made.close()


def kill_one(folder: Path, after_s: float = 0.3) -> threading.Thread:
    """Kill one of two workers, so long after both have begun."""

    def kill() -> None:
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)
        time.sleep(after_s)
        os.kill(int(min(folder.iterdir(), key=lambda path: path.name).name), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.parametrize("killed", [False, True])
def test_streams_come_from_all_workers_and_none_is_lost(engine, tmp_path, killed):
    """Requests with pauses between them; a worker that is killed costs nothing but time."""
    wanted = requests(80)
    source = iter([r for request in wanted for r in ((request, None) if request.seed % 9 == 0 else (request,))])
    thread = kill_one(tmp_path) if killed else None
    found = {(stream.segment_id, stream.token_ids.tobytes()) for stream in engine.generate(source)}
    if thread:
        thread.join()
    fake = FakeEngine(LAYOUT)
    assert {(r.segment_id, fake.stream(r).token_ids.tobytes()) for r in wanted} == found
    assert (3 if killed else 2) == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("max_batch_size", [3, 100])
def test_a_worker_is_given_as_much_as_its_engine_runs_together(tmp_path, max_batch_size):
    """Asked of the real engine: a guess left a GPU's batch all but empty."""
    write_llama(tmp_path)

    def make() -> Engine:
        return TorchEngine(tmp_path, MODEL_LAYOUT, device="cpu", num_threads=1, max_batch_size=max_batch_size)

    assert max_batch_size == Worker(make).capacity()


def test_engine_is_used_again_and_given_up(engine):
    """One generation after another, the middle one left amid its streams: nothing of it gets into the next."""
    wanted = requests(40)
    assert 40 == len(list(engine.generate(wanted)))
    given_up = engine.generate(requests(80)[40:])
    for _ in range(3):
        next(given_up)
    given_up.close()
    found = [stream.segment_id for stream in engine.generate(wanted)]
    assert sorted(request.segment_id for request in wanted) == sorted(found)


@pytest.mark.parametrize("killed", [False, True])
def test_blocks_go_to_all_workers_and_none_is_lost(engine, tmp_path, killed):
    """Whole blocks come back, each once."""
    wanted = requests(80)
    blocks = [(number, wanted[number * 8 : number * 8 + 8]) for number in range(10)]
    thread = kill_one(tmp_path) if killed else None
    found = dict(engine.generate_blocks(iter(blocks)))
    if thread:
        thread.join()
    assert set(range(10)) == set(found)
    for number, block in blocks:
        assert {r.segment_id for r in block} == {stream.segment_id for stream in found[number]}
    assert (3 if killed else 2) == len(list(tmp_path.iterdir()))


def test_machine_that_joins_is_used(cluster, tmp_path, monkeypatch):
    """One worker at first; another node comes amid the work, and speaks too."""
    monkeypatch.setattr(ray_engine, "LOOK_S", 0.2)
    made = RayEngine(
        functools.partial(make_slow, str(tmp_path)), address="auto", device="cpu", num_workers=None
    )
    joined = None

    def source():
        nonlocal joined
        for request in requests(400):
            if request.seed == 20:
                assert 1 == len(list(tmp_path.iterdir()))
                joined = cluster.add_node(num_cpus=1)
            yield request
            if len(list(tmp_path.iterdir())) > 1 and request.seed > 100:
                return

    try:
        found = [stream.segment_id for stream in made.generate(source())]
    finally:
        made.close()
        if joined is not None:
            cluster.remove_node(joined)
    assert 2 == len(list(tmp_path.iterdir()))
    assert sorted(set(found)) == sorted(found)
    assert len(found) > 100


def test_workers_that_keep_dying_end_the_run():
    """It is no accident then; said in words."""
    broken = RayEngine(functools.partial(BrokenEngine, LAYOUT), address="local", device="cpu", num_workers=1)
    with pytest.raises(EngineError, match="Ray workers died one after another"):
        list(broken.generate_blocks(iter([(0, requests(2))])))
    broken.close()


def make_noted(folder: str, *arguments) -> Engine:
    """Make the real engine, and leave word of which process it is in."""
    (Path(folder) / str(os.getpid())).touch()
    return chosen_engine(*arguments)


def test_builtin_voice_speaks_the_same_bytes_on_ray(tmp_path):
    """Fixed blocks, two workers of which one is killed, the real engine: every file and manifest as without Ray."""
    table, workers = tmp_path / "table.csv", tmp_path / "workers"
    workers.mkdir()
    words = ["one", "two", "three", "four", "five", "six"]
    table.write_text("id,text\n" + "".join(f"{w},Number {w} it is.\n" for w in words), encoding="utf-8")
    made = {}
    for name, address in (("plain", None), ("ray", "local")):
        config = load_config(
            None,
            {
                "engine.device": "cpu", "engine.num_threads": 1, "engine.block_size": 2, "engine.name": "torch",
                "engine.ray": address, "engine.ray_workers": 2, "quality.max_attempts": 1,
            },
        )  # fmt: skip
        factories = Factories(engine=functools.partial(make_noted, str(workers))) if address else None
        thread = kill_one(workers) if address else None
        report = render_prompts(str(table), tmp_path / name, config, factories=factories)
        if thread:
            thread.join()
        assert 6 == report.num_done + report.num_failed
        files = sorted(path for path in (tmp_path / name).iterdir() if "ledger" not in path.name)
        made[name] = {path.name: path.read_bytes() for path in files}
    assert 8 == len(made["plain"])
    assert made["plain"] == made["ray"]
    assert 3 == len(list(workers.iterdir()))


def test_address_where_nobody_is():
    """At once, not after Ray's minutes; a client's address is refused too."""
    with pytest.raises(EngineError, match=r"can't reach Ray at '127.0.0.1:1': .*refused"):
        check_address("127.0.0.1:1")
    with pytest.raises(ConfigError, match="Ray Client can't stream"):
        check_address("ray://head:10001")
    check_address("auto")
