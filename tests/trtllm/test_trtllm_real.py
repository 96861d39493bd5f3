"""The real library, wherever it can be imported and a GPU is there; skipped with the reason elsewhere.

The built-in voice's int8 weights are unpacked for it, so nothing has to be fetched.
"""

import importlib.util
import subprocess
import sys

import pytest
import test_trtllm_render as on_the_standin

from orpheus_batch.engine.trtllm.gpus import query_gpus

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_llm") is None, reason="tensorrt_llm is not installed"
    ),
    pytest.mark.skipif(not query_gpus(), reason="no NVIDIA GPU"),
]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The paragraph of the built-in voice's own test, rendered by the real library."""
    folder = tmp_path_factory.mktemp("real")
    book = folder / "brook.txt"
    book.write_text(on_the_standin.builtin_voice.TEXT, encoding="utf-8")
    command = on_the_standin.command(book, folder / "out", "--batch-size", "8")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next((folder / "out").iterdir())


def test_the_real_library_is_understood(rendered):
    """Whole, at a speaking rate, and read by a recogniser within the bound of the embedded engine."""
    on_the_standin.builtin_voice.test_a_paragraph_is_rendered_at_a_speaking_rate(rendered)
    on_the_standin.builtin_voice.test_a_recogniser_understands_the_paragraph(rendered)


def test_doctor_is_content(rendered):
    """Every row of the table is in order on the machine that has just rendered."""
    command = [sys.executable, "-m", "orpheus_batch", "doctor", "--engine", "trtllm"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
