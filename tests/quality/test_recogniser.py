"""Recognisers: which one, its processes, what it is given."""

import sys
import types
import wave
from pathlib import Path

import numpy as np
import pytest

from orpheus_batch.config import AsrConfig
from orpheus_batch.data import Waveform
from orpheus_batch.errors import ConfigError, RecogniserError
from orpheus_batch.quality import moonshine, recogniser
from orpheus_batch.quality.moonshine import MAX_UTTERANCES, Moonshine
from orpheus_batch.quality.recogniser import load_recogniser, to_utterances

ECHO = """
import json, os, struct, sys
while head := sys.stdin.buffer.read(4):
    content = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
    if len(content) == 26:
        os._exit(1)
    print(json.dumps(f"{len(content) // 2} {os.getpid()}"), flush=True)
"""


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """Moonshine whose processes answer with a length and their own number, and die of 13 samples."""
    script = tmp_path / "echo.py"
    script.write_text(ECHO, encoding="utf-8")
    monkeypatch.setattr(moonshine, "SCRIPT", script)
    monkeypatch.setattr(moonshine, "version", lambda name: "0")
    made = Moonshine(num_processes=2)
    yield made
    made.close()


def utterances(*lengths: int) -> list[np.ndarray]:
    return [np.zeros(length, np.int16) for length in lengths]


def test_answers_come_in_order_from_processes_that_do_not_live_long(echo):
    """Each hears a few, then another takes its place; on the next call too."""
    wanted = [n for n in range(100, 130) if n % 13]
    heard = [echo.transcribe(utterances(*part)) for part in (wanted[:20], wanted[20:])]
    answers = [answer.split() for part in heard for answer in part]
    assert wanted == [int(length) for length, _ in answers]
    processes = [pid for _, pid in answers]
    assert max(processes.count(pid) for pid in processes) <= MAX_UTTERANCES


def test_process_that_dies_is_told_and_replaced(echo):
    """In words, with what to do; the next utterances are heard again."""
    with pytest.raises(RecogniserError, match=r"ended with 1 amid an utterance; .* asr.processes lower"):
        echo.transcribe(utterances(5, 13, 7, 8))
    assert ["5", "7"] == [answer.split()[0] for answer in echo.transcribe(utterances(5, 7))]


def test_process_that_hangs_is_killed(echo, tmp_path, monkeypatch):
    """Nobody waits for it for ever."""
    (tmp_path / "echo.py").write_text("import time; time.sleep(100)", encoding="utf-8")
    monkeypatch.setattr(moonshine, "TIMEOUT_S", 0.3)
    with pytest.raises(RecogniserError, match="ended with -9"):
        echo.transcribe(utterances(5))


def test_resampled_and_apart():
    """A tone stays where it was and as loud; what stands beside it in the batch is not heard."""
    tone = Waveform(0.5 * np.sin(2 * np.pi * 440 * np.arange(24_001) / 24_000).astype(np.float32), 24_000)
    click = Waveform(np.ones(7, np.float32), 24_000)
    alone, *_ = to_utterances([tone])
    _, beside, _ = to_utterances([click, tone, click])
    assert pytest.approx(24_001 * 2 / 3 + 3_200, abs=2) == len(alone)
    assert alone.tobytes() == beside.tobytes()
    assert 0 == np.abs(alone[:1_500]).max()
    assert pytest.approx(0.5 * 32_767 / 2**0.5, rel=0.01) == np.std(alone[1_700:17_000].astype(float))


def installed(monkeypatch, *modules):
    monkeypatch.setattr(recogniser, "_is_installed", lambda module: module in modules)
    monkeypatch.setattr(moonshine, "version", lambda name: "0")


def test_which_recogniser(monkeypatch):
    """Moonshine hears English on a CPU; all else is faster-whisper's; what lacks is named."""
    made = []
    monkeypatch.setattr(recogniser, "FasterWhisper", lambda *args: made.append(args))
    auto = AsrConfig("auto")
    installed(monkeypatch, "moonshine_cpp", "faster_whisper")
    assert isinstance(load_recogniser(auto, "en", "cpu"), Moonshine)
    load_recogniser(auto, "en", "cuda:1")
    load_recogniser(auto, "fr", "cpu")
    load_recogniser(AsrConfig("faster-whisper", model="large-v3"), "en", "cpu")
    assert [("small.en", "en", "cuda:1"), ("small", "fr", "cpu"), ("large-v3", "en", "cpu")] == made
    installed(monkeypatch, "moonshine_cpp")
    with pytest.raises(ConfigError, match=r"Moonshine hears English, and this pack speaks 'fr'"):
        load_recogniser(auto, "fr", "cpu")
    installed(monkeypatch)
    for name in ("auto", "moonshine", "faster-whisper"):
        with pytest.raises(ConfigError, match=r"installed: pip install 'orpheus-batch\[asr\]'"):
            load_recogniser(AsrConfig(name), "en", "cpu")


class WhisperModel:
    """What of faster-whisper's is called: its own names (1.0 to 1.2)."""

    def __init__(self, model, device="auto", device_index=0, compute_type="default", num_workers=1):
        if model == "absent":
            raise OSError("cannot find it")
        self.made = (model, device, device_index, compute_type, num_workers)

    def transcribe(
        self, audio, language=None, temperature=(0.0,), condition_on_previous_text=True, without_timestamps=False,
        vad_filter=False,
    ):  # fmt: skip
        assert audio.dtype == np.float32
        assert (0.0, False, "fr") == (temperature, condition_on_previous_text, language)
        text = f"{len(audio)} {audio[0]:.2f}"
        return iter([types.SimpleNamespace(text=f" {text}"), types.SimpleNamespace(text=" more")]), None


def test_faster_whisper_s_interface(monkeypatch):
    """A stand-in for the library: what it is given, and what becomes of its segments."""
    stand_in = types.SimpleNamespace(WhisperModel=WhisperModel, __version__="1.2.1")
    monkeypatch.setitem(sys.modules, "faster_whisper", stand_in)
    made = recogniser.FasterWhisper("folder/small", "fr", "cuda:1")
    assert ("folder/small", "cuda", 1, "float16", 2) == made._model.made
    assert "Whisper small (faster-whisper 1.2.1)" == made.name
    assert ["3 0.50 more", "4 0.50 more"] == made.transcribe([np.full(n, 16_384, np.int16) for n in (3, 4)])
    made.close()
    with pytest.raises(RecogniserError, match=r"can't load 'absent' on cpu: cannot find it; .* asr.model"):
        recogniser.FasterWhisper("absent", "fr", "cpu")


def test_moonshine_hears_speech():
    """The real one, on the recording that comes with it."""
    module = pytest.importorskip("moonshine_cpp")
    with wave.open(str(Path(module.__file__).parent / "test-data" / "beckett.wav")) as file:
        assert (16_000, 1, 2) == (file.getframerate(), file.getnchannels(), file.getsampwidth())
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    made = Moonshine(num_processes=1)
    try:
        (heard,) = made.transcribe([samples[: 16_000 * 4]])
    finally:
        made.close()
    assert "ever tried" in heard.lower()
