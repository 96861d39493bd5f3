"""Engines on a real local Ray: the same bytes as without, and nothing lost with a worker."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")

from orpheus_batch.config import load_config  # noqa: E402 (Ray is optional)
from orpheus_batch.corpus.prompts import render_prompts  # noqa: E402
from orpheus_batch.data import Sampling, TokenRequest  # noqa: E402
from orpheus_batch.engine.ray import RayEngine  # noqa: E402
from orpheus_batch.errors import EngineError  # noqa: E402
from orpheus_batch.pack_writer import character_layout  # noqa: E402
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
    """Two workers on this machine; the workers find this module by the path."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # or Ray writes a token into the home folder
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def engine(tmp_path):
    made = RayEngine(functools.partial(make_slow, str(tmp_path)), address="local", device="cpu", num_workers=2)
    yield made
    made.close()


def kill_one(folder: Path, after_s: float) -> threading.Thread:
    """Kill one of the workers in a while."""

    def kill() -> None:
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
    thread = kill_one(tmp_path, 0.3) if killed else None
    found = {(stream.segment_id, stream.token_ids.tobytes()) for stream in engine.generate(source)}
    if thread:
        thread.join()
    fake = FakeEngine(LAYOUT)
    assert {(r.segment_id, fake.stream(r).token_ids.tobytes()) for r in wanted} == found
    assert (3 if killed else 2) == len(list(tmp_path.iterdir()))


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
    thread = kill_one(tmp_path, 0.3) if killed else None
    found = dict(engine.generate_blocks(iter(blocks)))
    if thread:
        thread.join()
    assert set(range(10)) == set(found)
    for number, block in blocks:
        assert {r.segment_id for r in block} == {stream.segment_id for stream in found[number]}
    assert (3 if killed else 2) == len(list(tmp_path.iterdir()))


def test_workers_that_keep_dying_end_the_run():
    """It is no accident then; said in words."""
    broken = RayEngine(functools.partial(BrokenEngine, LAYOUT), address="local", device="cpu", num_workers=1)
    with pytest.raises(EngineError, match="Ray workers died one after another"):
        list(broken.generate_blocks(iter([(0, requests(2))])))
    broken.close()


def test_builtin_voice_speaks_the_same_bytes_on_ray(tmp_path):
    """Fixed blocks, two workers, the real engine: every file and manifest as without Ray."""
    table = tmp_path / "table.csv"
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
        report = render_prompts(str(table), tmp_path / name, config)
        assert 6 == report.num_done + report.num_failed
        files = sorted(path for path in (tmp_path / name).iterdir() if "ledger" not in path.name)
        made[name] = {path.name: path.read_bytes() for path in files}
    assert 8 == len(made["plain"])
    assert made["plain"] == made["ray"]
