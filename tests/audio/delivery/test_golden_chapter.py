"""A real voice's chapter through every preset: samples to the bit, finished files by what is measured of them."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))
from delivery_chapter import GOLDEN, MEASURED, results

from orpheus_batch.audio.delivery.presets import PRESETS

TOLERANCES = {
    "rms_db": 0.1,
    "peak_db": 0.5,
    "true_peak_db": 0.5,
    "lufs": 0.15,
    "noise_floor_db": 1.0,
    "head_s": 0.021,
    "tail_s": 0.021,
    "duration_s": 0.03,
}
"""Encoders differ from one release to the next; levels are measured in windows of 10 ms."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What this machine makes of the golden chapter."""
    return results(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def golden():
    """What it made of it when `delivery_chapter.py` was run last."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["samples of acx-lossless", "samples of archive"])
def test_what_encoders_are_given_is_the_same_to_the_bit(found, golden, name):
    """Trimmed, joined, quieted, leveled, limited, with room tone: no release of numpy or ffmpeg has a say in it.

    A change of these hashes changes every book that anyone exports again: it wants a reason.
    """
    assert golden[name] == found[name]


@pytest.mark.parametrize("name", ["acx-lossless", *PRESETS])
def test_finished_files_measure_as_they_did(found, golden, name):
    """Within what encoders differ by, and each passes its preset."""
    assert set(MEASURED) == set(TOLERANCES)
    for key, tolerance in TOLERANCES.items():
        assert found[name][key] == pytest.approx(golden[name][key], abs=tolerance), key
    for key in ("passes", "correction_db", "digital_silence_s"):
        assert golden[name][key] == found[name][key]
    assert found[name]["passes"]
    if name not in ("acx-lossless", "archive"):  # a lossless file's bit rate is what it happens to be
        assert golden[name]["kbps"] == found[name]["kbps"]
