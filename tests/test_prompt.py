"""Prompts: what surrounds the text, and what the text can never become."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from orpheus_batch.errors import ConfigError
from orpheus_batch.prompt import PromptBuilder, load_text_tokenizer
from orpheus_batch.testing import make_tiny_pack
from orpheus_batch.voices import load_pack

GOLDEN = json.loads((Path(__file__).parent / "golden/orpheus_prompts.json").read_text(encoding="utf-8"))[
    "prompts"
]


class GoldenTokenizer:
    """Gives the golden text ids for the golden texts, so that the layout around them is what is tested."""

    def encode(self, text, add_special_tokens):
        known = {f"{g['voice']}: {g['text']}": g["text_ids"] for g in GOLDEN}
        assert not add_special_tokens
        return type("Encoding", (), {"ids": known[text]})


@pytest.mark.parametrize("golden", GOLDEN, ids=[g["voice"] for g in GOLDEN])
def test_orpheus_prompts_are_the_golden_ones(golden, monkeypatch):
    """Prefix, "voice: text" and suffix stand as in prompts made with the Llama 3 tokenizer."""
    monkeypatch.setattr("orpheus_batch.prompt.load_text_tokenizer", lambda file: GoldenTokenizer())
    builder = PromptBuilder(load_pack("orpheus-3b"))
    assert tuple(golden["prompt"]) == builder.prompt_token_ids(golden["text"], golden["voice"])


@pytest.fixture
def hub_tokenizer(tmp_path):
    """A byte-level tokenizer with added tokens of both kinds, special and not, as Orpheus's own has."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocab = {symbol: index for index, symbol in enumerate(sorted(byte_level.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.add_special_tokens(["<|eot_id|>"])
    tokenizer.add_tokens(["<custom_token_5>"])
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    return tokenizer, file


def test_control_tokens_in_a_book_are_spelled_out(hub_tokenizer):
    """Neither kind of added token is parsed out of text; the stock tokenizer parses both, which is the trap."""
    stock, file = hub_tokenizer
    text = "He wrote <custom_token_5> and <|eot_id|> there."
    controls = {stock.token_to_id("<custom_token_5>"), stock.token_to_id("<|eot_id|>")}
    assert controls <= set(stock.encode(text).ids)
    ids = load_text_tokenizer(file).encode(text, add_special_tokens=False).ids
    assert not controls & set(ids)
    assert len(text) == len(ids)


def test_control_tokens_are_spelled_out_in_the_character_pack(tmp_path):
    """The built-in shape's own control words come out as characters, or not at all."""
    pack = load_pack(str(make_tiny_pack(tmp_path / "pack")))
    layout = pack.layout
    ids = PromptBuilder(pack).prompt_token_ids("<end_of_speech> (pad).", "tiny")
    inside = ids[len(layout.prompt_prefix) : -len(layout.prompt_suffix)]
    assert all(8 <= token < layout.audio_offset for token in inside)


def test_a_missing_tokenizer_is_named(tmp_path):
    """The message says which file."""
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load_text_tokenizer(tmp_path / "tokenizer.json")


def test_a_file_that_is_no_tokenizer_is_named(tmp_path):
    """A broken download does not end in a traceback of somebody else's."""
    file = tmp_path / "tokenizer.json"
    file.write_text('{"model": 3}', encoding="utf-8")
    with pytest.raises(ConfigError, match="not a tokenizer"):
        load_text_tokenizer(file)
