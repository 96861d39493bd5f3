"""How long sequences get, and how many fit: limits for building and loading, from the pack and the GPU.

TensorRT-LLM sets memory aside for the longest a request may get, so a loose limit costs batch. Everything here is
arithmetic on the pack's numbers and the model's ``config.json``; no model is loaded.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from orpheus_batch.errors import EngineError
from orpheus_batch.voices import ModelPack

TOKENS_PER_CHAR = 2
"""of text, at most: byte-level tokenizers spell a rare character in two or three, ordinary text in a quarter"""
ROUND_TOKENS = 64
MAX_BATCH_SIZE = 1_024
"""past it a token costs as much, measured on an H200 for the shape of Orpheus-3B"""
MAX_NUM_TOKENS = 8_192
"""of a step; the library's own default"""
DEFAULT_BATCH_SIZE = 64
"""where no GPU says how much memory there is"""


@dataclass(frozen=True, slots=True)
class SequenceLimits:
    """Longest prompt and longest sequence, in tokens."""

    max_input_len: int
    max_seq_len: int
    """prompt and speech together"""

    def to_dict(self) -> dict[str, int]:
        """Return plain values."""
        return asdict(self)


def sequence_limits(
    pack: ModelPack, max_chars: int | None = None, max_positions: int | None = None
) -> SequenceLimits:
    """Return the limits that the longest segment of a pack needs.

    Args:
        pack: Its layout, voices, and how many tokens a text takes.
        max_chars: Longest segment as spoken; None: the pack's.
        max_positions: Longest sequence that the model takes.

    Raises:
        EngineError: The model does not take so long a sequence.
    """
    num_chars = max_chars or pack.segment_limits.max_chars
    voice = max((len(voice.name.encode()) for voice in pack.voices), default=0)
    layout = pack.layout
    frame = len(layout.prompt_prefix) + len(layout.prompt_suffix) + voice + len(": ")
    max_input_len = _round_up(frame + TOKENS_PER_CHAR * num_chars)
    needed = max_input_len + pack.length.max_new_tokens("x" * num_chars)
    max_seq_len = _round_up(needed)
    if max_positions is not None:
        if needed > max_positions:
            raise EngineError(
                f"segments of {num_chars} characters may take {needed} tokens with their prompt, and the model's "
                f"longest sequence is {max_positions}; lower text.max_chars"
            )
        max_seq_len = min(max_seq_len, max_positions)
    return SequenceLimits(max_input_len, max_seq_len)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a Llama's ``config.json`` decides memory."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    num_weights: int
    """numbers in the matrices, embeddings counted once"""

    def kv_bytes_per_token(self, kv_dtype: str) -> int:
        """Return bytes of keys and values a token; ``kv_dtype`` is "fp8", or anything else for 16 bits."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * (1 if kv_dtype == "fp8" else 2)


def read_shape(model_dir: Path) -> ModelShape:
    """Read the shape of a Hugging Face Llama, or of an engine made of one.

    Raises:
        EngineError: ``config.json`` is missing or is no Llama's.
    """
    file = model_dir / "config.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw = raw.get("pretrained_config", raw)
        hidden, heads = int(raw["hidden_size"]), int(raw["num_attention_heads"])
        head_dim = int(raw.get("head_dim") or raw.get("head_size") or hidden // heads)
        kv_heads = int(raw.get("num_key_value_heads") or heads)
        layers = int(raw["num_hidden_layers"])
        layer = hidden * ((2 * heads + 2 * kv_heads) * head_dim + 3 * int(raw["intermediate_size"]))
        return ModelShape(
            num_layers=layers,
            num_kv_heads=kv_heads,
            head_dim=head_dim,
            max_positions=int(raw.get("max_position_embeddings") or 2048),
            num_weights=layers * layer + int(raw["vocab_size"]) * hidden,
        )
    except OSError as error:
        raise EngineError(f"can't read {file}: {error.strerror}; is this a model's folder?") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{file} is not a Llama's: {type(error).__name__} {error}") from error


def default_batch_size(
    shape: ModelShape,
    limits: SequenceLimits,
    *,
    free_bytes: int | None,
    weight_bytes: int = 2,
    kv_dtype: str = "auto",
    memory_fraction: float = 0.8,
    num_gpus: int = 1,
) -> int:
    """Return how many sequences to run together: as many as the KV cache holds, up to `MAX_BATCH_SIZE`.

    A sequence is reckoned at half of the longest one, since requests are capped by their own text's length.

    Args:
        shape: Of the model.
        limits: Of its sequences.
        free_bytes: Of one GPU; None: unknown.
        weight_bytes: Bytes a weight: 2, or 1 for fp8.
        kv_dtype: See `ModelShape.kv_bytes_per_token`.
        memory_fraction: Of what the weights leave, for the cache.
        num_gpus: That share the model.

    Raises:
        EngineError: Not even a few sequences fit.
    """
    if free_bytes is None:
        return DEFAULT_BATCH_SIZE
    left = (free_bytes - shape.num_weights * weight_bytes / num_gpus) * memory_fraction * num_gpus
    fit = int(left / (shape.kv_bytes_per_token(kv_dtype) * limits.max_seq_len / 2))
    if fit < 1:
        raise EngineError(
            f"{free_bytes / 1e9:.1f} GB of GPU memory are free: too little for weights of "
            f"{shape.num_weights * weight_bytes / 1e9:.1f} GB and one sequence of {limits.max_seq_len} tokens"
        )
    if fit < 8:
        return fit
    return min(MAX_BATCH_SIZE, fit // 8 * 8)


def _round_up(num_tokens: int) -> int:
    return -(-num_tokens // ROUND_TOKENS) * ROUND_TOKENS
