"""Real processes: the adapter over the stand-in, on a tiny untrained model, for each release."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orpheus_batch.config import load_config
from orpheus_batch.data import Sampling, TokenRequest
from orpheus_batch.engine.trtllm.engine import TrtllmEngine
from orpheus_batch.engine.trtllm.loading import llm_settings
from orpheus_batch.engine.trtllm.process import WorkerProcess
from orpheus_batch.engine.trtllm.process_tree import descendants, kill_tree
from orpheus_batch.errors import ConfigError, EngineError
from orpheus_batch.voices import load_pack

SAMPLING = Sampling(temperature=0.6, top_p=0.9, repetition_penalty=1.3)


def open_engine(standin, tiny, *faults, monkeypatch, pack=None, overrides=None, **options):
    """Load the tiny model through the adapter, in a process that imports the stand-in."""
    pack = pack or load_pack(str(tiny))
    pack = dataclasses.replace(pack, sampling=SAMPLING)
    config = load_config(None, {"engine.max_batch_size": 4, **(overrides or {})})
    environment = standin.environment(*faults, TRTLLM_STANDIN_PACK=str(tiny))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return TrtllmEngine(llm_settings(pack, config, []), **options)


def requests(num, *, seed=0, sampling=SAMPLING, max_new_tokens=70):
    for i in range(num):
        prompt = (2, 1, *range(20, 30 + i), 3, 4, 5, 6)
        yield TokenRequest(f"s{i}", prompt, max_new_tokens, 35, sampling, seed=seed)


def test_everything_the_library_is_told(standin, tiny, monkeypatch):
    """Prompts, caps, sampling, stop id, sampler, limits and environment arrive as they should, for each release."""
    for name in ("SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK"):
        monkeypatch.setenv(name, "3")
    engine = open_engine(standin, tiny, monkeypatch=monkeypatch)
    streams = list(engine.generate(requests(5)))
    engine.close()
    assert 5 == len(streams)
    (loaded,) = standin.calls("llm")
    arguments, layout = loaded["arguments"], load_pack(str(tiny)).layout
    assert {
        "CUDA_VISIBLE_DEVICES": "0",
        "TLLM_WORKER_USE_SINGLE_PROCESS": "1",
        "TLLM_LOG_LEVEL": "WARNING",
        "TRTLLM_NO_USAGE_STATS": "1",
    } == (loaded["environment"])
    assert arguments["skip_tokenizer_init"] is True
    assert ("TRTLLMSampler" if standin.version == "1.2.1" else None) == arguments.get("sampler_type")
    assert (4, 4) == (arguments["max_batch_size"], arguments["cuda_graph_config"]["max_batch_size"])
    assert "GUARANTEED_NO_EVICT" in arguments["scheduler_config"]["capacity_scheduler_policy"]
    assert arguments["enable_chunked_prefill"] is True
    assert 0.8 == arguments["kv_cache_config"]["free_gpu_memory_fraction"]
    for call, request in zip(standin.calls("request"), requests(5), strict=True):
        assert list(request.prompt_token_ids) == call["prompt"]
        wanted = {"max_tokens": 70, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.3, "n": 1}
        wanted |= {"end_id": layout.stop_id, "pad_id": layout.stop_id, "detokenize": False, "ignore_eos": False}
        assert wanted == {name: call["sampling"][name] for name in wanted}
        assert 1.3 == call["penalty"]  # what the stand-in's sampler really applied
        assert (call["seed"] is not None) == (standin.version == "1.2.1") == engine.honours_seed


def test_faults_of_the_library_reach_the_checks(standin, tiny, monkeypatch):
    """Spoilt streams, a failed and a refused request: each is one stream, none ends the engine; the stop id is cut."""
    kinds = [
        "wrong_position",
        "text_id",
        "control_id",
        "mid_frame_stop",
        "ragged_end",
        "timeout",
        "error",
        "refuse",
    ]
    faults = [{"kind": kind, "at": at} for at, kind in enumerate(kinds, 1)]
    monkeypatch.setenv("TRTLLM_STANDIN_KEEP_STOP", "1")
    engine = open_engine(standin, tiny, *faults, monkeypatch=monkeypatch)
    streams = {stream.segment_id: stream for stream in engine.generate(requests(9))}
    engine.close()
    assert kinds == [call["faults"][0] for call in standin.calls("request")[:8]]
    assert "RequestError: failed by a rule of the test" == streams["s6"].error
    assert "ValueError: refused by a rule of the test" == streams["s7"].error
    assert "it ended with finish_reason 'timeout'" == streams["s5"].error
    assert 0 != len(streams["s4"].token_ids) % 7
    stop_id = load_pack(str(tiny)).layout.stop_id
    assert all(stop_id not in stream.token_ids for stream in streams.values())
    assert 9 == len(streams)


def test_a_hang_kills_and_restarts_the_process(standin_of, tiny, monkeypatch):
    """One request never answers: another process takes it up, and the old one is gone."""
    standin = standin_of("1.2.1")
    hang = {"kind": "hang", "at": 2, "times": 1}
    engine = open_engine(standin, tiny, hang, monkeypatch=monkeypatch, request_timeout_s=2.0)
    first = engine.worker.pid
    streams = list(engine.generate(requests(5)))
    assert 5 == len(streams)
    assert engine.num_restarts >= 1
    assert all(stream.finish_reason != "error" for stream in streams)
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    engine.close()


def test_a_stopped_process_blocks_nobody(standin_of, tiny, monkeypatch):
    """SIGSTOP: it reads nothing and answers nothing. The parent must neither wait on a full pipe nor for ever."""
    engine = open_engine(standin_of("1.4.0rc1"), tiny, monkeypatch=monkeypatch, request_timeout_s=1.0)
    os.kill(engine.worker.pid, signal.SIGSTOP)
    long = (2, 1, *([20] * 400), 3, 4, 5, 6)
    many = [TokenRequest(f"s{i}", long, 70, 35, SAMPLING, seed=0) for i in range(8)]
    engine.worker.send({"op": "padding", "text": "x" * 300_000})  # more than any pipe holds
    assert 8 == len(list(engine.generate(many)))
    assert engine.num_restarts >= 1
    engine.close()


def test_seeds_decide_where_they_are_honoured(standin_of, tiny, monkeypatch):
    """1.2 with the sampler that was chosen: the same seed, the same stream; another seed, another stream."""
    engine = open_engine(standin_of("1.2.1"), tiny, monkeypatch=monkeypatch)
    one, same, other = (
        stream.token_ids.tolist() for seed in (5, 5, 6) for stream in engine.generate(requests(1, seed=seed))
    )
    engine.close()
    assert one == same != other


def test_a_broken_executor_is_replaced(standin_of, tiny, monkeypatch):
    """All requests fail from one on, those in flight too: none of the segments does."""
    standin = standin_of("1.2.1")
    fault = {"kind": "break", "at": 11, "times": 1}
    engine = open_engine(standin, tiny, fault, monkeypatch=monkeypatch)
    streams = list(engine.generate(requests(14)))
    engine.close()
    assert 14 == len({stream.segment_id for stream in streams}) == len(streams)
    assert {""} == {stream.error for stream in streams}
    assert 1 == engine.num_restarts


def is_running(pid):
    """Return whether a process is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid):
    for _ in range(200):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def test_a_parent_killed_while_it_writes_leaves_nothing_on_the_gpu(standin_of, tiny, monkeypatch):
    """The pipe ends in mid-line, in the middle of a character even: the process ends all the same."""
    engine = open_engine(standin_of("1.4.0rc1"), tiny, monkeypatch=monkeypatch)
    worker = engine.worker
    os.write(worker._write_fd, '{"op": "é'.encode()[:-1])
    os.close(worker._write_fd)
    worker._write_fd = -1
    gone = ends(worker.pid)
    worker.kill()
    assert gone


def test_a_library_that_ends_the_interpreter_is_heard(standin_of, tiny, monkeypatch):
    """`sys.exit` while a thread of the library lives on: without word the parent would wait for half an hour."""
    standin = standin_of("1.2.1")
    original = standin.environment
    standin.environment = lambda *faults, **more: original(*faults, **more, TRTLLM_STANDIN_EXITS="1")
    started = time.monotonic()
    with pytest.raises(EngineError, match="ended with SystemExit: the driver is too old"):
        open_engine(standin, tiny, monkeypatch=monkeypatch, start_timeout_s=60.0)
    assert time.monotonic() - started < 50


def test_a_rank_in_a_group_of_its_own_is_killed_too():
    """MPI gives each rank a process group: killing the parent's would leave it, and its GPU taken."""
    rank = "import time; time.sleep(120)"
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {rank!r}], start_new_session=True)\n"
        f"print('started', flush=True)\n{rank}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert "started" == process.stdout.readline().strip()
    (child,) = descendants(process.pid)
    kill_tree(process.pid)
    assert -signal.SIGKILL == process.wait(10)
    process.stdout.close()
    assert ends(child)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"trtllm.sampler_type": "TorchSampler"}, "would silently ignore the repetition penalty 1.3"),
        ({"trtllm.extra_llm_args": {"no_such": 1}}, r"takes no no_such"),
        ({"trtllm.extra_llm_args": {"calib_config": {}}}, r"takes no calib_config"),
        ({"trtllm.extra_llm_args": {"stream_interval": 0}}, "ValidationError"),
    ],
)
def test_what_the_library_refuses_or_would_ignore_is_said(standin_of, tiny, monkeypatch, overrides, said):
    """Before a GPU minute is spent, in one message."""
    with pytest.raises(EngineError, match=said):
        open_engine(standin_of("1.2.1"), tiny, monkeypatch=monkeypatch, overrides=overrides)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sampler_type", "TorchSampler", r"a setting of its own, trtllm\.sampler_type"),
        ("enable_trtllm_sampler", False, r"a setting of its own, trtllm\.sampler_type"),
        ("max_batch_size", 8, r"a setting of its own, engine\.max_batch_size"),
        ("kv_cache_config", {"dtype": "fp8"}, r"a setting of its own, trtllm\.kv_cache_config"),
        ("kv_cache_dtype", "fp8", r"a setting of its own, trtllm\.kv_cache_config\.dtype"),
        ("speculative_config", {}, "past the check that the repetition penalty is applied"),
        ("force_dynamic_quantization", True, "past the fingerprint"),
        ("quant_config", {}, "past the fingerprint"),
        ("skip_tokenizer_init", False, "can't be given"),
    ],
)
def test_extra_arguments_go_behind_nobodys_back(tiny, name, value, said):
    """The penalty would be dropped in silence by another sampler, the ledger would name another model's output."""
    config = load_config(None, {"trtllm.extra_llm_args": {name: value}})
    with pytest.raises(ConfigError, match=said):
        llm_settings(load_pack(str(tiny)), config, [])


def test_no_gpu_is_said(standin_of, tiny, monkeypatch):
    """The library reads the device while it checks arguments: its own words are handed on."""
    standin = standin_of("1.2.1")
    original = standin.environment
    standin.environment = lambda *faults, **more: original(*faults, **more, TRTLLM_STANDIN_GPU="")
    with pytest.raises(EngineError, match="could not load the model: RuntimeError: No CUDA GPUs are available"):
        open_engine(standin, tiny, monkeypatch=monkeypatch)


def test_a_library_that_cannot_be_imported_is_said(tiny, monkeypatch, tmp_path):
    """Here there is none at all."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    settings = llm_settings(load_pack(str(tiny)), load_config(), [])
    if (
        subprocess.run(
            [sys.executable, "-c", "import tensorrt_llm"], capture_output=True, check=False
        ).returncode
        == 0
    ):
        pytest.skip("tensorrt_llm is installed here")
    with pytest.raises(EngineError, match="tensorrt_llm can't be imported: ModuleNotFoundError"):
        TrtllmEngine(settings)


def test_a_process_that_ends_while_loading_leaves_its_last_words(monkeypatch):
    """A crash in CUDA says something on standard error and nothing on the pipe."""
    worker = WorkerProcess(dict(os.environ), module="json.tool")  # takes no pipes, and says so
    while not worker.ended:
        worker.receive(0.1)
    assert "json.tool" in worker.log_tail()
    assert worker.exit_description().startswith("exit code")
    worker.kill()


GUARD = """
import sys
from tensorrt_llm import LLM
def main():
    LLM(model={model!r}, skip_tokenizer_init=True).shutdown()
    print("loaded")
{guard}main()
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_the_stand_in_wants_a_main_guard_as_mpi_does(standin_of, tiny, guarded):
    """Without TLLM_WORKER_USE_SINGLE_PROCESS the main module runs once more: the trap that the adapter avoids."""
    standin = standin_of("1.2.1")
    script = standin.folder / "script.py"
    guard = 'if __name__ == "__main__": ' if guarded else ""
    script.write_text(GUARD.format(model=str(tiny / "language_model"), guard=guard), encoding="utf-8")
    environment = standin.environment(TRTLLM_STANDIN_PACK=str(tiny))
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert guarded == ("loaded" in done.stdout)
    assert guarded == ("if __name__ == `__main__`" not in done.stderr.replace("'", "`"))


def test_several_gpus_start_mpi_workers_that_stay_quiet(standin_of, tiny, monkeypatch):
    """Tensor parallelism runs our process's main module again in every rank: it must do nothing there."""
    standin = standin_of("1.2.1")
    engine = open_engine(standin, tiny, monkeypatch=monkeypatch, overrides={"trtllm.tensor_parallel_size": 2})
    assert 1 == len(list(engine.generate(requests(1))))
    engine.close()
    (loaded,) = standin.calls("llm")
    assert 2 == loaded["arguments"]["tensor_parallel_size"]
    assert "TLLM_WORKER_USE_SINGLE_PROCESS" not in loaded["environment"]
