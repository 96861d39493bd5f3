"""`doctor`: what it says of a machine that lacks something, and the trial on the engine that it will be used for."""

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from fake_tools import Tools

from orpheus_batch.cli import cli
from orpheus_batch.config import load_config
from orpheus_batch.doctor import Finding, Status, as_table, examine
from orpheus_batch.doctor.checks import check_codec, check_disk, check_model
from orpheus_batch.doctor.trial import SENTENCES
from orpheus_batch.engine.choose import EngineChoice
from orpheus_batch.engine.trtllm.build import BuildRequest, build_engine
from orpheus_batch.voices import load_pack


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def test_a_machine_without_gpu_and_library_is_told_what_is_missing(monkeypatch, tmp_path):
    """Asked for TensorRT-LLM: each missing thing is a row with a remedy, nothing is tried, and the exit code is 1."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("orpheus_batch.doctor.checks.find_ffmpeg", lambda: "/somewhere/ffmpeg")
    done = CliRunner().invoke(cli, ["doctor", "--engine", "trtllm", "--model", "orpheus-3b"])
    assert 1 == done.exit_code
    rows = {line.split("|")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("|")}
    for subject in ("GPU", "CUDA", "TensorRT-LLM", "model", "codec"):
        assert "| WRONG |" in rows[subject]
    assert "not tried" in rows["trial"]
    todo = done.stdout.split("What to do:")[1]
    assert "docker run --gpus all" in todo
    assert "release image" in todo
    assert 2 == todo.count("orpheus-batch fetch-model")


def test_what_auto_can_do_without_is_a_note(monkeypatch, tmp_path):
    """A laptop is no fault: the embedded engine is taken, the reason stands there, and the trial is run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        "orpheus_batch.doctor.examination.run_trial", lambda config, recogniser: pytest.fail("reached")
    )
    found = {}
    with pytest.raises(pytest.fail.Exception, match="reached"):
        for finding in examine(load_config(), tmp_path):
            found[finding.subject] = finding
    assert (Status.NOTE, Status.NOTE) == (found["GPU"].status, found["TensorRT-LLM"].status)
    assert "embedded engine: tensorrt_llm is not installed" == found["engine"].value
    assert "builtin: 3 files" in found["model"].value


def test_a_driver_that_torch_cannot_use_is_wrong(monkeypatch, tmp_path):
    """The commonest fault of a hand-made image: a torch for CPU over a GPU."""
    import torch

    tools = Tools(tmp_path)
    tools.add_gpu()
    monkeypatch.setenv("PATH", str(tools.folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = by_subject(examine(load_config(), tmp_path))
    assert "NVIDIA H100 80GB HBM3, 83.9 GB of 85.5 GB free, driver 580.95.05" in found["GPU"].value
    assert (Status.WRONG, "sees no GPU though the driver does") == (
        found["CUDA"].status,
        found["CUDA"].value.partition(") ")[2],
    )


class Parrot:
    """Hears the first two sentences and drops the third."""

    name = "parrot"

    def transcribe(self, utterances):
        (samples,) = utterances
        assert len(samples) > 16_000
        return [" ".join(SENTENCES[:2])]

    def close(self):
        pass


@pytest.fixture
def on_the_standin(standin_of, tiny, monkeypatch):
    """The tiny model on the stand-in, its takes kept whatever the checks say."""
    standin = standin_of("1.2.1")
    for name, value in standin.environment(TRTLLM_STANDIN_PACK=str(tiny)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(standin.path))
    overrides = {"engine.name": "trtllm", "model.pack": str(tiny), "sampling.repetition_penalty": 1.0}
    return standin, load_config(None, overrides | {"quality.max_attempts": 1})


def test_one_precision_is_heard_against_another(on_the_standin, tiny, monkeypatch, tmp_path):
    """Three sentences of each through the adapter, timed and heard in rows of its own; no folder is named as such."""
    standin, config = on_the_standin
    monkeypatch.setattr("orpheus_batch.doctor.checks.check_gpu", lambda choice, config: [])
    monkeypatch.setattr("orpheus_batch.doctor.examination.load_recogniser", lambda *which: Parrot())
    request = BuildRequest(tmp_path / "fp8", backend="pytorch", kv_cache="fp8")
    build_engine(load_pack(str(tiny)), request, lambda line: None)
    found = by_subject(examine(config, tmp_path, str(tmp_path / "fp8")))
    assert "checkpoint, bfloat16+fp8-kv, every file as built" in found["model fp8"].value
    num_words = [len(sentence.split()) for sentence in SENTENCES]
    for name in ("trial", "trial of fp8"):
        assert "3 takes" in found[name].value
        times = (
            r"loading [\d.]+ s, language model [\d.]+ s, codec [\d.]+ s, the rest [\d.]+ s; [1-9]\d* tokens/s"
        )
        assert re.match(times, found[f"{name}: time"].value)
        assert f"{num_words[2] / sum(num_words):.0%} of words wrong to parrot" in found[f"{name}: heard"].value
    assert 6 == len(standin.calls("request"))
    dtypes = [call["arguments"]["kv_cache_config"]["dtype"] for call in standin.calls("llm")]
    assert ["auto", "fp8"] == dtypes
    monkeypatch.setattr(
        "orpheus_batch.doctor.examination._trial", lambda name, *which: [Finding(name, Status.OK, "")]
    )
    found = by_subject(examine(config, tmp_path, str(tmp_path / "none")))
    assert Status.WRONG is found["model none"].status
    assert "trial of none" not in found


def test_the_sampler_is_reported(standin, monkeypatch):
    """What doctor says of the library is what the engine will rely on."""
    from orpheus_batch.doctor.checks import check_tensorrt_llm

    for name, value in standin.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_PROCID", "PMI_RANK"):  # inside of a batch job the import would wait for other ranks
        monkeypatch.setenv(name, "3")
    monkeypatch.syspath_prepend(str(standin.path))
    finding = check_tensorrt_llm(EngineChoice("trtllm", "asked for"))
    sampler = "TRTLLMSampler, which heeds penalty and seed"
    if standin.version != "1.2.1":
        sampler = "TorchSampler, which heeds penalty"
    assert (Status.OK, f"{standin.version}, sampler {sampler}") == (finding.status, finding.value)


def test_damaged_files_are_named(tiny, tmp_path):
    """A download cut short, and a codec that is not there."""
    import dataclasses
    import shutil

    pack = load_pack(str(tiny))
    choice = EngineChoice("torch", "asked for")
    assert Status.OK is check_model(pack, choice, load_config()).status
    assert Status.OK is check_codec(pack).status
    shutil.copytree(pack.language_model_dir, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    broken = dataclasses.replace(pack, language_model_dir=tmp_path / "model", codec_dir=tmp_path)
    finding = check_model(broken, choice, load_config())
    assert Status.WRONG is finding.status
    assert "model.safetensors is cut short or damaged" in finding.value
    assert Status.WRONG is check_codec(broken).status


def test_little_room_is_wrong(monkeypatch, tmp_path):
    """Less than ten hours of a book."""
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=10_000_000))
    assert Status.WRONG is check_disk(tmp_path).status


def test_the_table_can_be_pasted():
    """One line a row whatever an error message holds, and the remedies below."""
    text = as_table(
        [Finding("GPU", Status.WRONG, "none:\nno | driver", "buy one"), Finding("disk", Status.OK, "ok")]
    )
    assert [
        "| what |       | found |",
        "|------|-------|---|",
        "| GPU  | WRONG | none: no / driver |",
        "| disk | ok    | ok |",
        "",
        "What to do:",
        "- GPU: buy one",
    ] == text.splitlines()


def test_json_is_one_value(monkeypatch, tmp_path):
    """For machines: the same findings, and nothing else on stdout."""
    environment = os.environ | {"PATH": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "orpheus_batch",
        "doctor",
        "--engine",
        "trtllm",
        "--model",
        "orpheus-3b",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert 1 == done.returncode
    assert {"subject", "status", "value", "remedy"} == set(json.loads(done.stdout)[0])
