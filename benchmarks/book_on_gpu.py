"""A ten-hour book from its text file to MP3s on disk, in Orpheus-3B's shape, and where the time goes.

Everything runs but the real weights: the text is read, cut and planned, prompts are tokenized, tokens generated,
checked and recorded, decoded by SNAC at full width, kept in the cache, stitched, leveled, encoded, verified. The
weights are random, so lengths are forced to what is predicted from the text, a codec's noise is faded out at the end
as speech fades, and no take is taken again. Models are made, and run once, before the clock starts.

    python benchmarks/book_on_gpu.py --hours 10 --batch-size 1024
    python benchmarks/book_on_gpu.py --weights float8 --kv float8
    python benchmarks/book_on_gpu.py --tiny                         # a minute on a CPU: does it run?
    python benchmarks/book_on_gpu.py --fake 1000                    # no models: what everything else takes

The book is the sample chapter again and again, its words exchanged each time, since equal sentences share a take.
Stages run beside each other, so their seconds add up to more than the wall's. The last line is JSON.
"""

import argparse
import functools
import json
import os
import random
import re
import resource
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from about import about
from stand_ins import PacedEngine, QuickCodec

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.codec.base import Codec
from orpheus_batch.config import Config, load_config
from orpheus_batch.data import SnacCodes, TokenRequest, TokenStream, Waveform
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline import Factories, Progress, render_books
from orpheus_batch.pipeline import books as books_module
from orpheus_batch.pipeline import segment_run as segment_run_module
from orpheus_batch.pipeline.book_run import BookRun
from orpheus_batch.pipeline.models import snac_codec
from orpheus_batch.prompt import PromptBuilder
from orpheus_batch.units import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from orpheus_batch.voices import ModelPack, load_pack

SAMPLE = Path(__file__).parent.parent / "samples" / "buster-bear-goes-fishing.txt"
CHAPTER_S = 1200.0
"""a novel's chapters are of some twenty minutes"""
FADE_SAMPLES = SAMPLES_PER_FRAME
SPEECH_RMS = 0.1
"""-20 dB"""


def varied_sentences(seed: int) -> Iterator[str]:
    """Yield the sample chapter's paragraphs for ever, no two alike: words of four letters and more are exchanged."""
    noise = random.Random(seed)
    paragraphs = [p.replace("\n", " ") for p in SAMPLE.read_text(encoding="utf-8").split("\n\n")]
    paragraphs = [p for p in paragraphs if re.search(r"[a-z]{4}.*[a-z]{4}", p)]
    by_length = defaultdict(set)
    for word in re.findall(r"\b[a-z]{4,}\b", " ".join(paragraphs)):
        by_length[len(word)].add(word)
    words = {length: sorted(found) for length, found in by_length.items()}
    while True:
        for paragraph in paragraphs:
            yield re.sub(r"\b[a-z]{4,}\b", lambda m: noise.choice(words[len(m.group())]), paragraph)


def write_book(file: Path, audio_s: float, chapter_s: float, seconds_of: Callable[[str], float]) -> None:
    """Write a book that will play about ``audio_s``."""
    text = varied_sentences(seed=0)
    done = 0.0
    with file.open("w", encoding="utf-8") as sink:
        for number in range(1, 10_000):
            chapter, left = 0.0, audio_s - done
            if left < 0.5 * chapter_s and done:
                return
            sink.write(f"CHAPTER {number}\n\n")
            while chapter < min(chapter_s, left):
                paragraph = next(text)
                sink.write(paragraph + "\n\n")
                chapter += seconds_of(paragraph)
            done += chapter


def write_tokenizer(file: Path) -> None:
    """Train a byte-level BPE on the sample text: some four characters a token, as Llama's."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train([str(SAMPLE)], trainer)
    tokenizer.save(str(file))


def write_models(model_dir: Path, codec_dir: Path, llama: dict, snac: dict) -> None:
    """Write what the line reads of a model: configuration, tokenizer, a random codec; the Llama's weights are not."""
    import torch
    from safetensors.torch import save_file
    from snac import SNAC

    for folder in (model_dir, codec_dir):
        folder.mkdir()
    (model_dir / "config.json").write_text(json.dumps(llama), encoding="utf-8")
    write_tokenizer(model_dir / "tokenizer.json")
    save_file({"made.where.it.runs": torch.zeros(1)}, model_dir / "model.safetensors")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = SNAC(**snac).state_dict()
    (codec_dir / "config.json").write_text(json.dumps(snac), encoding="utf-8")
    kept = {name: value.contiguous() for name, value in weights.items() if not name.startswith("encoder.")}
    save_file(kept, codec_dir / "model.safetensors")


class ForcedEngine:
    """An engine of random weights, which never stops: each stream gets its predicted length, and "stops" there."""

    def __init__(self, engine, clock: "Clock"):
        self._engine, self._clock = engine, clock
        self.name = engine.name
        self.max_batch_size = engine.max_batch_size
        self.num_tokens = self.num_prompt_tokens = self.num_streams = 0
        self.ended_at = 0.0

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield the engine's streams, each of the predicted length."""
        streams = iter(self._engine.generate(map(self._forced, requests)))
        while True:
            with self._clock("engine"):
                stream = next(streams, None)
            self.ended_at = time.perf_counter()
            if stream is None:
                return
            self.num_tokens += len(stream.token_ids)
            self.num_streams += 1
            yield replace(stream, finish_reason="stop") if stream.finish_reason == "length" else stream

    def _forced(self, request: TokenRequest | None) -> TokenRequest | None:
        if request is None:
            return None
        self.num_prompt_tokens += len(request.prompt_token_ids)
        return replace(request, forced_num_tokens=request.expected_num_tokens)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class SpeechLevels:
    """A codec of random weights, brought to speech's level, each stream faded out at its end."""

    def __init__(self, codec, clock: "Clock"):
        self._codec, self._clock = codec, clock
        self.fingerprint = codec.fingerprint
        self._gain = 0.0
        self._fade = np.linspace(1.0, 0.0, FADE_SAMPLES, dtype=np.float32) ** 2

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return the codec's waveforms, brought to speech's level."""
        with self._clock("codec"):
            waveforms = self._codec.decode(streams, seeds)
        for waveform in waveforms:
            self._gain = self._gain or SPEECH_RMS / max(float(waveform.samples.std()), 1e-9)
        return [self._leveled(waveform.samples) for waveform in waveforms]

    def warm_up(self) -> None:
        """Nothing is left to do: the codec was warmed up before the clock started."""

    def _leveled(self, samples: np.ndarray) -> Waveform:
        samples = np.clip(samples * self._gain, -0.9, 0.9)
        samples[-FADE_SAMPLES:] *= self._fade[-len(samples) :]
        return Waveform(samples, SAMPLE_RATE_HZ)


class Clock:
    """Seconds that stages of the main process took, and those of a core that they used in it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.cpu_seconds: dict[str, float] = defaultdict(float)

    def __call__(self, stage: str) -> "_Lap":
        """Return a context whose time counts for ``stage``."""
        return _Lap(self, stage)

    def around(self, owner: object, name: str, stage: str) -> mock._patch:
        """Return a patch that times a function where it is looked up."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args, **kwargs):
            with self(stage):
                return function(*args, **kwargs)

        return mock.patch.object(owner, name, timed)


_LOCK = threading.Lock()


class _Lap:
    def __init__(self, clock: Clock, stage: str):
        self._clock, self._stage = clock, stage

    def __enter__(self) -> None:
        self._began, self._used = time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        with _LOCK:
            self._clock.seconds[self._stage] += time.perf_counter() - self._began
            self._clock.cpu_seconds[self._stage] += time.thread_time() - self._used


class Milestones(Progress):
    """When chapters were finished."""

    def __init__(self) -> None:
        self.encoded_at: list[float] = []

    def encoded(self, path: str, duration_s: float) -> None:
        """Note the time."""
        self.encoded_at.append(time.perf_counter())


def make_engine(args, model_dir: Path):
    """Make the embedded engine with random weights, and let it run once."""
    import orpheus_throughput

    engine = orpheus_throughput.make_engine(
        model_dir, args.device, args.batch_size, kv=args.kv, weights=args.weights, tiny=args.tiny
    )
    print(engine.describe(), flush=True)
    warm = [(prompt, 14) for prompt, _ in orpheus_throughput.sentences(64)]
    list(engine.generate(orpheus_throughput.as_requests(warm)))
    return engine


def make_codec(args, pack: ModelPack, config: Config) -> Codec:
    """Make the codec, and let it run once at all sizes to come."""
    codec = snac_codec(pack, config, args.device)
    codec.warm_up()
    return codec


def make_config(args, model_dir: Path, codec_dir: Path) -> Config:
    """Return the configuration of a user of Orpheus-3B, with no take taken twice."""
    keys = {
        "model.pack": "orpheus-3b",
        "model.model_dir": str(model_dir),
        "model.codec_dir": str(codec_dir),
        "engine.name": "torch",
        "engine.device": args.device,
        "engine.deterministic": args.deterministic,
        "engine.block_size": args.block_size,
        "quality.max_attempts": 1,
        "audio.encoder_processes": args.encoder_processes,
    }
    return load_config(None, {name: value for name, value in keys.items() if value is not None})


def child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(args, scratch: Path) -> dict:
    from codec_modes import SHAPE
    from orpheus_throughput import ORPHEUS, TINY

    model_dir, codec_dir, book = scratch / "llama", scratch / "snac", scratch / "book.txt"
    snac = SHAPE | {"decoder_dim": 64, "encoder_dim": 8} if args.tiny or args.fake else SHAPE
    write_models(model_dir, codec_dir, TINY if args.tiny or args.fake else ORPHEUS, snac)
    pack = load_pack("orpheus-3b", model_dir, codec_dir)
    seconds_of = functools.partial(books_module.predicted_s, pack)
    write_book(book, args.hours * 3600, min(CHAPTER_S, args.hours * 1200), seconds_of)
    config = make_config(args, model_dir, codec_dir)
    clock, began = Clock(), time.perf_counter()
    if args.fake:
        bare_engine = PacedEngine(pack.layout, args.batch_size, args.fake)
        bare_codec = QuickCodec()
    else:
        bare_engine = make_engine(args, model_dir)
        bare_codec = make_codec(args, pack, config)
    engine, codec = ForcedEngine(bare_engine, clock), SpeechLevels(bare_codec, clock)
    load_s = time.perf_counter() - began
    factories = Factories(
        engine=lambda *_: engine, codec=lambda *_: codec, codec_fingerprint=lambda *_: codec.fingerprint
    )
    milestones, children_s = Milestones(), child_seconds()
    own_s = time.process_time()
    with (
        clock.around(Ledger, "record_takes", "ledger"),
        clock.around(AudioCache, "pack", "packing, in threads"),
        clock.around(BookRun, "_write_packed", "cache"),
        clock.around(BookRun, "finish_chapters", "chapters"),
        clock.around(PromptBuilder, "request", "prompts"),
        clock.around(segment_run_module, "judge", "codec and checks"),
        clock.around(books_module, "make_plan", "planning"),
    ):
        began = time.perf_counter()
        report = render_books([book], scratch / "out", config, factories=factories, progress=milestones)
        ended = time.perf_counter()
    wall_s = ended - began
    (rendered,) = report.books
    if rendered.error or not rendered.chapters:
        raise SystemExit(f"the book was not finished: {rendered.error}")
    return {
        "wall_s": round(wall_s, 2),
        "audio_s": round(report.audio_s, 1),
        "speedup": round(report.audio_s / wall_s, 1),
        "load_s": round(load_s, 1),
        "num_segments": rendered.num_segments,
        "num_takes": report.num_takes,
        "num_failed_checks": len(rendered.failures),
        "num_chapters": len(rendered.chapters),
        "mp3_bytes": sum(Path(chapter.path).stat().st_size for chapter in rendered.chapters),
        "mp3_s": round(sum(chapter.duration_s for chapter in rendered.chapters), 1),
        "tokens_per_s_of_engine": round(engine.num_tokens / max(clock.seconds["engine"], 1e-9)),
        "mean_prompt_tokens": round(engine.num_prompt_tokens / max(engine.num_streams, 1), 1),
        "seconds": {name: round(value, 2) for name, value in sorted(clock.seconds.items())},
        "cpu_ms_a_minute": {
            name: round(value / report.audio_s * 6e4, 2) for name, value in sorted(clock.cpu_seconds.items())
        },
        "shares": {name: round(value / wall_s, 3) for name, value in sorted(clock.seconds.items())},
        "engine_idle_s": round(bare_engine.idle_s, 2) if args.fake else None,
        "after_engine_s": round(ended - engine.ended_at, 2),
        "num_chapters_before_engine_ended": sum(at < engine.ended_at for at in milestones.encoded_at),
        "main_process_cpu_s": round(time.process_time() - own_s, 1),
        "encoders_cpu_s": round(child_seconds() - children_s, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="default: cuda where there is one")
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--kv", choices=("auto", "float8"), default="auto")
    parser.add_argument("--weights", choices=("bfloat16", "float8"), default="bfloat16")
    parser.add_argument("--encoder-processes", type=int)
    parser.add_argument("--deterministic", action="store_true", default=None, help="in fixed blocks")
    parser.add_argument("--block-size", type=int)
    parser.add_argument(
        "--fake",
        type=float,
        metavar="SPEEDUP",
        help="no models: an engine that sleeps, at so many times real time",
    )
    parser.add_argument("--tiny", action="store_true", help="small models, half a minute of speech")
    args = parser.parse_args()
    import torch

    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.tiny:
        args.hours, args.batch_size = 1 / 120, 4
    if args.device == "cpu" and args.deterministic is None:
        args.deterministic = False  # the queue, as on a GPU
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(args, Path(scratch))
    head = {
        "benchmark": "book_on_gpu",
        **about(args.device),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "is_tiny": args.tiny,
        "paced_at": args.fake,
        "kv": args.kv,
        "weights": args.weights,
        "batch_size": args.batch_size,
        "models": "random weights; lengths forced, checks computed, no retakes"
        + ("; float8 is unproven on Orpheus's own weights" if "float8" in (args.kv, args.weights) else ""),
    }
    print(json.dumps(head | found))


if __name__ == "__main__":
    main()
