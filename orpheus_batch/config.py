"""Every knob, in one validated tree: defaults < configuration file < command-line options.

An unknown key is an error that names the nearest known one. What a knob does is said here, beside it; the files
in ``configs/`` are examples. Values are checked, not acted upon: no model is loaded here.
"""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from orpheus_batch.errors import ConfigError

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which model speaks."""

    pack: str = "builtin"
    """a shipped pack ("builtin", "orpheus-3b") or a folder with a pack.json"""
    model_dir: str | None = None
    """where the language model lies, if not where the pack says"""
    codec_dir: str | None = None
    """where the codec lies, if not where the pack says"""
    precision: Literal["auto", "float32", "bfloat16", "float8"] = "auto"
    """auto: float32 on CPU, bfloat16 on a GPU; float8: the layers' products, on a GPU, unproven on Orpheus's weights"""
    kv_precision: Literal["auto", "float8"] = "auto"
    """of keys and values; float8: half of bfloat16's memory, on a GPU, unproven on Orpheus's weights"""
    codec_precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """auto: float16 on a GPU where Triton is installed, else float32"""


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How tokens are drawn; null keeps the pack's value."""

    temperature: float | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The engine, and how much of the machine it takes."""

    name: Literal["auto", "torch", "trtllm"] = "auto"
    """auto: trtllm where it is installed and a GPU is there, else torch, the embedded one"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1"""
    max_batch_size: int | None = None
    """sequences that run together; null: worked out from the device"""
    tokens_per_block: int = 32
    """size of a KV cache block"""
    kv_cache_gb: float | None = None
    """memory for keys and values; null: worked out from the device"""
    num_threads: int | None = None
    """CPU threads; null: all cores"""
    deterministic: bool | None = None
    """fixed blocks, so that every byte is repeatable; null: on CPU yes, on a GPU no"""
    block_size: int = 128
    """segments in a deterministic block"""
    ray: str | None = None
    """engines on Ray: "local" for every GPU of this machine, or a cluster's address ("auto"); null: none"""
    ray_workers: int | None = None
    """engines; null: one a GPU of the cluster, on CPU one a machine"""


@dataclass(frozen=True, slots=True)
class TrtllmKvCacheConfig:
    """Memory for keys and values; names and meaning are TensorRT-LLM's `KvCacheConfig`."""

    free_gpu_memory_fraction: float = 0.8
    """of what is free once the weights are loaded; the codec wants some of it too"""
    max_tokens: int | None = None
    """a limit beside the fraction; null: none"""
    tokens_per_block: int = 32
    dtype: Literal["auto", "fp8"] = "auto"
    enable_block_reuse: bool = False
    """segments share nothing but the first ids of the prompt"""


@dataclass(frozen=True, slots=True)
class TrtllmSchedulerConfig:
    """Names and meaning are TensorRT-LLM's `SchedulerConfig`."""

    capacity_scheduler_policy: Literal["GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"] = (
        "GUARANTEED_NO_EVICT"
    )


@dataclass(frozen=True, slots=True)
class TrtllmCudaGraphConfig:
    """Names and meaning are TensorRT-LLM's `CudaGraphConfig`."""

    max_batch_size: int | None = None
    """null: engine.max_batch_size; the library's own default ends at 128"""
    enable_padding: bool = True


@dataclass(frozen=True, slots=True)
class TrtllmConfig:
    """TensorRT-LLM, every setting under its own name; the batch is engine.max_batch_size."""

    max_num_tokens: int | None = None
    """of a step; null: 8,192, or what the engine was built for"""
    max_seq_len: int | None = None
    """prompt and speech; null: what the pack's longest segment needs"""
    enable_chunked_prefill: bool = True
    tensor_parallel_size: int = 1
    sampler_type: Literal["auto", "TRTLLMSampler", "TorchSampler"] = "auto"
    """auto: the one that applies the repetition penalty"""
    load_format: Literal["auto", "dummy"] = "auto"
    """dummy: random weights, for benchmarks"""
    kv_cache_config: TrtllmKvCacheConfig = field(default_factory=TrtllmKvCacheConfig)
    scheduler_config: TrtllmSchedulerConfig = field(default_factory=TrtllmSchedulerConfig)
    cuda_graph_config: TrtllmCudaGraphConfig | None = field(default_factory=TrtllmCudaGraphConfig)
    """null: no CUDA graphs"""
    extra_llm_args: dict = field(default_factory=dict)
    """anything else that `LLM` takes, as long as it does not change which tokens are drawn"""
    request_timeout_s: float = 300.0
    """a request that is out longer has hung: the engine is started again"""
    start_timeout_s: float = 1800.0
    """longest time to load"""


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How the book is cut; null keeps the pack's value."""

    encoding: str | None = None
    """of text files; null: detected"""
    chapter_pattern: str | None = None
    """a regular expression that a heading line matches, instead of the built-in rules"""
    title: str | None = None
    """of a single book, instead of what its header says"""
    author: str | None = None
    """likewise"""
    include: tuple[str, ...] = ()
    """sections to read that are left out by themselves, by title or kind"""
    exclude: tuple[str, ...] = ()
    """chapters to leave out, by title, number or range"""
    notes: Literal["skip", "inline"] = "skip"
    """footnotes of EPUB and HTML: left out, or read after the paragraph of their marker"""
    normalize: Literal["words", "light"] = "words"
    """English numbers, dates and abbreviations in words; light: left to a model that reads anything, such as Orpheus"""
    lexicon: tuple[str, ...] = ()
    """YAML or CSV files of words and what to say for them"""
    cast: str | None = None
    """YAML that gives characters their voices; null: one voice reads all"""
    script: str | None = None
    """CSV that `orpheus-batch script` wrote and somebody corrected; of a single book"""
    min_chars: int | None = None
    max_chars: int | None = None


@dataclass(frozen=True, slots=True)
class PauseConfig:
    """Silence after each kind of boundary, in seconds."""

    clause_s: float = 0.12
    sentence_s: float = 0.35
    paragraph_s: float = 0.7
    heading_s: float = 1.2
    chapter_s: float = 2.0


@dataclass(frozen=True, slots=True)
class QualityConfig:
    """When a take is taken again."""

    max_attempts: int = 4
    """takes of one segment before it is marked failed and its best take kept"""
    min_length_ratio: float = 0.5
    """shortest believable length, relative to the prediction from the text"""
    max_length_ratio: float = 2.0
    """longest believable length, likewise"""
    max_loop_s: float = 1.2
    """a stretch of audio codes repeating itself for longer than this is a loop"""
    max_silence_s: float = 1.5
    """silence inside a segment longer than this is a fault"""


@dataclass(frozen=True, slots=True)
class AsrConfig:
    """Whether a recogniser hears every take, and when what it hears makes one taken again."""

    recogniser: Literal["none", "auto", "moonshine", "faster-whisper"] = "none"
    """auto: faster-whisper on a GPU, Moonshine on a CPU, whichever is installed (the extra `asr`)"""
    model: str | None = None
    """of faster-whisper: a size, a name on the hub or a folder; null: small.en, or small for other languages"""
    max_word_error_rate: float = 0.25
    """wrong words for each word of the text; one wrong word is never too many"""
    max_wrong_run: int = 3
    """wrong words in a row: in a long segment a stretch of garbage is a small share"""
    processes: int | None = None
    """of Moonshine, each up to 2 GB; null: one a core, as far as half the memory goes"""


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """The finished files."""

    bitrate_kbps: int = 96
    """constant bit rate of the MP3"""
    sample_rate_hz: int = 24_000
    """of the MP3; the codec makes 24,000"""
    target_rms_db: float = -20.0
    """level of speech, pauses left out"""
    peak_db: float = -3.0
    """no sample above this; a limiter holds it"""
    lead_in_s: float = 0.5
    """before the first word of a chapter"""
    room_tone_db: float | None = -70.0
    """RMS of the low noise under everything, pauses included; null: pauses are digital silence"""
    cover: str | None = None
    """JPEG or PNG for every file"""
    genre: str = "Audiobook"
    year: str | None = None
    encoder_processes: int | None = None
    """null: a quarter of the cores, beside a GPU all but two, one at least"""


@dataclass(frozen=True, slots=True)
class CorpusConfig:
    """What a corpus is made of, and how it is laid out."""

    voices: str | None = None
    """"tara=3,leo=1": drawn by weights; "tara,leo": by turns; null: the voice of the run"""
    min_chars: int | None = None
    """of a sentence as spoken; shorter ones are left out; null: the pack's"""
    max_chars: int | None = None
    """likewise, longer ones"""
    characters: str | None = None
    """a sentence with any other character is left out: "A-Za-z ,.'?!-", say"""
    shard_items: int = 2048
    """items that are finished, and sealed in a shard of each split, before the next begin"""
    layout: Literal["shards", "files"] = "shards"
    """WebDataset tar shards, or a FLAC file an item"""
    keep_codes: bool = False
    """put the SNAC codes into the shards too"""
    validation_share: float = 0.01
    """of the items, by a hash of their text"""
    test_share: float = 0.01
    """likewise"""
    licence: str | None = None
    """of the texts, for manifest and card"""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole tree. `load_config` builds one."""

    model: ModelConfig = field(default_factory=ModelConfig)
    voice: str | None = None
    """null: the pack's default"""
    seed: int = 0
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    trtllm: TrtllmConfig = field(default_factory=TrtllmConfig)
    text: TextConfig = field(default_factory=TextConfig)
    pauses: PauseConfig = field(default_factory=PauseConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    asr: AsrConfig = field(default_factory=AsrConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)

    def __post_init__(self) -> None:
        """Check ranges that a type alone does not say."""
        for ok, what in (
            (0 <= self.seed < 1 << 62, "seed must be between 0 and 2^62"),
            (_in(self.sampling.temperature, 0, 10), "sampling.temperature must be between 0 and 10"),
            (_in(self.sampling.top_p, 1e-6, 1), "sampling.top_p must be above 0 and at most 1"),
            (
                _in(self.sampling.repetition_penalty, 1, 10),
                "sampling.repetition_penalty must be between 1 and 10",
            ),
            (_in(self.engine.max_batch_size, 1, 65_536), "engine.max_batch_size must be at least 1"),
            (_in(self.engine.kv_cache_gb, 1e-3, 1e5), "engine.kv_cache_gb must be positive"),
            (_in(self.engine.num_threads, 1, 4096), "engine.num_threads must be at least 1"),
            (1 <= self.engine.tokens_per_block <= 1024, "engine.tokens_per_block must be in 1..1024"),
            (1 <= self.engine.block_size <= 1 << 20, "engine.block_size must be at least 1"),
            (_in(self.trtllm.max_num_tokens, 1, 1 << 22), "trtllm.max_num_tokens must be at least 1"),
            (_in(self.trtllm.max_seq_len, 64, 1 << 20), "trtllm.max_seq_len must be at least 64"),
            (1 <= self.trtllm.tensor_parallel_size <= 64, "trtllm.tensor_parallel_size must be in 1..64"),
            (
                0 < self.trtllm.kv_cache_config.free_gpu_memory_fraction <= 1,
                "trtllm.kv_cache_config.free_gpu_memory_fraction must be above 0 and at most 1",
            ),
            (
                self.trtllm.kv_cache_config.tokens_per_block in (8, 16, 32, 64, 128),
                "trtllm.kv_cache_config.tokens_per_block must be 8, 16, 32, 64 or 128",
            ),
            (self.trtllm.request_timeout_s > 0, "trtllm.request_timeout_s must be positive"),
            (self.trtllm.start_timeout_s > 0, "trtllm.start_timeout_s must be positive"),
            (_in(self.engine.ray_workers, 1, 10_000), "engine.ray_workers must be at least 1"),
            (_in(self.text.min_chars, 1, 10_000), "text.min_chars must be at least 1"),
            (_in(self.text.max_chars, 20, 10_000), "text.max_chars must be at least 20"),
            (
                all(0 <= s <= 60 for s in dataclasses.astuple(self.pauses)),
                "pauses must be between 0 and 60 seconds",
            ),
            (1 <= self.quality.max_attempts <= 100, "quality.max_attempts must be in 1..100"),
            (
                0 < self.quality.min_length_ratio < 1 < self.quality.max_length_ratio,
                "quality.min_length_ratio must be below 1 and max_length_ratio above it",
            ),
            (0 < self.asr.max_word_error_rate <= 10, "asr.max_word_error_rate must be above 0 and at most 10"),
            (1 <= self.asr.max_wrong_run <= 1000, "asr.max_wrong_run must be at least 1"),
            (_in(self.asr.processes, 1, 1024), "asr.processes must be at least 1"),
            (8 <= self.audio.bitrate_kbps <= 320, "audio.bitrate_kbps must be in 8..320"),
            (
                self.audio.sample_rate_hz in (16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
                "audio.sample_rate_hz must be a rate of MP3: 16000, 22050, 24000, 32000, 44100 or 48000",
            ),
            (-60 <= self.audio.target_rms_db <= -6, "audio.target_rms_db must be in -60..-6"),
            (-20 <= self.audio.peak_db <= 0, "audio.peak_db must be in -20..0"),
            (_in(self.corpus.min_chars, 1, 10_000), "corpus.min_chars must be at least 1"),
            (_in(self.corpus.max_chars, 20, 10_000), "corpus.max_chars must be at least 20"),
            (1 <= self.corpus.shard_items <= 1 << 20, "corpus.shard_items must be at least 1"),
            (
                min(self.corpus.validation_share, self.corpus.test_share) >= 0
                and self.corpus.validation_share + self.corpus.test_share < 1,
                "corpus.validation_share and corpus.test_share must not be negative, nor 1 or more together",
            ),
            (0 <= self.audio.lead_in_s <= 60, "audio.lead_in_s must be between 0 and 60 seconds"),
            (_in(self.audio.room_tone_db, -90, -50), "audio.room_tone_db must be in -90..-50, or null"),
        ):
            if not ok:
                raise ConfigError(what)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain values, for the ledger and for people."""
        return dataclasses.asdict(self)


def _in(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high


def load_config(file: Path | None = None, overrides: dict[str, Any] | None = None) -> Config:
    """Build the configuration from defaults, a YAML file and dotted overrides.

    Args:
        file: YAML with any part of the tree.
        overrides: Such as ``{"audio.bitrate_kbps": 128}``; None values are left out.

    Raises:
        ConfigError: Unreadable file, unknown key, wrong type or value out of range; says which.
    """
    tree = {} if file is None else read_yaml(file)
    where = "options" if file is None else str(file)
    for dotted, value in (overrides or {}).items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        node = tree
        for section in sections:
            child = node.get(section)
            node[section] = dict(child) if isinstance(child, dict) else {}
            node = node[section]
        node[key] = value
    try:
        return build(Config, tree)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def read_yaml(file: Path) -> dict[str, Any]:
    """Read keys and values from a YAML file; an empty one has none.

    Raises:
        ConfigError: It can't be read, is not YAML, or holds something else.
    """
    import yaml

    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the configuration {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(f"{file}: expected keys and values at the top, found {type(loaded).__name__}")
    return loaded or {}


def build(kind: type[Tree], tree: dict[str, Any]) -> Tree:
    """Make a dataclass of plain values, checking names and types all the way down.

    Args:
        kind: Its fields are scalars, literals, optional ones of these, or dataclasses of them.
        tree: By field name; what is left out keeps its default.

    Raises:
        ConfigError: Unknown key, wrong type, or what the class itself refuses.
    """
    return _build(kind, tree, "")


def _build(kind: type, raw: Any, path: str) -> Any:
    """Make dataclass ``kind`` of a YAML mapping, checking names and types all the way down."""
    if not isinstance(raw, dict):
        raise ConfigError(f"'{path}' must hold keys and values, not {raw!r}")
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in raw.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(hints)}"
            raise ConfigError(f"unknown key '{dotted}'{hint}")
        values[key] = _convert(hints[key], value, dotted)
    return kind(**values)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Check ``value`` against a field's type; an int is taken where a float is wanted."""
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, path)
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"'{path}' must be one of {', '.join(map(str, choices))}, not {value!r}")
        return value
    if origin in (typing.Union, types.UnionType):
        inner = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        return None if value is None else _convert(inner, value, path)
    if origin is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"'{path}' must be a list of strings, not {value!r}")
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"'{path}' must be {hint.__name__}, not {value!r}")
    return value
