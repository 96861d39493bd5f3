"""The line on the real engine and codec, with an untrained pack: every stage runs, and it speaks noise."""

import json

import pytest
from click.testing import CliRunner
from line_helpers import BOOK

from orpheus_batch.cli import cli
from orpheus_batch.config import load_config
from orpheus_batch.errors import CodecError, ConfigError, EngineError
from orpheus_batch.pipeline import Progress, render_books
from orpheus_batch.testing import make_tiny_pack

LENIENT = {"quality.max_attempts": 1, "engine.block_size": 8, "engine.num_threads": 1, "engine.device": "cpu"}
"""noise fails most checks: one take each, and the line goes on with it"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A pack whose segments are a second or two long, for noise runs to the cap."""
    folder = make_tiny_pack(tmp_path_factory.mktemp("tiny"))
    pack = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    pack["length"] = {"base_tokens": 14.0, "tokens_per_char": 0.7, "max_ratio": 1.0}
    (folder / "pack.json").write_text(json.dumps(pack), encoding="utf-8")
    return folder


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "house.md"
    file.write_text(BOOK[: BOOK.index("# The Garden")], encoding="utf-8")
    return file


def files(out):
    return {path.name: path.read_bytes() for path in sorted(out.rglob("*.mp3"))}


def test_the_command_makes_mp3s(pack, book, tmp_path):
    """`orpheus-batch render` on a pack's folder; noise fails its checks, so the exit code is 3, not 1."""
    out = tmp_path / "out"
    config = tmp_path / "config.yaml"
    config.write_text("quality: {max_attempts: 1}\nengine: {num_threads: 1, device: cpu}\n", encoding="utf-8")
    arguments = ["render", str(book), "-o", str(out), "--model", str(pack), "--config", str(config)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code in (0, 3), result.output
    assert ["01 - The Door.mp3", "02 - The Stair.mp3"] == list(files(out))


@pytest.mark.parametrize("deterministic", [True, False])
def test_decoding_again_gives_the_same_bytes(pack, book, tmp_path, deterministic):
    """The cache may be deleted: tokens alone give the files that the run gave, codec noise and all."""
    config = load_config(None, {**LENIENT, "model.pack": str(pack), "engine.deterministic": deterministic})
    out = tmp_path / "out"
    render_books([book], out, config)
    before = files(out)
    for file in [*out.rglob("*.mp3"), *(out / "house" / "cache").iterdir()]:
        file.unlink()
    report = render_books([book], out, config)
    assert 0 == report.num_takes
    assert before == files(out)


def test_stopping_after_every_block_is_the_same_run(pack, book, tmp_path):
    """Blocks in three runs are the blocks of one run: each starts from an empty engine."""
    config = load_config(None, {**LENIENT, "model.pack": str(pack), "engine.block_size": 4})
    render_books([book], tmp_path / "whole", config)

    class Stop(Exception):
        """Raised by the watcher, as a kill would come."""

    class OneBlock(Progress):
        num_settled = 0

        def settled(self, num_segments):
            self.num_settled += num_segments
            if self.num_settled == 4:
                raise Stop

    for _ in range(20):
        try:
            render_books([book], tmp_path / "parts", config, progress=OneBlock())
            break
        except Stop:
            continue
    assert files(tmp_path / "whole") == files(tmp_path / "parts")


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("language_model/model.safetensors", ConfigError),
        ("language_model/config.json", (ConfigError, EngineError)),
        ("language_model/tokenizer.json", ConfigError),
        ("codec/model.safetensors", CodecError),
        ("codec/config.json", CodecError),
    ],
)
def test_a_missing_file_of_the_pack_is_named(book, tmp_path, missing, error):
    """Before anything is rendered, with the path that should be there."""
    pack = make_tiny_pack(tmp_path / "pack")
    (pack / missing).unlink()
    config = load_config(None, {**LENIENT, "model.pack": str(pack)})
    with pytest.raises(error, match=missing.split("/")[0]):
        render_books([book], tmp_path / "out", config)
