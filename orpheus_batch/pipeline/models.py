"""The pack of a configuration, its language model, codec and recogniser, loaded when first needed and not before.

A run that finds all its tokens in the ledger never loads the language model; one that finds all its audio in
the cache loads neither. What the models compute is not known here.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orpheus_batch.codec.base import Codec
from orpheus_batch.config import AsrConfig, Config
from orpheus_batch.engine.base import Engine
from orpheus_batch.engine.choose import EngineChoice, choose_engine
from orpheus_batch.errors import ConfigError
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.prompt import PromptBuilder
from orpheus_batch.quality.recogniser import Recogniser, load_recogniser
from orpheus_batch.voices import SHIPPED_PACKS, ModelPack, load_pack

Loaded = TypeVar("Loaded")


def pack_of(config: Config) -> ModelPack:
    """Read the configured pack; the configuration's sampling and the cast's narrator stand in for the pack's own.

    Raises:
        ConfigError: No such pack or voice, or its ``pack.json`` or the cast is wrong.
    """
    folders = (Path(p).expanduser() if p else None for p in (config.model.model_dir, config.model.codec_dir))
    pack = load_pack(config.model.pack, *folders)
    if config.voice is not None:
        pack.voice(config.voice)
    elif config.text.cast is not None:
        from orpheus_batch.text.dialogue.cast import load_cast

        narrator = load_cast(Path(config.text.cast), pack).narrator
        pack = dataclasses.replace(pack, default_voice=narrator or pack.default_voice)
    given = {name: value for name, value in dataclasses.asdict(config.sampling).items() if value is not None}
    if config.text.normalize == "light" and pack.alphabet is not None:
        raise ConfigError(
            f"text.normalize: the pack '{pack.name}' has learned letters alone, so its text must be put into words; "
            "light is for packs that read anything, such as orpheus-3b"
        )
    sampling = dataclasses.replace(pack.sampling, **given)
    return dataclasses.replace(pack, sampling=sampling, words=config.text.normalize == "words")


def resolve_device(name: str) -> str:
    """Return the device to run on; "auto" is the first NVIDIA GPU, or the CPU where there is none."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_precision(precision: str, device: str) -> str:
    """Return "float32", "bfloat16" or "float8"; "auto" is float32 on CPU, whose bfloat16 is slow."""
    if precision != "auto":
        return precision
    return "float32" if device == "cpu" else "bfloat16"


def is_pack_folder(name_or_path: str) -> bool:
    """Return whether a pack is named by its folder: a shipped pack's name goes before one in this directory."""
    is_shipped = "/" not in name_or_path and (SHIPPED_PACKS / name_or_path / "pack.json").is_file()
    folder = Path(name_or_path).expanduser()
    return not is_shipped and any((folder / name).is_file() for name in ("pack.json", "config.json"))


def torch_engine(pack: ModelPack, config: Config, device: str) -> Engine:
    """Load the embedded engine."""
    from orpheus_batch.engine.torch.engine import TorchEngine

    precision = resolve_precision(config.model.precision, device)
    return TorchEngine(
        pack.language_model_dir,
        pack.layout,
        device=device,
        precision="bfloat16" if precision == "float8" else precision,
        weight_precision="float8" if precision == "float8" else "auto",
        kv_precision=config.model.kv_precision,
        max_batch_size=config.engine.max_batch_size,
        tokens_per_block=config.engine.tokens_per_block,
        kv_cache_gb=config.engine.kv_cache_gb,
        num_threads=config.engine.num_threads,
    )


def chosen_engine(pack: ModelPack, config: Config, device: str) -> Engine:
    """Load the engine that the configuration names, or that this machine suggests."""
    if choose_engine(config).name == "trtllm":
        from orpheus_batch.engine.trtllm.loading import trtllm_engine

        return trtllm_engine(pack, config, config.engine.device)
    return torch_engine(pack, config, device)


def snac_codec(pack: ModelPack, config: Config, device: str) -> Codec:
    """Load SNAC's decoder."""
    from orpheus_batch.codec.snac import SnacCodec

    return SnacCodec(pack.codec_dir, device=device, precision=config.model.codec_precision)


def snac_fingerprint(pack: ModelPack, config: Config, device: str) -> str:
    """Return what `SnacCodec.fingerprint` will be; reads no weights that were read before."""
    from orpheus_batch.codec.snac import codec_fingerprint, resolve_codec_precision

    precision = resolve_codec_precision(config.model.codec_precision, device)
    return codec_fingerprint(pack.codec_dir, precision)


@dataclass(frozen=True, slots=True)
class Factories:
    """How the heavy things are made; tests put fakes here."""

    engine: Callable[[ModelPack, Config, str], Engine] = chosen_engine
    """of a pack, a configuration and a device"""
    codec: Callable[[ModelPack, Config, str], Codec] = snac_codec
    """of the same"""
    codec_fingerprint: Callable[[ModelPack, Config, str], str] = snac_fingerprint
    """of the same, what `Codec.fingerprint` will be, without loading it"""
    recogniser: Callable[[AsrConfig, str, str], Recogniser] = load_recogniser
    """of its configuration, a language and a device; called only where ``asr`` is on"""


class Models:
    """One run's language model and codec.

    Args:
        pack: Whose.
        config: Engine options, device and precision.
        factories: How they are made.
        progress: Hears of loading.
    """

    def __init__(self, pack: ModelPack, config: Config, factories: Factories, progress: Progress):
        self.pack = pack
        self.config = config
        self.load_s = 0.0
        self._factories = factories
        self._progress = progress
        self._engine: Engine | None = None
        self._codec: Codec | None = None
        self._recogniser: Recogniser | None = None

    @functools.cached_property
    def device(self) -> str:
        """Where the models run; imports torch the first time, which a run without models never needs."""
        return resolve_device(self.config.engine.device)

    @functools.cached_property
    def model_fingerprint(self) -> str:
        """What identifies the language model's output; hashes weights the first time.

        Raises:
            ConfigError: The weights are not there.
        """
        started = time.monotonic()
        if self.choice.name == "trtllm":
            from orpheus_batch.engine.trtllm.loading import trtllm_fingerprint

            fingerprint = trtllm_fingerprint(self.pack, self.config)
        else:
            precision = resolve_precision(self.config.model.precision, self.device)
            if self.config.model.kv_precision != "auto":
                precision += f", keys and values {self.config.model.kv_precision}"
            fingerprint = self.pack.model_fingerprint(precision)
        self.load_s += time.monotonic() - started
        return fingerprint

    @functools.cached_property
    def codec_fingerprint(self) -> str:
        """What identifies the codec's output."""
        return self._factories.codec_fingerprint(self.pack, self.config, self.device)

    def possible_codec_fingerprints(self) -> list[str]:
        """Return what the audio that this codec made may go by, whatever machine it was made on; loads nothing."""
        from orpheus_batch.codec.snac import PRECISIONS

        wanted = self.config.model.codec_precision
        found = []
        for precision in [p for p in PRECISIONS if p != "auto"] if wanted == "auto" else [wanted]:
            model = dataclasses.replace(self.config.model, codec_precision=precision)
            config = dataclasses.replace(self.config, model=model)
            found.append(self._factories.codec_fingerprint(self.pack, config, "cpu"))
        return found

    @functools.cached_property
    def prompts(self) -> PromptBuilder:
        """Makes token requests; reads the tokenizer the first time."""
        return PromptBuilder(self.pack)

    @functools.cached_property
    def choice(self) -> EngineChoice:
        """Which engine runs, and why."""
        return choose_engine(self.config)

    @property
    def deterministic(self) -> bool:
        """Whether segments are generated in fixed blocks.

        Raises:
            ConfigError: It is asked for, and the engine can't give it.
        """
        chosen = self.config.engine.deterministic
        if self.choice.name == "trtllm":
            if chosen:
                raise ConfigError(
                    "TensorRT-LLM can't repeat every byte: a stream depends on what runs beside it; leave "
                    "--deterministic out, or take --engine torch"
                )
            return False
        return self.device == "cpu" if chosen is None else chosen

    def engine(self) -> Engine:
        """Return the language model, loading it the first time.

        Raises:
            EngineError: It can't be loaded.
            ConfigError, RecogniserError: Nor can the recogniser, where one is asked for.
        """
        if self._engine is None:
            if self.config.asr.recogniser != "none":
                self.recogniser()  # first: that none is installed should be said before hours of work
            what = f"language model ({self.choice})"
            self._engine = self._load(what, self._ray_engine if self.config.engine.ray else self._make_engine)
        return self._engine

    def _make_engine(self) -> Engine:
        return self._factories.engine(self.pack, self.config, self.device)

    def _ray_engine(self) -> Engine:
        from orpheus_batch.engine.ray import RayEngine

        config = self.config.engine
        plain = dataclasses.replace(self.config, engine=dataclasses.replace(config, ray=None))
        make = functools.partial(self._factories.engine, self.pack, plain, self.device)
        return RayEngine(make, address=config.ray or "", device=self.device, num_workers=config.ray_workers)

    def codec(self) -> Codec:
        """Return the codec, loading it the first time.

        Raises:
            CodecError: It can't be loaded.
        """
        if self._codec is None:
            self._codec = self._load(
                "codec", lambda: self._factories.codec(self.pack, self.config, self.device)
            )
        return self._codec

    def recogniser(self) -> Recogniser:
        """Return the recogniser, loading it the first time.

        Raises:
            ConfigError: None is installed that understands the pack's language.
            RecogniserError: It can't be loaded.
        """
        if self._recogniser is None:
            config = self.config.asr
            self._recogniser = self._load(
                "recogniser", lambda: self._factories.recogniser(config, self.pack.language, self.device)
            )
        return self._recogniser

    @property
    def heard_by(self) -> str | None:
        """Name of the recogniser, None where none has been loaded."""
        return None if self._recogniser is None else self._recogniser.name

    def close(self) -> None:
        """Free what is loaded."""
        if self._recogniser is not None:
            self._recogniser.close()
            self._recogniser = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self._codec = None

    def _load(self, what: str, make: Callable[[], Loaded]) -> Loaded:
        self._progress.loading(what)
        started = time.monotonic()
        made = make()
        elapsed_s = time.monotonic() - started
        self.load_s += elapsed_s
        self._progress.loaded(what, elapsed_s)
        return made
