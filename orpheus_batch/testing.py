"""Fakes for every Protocol and a tiny untrained pack, for this project's tests and its users'.

The fakes are pure functions of what they are given, so a test can say beforehand what a run must produce. They
need numpy alone; `make_tiny_pack` needs torch and snac.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from orpheus_batch.data import (
    Book,
    Boundary,
    Chapter,
    ChapterPlan,
    Sampling,
    Segment,
    SnacCodes,
    TokenRequest,
    TokenStream,
    Waveform,
)
from orpheus_batch.pack_writer import character_layout
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, TOKENS_PER_FRAME
from orpheus_batch.voices import LengthModel, ModelPack, SegmentLimits, Voice

BUILTIN_ALPHABET = " !\"'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""the built-in voice's: digits, symbols and accents are respelled before they reach the model"""
TINY_ALPHABET = " !\"'(),-.0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class FakeEngine:
    """Makes orderly random frames from (segment id, seed), of the expected length.

    Yields in the order of the requests, ``max_batch_size`` pulled ahead, shortest of those first: out of order,
    as a real engine does.
    """

    name = "fake"

    def __init__(self, layout: TokenLayout, max_batch_size: int = 8):
        self.layout = layout
        self.max_batch_size = max_batch_size
        self.num_generated = 0

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield one stream a request."""
        held: list[TokenRequest] = []
        source = iter(requests)
        open_ended = True
        while open_ended or held:
            while open_ended and len(held) < self.max_batch_size:
                request = next(source, False)
                if request is False:
                    open_ended = False
                elif request is None:
                    break
                else:
                    held.append(request)
            if held:
                held.sort(key=lambda r: (r.expected_num_tokens, r.segment_id))
                yield self.stream(held.pop(0))

    def stream(self, request: TokenRequest) -> TokenStream:
        """Return the stream that this engine makes of ``request``, whenever it is asked."""
        self.num_generated += 1
        digest = hashlib.sha256(f"{request.segment_id}|{request.seed}".encode()).digest()
        noise = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        wanted = request.forced_num_tokens or min(request.expected_num_tokens, request.max_new_tokens)
        num_frames = max(1, wanted // TOKENS_PER_FRAME)
        codes = noise.integers(0, self.layout.codebook_size, (num_frames, TOKENS_PER_FRAME))
        ids = codes + self.layout.audio_offset + self.layout.codebook_size * np.arange(TOKENS_PER_FRAME)
        return TokenStream(
            segment_id=request.segment_id,
            token_ids=ids.reshape(-1).astype(np.int32),
            finish_reason="stop",
            seed=request.seed,
            attempt=request.attempt,
        )

    def close(self) -> None:
        """Nothing to free."""


class FakeCodec:
    """A tone a frame, its pitch from the coarse code: audible, deterministic, and different for each stream.

    The last frame fades out, as speech does, so that the stream passes for one that was not cut off.
    """

    fingerprint = "fake-codec"

    def __init__(self) -> None:
        self.num_decoded = 0

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return one waveform a stream, float32 [2048 * F]."""
        time_s = np.arange(SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ
        waveforms = []
        for codes, _seed in zip(streams, seeds, strict=True):
            self.num_decoded += 1
            pitch_hz = 120.0 + (codes.coarse % 64)[:, None] * 5.0
            samples = 0.2 * np.sin(2 * np.pi * pitch_hz * time_s)
            samples[-1:] *= np.linspace(1.0, 0.0, SAMPLES_PER_FRAME) ** 2
            waveforms.append(Waveform(samples.reshape(-1).astype(np.float32), SAMPLE_RATE_HZ))
        return waveforms

    def warm_up(self) -> None:
        """Nothing to do."""


class FakeRecogniser:
    """Hears what it is told to: in each utterance, in the order in which they come, the next of ``texts``."""

    name = "fake recogniser"

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)
        self.batches: list[int] = []
        """utterances of each call"""

    def transcribe(self, utterances: Sequence[np.ndarray]) -> list[str]:
        """Return a text for each utterance."""
        self.batches.append(len(utterances))
        return [next(self._texts) for _ in utterances]

    def close(self) -> None:
        """Nothing to free."""


def make_plan(*chapters: Sequence[str], voice: str = "tiny", seed: int = 0) -> tuple[Book, list[ChapterPlan]]:
    """Return a book and its plan: one segment for each text given, equal texts sharing their segment's id.

    Chapters are called "Chapter 1" and so on, every pause is 0.35 s, and nothing is skipped.
    """
    start = 0
    contents, plans = [], []
    for chapter_index, texts in enumerate(chapters):
        title, chapter_start = f"Chapter {chapter_index + 1}", start
        segments = []
        for index, text in enumerate(texts):
            segment_id = hashlib.sha256(f"{text}|{voice}|{seed}".encode()).hexdigest()
            end = start + len(text) + 1
            place = (chapter_index, index, text, voice, Boundary.SENTENCE, 0.35, start, end, seed)
            segments.append(Segment(segment_id, *place))
            start = end
        text = "".join(f"{text} " for text in texts)
        contents.append(Chapter(chapter_index, title, text, chapter_start, heading_length=0))
        plans.append(ChapterPlan(chapter_index, title, tuple(segments), skipped=()))
    source_sha256 = hashlib.sha256("".join(chapter.text for chapter in contents).encode()).hexdigest()
    book = Book("Tiny Book", "Nobody", "en", "tiny.txt", source_sha256, start, tuple(contents), skipped=())
    return book, plans


def make_text_pack(
    alphabet: str | None,
    *,
    tags: tuple[str, ...] = (),
    min_chars: int = 40,
    max_chars: int = 200,
) -> ModelPack:
    """Return a pack without weights: enough to plan a book in the voice "text", and nothing more.

    Args:
        alphabet: Characters that may be spoken; None: any.
        tags: Emotion tags that pass through.
        min_chars: Shorter sentences are joined.
        max_chars: Longer ones are cut.
    """
    return ModelPack(
        path=Path(),
        name="text",
        description="no weights",
        language="en",
        licence="Apache-2.0",
        layout=character_layout(alphabet or "", 1),
        voices=(Voice("text", "en", "none"),),
        default_voice="text",
        sampling=Sampling(temperature=1.0, top_p=1.0, repetition_penalty=1.0),
        segment_limits=SegmentLimits(min_chars, max_chars),
        length=LengthModel(base_tokens=0.0, tokens_per_char=1.0, max_ratio=1.0),
        alphabet=alphabet,
        tags=tags,
        language_model_dir=Path(),
        codec_dir=Path(),
    )


def make_tiny_pack(
    folder: Path,
    *,
    hidden_size: int = 64,
    num_layers: int = 2,
    codebook_size: int = 64,
    decoder_dim: int = 32,
    seed: int = 0,
    int8: bool = False,
) -> Path:
    """Write an untrained pack in the built-in voice's shape: every stage runs on it, and it speaks noise.

    Args:
        folder: Where; made if need be.
        hidden_size: Width of the language model; heads of 16, two for keys and values.
        num_layers: Depth of the language model.
        codebook_size: Codes a level.
        decoder_dim: Width of the codec's decoder.
        seed: Of the weights.
        int8: Store matrices as per-channel int8, as the built-in pack may.

    Returns:
        ``folder``.
    """
    import torch
    from snac import SNAC

    from orpheus_batch.pack_writer import quantize_int8, vocab_size, write_pack

    layout = character_layout(TINY_ALPHABET, codebook_size)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden_size,
        "intermediate_size": hidden_size * 2,
        "num_hidden_layers": num_layers,
        "num_attention_heads": hidden_size // 16,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": vocab_size(layout),
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": layout.stop_id,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }
    noise = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=noise) * columns**-0.5

    kv_size = 2 * config["head_dim"]
    weights = {"model.embed_tokens.weight": matrix(config["vocab_size"], hidden_size) * 4}
    weights["model.norm.weight"] = torch.ones(hidden_size)
    for layer in range(num_layers):
        prefix = f"model.layers.{layer}"
        weights |= {
            f"{prefix}.self_attn.q_proj.weight": matrix(hidden_size, hidden_size),
            f"{prefix}.self_attn.k_proj.weight": matrix(kv_size, hidden_size),
            f"{prefix}.self_attn.v_proj.weight": matrix(kv_size, hidden_size),
            f"{prefix}.self_attn.o_proj.weight": matrix(hidden_size, hidden_size),
            f"{prefix}.mlp.gate_proj.weight": matrix(hidden_size * 2, hidden_size),
            f"{prefix}.mlp.up_proj.weight": matrix(hidden_size * 2, hidden_size),
            f"{prefix}.mlp.down_proj.weight": matrix(hidden_size, hidden_size * 2),
            f"{prefix}.input_layernorm.weight": torch.ones(hidden_size),
            f"{prefix}.post_attention_layernorm.weight": torch.ones(hidden_size),
        }
    codec_config = {
        "sampling_rate": SAMPLE_RATE_HZ,
        "encoder_dim": 4,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": decoder_dim,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": codebook_size,
        "codebook_dim": 8,
        "vq_strides": [4, 2, 1],
        "noise": True,
        "depthwise": True,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = SNAC(**codec_config).state_dict()
    pack = {
        "format_version": 1,
        "name": "tiny",
        "description": "untrained, for tests",
        "language": "en",
        "licence": "Apache-2.0",
        "layout": dataclasses.asdict(layout),
        "language_model": "language_model",
        "codec": "codec",
        "voices": [{"name": "tiny", "language": "en", "description": "noise"}],
        "default_voice": "tiny",
        "sampling": dataclasses.asdict(Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.1)),
        "segment_limits": {"min_chars": 20, "max_chars": 200},
        "length": {"base_tokens": 20.0, "tokens_per_char": 5.6, "max_ratio": 2.0},
        "alphabet": TINY_ALPHABET,
        "tags": [],
    }
    write_pack(
        folder,
        pack,
        config,
        quantize_int8(weights) if int8 else weights,
        codec_config,
        {name: value for name, value in codec.items() if not name.startswith("encoder.")},
    )
    return folder
