"""Reads a Hugging Face Llama directory into the tensors that the model multiplies with.

One or several ``*.safetensors`` files and a ``config.json``. Matrices that are always used together are
joined (query, key and value; gate and up), per-channel int8 is multiplied out, query and key rows are put
into the order that `orpheus_batch.engine.torch.rope` rotates, and of the output head only the rows that can
be sampled are kept.

It knows names, shapes and types; it does not know how a model runs. What it does not understand it refuses: a
tensor or setting ignored in silence would be a different model.

Source: tensor names and their meaning as in `transformers`' ``LlamaForCausalLM``; int8 as in
compressed-tensors' ``int-quantized`` format (``NAME`` int8 [out, in] times ``NAME_scale`` [out, 1]).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from orpheus_batch.engine.torch.products import Linear
from orpheus_batch.engine.torch.rope import Rope, interleave_halves, read_rope
from orpheus_batch.errors import EngineError
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

if TYPE_CHECKING:
    from orpheus_batch.engine.torch.float8 import Float8Linear

_FLOAT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """The shape of a Llama, from ``config.json``."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    """longest sequence, prompt included, in tokens"""
    rms_norm_eps: float
    tie_word_embeddings: bool
    attention_bias: bool
    mlp_bias: bool
    rope: Rope

    @property
    def queries_per_kv_head(self) -> int:
        """How many query heads share one head of keys and values."""
        return self.num_heads // self.num_kv_heads

    @property
    def num_parameters(self) -> int:
        """How many numbers the matrices hold, embeddings counted once."""
        heads = (2 * self.num_heads + 2 * self.num_kv_heads) * self.head_dim
        layer = self.hidden_size * (heads + 3 * self.intermediate_size)
        return self.num_layers * layer + self.vocab_size * self.hidden_size

    def kv_bytes_per_token(self, dtype: torch.dtype) -> int:
        """Return the bytes that keys and values of one token take in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One decoder layer. Matrices are given as [out, in]."""

    input_norm: torch.Tensor
    """[hidden]"""
    qkv: "Linear | Float8Linear"
    """[(heads + 2 * kv_heads) * head_dim, hidden]: queries, keys, values; rotated pairs adjacent"""
    out: "Linear | Float8Linear"
    """[hidden, heads * head_dim]"""
    post_attention_norm: torch.Tensor
    """[hidden]"""
    gate_up: "Linear | Float8Linear"
    """[2 * intermediate, hidden]: gate, then up"""
    down: "Linear | Float8Linear"
    """[hidden, intermediate]"""


@dataclass(frozen=True, slots=True, eq=False)
class LlamaWeights:
    """All tensors of a model, on one device and in one dtype."""

    embedding: torch.Tensor
    """[vocab, hidden]"""
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    """[hidden]"""
    heads: tuple[Linear, ...]
    """for each position of the frame, [codebook_size, hidden]; for the first with the stop id's row in front"""


def read_config(model_dir: Path) -> LlamaConfig:
    """Read ``config.json``.

    Raises:
        EngineError: It is missing, is not that of a Llama, or asks for something that is not supported here.
    """
    file = model_dir / "config.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(
            f"can't read {file}: {error.strerror}; is this a Hugging Face model folder?"
        ) from error
    except ValueError as error:
        raise EngineError(f"{file} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise EngineError(f"{file} holds no settings, but {type(raw).__name__}")
    try:
        return _parse_config(raw)
    except KeyError as error:
        raise EngineError(f"{file}: the field {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise EngineError(f"{file}: {error}") from error


def _parse_config(raw: dict[str, Any]) -> LlamaConfig:
    if raw.get("model_type") != "llama":
        raise ValueError(f"model_type is {raw.get('model_type')!r}; only 'llama' can be loaded")
    if raw.get("hidden_act", "silu") != "silu":
        raise ValueError(f"hidden_act {raw['hidden_act']!r} is not supported; only 'silu' is")
    if raw.get("quantization_config"):
        raise ValueError(
            "quantization_config is not supported; give float weights, or int8 with one NAME_scale a matrix "
            "and no quantization_config"
        )
    num_heads = int(raw["num_attention_heads"])
    num_kv_heads = int(raw.get("num_key_value_heads") or num_heads)
    head_dim = int(raw.get("head_dim") or raw["hidden_size"] // num_heads)
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} attention heads can't share {num_kv_heads} key-value heads evenly")
    if head_dim % 2:
        raise ValueError(f"head_dim {head_dim} is odd; rotary embeddings need pairs")
    return LlamaConfig(
        hidden_size=int(raw["hidden_size"]),
        intermediate_size=int(raw["intermediate_size"]),
        num_layers=int(raw["num_hidden_layers"]),
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        vocab_size=int(raw["vocab_size"]),
        max_position_embeddings=int(raw.get("max_position_embeddings", 2048)),
        rms_norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
        tie_word_embeddings=bool(raw.get("tie_word_embeddings", False)),
        attention_bias=bool(raw.get("attention_bias", False)),
        mlp_bias=bool(raw.get("mlp_bias", False)),
        rope=read_rope(raw, head_dim),
    )


def load_weights(
    model_dir: Path, config: LlamaConfig, layout: TokenLayout, device: torch.device, dtype: torch.dtype
) -> LlamaWeights:
    """Load all tensors, one layer at a time, so that little more than the model itself is ever held.

    Args:
        model_dir: Folder with ``model.safetensors`` or several ``*.safetensors``.
        config: Its `read_config`.
        layout: Which rows of the head are audio codes, and which is the stop.
        device: Where the tensors go.
        dtype: What they are computed in.

    Raises:
        EngineError: A file can't be read; a tensor is missing, unknown, of the wrong shape or of a type that is
            not supported; or the vocabulary is too small for ``layout``.
    """
    if max(layout.audio_end - 1, layout.stop_id) >= config.vocab_size:
        raise EngineError(
            f"{model_dir}: the vocabulary has {config.vocab_size} ids, but the token layout goes up to "
            f"{max(layout.audio_end - 1, layout.stop_id)}; pack and model do not belong together"
        )
    with _Checkpoint(model_dir) as checkpoint:

        def get(name: str, *shape: int) -> torch.Tensor:
            return checkpoint.read(name, shape).to(device=device, dtype=dtype)

        embedding = get("model.embed_tokens.weight", config.vocab_size, config.hidden_size)
        head = embedding
        if config.tie_word_embeddings:
            checkpoint.skip("lm_head.weight")
        else:
            head = get("lm_head.weight", config.vocab_size, config.hidden_size)
        heads = _frame_heads(head, layout)
        layers = tuple(_load_layer(get, config, index) for index in range(config.num_layers))
        norm = get("model.norm.weight", config.hidden_size)
        checkpoint.finish()
    return LlamaWeights(embedding=embedding, layers=layers, norm=norm, heads=heads)


def _frame_heads(head: torch.Tensor, layout: TokenLayout) -> tuple[Linear, ...]:
    """Cut the head's rows [vocab, hidden] into those legal at each position of the frame."""
    rows = [
        head[layout.position_start(position) : layout.position_start(position + 1)]
        for position in range(TOKENS_PER_FRAME)
    ]
    rows[0] = torch.cat([head[layout.stop_id : layout.stop_id + 1], rows[0]])
    return tuple(Linear(part) for part in rows)


def _load_layer(get: Callable[..., torch.Tensor], config: LlamaConfig, index: int) -> LayerWeights:
    prefix = f"model.layers.{index}"
    hidden, intermediate = config.hidden_size, config.intermediate_size
    q_size, kv_size = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim

    def joined(parts: dict[str, int], *columns: int, kind: str) -> torch.Tensor:
        rows = []
        for part, size in parts.items():
            tensor = get(f"{prefix}.{part}.{kind}", size, *columns)
            if part in ("self_attn.q_proj", "self_attn.k_proj"):
                tensor = interleave_halves(tensor, config.head_dim)
            rows.append(tensor)
        return torch.cat(rows)

    def linear(parts: dict[str, int], columns: int, has_bias: bool) -> Linear:
        weight = joined(parts, columns, kind="weight")
        return Linear(weight, joined(parts, kind="bias") if has_bias else None)

    qkv = {"self_attn.q_proj": q_size, "self_attn.k_proj": kv_size, "self_attn.v_proj": kv_size}
    gate_up = {"mlp.gate_proj": intermediate, "mlp.up_proj": intermediate}
    return LayerWeights(
        input_norm=get(f"{prefix}.input_layernorm.weight", hidden),
        qkv=linear(qkv, hidden, config.attention_bias),
        out=linear({"self_attn.o_proj": hidden}, q_size, config.attention_bias),
        post_attention_norm=get(f"{prefix}.post_attention_layernorm.weight", hidden),
        gate_up=linear(gate_up, hidden, config.mlp_bias),
        down=linear({"mlp.down_proj": hidden}, intermediate, config.mlp_bias),
    )


class _Checkpoint:
    """The safetensors files of a folder as one set of named tensors, each read once."""

    def __init__(self, model_dir: Path):
        self._model_dir = model_dir
        self._files: list[Any] = []
        self._where: dict[str, Any] = {}
        self._read: set[str] = set()

    def __enter__(self) -> "_Checkpoint":
        single = self._model_dir / "model.safetensors"
        paths = [single] if single.is_file() else sorted(self._model_dir.glob("*.safetensors"))
        if not paths:
            raise EngineError(f"no *.safetensors in {self._model_dir}; give the folder that holds the weights")
        for path in paths:
            try:
                file = safe_open(path, framework="pt").__enter__()
            except (OSError, SafetensorError) as error:
                raise EngineError(f"can't read {path}: {error}; it may be cut short, fetch it again") from error
            self._files.append(file)
            for name in file.keys():  # noqa: SIM118 - not a mapping
                if name in self._where:
                    raise EngineError(f"{path}: the tensor {name} is in another file of the folder too")
                self._where[name] = file
        return self

    def __exit__(self, *exc_info: object) -> None:
        for file in self._files:
            file.__exit__(None, None, None)

    def read(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Return one tensor as floats, int8 multiplied out in float32."""
        tensor = self._take(name)
        if tuple(tensor.shape) != shape:
            raise EngineError(
                f"{self._model_dir}: {name} is {tuple(tensor.shape)}; config.json makes it {shape}"
            )
        if tensor.dtype == torch.int8:
            scale = self._take(f"{name}_scale")
            if scale.numel() != shape[0]:
                raise EngineError(
                    f"{self._model_dir}: {name}_scale is {tuple(scale.shape)}; one scale a row, "
                    f"({shape[0]}, 1), is supported"
                )
            return tensor.float() * scale.float().reshape(-1, 1)
        if tensor.dtype not in _FLOAT_DTYPES:
            raise EngineError(
                f"{self._model_dir}: {name} is {tensor.dtype}; supported are float32, float16, bfloat16, int8"
            )
        return tensor

    def skip(self, name: str) -> None:
        """Say that a tensor is known and not needed, if it is there."""
        self._read.add(name)

    def finish(self) -> None:
        """Refuse what nobody asked for: it would belong to another kind of model.

        Raises:
            EngineError: There are such tensors.
        """
        left = sorted(
            name for name in self._where if name not in self._read and not name.endswith("rotary_emb.inv_freq")
        )
        if left:
            shown = ", ".join(left[:5]) + (" …" if len(left) > 5 else "")
            raise EngineError(f"{self._model_dir}: {len(left)} tensors that a Llama does not have: {shown}")

    def _take(self, name: str) -> torch.Tensor:
        if name not in self._where:
            raise EngineError(f"{self._model_dir}: the tensor {name} is missing from the *.safetensors files")
        self._read.add(name)
        return self._where[name].get_tensor(name)
