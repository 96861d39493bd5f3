"""Writes a model pack: the folder that `orpheus_batch.voices.load_pack` reads.

For the built-in voice and for tests: a character tokenizer, the token layout that follows from it, and weights,
per-channel int8 if asked. Nothing here trains or loads a model.

The int8 form is that of compressed-tensors' ``int-quantized`` format: ``NAME.weight`` int8 [out, in] beside
``NAME.weight_scale`` [out, 1]; the weight is their product.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

if TYPE_CHECKING:
    import torch

CONTROL_TOKENS = (
    "<pad>",
    "<begin_of_text>",
    "<start_of_human>",
    "<end_of_text>",
    "<end_of_human>",
    "<start_of_ai>",
    "<start_of_speech>",
    "<end_of_speech>",
)
"""Ids 0..7 of a character pack; the order of a prompt is Orpheus's."""


def character_layout(alphabet: str, codebook_size: int) -> TokenLayout:
    """Return the layout of a character pack: controls, then characters, then audio codes."""
    ids = {token: index for index, token in enumerate(CONTROL_TOKENS)}
    return TokenLayout(
        prompt_prefix=(ids["<start_of_human>"], ids["<begin_of_text>"]),
        prompt_suffix=tuple(
            ids[t] for t in ("<end_of_text>", "<end_of_human>", "<start_of_ai>", "<start_of_speech>")
        ),
        stop_id=ids["<end_of_speech>"],
        audio_offset=len(CONTROL_TOKENS) + len(alphabet),
        codebook_size=codebook_size,
    )


def vocab_size(layout: TokenLayout) -> int:
    """Return how many embedding rows a character pack has."""
    return layout.audio_offset + TOKENS_PER_FRAME * layout.codebook_size


def character_tokenizer(alphabet: str) -> dict[str, Any]:
    """Return a Hugging Face ``tokenizer.json`` that gives one id a character of ``alphabet``.

    A byte-pair model without merges: a character outside the alphabet gives no id at all.
    """
    vocab = {token: index for index, token in enumerate(CONTROL_TOKENS)}
    vocab |= {character: len(CONTROL_TOKENS) + index for index, character in enumerate(alphabet)}
    added = [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, token in enumerate(CONTROL_TOKENS)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocab,
            "merges": [],
        },
    }


def quantize_int8(weights: dict[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Return matrices as int8 with one scale a row, everything else in float16.

    Args:
        weights: Float tensors; those with two dimensions are quantised, symmetric, round to nearest.

    Returns:
        ``NAME`` int8 [out, in] with ``NAME_scale`` float16 [out, 1], and float16 vectors.
    """
    import torch

    out = {}
    for name, weight in weights.items():
        if weight.ndim != 2:
            out[name] = weight.to(torch.float16).contiguous()
            continue
        scale = (weight.float().abs().amax(dim=1, keepdim=True) / 127.0).clamp_min(1e-8).to(torch.float16)
        out[name] = (weight.float() / scale.float()).round().clamp(-127, 127).to(torch.int8).contiguous()
        out[f"{name}_scale"] = scale
    return out


def write_pack(
    folder: Path,
    pack: dict[str, Any],
    language_model_config: dict[str, Any],
    language_model: dict[str, "torch.Tensor"],
    codec_config: dict[str, Any],
    codec: dict[str, "torch.Tensor"],
) -> None:
    """Write a character pack.

    Args:
        folder: Made if need be.
        pack: The content of ``pack.json``, its "alphabet" and "layout" included.
        language_model_config: Hugging Face Llama ``config.json``.
        language_model: State dict under Hugging Face's names; tied embeddings once.
        codec_config: SNAC ``config.json``.
        codec: State dict of the codec's decoder and quantiser.
    """
    from safetensors.torch import save_file

    model_dir, codec_dir = folder / pack["language_model"], folder / pack["codec"]
    model_dir.mkdir(parents=True, exist_ok=True)
    codec_dir.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "pack.json", pack)
    _write_json(model_dir / "config.json", language_model_config)
    _write_json(model_dir / "tokenizer.json", character_tokenizer(pack["alphabet"]))
    _write_json(
        model_dir / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": CONTROL_TOKENS[0]},
    )
    save_file(language_model, model_dir / "model.safetensors", metadata={"format": "pt"})
    _write_json(codec_dir / "config.json", codec_config)
    save_file(codec, codec_dir / "model.safetensors", metadata={"format": "pt"})


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
