"""`build-engine`: the tools' command lines, what is left behind, and what `render` checks before it loads."""

import dataclasses
import importlib.util
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from fake_tools import Tools
from standin_writer import contract

from orpheus_batch.cli import cli
from orpheus_batch.config import load_config
from orpheus_batch.engine.trtllm.build import BuildRequest, build_engine
from orpheus_batch.engine.trtllm.gpus import query_gpus
from orpheus_batch.engine.trtllm.limits import SequenceLimits, default_batch_size, read_shape, sequence_limits
from orpheus_batch.engine.trtllm.loading import llm_settings, trtllm_fingerprint
from orpheus_batch.engine.trtllm.manifest import read_manifest
from orpheus_batch.errors import ConfigError, EngineError
from orpheus_batch.voices import load_pack


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Fake tools on the PATH, with a GPU, and no other program."""
    made = Tools(tmp_path)
    made.add_gpu()
    monkeypatch.setenv("PATH", str(made.folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return made


@pytest.fixture
def release(written, monkeypatch):
    """Install a release's stand-in for this process, unimported: it is looked for, and its version read."""

    def install(version):
        monkeypatch.syspath_prepend(str(written(version)))

    return install


def build(tiny, tools, tmp_path, **asked):
    said = []
    pack = load_pack(str(tiny))
    request = BuildRequest(target=tmp_path / "engine", examples=tools.examples, **asked)
    return build_engine(pack, request, said.append), said


def test_the_command_lines(tiny, tools, tmp_path, release):
    """convert_checkpoint and trtllm-build, with limits of the pack; every flag is one of the contract's."""
    release("1.2.1")
    result, _ = build(tiny, tools, tmp_path, max_batch_size=16, quant="fp8", kv_cache="fp8", calib_dataset="d")
    convert, made = tools.calls()
    flags = contract()["engine_path"]
    assert {f for f in convert if f.startswith("--")} <= set(flags["convert_checkpoint_flags"])
    assert {f for f in made if f.startswith("--")} <= set(flags["trtllm_build_flags"])
    assert [
        "--dtype",
        "bfloat16",
        "--tp_size",
        "1",
        "--use_fp8",
        "--fp8_kv_cache",
        "--calib_dataset",
        "d",
    ] == convert[5:]
    limits = sequence_limits(load_pack(str(tiny)))
    assert ["--max_batch_size", "16", "--max_input_len", str(limits.max_input_len)] == made[5:9]
    assert ["--max_seq_len", str(limits.max_seq_len), "--max_num_tokens", "8192"] == made[9:13]
    assert ["--gemm_plugin", "auto", "--use_paged_context_fmha", "enable"] == made[13:]
    assert ("engine", "9.0", "1.2.1", "fp8+fp8-kv") == (
        result.manifest.kind,
        result.manifest.gpu,
        result.manifest.tensorrt_llm,
        result.manifest.precision,
    )
    left = {file.name for file in (tmp_path / "engine").iterdir()}
    assert {
        "rank0.engine",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "orpheus-batch.json",
    } == left
    assert [] == [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_tensor_parallel_builds_a_file_a_rank(tiny, tools, tmp_path, release):
    """Two GPUs: two ranks, two workers."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16, tensor_parallel_size=2)
    assert ["--workers", "2"] == tools.calls()[1][-2:]
    assert (tmp_path / "engine" / "rank1.engine").is_file()


def test_the_same_again_is_nothing_to_do_and_another_is_built(tiny, tools, tmp_path, release):
    """By what was asked and by what lies there, not by the folder's being there."""
    release("1.2.1")
    assert build(tiny, tools, tmp_path, max_batch_size=16)[0].built_now
    assert not build(tiny, tools, tmp_path, max_batch_size=16)[0].built_now
    assert 2 == len(tools.calls())
    (tmp_path / "engine" / "rank0.engine").write_bytes(b"damaged")
    assert build(tiny, tools, tmp_path, max_batch_size=16)[0].built_now
    assert build(tiny, tools, tmp_path, max_batch_size=8)[0].built_now
    assert 8 == read_manifest(tmp_path / "engine").max_batch_size
    assert 6 == len(tools.calls())


@pytest.mark.parametrize("tool", ["convert_checkpoint.py", "trtllm-build"])
def test_a_failing_tool_leaves_nothing_and_the_old_engine_stays(
    tiny, tools, tmp_path, release, monkeypatch, tool
):
    """Its last words are shown with the command; what was there before still is."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16)
    monkeypatch.setenv("FAKE_TOOL_FAILS", tool)
    with pytest.raises(EngineError, match=r"(?s)exit code 7.*--output_dir.*CUDA error: out of memory"):
        build(tiny, tools, tmp_path, max_batch_size=8)
    assert 16 == read_manifest(tmp_path / "engine").max_batch_size
    assert [] == [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_tools_run_in_a_clean_environment(tiny, tools, tmp_path, release, monkeypatch):
    """Inside of a batch job MPI would take them for one rank of many; and the GPU is the one the plan was made for."""
    release("1.2.1")
    launchers = ("SLURM_PROCID", "PMI_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "WORLD_SIZE", "LOCAL_RANK")
    for name in launchers:
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("OMPI_MCA_coll_hcoll_enable", "0")  # set by the image, for the MPI library
    tools.add_gpu(num_gpus=4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    build(tiny, tools, tmp_path, max_batch_size=16)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    build(tiny, tools, tmp_path, max_batch_size=8)
    for number, environment in enumerate(tools.environments()):
        assert set() == set(launchers) & set(environment)
        assert "0" == environment["OMPI_MCA_coll_hcoll_enable"]
        assert "1" == environment["TRTLLM_NO_USAGE_STATS"]
        assert ("2" if number < 2 else "0") == environment["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("GPU-1234-5678", [1]),
        ("GPU-2,GPU-0", [2, 0]),
        ("0,7,1", [0]),
        ("-1", []),
        ("", []),
        ("MIG-7", [0, 1, 2]),
    ],
)
def test_gpus_are_those_that_cuda_would_count(tools, monkeypatch, visible, found):
    """By number or by name: another GPU's memory and capability would go into the plan."""
    tools.add_gpu(num_gpus=3)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert found == [gpu.index for gpu in query_gpus()]


def test_two_builds_at_once_are_one(tiny, tools, tmp_path, release, monkeypatch):
    """The second waits, says so, and finds the work done."""
    release("1.2.1")
    monkeypatch.setenv("FAKE_TOOL_SLEEPS_S", "0.5")
    with ThreadPoolExecutor(2) as pool:
        builds = [pool.submit(build, tiny, tools, tmp_path, max_batch_size=16) for _ in range(2)]
    results = [built.result() for built in builds]
    assert [False, True] == sorted(result.built_now for result, _ in results)
    assert 2 == len(tools.calls())
    assert 1 == sum("another process is building" in line for _, said in results for line in said)
    assert [] == [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_two_targets_in_one_folder_do_not_meet(tiny, tools, tmp_path, release, monkeypatch):
    """Neither waits for the other, nor clears its folder away."""
    release("1.2.1")
    monkeypatch.setenv("FAKE_TOOL_SLEEPS_S", "0.3")
    pack = load_pack(str(tiny))
    targets = [tmp_path / "engine", tmp_path / "engine.fp8"]
    with ThreadPoolExecutor(2) as pool:
        requests = [BuildRequest(t, examples=tools.examples, max_batch_size=8) for t in targets]
        list(pool.map(lambda request: build_engine(pack, request, lambda line: None), requests))
    assert [8, 8] == [read_manifest(target).max_batch_size for target in targets]


def test_a_killed_build_is_cleared_away_and_the_old_engine_comes_back(tiny, tools, tmp_path, release):
    """Killed between the two renames: nothing stands in the target's place, and the old engine is put there again."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16)
    left = tmp_path / ".engine.abc.building"
    left.mkdir()
    (left / "half").write_text("made")
    (tmp_path / "engine").rename(left / "old")
    result, _ = build(tiny, tools, tmp_path, max_batch_size=16)
    assert not result.built_now
    assert 2 == len(tools.calls())
    assert [] == [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_limits_that_a_tool_lowered_are_noticed(tiny, tools, tmp_path, release, monkeypatch):
    """trtllm-build may clamp: an engine smaller than asked is not passed off as what was asked."""
    release("1.2.1")
    monkeypatch.setenv("FAKE_TOOL_LOWERS_BATCH", "4")
    with pytest.raises(EngineError, match="'max_batch_size': 4"):
        build(tiny, tools, tmp_path, max_batch_size=16)


def test_a_folder_of_something_else_is_left_alone(tiny, tools, tmp_path, release):
    """Nobody's files are moved away."""
    release("1.2.1")
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "thesis.txt").write_text("years of work")
    with pytest.raises(EngineError, match="give another folder"):
        build(tiny, tools, tmp_path)
    assert "years of work" == (tmp_path / "engine" / "thesis.txt").read_text()


def test_the_newest_release_gets_a_checkpoint(tiny, tools, tmp_path, release):
    """No engine backend, no tool is called: the folder holds what the PyTorch backend loads, and says so."""
    release("1.4.0rc1")
    result, said = build(tiny, tools, tmp_path, max_batch_size=16, kv_cache="fp8")
    assert [] == tools.calls()
    assert ("checkpoint", "fp8", "bfloat16+fp8-kv") == (
        result.manifest.kind,
        result.manifest.kv_cache_dtype,
        result.manifest.precision,
    )
    assert "a checkpoint for the PyTorch backend" in said[1]
    assert (tmp_path / "engine" / "model.safetensors").samefile(tiny / "language_model" / "model.safetensors")
    with pytest.raises(EngineError, match=r"ended with 1\.3\.0rc20"):
        build(tiny, tools, tmp_path, backend="tensorrt")


def test_a_checkpoint_binds_no_limits(tiny, tools, tmp_path, release):
    """Nothing is built in: left open, batch and lengths are worked out where it is loaded, not where it was made."""
    release("1.4.0rc1")
    engine = tmp_path / "engine"
    result, said = build(tiny, tools, tmp_path)
    assert 0 == result.manifest.max_batch_size
    assert "batch open" in " ".join(said)
    pack = load_pack(str(tiny))
    by_hand = llm_settings(pack, load_config(), query_gpus())
    assert by_hand.max_batch_size == settings_of(tiny, engine).max_batch_size > 64
    tools.add_gpu(free_mib=2)
    assert 64 > settings_of(tiny, engine).max_batch_size
    build(tiny, tools, tmp_path, max_batch_size=16)
    assert 16 == settings_of(tiny, engine).max_batch_size
    assert 32 == settings_of(tiny, engine, **{"engine.max_batch_size": 32}).max_batch_size
    assert 2000 == settings_of(tiny, engine, **{"trtllm.max_seq_len": 2000}).max_seq_len


def test_fp8_wants_a_gpu_that_has_it(tiny, tools, tmp_path, release):
    """On an A100 the builder would leave fp8 attention out with a warning that nobody reads."""
    release("1.2.1")
    tools.add_gpu(capability="8.0")
    with pytest.raises(EngineError, match=r"fp8 wants a GPU of compute capability 8\.9 .*\(8\.0\)"):
        build(tiny, tools, tmp_path, quant="fp8")
    assert [] == tools.calls()
    with pytest.raises(EngineError, match="fp8 wants a GPU"):
        settings_of(tiny, tiny / "language_model", **{"trtllm.kv_cache_config.dtype": "fp8"})
    tools.add_gpu(capability="8.9")
    build(tiny, tools, tmp_path, quant="fp8")


def test_a_disk_too_small_is_said_first(tiny, tools, tmp_path, release, monkeypatch):
    """An hour's work must not end at the last gigabyte."""
    release("1.2.1")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(EngineError, match=r"about .* will be written to .* which has 1\.0 kB free"):
        build(tiny, tools, tmp_path)
    assert [] == tools.calls()


def test_fp8_weights_without_modelopt_are_refused(tiny, tools, tmp_path, release):
    """Said before anything is written."""
    if importlib.util.find_spec("modelopt") is not None:
        pytest.skip("ModelOpt is installed here")
    release("1.4.0rc1")
    with pytest.raises(EngineError, match="pip install nvidia-modelopt"):
        build(tiny, tools, tmp_path, quant="fp8")
    assert not (tmp_path / "engine").exists()


def test_what_is_missing_is_said(tiny, tools, tmp_path, release, monkeypatch):
    """No library, no examples, no builder, a cache type that needs more: each names its remedy."""
    if not any("tensorrt_llm" in path for path in sys.path):
        with pytest.raises(EngineError, match="not installed: run this in NVIDIA's release image"):
            build(tiny, tools, tmp_path)
    release("1.2.1")
    with pytest.raises(EngineError, match="wants --quant fp8 too"):
        build(tiny, tools, tmp_path, kv_cache="fp8")
    request = BuildRequest(target=tmp_path / "engine", examples=tmp_path)
    with pytest.raises(EngineError, match="--trtllm-examples"):
        build_engine(load_pack(str(tiny)), request, lambda line: None)
    (tools.folder / "trtllm-build").unlink()
    with pytest.raises(EngineError, match="trtllm-build is not on the PATH"):
        build(tiny, tools, tmp_path)


def settings_of(tiny, engine, **overrides):
    pack = dataclasses.replace(load_pack(str(tiny)), language_model_dir=engine)
    return llm_settings(pack, load_config(None, overrides), query_gpus())


def test_render_checks_an_engine_before_it_loads(tiny, tools, tmp_path, release, written):
    """Limits, release, GPU and files: a mistake costs no loading."""
    release("1.2.1")
    engine = tmp_path / "engine"
    build(tiny, tools, tmp_path, max_batch_size=16)
    loaded = settings_of(tiny, engine)
    assert ("tensorrt", 16, 8192) == (loaded.backend, loaded.max_batch_size, loaded.max_num_tokens)
    with pytest.raises(EngineError, match=r"max_batch_size is 32, and .* was built for 16"):
        settings_of(tiny, engine, **{"engine.max_batch_size": 32})
    with pytest.raises(EngineError, match="max_seq_len is 9000"):
        settings_of(tiny, engine, **{"trtllm.max_seq_len": 9000})
    tools.add_gpu(capability="8.9")
    with pytest.raises(EngineError, match=r"built for compute capability 9\.0"):
        settings_of(tiny, engine)
    tools.add_gpu()
    (engine / "tokenizer.json").write_text("{}")
    with pytest.raises(EngineError, match="not as it was built"):
        settings_of(tiny, engine)


def test_a_step_holds_no_more_tokens_than_the_engine(tiny, tools, tmp_path, release, monkeypatch):
    """The tool may build fewer than were asked for: more would raise in the library, or be clamped in silence."""
    release("1.2.1")
    engine = tmp_path / "engine"
    monkeypatch.setenv("FAKE_TOOL_LOWERS_TOKENS", "2048")
    build(tiny, tools, tmp_path, max_batch_size=16)
    assert 2048 == settings_of(tiny, engine).max_num_tokens
    assert 1024 == settings_of(tiny, engine, **{"trtllm.max_num_tokens": 1024}).max_num_tokens
    assert 16 == settings_of(tiny, engine, **{"trtllm.max_num_tokens": 4}).max_num_tokens  # the batch at least
    with pytest.raises(EngineError, match=r"max_num_tokens is 8192, and .* was built for 2048"):
        settings_of(tiny, engine, **{"trtllm.max_num_tokens": 8192})
    monkeypatch.setenv("FAKE_TOOL_LOWERS_TOKENS", "8")
    with pytest.raises(EngineError, match="'max_num_tokens': 8"):
        build(tiny, tools, tmp_path, max_batch_size=12)
    release("1.4.0rc1")  # a checkpoint has no such limit built in
    build(tiny, tools, tmp_path, max_batch_size=16, max_num_tokens=1024)
    assert 1024 == settings_of(tiny, engine).max_num_tokens
    assert 4096 == settings_of(tiny, engine, **{"trtllm.max_num_tokens": 4096}).max_num_tokens


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kv_cache_config.dtype", "fp8"),
        ("kv_cache_config.tokens_per_block", 64),
        ("tensor_parallel_size", 2),
        ("sampler_type", "TRTLLMSampler"),
        ("load_format", "dummy"),
    ],
)
def test_what_is_built_in_is_not_dropped_in_silence(tiny, tools, tmp_path, release, name, value):
    """The engine would be loaded as if nobody had asked."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16)
    with pytest.raises(EngineError, match=rf"trtllm\.{name} is {value}, and .* built"):
        settings_of(tiny, tmp_path / "engine", **{f"trtllm.{name}": value})


def test_segments_longer_than_the_engine_are_refused_before_they_fail(tiny, tools, tmp_path, release):
    """Built for short ones and asked for long ones: said at once, not segment by segment through the night."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16, max_chars=40)
    with pytest.raises(EngineError, match=r"(?s)longest segment may take .*lower text\.max_chars.*--max-chars"):
        settings_of(tiny, tmp_path / "engine")
    assert settings_of(tiny, tmp_path / "engine", **{"text.max_chars": 40}).max_seq_len


@pytest.mark.parametrize(("name", "value"), [("kv_cache_gb", 4.0), ("tokens_per_block", 64)])
def test_settings_of_the_embedded_engine_are_not_dropped_in_silence(tiny, name, value):
    """The message names the one that TensorRT-LLM has."""
    config = load_config(None, {f"engine.{name}": value})
    with pytest.raises(ConfigError, match=rf"engine\.{name} is the embedded .* trtllm\.kv_cache_config\."):
        llm_settings(load_pack(str(tiny)), config, [])


def test_an_engine_on_the_embedded_engine_is_said(tiny, tools, tmp_path, release):
    """Not "no weights, fetch them": they were fetched, and built."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16)
    built = dataclasses.replace(load_pack(str(tiny)), language_model_dir=tmp_path / "engine")
    with pytest.raises(ConfigError, match="holds an engine of TensorRT-LLM"):
        built.model_fingerprint("float32")


def test_an_engine_for_more_gpus_than_there_are_is_refused(tiny, tools, tmp_path, release):
    """Of the GPUs from the device on."""
    release("1.2.1")
    tools.add_gpu(num_gpus=2)
    build(tiny, tools, tmp_path, max_batch_size=16, tensor_parallel_size=2)
    assert 2 == settings_of(tiny, tmp_path / "engine").tensor_parallel_size
    with pytest.raises(EngineError, match="built for 2 GPUs, and 1 can be used"):
        settings_of(tiny, tmp_path / "engine", **{"engine.device": "cuda:1"})


def test_an_engine_of_another_release_is_refused(tiny, tools, tmp_path, release):
    """An engine runs on the release that built it; a prepared checkpoint runs on any."""
    release("1.2.1")
    build(tiny, tools, tmp_path, max_batch_size=16)
    release("1.4.0rc1")
    with pytest.raises(EngineError, match=r"built by tensorrt_llm 1\.2\.1, and 1\.4\.0rc1 is installed"):
        settings_of(tiny, tmp_path / "engine")


def test_an_engine_speaks_in_the_name_of_its_model(tiny, tools, tmp_path, release):
    """A bfloat16 engine has its checkpoint's fingerprint: a book begun on one goes on with the other. fp8 has not."""
    release("1.2.1")
    pack = load_pack(str(tiny))
    build(tiny, tools, tmp_path, max_batch_size=16)
    built = dataclasses.replace(pack, language_model_dir=tmp_path / "engine")
    config = load_config()
    assert (
        pack.model_fingerprint("bfloat16")
        == trtllm_fingerprint(pack, config)
        == trtllm_fingerprint(built, config)
    )
    build(tiny, tools, tmp_path, max_batch_size=16, quant="fp8")
    assert trtllm_fingerprint(built, config) != trtllm_fingerprint(pack, config)
    fp8_kv = load_config(None, {"trtllm.kv_cache_config.dtype": "fp8"})
    assert trtllm_fingerprint(pack, fp8_kv) != trtllm_fingerprint(pack, config)


def test_the_cache_of_a_prepared_checkpoint_counts(tiny, tools, tmp_path, release):
    """fp8 keys and values speak differently, whether the folder or the configuration asks for them."""
    release("1.4.0rc1")
    pack = load_pack(str(tiny))
    sixteen, fp8 = load_config(), load_config(None, {"trtllm.kv_cache_config.dtype": "fp8"})
    built = dataclasses.replace(pack, language_model_dir=tmp_path / "engine")
    build(tiny, tools, tmp_path, max_batch_size=16)
    assert trtllm_fingerprint(pack, sixteen) == trtllm_fingerprint(built, sixteen)
    assert trtllm_fingerprint(pack, fp8) == trtllm_fingerprint(built, fp8) != trtllm_fingerprint(built, sixteen)
    assert "fp8" == llm_settings(built, fp8, []).kv_cache_config["dtype"]
    build(tiny, tools, tmp_path, max_batch_size=16, kv_cache="fp8")
    assert trtllm_fingerprint(pack, fp8) == trtllm_fingerprint(built, fp8) == trtllm_fingerprint(built, sixteen)


def test_a_book_renders_on_an_engine(tiny, tools, standin_of, tmp_path, monkeypatch):
    """Built, checked, loaded by the engine backend, spoken: by the commands that a user gives."""
    standin = standin_of("1.2.1")
    for name, value in standin.environment(TRTLLM_STANDIN_PACK=str(tiny)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tools.folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.syspath_prepend(str(standin.path))
    engine = tmp_path / "engine"
    arguments = [
        "build-engine",
        str(tiny / "language_model"),
        "-o",
        str(engine),
        "--model",
        str(tiny),
        "--json",
    ]
    arguments += ["--trtllm-examples", str(tools.examples), "--max-batch-size", "8"]
    done = CliRunner().invoke(cli, arguments)
    assert 0 == done.exit_code, done.output
    assert "building the engine" in done.stderr
    assert json.loads(done.stdout)["built_now"] is True
    book = tmp_path / "book.txt"
    book.write_text("She went in. The door fell shut behind her.", encoding="utf-8")
    render = [
        "render",
        str(book),
        "-o",
        str(tmp_path / "out"),
        "--model",
        str(tiny),
        "--model-dir",
        str(engine),
    ]
    config = tmp_path / "config.yaml"
    config.write_text("quality: {max_attempts: 1}\nsampling: {repetition_penalty: 1.0}\n", encoding="utf-8")
    done = CliRunner().invoke(cli, [*render, "--config", str(config)])  # --engine auto finds library and GPU
    assert done.exit_code in (0, 3), done.output  # noise may not pass the checks
    assert "TensorRT-LLM: it is installed, and there is a GPU (NVIDIA H100 80GB HBM3)" in done.stderr
    (loaded,) = standin.calls("llm")
    assert ("EngineLLM", 8) == (loaded["kind"], loaded["arguments"]["max_batch_size"])
    assert len(list((tmp_path / "out").rglob("*.mp3"))) == 1


def test_memory_decides_the_batch(tiny):
    """Orpheus' 112 KiB a token, half in fp8; never beyond 1,024, and too little memory is said."""
    shape = dataclasses.replace(
        read_shape(tiny / "language_model"),
        num_layers=28,
        num_kv_heads=8,
        head_dim=128,
        num_weights=3_300_000_000,
    )
    assert (112 * 1024, 56 * 1024) == (shape.kv_bytes_per_token("auto"), shape.kv_bytes_per_token("fp8"))
    limits = SequenceLimits(600, 2048)

    def batch(gb, **more):
        return default_batch_size(shape, limits, free_bytes=int(gb * 1e9), **more)

    assert 1024 == batch(900)
    assert batch(80) < batch(80, kv_dtype="fp8") <= 1024
    assert 0 == batch(80) % 8
    assert 64 == default_batch_size(shape, limits, free_bytes=None)
    with pytest.raises(EngineError, match=r"too little for weights of 6\.6 GB"):
        batch(5)


def test_limits_hold_the_longest_segment(tiny):
    """Prompt and cap of the longest text fit; a model with a shorter memory is refused by name."""
    pack = load_pack("orpheus-3b")
    limits = sequence_limits(pack)
    longest = "x" * pack.segment_limits.max_chars
    assert limits.max_seq_len >= limits.max_input_len + pack.length.max_new_tokens(longest)
    assert limits.max_seq_len <= 8192  # what the model was trained on
    with pytest.raises(EngineError, match=r"lower text\.max_chars"):
        sequence_limits(pack, max_positions=2048)
