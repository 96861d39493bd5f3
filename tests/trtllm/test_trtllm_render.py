"""A book through the TensorRT-LLM adapter to MP3, on the stand-in, heard by the recogniser that hears our own engine.

If a prompt, a cap, an id or a stop went wrong between the line and the library's calls, nobody would understand it.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orpheus_batch.config import load_config
from orpheus_batch.errors import ConfigError
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.voices import load_pack

spec = importlib.util.spec_from_file_location(
    "builtin_voice_tests", Path(__file__).parents[1] / "voice" / "test_builtin_voice.py"
)
builtin_voice = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builtin_voice)

SHORT = (
    "The door was open. Nobody answered her call. A clock was ticking in the dark of the house. She went in."
)


def command(book, out, *more):
    return [
        sys.executable,
        "-m",
        "orpheus_batch",
        "render",
        str(book),
        "-o",
        str(out),
        "--engine",
        "trtllm",
        *more,
    ]


def run(standin, text, *more, faults=(), **environment):
    book = standin.folder / "brook.txt"
    book.write_text(text, encoding="utf-8")
    return subprocess.run(
        command(book, standin.folder / "out", *more),
        check=False,
        capture_output=True,
        text=True,
        env=standin.environment(*faults, **environment),
    )


def takes(folder):
    """Return every take of a book by segment, and the summary."""
    with Ledger.open(folder, read_only=True) as ledger:
        ids = [
            piece.segment.segment_id for row in ledger.chapters() for piece in ledger.chapter_pieces(row.index)
        ]
        return {segment_id: ledger.takes(segment_id) for segment_id in ids}, ledger.summary()


@pytest.fixture(scope="module", params=["1.2.1", "1.4.0rc1"])
def rendered(request, written, tmp_path_factory):
    """The paragraph of the built-in voice's own test, through the adapter, for each release."""
    from standin_helpers import StandIn

    standin = StandIn(request.param, written(request.param), tmp_path_factory.mktemp("render"))
    done = run(standin, builtin_voice.TEXT)
    assert done.returncode in (0, 3), done.stderr
    return standin, next((standin.folder / "out").iterdir()), done


def test_the_paragraph_is_whole(rendered):
    """Nothing failed, and it is spoken at a speaking rate."""
    builtin_voice.test_a_paragraph_is_rendered_at_a_speaking_rate(rendered[1])


def understood(rendered):
    """The same bound as of the embedded engine's rendering."""
    builtin_voice.test_a_recogniser_understands_the_paragraph(rendered[1])


def test_a_recogniser_understands_the_paragraph(rendered):
    """At most as many words are misheard as the embedded engine may have, by the very same test."""
    understood(rendered)


for mark in getattr(builtin_voice.test_a_recogniser_understands_the_paragraph, "pytestmark", []):
    test_a_recogniser_understands_the_paragraph = getattr(pytest.mark, mark.name)(*mark.args, **mark.kwargs)(
        test_a_recogniser_understands_the_paragraph
    )


def test_every_take_says_by_whom_and_whether_its_seed_counted(rendered):
    """1.2 has a sampler that heeds seeds, the newest has not: warned of once, and a column in the ledger."""
    standin, folder, done = rendered
    of_segment, _ = takes(folder)
    found = {(take.engine, take.seed_honoured) for all_of_it in of_segment.values() for take in all_of_it}
    assert {("trtllm", standin.version == "1.2.1")} == found
    assert (0 if standin.version == "1.2.1" else 1) == done.stderr.count("does not honour a request's seed")


def test_requests_carry_caps_of_their_own_length(rendered):
    """A loose cap destroys the batch: each is the text's own, whole frames, and never the library's 32."""
    standin, _, _ = rendered
    length = load_pack("builtin").length
    for call in standin.calls("request"):
        num_chars = len(call["prompt"]) - 6 - len("heart: ")
        assert length.max_new_tokens("x" * num_chars) == call["sampling"]["max_tokens"]
        assert 0 == call["sampling"]["max_tokens"] % 7


def test_requests_of_one_seed_have_noise_of_their_own(rendered):
    """The library's noise comes from the seed alone: each segment's is its own. Where none counts, none is given."""
    standin, _, _ = rendered
    seeds = [call["sampling"]["seed"] for call in standin.calls("request")]
    if standin.version == "1.2.1":
        assert len(seeds) == len(set(seeds)) > 1
    else:
        assert {None} == set(seeds)


def on_tiny(standin, tiny):
    """Return options for a model that speaks noise at once, whose takes are kept whatever the checks say."""
    config = standin.folder / "config.yaml"
    config.write_text("quality: {max_attempts: 1}\nsampling: {repetition_penalty: 1.0}\n", encoding="utf-8")
    return "--model", str(tiny), "--config", str(config)


def test_a_killed_engine_loses_nothing(standin_of, tiny):
    """SIGKILL to the engine's process in mid-book: the run goes on, and every segment is there."""
    standin = standin_of("1.2.1")
    die = {"kind": "die", "at": 2, "times": 1}
    done = run(standin, SHORT, *on_tiny(standin, tiny), faults=[die], TRTLLM_STANDIN_PACK=str(tiny))
    assert done.returncode in (0, 3), done.stderr
    assert "TensorRT-LLM is started again: its process ended (signal SIGKILL)" in done.stderr
    assert 2 == len(standin.calls("llm"))
    of_segment, summary = takes(next((standin.folder / "out").iterdir()))
    assert 0 == summary.num_pending
    assert len(of_segment) == summary.num_segments > 1
    for (take,) in of_segment.values():
        assert len(take.token_ids) > 0


def test_the_engine_dies_with_the_run(standin_of, tiny):
    """kill -9 to the run itself: nothing holds the GPU afterwards."""
    standin = standin_of("1.2.1")
    book = standin.folder / "brook.txt"
    book.write_text(SHORT, encoding="utf-8")
    environment = standin.environment({"kind": "hang", "every": 1})
    process = subprocess.Popen(
        command(book, standin.folder / "out"), env=environment, stderr=subprocess.DEVNULL
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    while not standin.calls("request") and process.poll() is None:
        time.sleep(0.05)
    watchdog.cancel()
    process.send_signal(signal.SIGKILL)
    process.wait()
    (pid,) = {call["pid"] for call in standin.calls("llm")}
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # dead, and nobody's child to be waited for
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} outlived its parent")


def test_what_is_recorded_is_not_spoken_again(rendered):
    """The same command finds nothing to do and loads nothing."""
    standin, _, _ = rendered
    if standin.version != "1.2.1":
        pytest.skip("the release makes no difference where no engine is loaded")
    done = run(standin, builtin_voice.TEXT)
    assert (0, 1) == (done.returncode, len(standin.calls("llm")))
    assert "nothing had to be spoken" in done.stdout


def test_bytes_cannot_be_promised():
    """Asking for determinism is refused with a reason; left to itself, the engine for it is chosen."""
    wanted = {"engine.deterministic": True}
    models = Models(
        load_pack("builtin"), load_config(None, wanted | {"engine.name": "trtllm"}), Factories(), Progress()
    )
    with pytest.raises(ConfigError, match="can't repeat every byte"):
        _ = models.deterministic
    models = Models(load_pack("builtin"), load_config(None, wanted), Factories(), Progress())
    assert ("torch", True) == (models.choice.name, models.deterministic)
