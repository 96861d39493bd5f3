"""The built-in voice through the whole line to MP3, heard by a recogniser that is not ours.

If one offset, one frame's order, one codebook or one gain were wrong, nobody would understand the result.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.voices import load_pack

ROOT = Path(__file__).parents[2]
TEXT = (
    "He heard the sweet voices of happy little singers, and they were good to hear. "
    "It was the voice of the Laughing Brook. He was just climbing up the bank with the fat trout in his mouth."
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """One paragraph, rendered to an MP3 by the command line itself, with the shipped pack."""
    folder = tmp_path_factory.mktemp("voice")
    book = folder / "brook.txt"
    book.write_text(TEXT, encoding="utf-8")
    command = [sys.executable, "-m", "orpheus_batch", "render", str(book), "-o", str(folder / "out")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return next((folder / "out").iterdir())


def hear(book: Path) -> dict:
    """Return what `benchmarks/voice_wer.py` prints for a rendered book."""
    command = [sys.executable, str(ROOT / "benchmarks/voice_wer.py"), str(book)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_paragraph_is_rendered_at_a_speaking_rate(rendered):
    """All of it is there: at 12 to 22 characters a second, as people read, and nothing failed."""
    from orpheus_batch.ledger.store import Ledger

    with Ledger.open(rendered, read_only=True) as ledger:
        summary = ledger.summary()
        assert (0, 0) == (summary.num_failed, summary.num_pending)
        assert 12 <= len(TEXT) / summary.num_audio_s <= 22


def test_a_recogniser_understands_the_paragraph(rendered):
    """At most one word in ten is misheard: about what the voice does, and far below what any fault would leave."""
    pytest.importorskip("moonshine_cpp", reason="a recogniser: pip install moonshine-cpp==0.1.4")
    assert hear(rendered)["wer"] <= 0.08


@pytest.mark.parametrize(("preset", "low_db", "high_db"), [("acx", -23.0, -18.0), ("librivox", -21.0, -16.0)])
def test_the_paragraph_passes_a_publisher_s_check(rendered, preset, low_db, high_db):
    """A real voice hisses in its pauses, unlike a fake: by our measuring, and by ffmpeg's filters run apart."""
    command = [sys.executable, "-m", "orpheus_batch", "export", str(rendered), "--deliver", preset]
    done = subprocess.run([*command, "--no-credits"], check=False, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    (file, *_) = sorted((rendered / preset).glob("01*.mp3"))
    filters = "volumedetect,ebur128=framelog=verbose,silencedetect=noise=-60dB:duration=0.4"
    command = [find_ffmpeg(), "-nostdin", "-hide_banner", "-i", str(file), "-af", filters, "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    level = r"mean_volume: (-[\d.]+) dB" if preset == "acx" else r"I: +(-[\d.]+) LUFS"
    assert low_db <= float(re.findall(level, said)[-1]) <= high_db
    assert float(re.findall(r"max_volume: (-?[\d.]+) dB", said)[-1]) <= (-3.0 if preset == "acx" else -1.0)
    assert len(re.findall("silence_end", said)) >= 2  # head and tail


def test_pack_codes_are_in_range_of_its_codec():
    """The layout's codebook is the codec's, and the model has a row for every id of the layout."""
    from safetensors import safe_open

    pack = load_pack("builtin")
    codec = json.loads((pack.codec_dir / "config.json").read_text(encoding="utf-8"))
    assert codec["codebook_size"] == pack.layout.codebook_size
    with safe_open(pack.language_model_dir / "model.safetensors", "np") as file:
        rows = file.get_slice("model.embed_tokens.weight").get_shape()[0]
    assert pack.layout.audio_end == rows


def test_pack_is_small_enough_to_ship():
    """At most 25 MB together."""
    size = sum(file.stat().st_size for file in load_pack("builtin").path.rglob("*") if file.is_file())
    assert size <= 25_000_000


def test_frame_is_orpheus_frame():
    """Seven tokens, one coarse code, as the layout reads them, decode to 2,048 samples."""
    from orpheus_batch.codec.snac import SnacCodec

    pack = load_pack("builtin")
    layout: TokenLayout = pack.layout
    ids = np.array([layout.position_start(p) + 5 for p in range(7)] * 3)
    (waveform,) = SnacCodec(pack.codec_dir, device="cpu").decode([layout.to_codes(ids)], [0])
    assert 3 * 2048 == len(waveform.samples)
