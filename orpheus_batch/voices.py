"""Model packs: one folder that says how to speak with one model.

``pack.json`` holds everything that differs between Orpheus-3B and the built-in voice: the token layout, voices,
sampling, how long a segment may be and how long it will sound, which characters and tags the model reads, and
where weights and codec lie. Two packs come with the package; any other folder with a ``pack.json`` is one too.

It does not load a model; it reads one small JSON file, and hashes weights when asked for a fingerprint.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orpheus_batch.data import Sampling
from orpheus_batch.errors import ConfigError
from orpheus_batch.fingerprint import fingerprint_files
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

PACK_FORMAT_VERSION = 1
CAP_SLACK_TOKENS = 84.0
"""About a second: a word alone may take thrice its predicted length, and must not be cut for it."""
SHIPPED_PACKS = Path(__file__).parent / "packs"
SOURCE_RECORD = "orpheus-batch-source.json"
"""what `fetch-model` leaves in a model's folder: where the files came from, their hashes, and the pack"""
CODEC_FOLDER = "snac_24khz"
"""what `fetch-model` calls the codec's folder"""
MAX_SPARE_IDS = 64
"""a model's vocabulary may be a little larger than its layout, rounded up for the hardware"""


@dataclass(frozen=True, slots=True)
class Voice:
    """A name that goes before the text in the prompt."""

    name: str
    language: str
    description: str


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """How much text the model speaks well in one go, in characters as spoken."""

    min_chars: int
    """shorter sentences are joined with their neighbour in the paragraph"""
    max_chars: int
    """longer ones are cut at a clause"""


@dataclass(frozen=True, slots=True)
class LengthModel:
    """Predicts how many audio tokens a text takes: ``base_tokens + tokens_per_char * num_chars``."""

    base_tokens: float
    tokens_per_char: float
    max_ratio: float
    """generation is capped at this many times the prediction, plus `CAP_SLACK_TOKENS`"""

    def expected_num_tokens(self, text: str) -> int:
        """Return the predicted number of audio tokens of ``text``, whole frames, at least one."""
        tokens = self.base_tokens + self.tokens_per_char * len(text)
        return max(1, round(tokens / TOKENS_PER_FRAME)) * TOKENS_PER_FRAME

    def max_new_tokens(self, text: str) -> int:
        """Return the cap for ``text``, whole frames: no natural reading is that slow."""
        tokens = CAP_SLACK_TOKENS + self.max_ratio * self.expected_num_tokens(text)
        return math.ceil(tokens / TOKENS_PER_FRAME) * TOKENS_PER_FRAME


@dataclass(frozen=True, slots=True)
class ModelPack:
    """Everything the line needs to know about one model."""

    path: Path
    """the folder of ``pack.json``"""
    name: str
    description: str
    language: str
    licence: str
    layout: TokenLayout
    voices: tuple[Voice, ...]
    default_voice: str
    sampling: Sampling
    segment_limits: SegmentLimits
    length: LengthModel
    alphabet: str | None
    """characters the model was trained on; others are respelled or dropped. None: any"""
    tags: tuple[str, ...]
    """emotion tags read as such, "<laugh>" for one"""
    language_model_dir: Path
    """Hugging Face Llama directory: config.json, *.safetensors, tokenizer.json"""
    codec_dir: Path
    """SNAC: config.json and model.safetensors or pytorch_model.bin"""
    output_terms: str = ""
    """what the licence asks of speech that the model made, and of models trained on it"""
    words: bool = True
    """whether text goes to English voices in words; False: as it is written. A pack with an alphabet knows no other
    way"""

    def puts_into_words(self, voice: str) -> bool:
        """Say whether numbers, dates and abbreviations are put into English words before this voice speaks them."""
        return self.alphabet is not None or (self.words and self.voice(voice).language == "en")

    def voice(self, name: str) -> Voice:
        """Return the voice called ``name``.

        Raises:
            ConfigError: The pack has no such voice.
        """
        for voice in self.voices:
            if voice.name == name:
                return voice
        known = ", ".join(voice.name for voice in self.voices)
        raise ConfigError(f"the pack '{self.name}' has no voice '{name}'; it has: {known}")

    def language_model_files(self) -> list[Path]:
        """Return the files that make the language model, in the fingerprint's order.

        Raises:
            ConfigError: The weights are not there.
        """
        files = sorted(self.language_model_dir.glob("*.safetensors"))
        if not files and any(self.language_model_dir.glob("*.engine")):
            raise ConfigError(
                f"{self.language_model_dir} holds an engine of TensorRT-LLM and no weights: only --engine trtllm "
                "loads it; for the embedded engine give the checkpoint that it was built of"
            )
        if not files:
            raise ConfigError(
                f"no *.safetensors in {self.language_model_dir}: the pack '{self.name}' comes without weights; "
                "give the folder that holds them with --model-dir"
            )
        return [*files, *(self.language_model_dir / name for name in ("config.json", "tokenizer.json"))]

    def model_fingerprint(self, precision: str) -> str:
        """Return what identifies the language model's output: weights, tokenizer, layout and precision.

        Raises:
            ConfigError: The weights, or a file beside them, are not there.
        """
        files = self.language_model_files()
        try:
            return fingerprint_files(files, salt=f"{self.layout}|{precision}")
        except OSError as error:
            raise ConfigError(
                f"the pack '{self.name}' can't be used: can't read {error.filename}: {error.strerror}"
            ) from error


def load_pack(name_or_path: str, model_dir: Path | None = None, codec_dir: Path | None = None) -> ModelPack:
    """Read a pack by its shipped name ("builtin", "orpheus-3b") or by its folder, or by that of its weights.

    Args:
        name_or_path: A name under ``orpheus_batch/packs``, a path to a folder with a ``pack.json``, or one to a
            language model of a shipped pack, fetched or built.
        model_dir: Where the language model lies, if not where the pack says.
        codec_dir: Where the codec lies, likewise.

    Raises:
        ConfigError: No such pack, or its ``pack.json`` is wrong; the message names the field.
    """
    folder = SHIPPED_PACKS / name_or_path
    if "/" in name_or_path or not (folder / "pack.json").is_file():
        folder = Path(name_or_path)
    file = folder / "pack.json"
    if not file.is_file():
        if (folder / "config.json").is_file():
            codec_dir = codec_dir or next((c for c in _codecs_beside(folder) if c.is_dir()), None)
            return load_pack(pack_of_weights(folder), model_dir or folder, codec_dir)
        raise ConfigError(
            f"no model pack '{name_or_path}': give {', '.join(shipped_packs())}, a folder with a pack.json, or one "
            "with the weights of a shipped pack"
        )
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        if raw["format_version"] != PACK_FORMAT_VERSION:
            raise ConfigError(
                f"{file}: format_version {raw['format_version']}; this release reads {PACK_FORMAT_VERSION}"
            )
        pack = ModelPack(
            path=folder,
            name=raw["name"],
            description=raw["description"],
            language=raw["language"],
            licence=raw["licence"],
            layout=_build(TokenLayout, raw["layout"]),
            voices=tuple(_build(Voice, voice) for voice in raw["voices"]),
            default_voice=raw["default_voice"],
            sampling=_build(Sampling, raw["sampling"]),
            segment_limits=_build(SegmentLimits, raw["segment_limits"]),
            length=_build(LengthModel, raw["length"]),
            alphabet=raw["alphabet"],
            tags=tuple(raw["tags"]),
            language_model_dir=model_dir or folder / raw["language_model"],
            codec_dir=codec_dir or folder / raw["codec"],
            output_terms=raw.get("output_terms", ""),
        )
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}: not JSON: {error}") from error
    except KeyError as error:
        raise ConfigError(f"{file}: the field {error} is missing") from error
    except TypeError as error:
        raise ConfigError(f"{file}: {error}") from error
    pack.voice(pack.default_voice)
    return pack


def shipped_packs() -> list[str]:
    """Return the names of the packs that come with the package."""
    return sorted(file.parent.name for file in SHIPPED_PACKS.glob("*/pack.json"))


def pack_of_weights(folder: Path) -> str:
    """Return the shipped pack that a language model's folder belongs to: as `fetch-model` noted, or by its size.

    Raises:
        ConfigError: No shipped pack has such a vocabulary.
    """
    noted = _read_json(folder / SOURCE_RECORD).get("pack")
    if noted in shipped_packs():
        return noted
    config = _read_json(folder / "config.json")
    vocabulary = config.get("pretrained_config", config).get("vocab_size")  # an engine's, or a checkpoint's
    for name in shipped_packs():  # of several in one shape the English one comes first
        layout = load_pack(name).layout
        if isinstance(vocabulary, int) and 0 <= vocabulary - layout.audio_end < MAX_SPARE_IDS:
            return name
    raise ConfigError(
        f"{folder} holds a language model with a vocabulary of {vocabulary}, which is that of no shipped pack: name "
        "its pack with --model, and this folder with --model-dir"
    )


def _codecs_beside(folder: Path) -> tuple[Path, ...]:
    """Return where `fetch-model` puts the codec, seen from a model or from an engine that was built of it."""
    return folder.parent / CODEC_FOLDER, folder.parent.parent / "models" / CODEC_FOLDER


def _read_json(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _build(kind: type, raw: dict[str, Any]) -> Any:
    """Make a dataclass of JSON values, lists as tuples, refusing unknown and missing fields by name."""
    names = {field.name for field in fields(kind)}
    unknown = sorted(set(raw) - names)
    missing = sorted(names - set(raw))
    if unknown or missing:
        raise TypeError(f"{kind.__name__}: unknown fields {unknown}, missing fields {missing}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})
