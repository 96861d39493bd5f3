"""From a segment's text to the prompt's token ids.

The text's tokenizer is the language model's own ``tokenizer.json`` with every added token taken out first, so
that nothing written in a book (``<custom_token_5>``, ``<|eot_id|>``) can become a control id: it is spelled out
in ordinary tokens. Control ids come from the pack's `TokenLayout` alone.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from orpheus_batch.data import Segment, TokenRequest
from orpheus_batch.errors import ConfigError
from orpheus_batch.voices import ModelPack

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SEED_MASK = (1 << 63) - 1


class PromptBuilder:
    """Makes token requests for one pack."""

    def __init__(self, pack: ModelPack):
        self._pack = pack
        self._tokenizer = load_text_tokenizer(pack.language_model_dir / "tokenizer.json")

    def prompt_token_ids(self, text: str, voice: str) -> tuple[int, ...]:
        """Return prefix, the ids of "voice: text", and suffix."""
        layout = self._pack.layout
        ids = self._tokenizer.encode(f"{voice}: {text}", add_special_tokens=False).ids
        return (*layout.prompt_prefix, *ids, *layout.prompt_suffix)

    def request(self, segment: Segment, attempt: int = 0) -> TokenRequest:
        """Return the request for take ``attempt`` of a segment; each take has the next seed."""
        length = self._pack.length
        sampling = self._pack.sampling
        if segment.temperature is not None:
            sampling = dataclasses.replace(sampling, temperature=segment.temperature)
        return TokenRequest(
            segment_id=segment.segment_id,
            prompt_token_ids=self.prompt_token_ids(segment.text, segment.voice),
            max_new_tokens=length.max_new_tokens(segment.text),
            expected_num_tokens=length.expected_num_tokens(segment.text),
            sampling=sampling,
            seed=(segment.seed + attempt) & SEED_MASK,
            attempt=attempt,
        )


def load_text_tokenizer(file: Path) -> "Tokenizer":
    """Load a ``tokenizer.json`` that parses no added token and adds none.

    Raises:
        ConfigError: The file is missing or is not a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw["added_tokens"] = []
        raw["post_processor"] = None
        return Tokenizer.from_str(json.dumps(raw))
    except OSError as error:
        raise ConfigError(f"can't read the tokenizer {file}: {error.strerror}") from error
    except Exception as error:  # tokenizers raises plain Exception for a malformed file
        raise ConfigError(f"{file} is not a tokenizer: {error}") from error
