"""Verdicts and presets: each wrong number is named, and nothing else is."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from delivery_helpers import ffmpeg, narration, write_wav

from orpheus_batch.audio.delivery.judge import judge, verify_files
from orpheus_batch.audio.delivery.measure import Measured, Stream, measure
from orpheus_batch.audio.delivery.presets import PRESETS, load_preset
from orpheus_batch.audio.delivery.templates import fill_template
from orpheus_batch.cli import cli
from orpheus_batch.errors import ConfigError, InputError

TAGS = {"title": "T", "artist": "A", "album": "B"}
GOOD = Measured(
    file="a.mp3",
    stream=Stream("mp3", 44_100, 1, 192, None, False, TAGS, 0),
    is_constant_bitrate=True,
    duration_s=600.0,
    rms_db=-20.0,
    peak_db=-3.2,
    true_peak_db=-3.1,
    lufs=-19.5,
    noise_floor_db=-66.0,
    noisiest_at_s=10.0,
    head_s=0.75,
    tail_s=2.5,
    digital_silence_s=0.0,
)


def _failed(measured, preset="acx"):
    return [check.name for check in judge(measured, PRESETS[preset]) if not check.ok]


def test_a_good_file_passes():
    """And the preset looks at all of it."""
    assert [] == _failed(GOOD)
    assert {
        "format",
        "intact",
        "channels",
        "bit rate",
        "sample rate",
        "rms",
        "peak",
        "noise floor",
        "head",
        "tail",
        "digital silence",
        "length",
        "tags",
    } == {check.name for check in judge(GOOD, PRESETS["acx"])}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"rms_db": -16.0}, ["rms"]),
        ({"rms_db": -23.2}, ["rms"]),
        ({"rms_db": float("-inf")}, ["rms"]),
        ({"peak_db": -2.99}, ["peak"]),
        ({"noise_floor_db": -59.0}, ["noise floor"]),
        ({"is_constant_bitrate": False}, ["bit rate"]),
        ({"stream": Stream("mp3", 44_100, 1, 128, None, False, TAGS, 0)}, ["bit rate"]),
        ({"stream": Stream("mp3", 48_000, 1, 192, None, False, TAGS, 0)}, ["sample rate"]),
        (
            {"stream": Stream("aac", 44_100, 1, 192, None, False, TAGS, 0), "is_constant_bitrate": None},
            ["format", "bit rate"],
        ),
        ({"stream": Stream("mp3", 44_100, 1, 192, None, False, {"title": "T"}, 0)}, ["tags"]),
        ({"damage": ("it ends early",)}, ["intact"]),
        ({"stream": Stream("mp3", 44_100, 6, 192, None, False, TAGS, 0)}, ["channels"]),
        ({"head_s": 0.2}, ["head"]),
        ({"head_s": 1.3}, ["head"]),
        ({"tail_s": 0.8}, ["tail"]),
        ({"tail_s": 5.5}, ["tail"]),
        ({"digital_silence_s": 0.2}, ["digital silence"]),
        ({"duration_s": 7201.0}, ["length"]),
    ],
)
def test_each_fault_is_named_alone(change, names):
    """The usual false claims among them: -16 LUFS as ACX, a variable rate, 128 kbps, no room tone."""
    assert names == _failed(dataclasses.replace(GOOD, **change))


def test_podcasts_are_judged_by_loudness_and_true_peak():
    """A sample peak of -3.2 does not save a true peak of -0.5."""
    podcast = dataclasses.replace(GOOD, lufs=-16.0)
    assert [] == _failed(podcast, "podcast")
    assert ["true peak"] == _failed(dataclasses.replace(podcast, true_peak_db=-0.5), "podcast")
    assert ["lufs"] == _failed(dataclasses.replace(podcast, lufs=-23.0), "podcast")


def test_verify_prints_a_table_and_exits_1(tmp_path):
    """A good file, a bad one and one that is no sound, by the command line; and the policy in a line."""
    wav = write_wav(tmp_path / "a.wav", narration(8, level_db=-18.5, tone_db=-70) * 0.8)
    limit = ["-af", "alimiter=limit=0.6:level=0", "-b:a", "192k"]
    tags = [arg for key, value in TAGS.items() for arg in ("-metadata", f"{key}={value}")]
    good = tmp_path / "good" / "1.mp3"
    good.parent.mkdir()
    ffmpeg("-i", wav, *limit, *tags, good)
    assert -23 <= measure(good).rms_db <= -18
    result = CliRunner().invoke(cli, ["verify", str(good.parent)])
    assert 0 == result.exit_code, result.output
    assert "1 of 1 files pass acx" in result.output
    assert "not being accepted" in result.output and "acx.com" in result.output
    bad = tmp_path / "2.mp3"
    ffmpeg("-i", wav, "-ac", "2", "-b:a", "96k", "-ar", "24000", bad)
    none = tmp_path / "3.mp3"
    none.write_bytes(b"nothing")
    result = CliRunner().invoke(cli, ["verify", *map(str, (good, bad, none))])
    assert 1 == result.exit_code
    assert "2.mp3: sample rate: 24,000 Hz; wanted: 44,100 Hz" in result.output
    assert "2.mp3: channels: some mono, some stereo" in result.output
    assert "3.mp3" in result.output and "0 of 3" in result.output
    result = CliRunner().invoke(cli, ["verify", str(good), "--json"])
    found = json.loads(result.stdout)
    assert (True, "192k") == (found["ok"], f"{found['files'][0]['measured']['stream']['bitrate_kbps']}k")


def test_nothing_to_verify_is_an_error(tmp_path):
    """A folder without sound, and a path that is not there, are named."""
    with pytest.raises(InputError, match="holds no sound"):
        verify_files([tmp_path], PRESETS["acx"])
    with pytest.raises(InputError, match=r"there is no .*gone"):
        verify_files([tmp_path / "gone"], PRESETS["acx"])
    assert 1 == CliRunner().invoke(cli, ["verify", str(tmp_path / "gone")]).exit_code


def test_a_preset_from_a_file(tmp_path):
    """It starts from another or from nothing, and its name is the file's."""
    file = tmp_path / "mine.yaml"
    file.write_text("base: acx\nbitrate_kbps: 256\ncredits: false\n", encoding="utf-8")
    assert dataclasses.replace(PRESETS["acx"], name="mine", bitrate_kbps=256, credits=False) == load_preset(
        str(file)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targetdb: -20", "did you mean 'target_db'"),
        ("target_db: -30", "between min_db and max_db"),
        ("{target_db: -7, min_db: -8, max_db: -6, max_peak_db: -9}", "can't be met under peaks"),
        ("bitrate_kbps: 144", "an MP3 at 44100 Hz can't have 144"),
        ("{format: opus}", "Opus has"),
        ("base: amazon", "base must be one of acx"),
        ("opening_credits: 'By {autor}'", r"no field \{autor\}; there are \{title\}"),
        ("closing_credits: 'By {author'", "closing_credits: expected '}'"),
        ("file_name: '{title}'", "needs {number}"),
        ("file_name: '{number:03d}'", "nothing else"),
        ("head_s: 3\nmax_head_s: 1", "head_s must lie"),
        ("- 1", "expected keys and values"),
    ],
)
def test_bad_presets_are_refused(tmp_path, text, said):
    """With the file's name and what to write instead."""
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said.replace("{n", r"\{n").replace("r}", r"r}")) as error:
        load_preset(str(file))
    assert "mine.yaml" in str(error.value)


def test_an_unknown_preset_names_those_there_are():
    """Neither a name nor a file."""
    with pytest.raises(ConfigError, match="acx, librivox, podcast, archive"):
        load_preset("audible")


def test_templates_leave_out_lines_without_a_value():
    """No author: no line that thanks nobody."""
    values = {"title": "Emma", "author": "", "narrator": "Leo", "year": ""}
    assert "Emma.\nRead by Leo {sic}." == fill_template(
        "{title}.\nBy {author}.\nRead by {narrator} {{sic}}.", values
    )
