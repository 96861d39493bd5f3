"""Loading: every kind of Llama directory that there is, and a clear refusal of what is none."""

import json
from pathlib import Path

import pytest
import torch
from engine_models import GREEDY, LAYOUT, reference_greedy, requests, write_llama
from safetensors.torch import load_file, save_file

from orpheus_batch.engine.torch.engine import TorchEngine
from orpheus_batch.engine.torch.weights import read_config
from orpheus_batch.errors import EngineError
from orpheus_batch.pack_writer import quantize_int8


def load(folder: Path, **settings) -> TorchEngine:
    """Load a model as the engine does."""
    return TorchEngine(folder, LAYOUT, **{"device": "cpu", "max_batch_size": 2, "num_threads": 1} | settings)


def edit_config(folder: Path, **changes) -> None:
    """Change fields of config.json; None takes one away."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def edit_weights(folder: Path, edit) -> None:
    """Let ``edit`` change the tensors of model.safetensors."""
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def check_greedy(model, folder: Path) -> None:
    """Hold a few streams to the reference."""
    wanted = requests(5, GREEDY)
    streams = {stream.segment_id: stream for stream in load(folder).generate(wanted)}
    for request in wanted:
        expected, _ = reference_greedy(model, LAYOUT, request)
        assert expected == streams[request.segment_id].token_ids.tolist()


def test_sharded_weights_are_one_model(tmp_path):
    """Many files with an index, as big models come."""
    model = write_llama(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    check_greedy(model, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_computed_in_float32(tmp_path, dtype):
    """The reference has the same rounded weights in float32."""
    model = write_llama(tmp_path)

    def shorten(weights):
        for name in weights:
            weights[name] = weights[name].to(dtype)

    edit_weights(tmp_path, shorten)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype).float()
    check_greedy(model, tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_int8_weights_are_their_products_with_the_scales(tmp_path, tied):
    """The built-in pack's form, embeddings included; the reference has them multiplied out."""
    model = write_llama(tmp_path, tie_word_embeddings=tied)
    weights = load_file(tmp_path / "model.safetensors")
    packed = quantize_int8(weights)
    save_file(packed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for name, parameter in model.named_parameters():
        stored = packed[name].float()
        parameter.data = stored * packed[f"{name}_scale"].float() if f"{name}_scale" in packed else stored
    assert torch.int8 == packed["model.embed_tokens.weight"].dtype
    check_greedy(model, tmp_path)


def test_rope_settings_are_read_from_either_generation_of_transformers(tmp_path):
    """`rope_scaling` beside `rope_theta`, and `rope_parameters` with it inside, are the same."""
    write_llama(tmp_path)
    scaling = {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    edit_config(tmp_path, rope_parameters=scaling | {"rope_theta": 500_000.0}, rope_scaling=None)
    new = read_config(tmp_path).rope
    edit_config(tmp_path, rope_parameters=None, rope_scaling=scaling, rope_theta=500_000.0)
    assert new == read_config(tmp_path).rope
    assert 500_000.0 == new.theta
    edit_config(tmp_path, rope_scaling={"type": "linear", "factor": 2.0})
    assert ("linear", 2.0) == (read_config(tmp_path).rope.kind, read_config(tmp_path).rope.factor)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mistral"}, "mistral"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}}, "yarn"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "factor"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"num_key_value_heads": 3}, "evenly"),
        ({"head_dim": 15}, "odd"),
        ({"hidden_size": None}, "hidden_size"),
        ({"vocab_size": "many"}, "many"),
        ({"vocab_size": LAYOUT.audio_end - 1}, "do not belong together"),
        ({"intermediate_size": 97}, "mlp.gate_proj"),
        ({"num_hidden_layers": 4}, "model.layers.3"),
        ({"num_hidden_layers": 2}, "does not have"),
        ({"attention_bias": True}, "bias is missing"),
        ({"tie_word_embeddings": False}, "lm_head.weight"),
    ],
)
def test_configurations_that_do_not_fit_are_refused_by_name(tmp_path, changes, message):
    """Each names the file and what in it is wrong; nothing is ignored in silence."""
    write_llama(tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(EngineError, match=message) as error:
        load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_files_that_are_not_there_or_broken_are_refused_by_name(tmp_path):
    """No folder, no JSON, no weights, half a file, the same tensor twice."""
    with pytest.raises(EngineError, match=r"config\.json"):
        load(tmp_path / "nowhere")
    write_llama(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole)
    weights.rename(tmp_path / "b.safetensors")
    with pytest.raises(EngineError, match="another file"):
        load(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").unlink()
    with pytest.raises(EngineError, match=r"no \*\.safetensors"):
        load(tmp_path)
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EngineError, match="cut short"):
        load(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(EngineError, match=r"config\.json"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda weights: weights.pop("model.norm.weight"), r"model\.norm\.weight is missing"),
        (lambda weights: weights.update({"model.layers.0.q_norm.weight": torch.ones(8)}), "q_norm"),
        (
            lambda weights: weights.update({"model.norm.weight": torch.ones(64, dtype=torch.int32)}),
            "int32",
        ),
        (
            lambda weights: weights.update(
                {"model.embed_tokens.weight": torch.ones(LAYOUT.audio_end, 64, dtype=torch.int8)}
            ),
            "weight_scale is missing",
        ),
        (
            lambda weights: weights.update(
                {
                    "model.embed_tokens.weight": torch.ones(LAYOUT.audio_end, 64, dtype=torch.int8),
                    "model.embed_tokens.weight_scale": torch.ones(1),
                }
            ),
            "one scale a row",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path, edit, message):
    """Missing, unknown, of a strange type, int8 without its scales."""
    write_llama(tmp_path)
    edit_weights(tmp_path, edit)
    with pytest.raises(EngineError, match=message):
        load(tmp_path)


def test_a_head_beside_tied_embeddings_is_not_used(tmp_path):
    """Some files carry a copy; config.json decides."""
    model = write_llama(tmp_path)
    edit_weights(
        tmp_path, lambda weights: weights.update({"lm_head.weight": torch.zeros(LAYOUT.audio_end, 64)})
    )
    check_greedy(model, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "tpu"}, "tpu"),
        ({"device": "meta"}, "meta"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"precision": "int4"}, "int4"),
        ({"kv_cache_gb": 1e-9}, "kv_cache_gb"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(tmp_path, settings, message):
    """What the user typed is in the message."""
    write_llama(tmp_path)
    with pytest.raises(EngineError, match=message):
        load(tmp_path, **settings)
