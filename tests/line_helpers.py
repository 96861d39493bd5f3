"""A whole line without torch: a pack that holds no model, fakes that keep a log, and small books."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from orpheus_batch.config import Config, load_config
from orpheus_batch.data import TokenRequest, TokenStream
from orpheus_batch.pack_writer import character_layout, character_tokenizer
from orpheus_batch.pipeline import Factories
from orpheus_batch.testing import TINY_ALPHABET, FakeCodec, FakeEngine, FakeRecogniser

BOOK = """# The Door

The old door stood open when she came up the hill that evening. Nobody answered her knock, and
nobody answered her call. She went in.

A clock was ticking somewhere in the dark of the house. It had been ticking there for a hundred
years, they said.

# The Stair

The stair went up and up into the dark, farther than any stair should go. She counted the steps as
she climbed. Nobody answered her knock, and nobody answered her call.

At the top there was a second door, smaller than the first one. It was painted green.

# The Garden

Behind the green door lay a garden in full summer, with bees among the roses. She laughed out loud
for joy. Then the door fell shut behind her.
"""
"""Three chapters, 16 segments; one sentence stands in two of them, so 15 are distinct."""

LAYOUT = character_layout(TINY_ALPHABET, 64)


def write_light_pack(folder: Path) -> Path:
    """Write a pack whose tokenizer works and whose weights are a few bytes: enough for all but the models."""
    pack = {
        "format_version": 1,
        "name": "light",
        "description": "no model at all",
        "language": "en",
        "licence": "Apache-2.0",
        "layout": dataclasses.asdict(LAYOUT),
        "language_model": "language_model",
        "codec": "codec",
        "voices": [
            {"name": "one", "language": "en", "description": "a tone"},
            {"name": "two", "language": "en", "description": "another"},
        ],
        "default_voice": "one",
        "sampling": {"temperature": 0.8, "top_p": 0.95, "repetition_penalty": 1.1},
        "segment_limits": {"min_chars": 10, "max_chars": 160},
        "length": {"base_tokens": 7.0, "tokens_per_char": 1.0, "max_ratio": 2.0},
        "alphabet": TINY_ALPHABET,
        "tags": [],
    }
    model = folder / "language_model"
    model.mkdir(parents=True)
    (folder / "codec").mkdir()
    (folder / "pack.json").write_text(json.dumps(pack), encoding="utf-8")
    (model / "tokenizer.json").write_text(json.dumps(character_tokenizer(TINY_ALPHABET)), encoding="utf-8")
    (model / "config.json").write_text("{}", encoding="utf-8")
    (model / "model.safetensors").write_bytes(b"no weights")
    return folder


class LoggedEngine(FakeEngine):
    """A fake engine that writes a line for each stream it makes, and spoils those that ``spoil`` names."""

    def __init__(
        self, log: Path, spoil: Callable[[TokenRequest], bool] = lambda request: False, max_batch_size: int = 4
    ):
        super().__init__(LAYOUT, max_batch_size)
        self._log = log
        self._spoil = spoil

    def stream(self, request: TokenRequest) -> TokenStream:
        """Log, and return the fake's stream, or one that never stopped."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{request.segment_id} {request.attempt}\n")
        stream = super().stream(request)
        return dataclasses.replace(stream, finish_reason="length") if self._spoil(request) else stream


class LoggedCodec(FakeCodec):
    """A fake codec that writes a line for each stream it decodes."""

    def __init__(self, log: Path):
        super().__init__()
        self._log = log

    def decode(self, streams, seeds):
        """Log and decode."""
        with self._log.open("a", encoding="utf-8") as log:
            log.writelines(f"{seed}\n" for seed in seeds)
        return super().decode(streams, seeds)


@dataclasses.dataclass
class Line:
    """A folder with a pack, a book, and logs of what the fakes were asked for."""

    folder: Path
    spoil: Callable[[TokenRequest], bool] = lambda request: False
    max_batch_size: int = 4
    recogniser: FakeRecogniser | None = None

    def __post_init__(self) -> None:
        self.pack = self.folder / "pack"
        if not self.pack.exists():
            write_light_pack(self.pack)
        self.book = self.folder / "house.md"
        if not self.book.exists():
            self.book.write_text(BOOK, encoding="utf-8")
        self.out = self.folder / "out"
        self.generated_log = self.folder / "generated.log"
        self.decoded_log = self.folder / "decoded.log"
        self.made: list[str] = []

    def config(self, **overrides) -> Config:
        """Return a configuration for the fakes; keyword names are keys with two underscores for the dot."""
        values = {"model.pack": str(self.pack), "engine.device": "cpu", "engine.block_size": 4}
        return load_config(None, values | {key.replace("__", "."): value for key, value in overrides.items()})

    @property
    def factories(self) -> Factories:
        """Return fakes that note that they were made."""

        def engine(pack, config, device):
            self.made.append("engine")
            return LoggedEngine(self.generated_log, self.spoil, self.max_batch_size)

        def codec(pack, config, device):
            self.made.append("codec")
            return LoggedCodec(self.decoded_log)

        def recogniser(config, language, device):
            self.made.append("recogniser")
            return self.recogniser

        return Factories(engine, codec, lambda pack, config, device: FakeCodec.fingerprint, recogniser)

    def take_logs(self) -> tuple[list[str], list[str]]:
        """Return what was generated and decoded since the last call, a line each."""
        lines = []
        for log in (self.generated_log, self.decoded_log):
            lines.append(log.read_text(encoding="utf-8").splitlines() if log.exists() else [])
            log.unlink(missing_ok=True)
        return lines[0], lines[1]

    def files(self) -> dict[str, bytes]:
        """Return every MP3 under the output folder by its relative path."""
        return {str(p.relative_to(self.out)): p.read_bytes() for p in sorted(self.out.rglob("*.mp3"))}

    def command(self, spec: dict, *args: str) -> tuple[list[str], dict[str, str]]:
        """Return the command, and the environment, of a subprocess that runs the command line on the fakes.

        Args:
            spec: For `render_runner`, without the folder.
            args: Of the command line; none: render the book.
        """
        file = self.folder / "spec.json"
        file.write_text(json.dumps({"folder": str(self.folder), **spec}), encoding="utf-8")
        runner = Path(__file__).parent / "faults" / "render_runner.py"
        config = self.folder / "config.yaml"
        config.write_text(
            f"model: {{pack: '{self.pack}'}}\n"
            f"engine: {{device: cpu, block_size: {spec.get('block_size', 4)}}}\n" + spec.get("yaml", ""),
            encoding="utf-8",
        )
        render = ("render", str(self.book), "-o", str(self.out), "--config", str(config))
        root = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": root, "LINE_FOLDER": str(self.folder)}
        return [sys.executable, str(runner), str(file), *(args or render)], environment

    def leftover_processes(self) -> list[int]:
        """Return processes that descend from a `command` of this line and still live (Linux)."""
        mark = f"LINE_FOLDER={self.folder}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found
