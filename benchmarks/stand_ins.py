"""Stand-ins for engine and codec that cost the host nothing, so that what everything else costs can be seen."""

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from orpheus_batch.data import SnacCodes, TokenRequest, TokenStream, Waveform
from orpheus_batch.engine.torch.scheduler import Scheduler
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, TOKENS_PER_FRAME, TOKENS_PER_SECOND


class PacedEngine:
    """Sleeps as a GPU would compute, one frame ahead of the host, and notes how long it would have idled.

    The scheduler is the embedded engine's own. A frame of a full batch takes what ``speedup`` times real time leaves
    for it, one of a few sequences a third of that.
    """

    name = "paced"

    def __init__(self, layout: TokenLayout, batch_size: int, speedup: float):
        self.max_batch_size = batch_size
        self._frame_s = TOKENS_PER_FRAME * batch_size / (speedup * TOKENS_PER_SECOND)
        self.idle_s = 0.0
        noise = np.random.default_rng(0).integers(0, layout.codebook_size, (1 << 16, TOKENS_PER_FRAME))
        positions = layout.audio_offset + layout.codebook_size * np.arange(TOKENS_PER_FRAME)
        self._ids = (noise + positions).astype(np.int32).reshape(-1)

    def generate(self, requests: Iterable[TokenRequest | None]) -> Iterator[TokenStream]:
        """Yield one stream a request, of the forced length."""
        source = iter(requests)
        scheduler = Scheduler(
            lane_sizes=(self.max_batch_size,),
            num_blocks=self.max_batch_size * 64,
            tokens_per_block=32,
            max_positions=8192,
            look_ahead=4 * self.max_batch_size,
        )
        running, ends_at, free_at = [], 0.0, 0.0
        while True:
            yield from scheduler.pull(source)
            running += scheduler.admit([running])[0]
            if not running:
                if scheduler.exhausted:
                    return
                time.sleep(0.005)
                continue
            now = time.perf_counter()
            self.idle_s += max(0.0, now - free_at) if free_at else 0.0
            fullness = len(running) / self.max_batch_size
            before, ends_at = ends_at, max(now, free_at) + self._frame_s * (1 + 2 * fullness) / 3
            free_at = ends_at
            time.sleep(max(0.0, before - now))
            ended = []
            for sequence in running:
                sequence.num_frames += 1
                if sequence.num_frames == sequence.max_frames:
                    ended.append(sequence)
            running = [sequence for sequence in running if sequence.num_frames < sequence.max_frames]
            for sequence in ended:
                length = sequence.max_frames * TOKENS_PER_FRAME
                start = sequence.request.seed + hash(sequence.request.segment_id)
                start = start % (len(self._ids) // TOKENS_PER_FRAME - sequence.max_frames) * TOKENS_PER_FRAME
                sequence.token_ids[:] = self._ids[start : start + length]
                yield sequence.stream("stop")

    def close(self) -> None:
        """Nothing to free."""


class QuickCodec:
    """Cuts each stream out of one noise that swells and falls as speech does, made once."""

    fingerprint = "quick"

    def __init__(self) -> None:
        noise = np.random.default_rng(0).normal(0.0, 0.1, 60 * SAMPLE_RATE_HZ)
        noise = np.convolve(noise, np.ones(8) / 8, mode="same")  # speech, too, is mostly low
        swell = 0.55 + 0.45 * np.sin(np.arange(len(noise)) * (2 * np.pi * 3 / SAMPLE_RATE_HZ))
        self._noise = (noise * swell).astype(np.float32)

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Return one waveform a stream, float32 [2048 * F]."""
        waveforms = []
        for codes, seed in zip(streams, seeds, strict=True):
            length = codes.num_frames * SAMPLES_PER_FRAME
            start = seed % (len(self._noise) - length)
            waveforms.append(Waveform(self._noise[start : start + length].copy(), SAMPLE_RATE_HZ))
        return waveforms

    def warm_up(self) -> None:
        """Nothing to do."""
