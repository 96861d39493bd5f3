"""From finished streams to takes that are judged, with the audio of the good ones.

The stages check → decode → check the sound → have it heard, of a batch; it writes nothing and knows neither ledger
nor cache.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from orpheus_batch.config import QualityConfig
from orpheus_batch.data import TokenStream, Waveform
from orpheus_batch.ledger.records import PendingSegment, Take
from orpheus_batch.pipeline.models import Models
from orpheus_batch.quality.audio_checks import check_audio
from orpheus_batch.quality.heard_checks import check_heard
from orpheus_batch.quality.recogniser import to_utterances
from orpheus_batch.quality.stream_checks import check_stream, usable_token_ids
from orpheus_batch.quality.verdict import combine
from orpheus_batch.units import TOKENS_PER_SECOND

DECODE_BATCH = 32
"""streams decoded together: at most some eight minutes of samples, 45 MB"""

Item = TypeVar("Item")
Finished = tuple[PendingSegment, TokenStream]
"""what was asked for, and what the engine made of it"""


def judge(
    finished: Sequence[Finished], models: Models, quality: QualityConfig
) -> list[tuple[Take, Waveform | None]]:
    """Check streams, decode those that pass, check how they sound and, with a recogniser, what is heard of them.

    Args:
        finished: At most `DECODE_BATCH`, so that memory stays bounded.
        models: The codec is loaded only if a stream passes, the recogniser only if its sound does.
        quality: Limits of the checks of stream and sound.

    Returns:
        A take for each stream, in order, and its audio if it was accepted.

    Raises:
        CodecError: The codec can't go on.
        RecogniserError: Nor can the recogniser.
    """
    pack = models.pack
    verdicts = [
        check_stream(
            stream,
            layout=pack.layout,
            expected_num_tokens=pack.length.expected_num_tokens(item.segment.text),
            config=quality,
        )
        for item, stream in finished
    ]
    passed = [index for index, verdict in enumerate(verdicts) if verdict.ok]
    audio: dict[int, Waveform] = {}
    if passed:
        streams = [finished[index][1] for index in passed]
        waveforms = decode(
            [(stream.segment_id, stream.attempt, stream.token_ids) for stream in streams], models
        )
        for index, waveform in zip(passed, waveforms, strict=True):
            verdicts[index] = combine((verdicts[index], check_audio(waveform, quality)))
            if verdicts[index].ok:
                audio[index] = waveform
    measured: dict[int, dict[str, Any]] = {}
    if audio and models.config.asr.recogniser != "none":
        recogniser = models.recogniser()
        heard = recogniser.transcribe(to_utterances(list(audio.values())))
        for index, words in zip(list(audio), heard, strict=True):
            text = finished[index][0].segment.text
            verdict, measured[index] = check_heard(text, words, pack.language, models.config.asr)
            measured[index]["recogniser"] = recogniser.name
            verdicts[index] = combine((verdicts[index], verdict))
            if not verdict.ok:
                del audio[index]
    engine = models.engine().name
    return [
        (
            Take(
                segment_id=item.segment.segment_id,
                attempt=stream.attempt,
                seed=stream.seed,
                token_ids=stream.token_ids,
                finish_reason=stream.finish_reason,
                engine=engine,
                problems=verdict.problems,
                score=verdict.score,
                accepted=verdict.ok,
                num_audio_s=len(usable_token_ids(stream.token_ids, pack.layout)) / TOKENS_PER_SECOND,
                measurements=measured.get(index, {}),
                seed_honoured=stream.seed_honoured,
            ),
            audio.get(index),
        )
        for index, ((item, stream), verdict) in enumerate(zip(finished, verdicts, strict=True))
    ]


def decode(takes: Sequence[tuple[str, int, np.ndarray]], models: Models) -> list[Waveform]:
    """Decode what can be decoded of token streams, each with its own noise.

    Args:
        takes: segment_id, attempt and token ids (int [num_tokens]); at most `DECODE_BATCH`.
        models: For layout and codec.

    Returns:
        One waveform a stream.

    Raises:
        CodecError: The codec can't go on.
    """
    layout = models.pack.layout
    return models.codec().decode(
        [layout.to_codes(usable_token_ids(token_ids, layout)) for _, _, token_ids in takes],
        [noise_seed(segment_id, attempt) for segment_id, attempt, _ in takes],
    )


def noise_seed(segment_id: str, attempt: int) -> int:
    """Return the seed of the codec's noise for a take: it sounds the same whenever it is decoded."""
    digest = hashlib.sha256(f"{segment_id}|{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of ``size``, the last one shorter (`itertools.batched` came with 3.12)."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
