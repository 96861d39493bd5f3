"""What the commands print, where, and how they exit."""

import json
import re

import pytest
from click.testing import CliRunner
from line_helpers import Line

import orpheus_batch.pipeline.run
from orpheus_batch.cli import cli
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import render_books


@pytest.fixture
def line(tmp_path, monkeypatch) -> Line:
    """A line whose fakes stand in for the real engine and codec."""
    line = Line(tmp_path)
    monkeypatch.setattr(orpheus_batch.pipeline.run, "Factories", lambda: line.factories)
    return line


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Line:
    """A finished book, for tests that change nothing."""
    line = Line(tmp_path_factory.mktemp("rendered"))
    render_books([line.book], line.out, line.config(), factories=line.factories)
    return line


def invoke(line: Line, *arguments: str):
    """Run the command line in this process, on the CPU and the light pack."""
    command, *rest = map(str, arguments)
    if command in ("render", "plan"):
        rest += ["--model", str(line.pack)]
    if command == "render":
        rest += ["--device", "cpu"]
    return CliRunner().invoke(cli, [command, *rest])


def render(line: Line, *arguments: str):
    return invoke(line, "render", line.book, "-o", line.out, *arguments)


def test_file_after_ray_is_not_taken_for_an_address():
    """Nor dropped: said in words."""
    result = CliRunner().invoke(cli, ["render", "--ray", "book.txt", "-o", "out"])
    assert 2 == result.exit_code
    assert (
        "'book.txt' is no address (HOST:PORT, auto or local); if it is a file, write --ray after it"
        in result.stderr
    )


def test_render_names_its_files_their_length_and_the_speed(line):
    """Results on stdout; loading is told apart from the speed."""
    result = render(line)
    assert 0 == result.exit_code, result.output
    lines = result.stdout.splitlines()
    assert 4 == len(lines)
    assert lines[0].startswith(f"{line.out}/house/01 - The Door.mp3  ")
    assert re.fullmatch(r"3 files, \d+ s, in .*/house; .* spoken in .* times real time.*", lines[-1])
    assert "loading the codec" in result.stderr


def test_a_second_render_says_that_nothing_had_to_be_done(rendered, monkeypatch):
    """And marks the files as unchanged."""
    monkeypatch.setattr(orpheus_batch.pipeline.run, "Factories", lambda: rendered.factories)
    result = render(rendered)
    assert 3 == result.stdout.count("(unchanged)")
    assert "nothing had to be spoken" in result.stdout


def test_render_as_json(line):
    """One JSON value on stdout and nothing else."""
    report = json.loads(render(line, "--json").stdout)
    assert 0 == report["exit_code"]
    assert 15 == report["num_takes"]
    assert report["speedup"] > 0
    assert 3 == len(report["books"][0]["chapters"])


def test_quiet_says_nothing_but_the_exit_code_speaks(line):
    """Nothing on stdout or stderr when all went well."""
    result = render(line, "--quiet")
    assert ("", "", 0) == (result.stdout, result.stderr, result.exit_code)


def test_failed_segments_are_listed_and_exit_3(line):
    """With chapter, text, reason, and what to do."""
    line.spoil = lambda request: request.expected_num_tokens > 70
    result = render(line)
    assert 3 == result.exit_code
    assert "did not pass the checks" in result.stderr
    assert "The Stair: it had not stopped" in result.stderr
    assert "farther than any stair should go" in result.stderr
    assert "orpheus-batch redo" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--voice", "three"], "has no voice 'three'; it has: one, two"),
        (["--bitrate", "7"], "audio.bitrate_kbps must be in 8..320"),
        (["--config", "missing.yaml"], "can't read the configuration missing.yaml"),
        (["--cover", "missing.png"], "missing.png"),
        (["--chapter-pattern", "("], "chapter"),
    ],
)
def test_errors_are_one_line(line, arguments, message):
    """`Error: …` on stderr, exit code 1, no traceback."""
    result = render(line, *arguments)
    assert 1 == result.exit_code
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_verbose_shows_where_an_error_came_from(line):
    """A traceback, for whoever asks for it."""
    result = render(line, "--voice", "three", "--verbose")
    assert 1 == result.exit_code
    assert "Traceback" in result.stderr


def test_an_unknown_key_of_the_configuration_is_refused_with_a_suggestion(line):
    """A typing error does not pass as a setting."""
    file = line.folder / "typo.yaml"
    file.write_text("audio: {bitrate_kbs: 64}\n", encoding="utf-8")
    result = render(line, "--config", str(file))
    assert "unknown key 'audio.bitrate_kbs'; did you mean 'bitrate_kbps'?" in result.stderr


def test_options_go_before_the_file(line):
    """defaults < file < options, in the configuration that the ledger keeps."""
    file = line.folder / "config.yaml"
    file.write_text("audio: {bitrate_kbps: 64, genre: Novel}\nseed: 3\n", encoding="utf-8")
    assert 0 == render(line, "--config", str(file), "--bitrate", "80", "--author", "A. N. Author").exit_code
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        facts = ledger.facts()
    audio = facts["config"]["audio"]
    assert (80, "Novel", 3) == (audio["bitrate_kbps"], audio["genre"], facts["config"]["seed"])
    assert "A. N. Author" == facts["book"]["author"]


def test_plan_shows_chapters_and_cost(line):
    """No model, no output folder; money where a price was given."""
    result = invoke(line, "plan", line.book, "--speedup", "4", "--price", "3.5/h")
    assert 0 == result.exit_code, result.output
    assert "1  The Door: 6 segments" in result.stdout
    assert "3 chapters, 16 segments" in result.stdout
    assert "of computing" in result.stdout
    assert "to pay" in result.stdout
    assert not line.out.exists()


def test_plan_as_json(line):
    """The same as one JSON value."""
    preview = json.loads(invoke(line, "plan", line.book, "--json").stdout)
    assert ["The Door", "The Stair", "The Garden"] == [c["title"] for c in preview["books"][0]["chapters"]]


def test_plan_of_a_missing_book_exits_1(line):
    """And still plans the others."""
    result = invoke(line, "plan", line.folder / "missing.txt", line.book)
    assert 1 == result.exit_code
    assert "Error: can't read" in result.stderr
    assert "3 chapters" in result.stdout


@pytest.mark.parametrize("price", ["3.5", "3.5/h", "$3.5/h", "3.5 €/h", "3.5/hour", "3.5 USD/h"])
def test_prices(line, price):
    """People write an hour's price in many ways."""
    result = invoke(line, "plan", line.book, "--speedup", "1", "--price", price, "--json")
    preview = json.loads(result.stdout)
    assert pytest.approx(preview["compute_s"] / 3600 * 3.5) == preview["cost"]


def test_status_and_suspects(rendered):
    """How far it is; the worst segments with file and time."""
    result = invoke(rendered, "status", rendered.out, "--suspect", "2")
    assert 0 == result.exit_code, result.output
    assert "house: 15 of 15 segments (100%), 3 of 3 chapters finished" in result.stdout
    assert 2 == result.stdout.count(".mp3 at 0:0")
    assert 1 == len(json.loads(invoke(rendered, "status", rendered.out, "--json").stdout))


def test_status_of_nothing_exits_1(line):
    """Said in one line."""
    result = invoke(line, "status", line.folder)
    assert 1 == result.exit_code
    assert "Error: nothing was rendered in" in result.stderr


def test_redo_speaks_one_sentence_again(line):
    """By words and by the beginning of its id; the exit code is the render's."""
    render(line)
    line.take_logs()
    result = invoke(
        line, "redo", line.out, "--find", "painted green", "--text", "It was painted blue.", "--json"
    )
    assert 0 == result.exit_code, result.output
    assert 1 == json.loads(result.stdout)["run"]["num_takes"]
    with Ledger.open(line.out / "house", read_only=True) as ledger:
        (found,) = ledger.find_segments(text="painted blue")
    result = invoke(line, "redo", line.out, "--segment", found.segment_id[:10])
    assert 0 == result.exit_code, result.output
    assert "new take: 02 - The Stair.mp3 at 0:0" in result.stdout
    generated, _ = line.take_logs()
    assert [f"{found.segment_id} 0", f"{found.segment_id} 1"] == generated


def test_voices_marks_the_default(line):
    """A star before it; JSON for machines."""
    result = invoke(line, "voices", "--model", str(line.pack))
    assert "* one  en  a tone\n  two  en  another\n" in result.stdout
    listed = json.loads(invoke(line, "voices", "--model", str(line.pack), "--json").stdout)
    assert [True, False] == [voice["default"] for voice in listed["voices"]]
