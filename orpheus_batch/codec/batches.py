"""Streams of any lengths through a decoder of padded batches, on a CUDA stream of its own.

Streams of like length share a batch, so that little is padding; a batch holds at most a given number of frames,
so that memory is bounded however many streams come. While the host sorts out one batch's samples the device works
on the next: nothing waits but for the copy of finished samples, and nothing for another stream's work, such as a
language model's. Lengths are padded to multiples of a step, so that matrix products come in few sizes: for a new
size a library may load another kernel, which does wait for all that runs on the device.

It does not know how codes become samples.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from orpheus_batch.data import SnacCodes
from orpheus_batch.errors import CodecError
from orpheus_batch.units import SAMPLES_PER_FRAME

logger = logging.getLogger(__name__)

DecodeBatch = Callable[[Sequence[torch.Tensor], torch.Tensor, torch.Tensor], torch.Tensor]
"""of the three levels' codes [B, longest stream], stops in codes of the finest level int64 [B] and seeds int64 [B]:
samples float32 [B, samples of the longest], zero past a stream's end"""

_IN_FLIGHT = 2
"""batches that the device has been given and the host has not seen"""

_WARM_UP_BATCHES = 150
"""two seconds at SNAC's full width, the loading included"""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch under way."""

    streams: list[int]
    """positions in the call's list"""
    samples: torch.Tensor
    """float32 [B, samples], of the host; valid once ``copied``"""
    is_finite: torch.Tensor
    """bool [B], likewise"""
    copied: torch.cuda.Event | None


class BatchedDecoder:
    """Decodes any number of streams.

    Args:
        decode: Decodes one padded batch.
        device: Where.
        max_frames: Padded frames of a batch; a longer stream makes a batch of its own.
        length_step: Frames; a batch is as long as its longest stream, rounded up to a multiple.
        exact: Decodes streams whose samples ``decode`` left not finite; None: there is none.
        max_exact_frames: Padded frames of such a batch.
    """

    def __init__(
        self,
        decode: DecodeBatch,
        device: torch.device,
        max_frames: int,
        length_step: int = 1,
        exact: DecodeBatch | None = None,
        max_exact_frames: int = 0,
    ):
        self._decode = decode
        self._device = device
        self._max_frames = max_frames
        self._length_step = length_step
        self._exact = BatchedDecoder(exact, device, max_exact_frames) if exact else None
        self._has_warned = False
        self._stream = None
        if device.type == "cuda":
            # weights were written on the stream that is current here
            torch.cuda.current_stream(device).synchronize()
            self._stream = torch.cuda.Stream(device)

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[np.ndarray]:
        """Decode every stream.

        Args:
            streams: Legal codes, levels as 1 : 2 : 4.
            seeds: One a stream.

        Returns:
            float32 [2048 * num_frames] a stream.
        """
        samples: list[np.ndarray] = [np.zeros(0, np.float32)] * len(streams)
        flights: deque[_Flight] = deque()
        waiting = deque(batches_by_length([self._padded(codes) for codes in streams], self._max_frames))
        while waiting:
            if len(flights) == _IN_FLIGHT:
                self._land(flights.popleft(), streams, seeds, samples)
            batch = waiting.popleft()
            try:
                flights.append(self._start(batch, streams, seeds))
            except torch.OutOfMemoryError as error:
                # what is in flight holds memory, too
                while flights:
                    self._land(flights.popleft(), streams, seeds, samples)
                waiting.extendleft(reversed(self._halves(batch, error)))
        while flights:
            self._land(flights.popleft(), streams, seeds, samples)
        return samples

    def warm_up(self) -> None:
        """Decode one batch of (nearly) each size, after which (nearly) no kernel is loaded any more."""
        step, num_steps = self._length_step, self._max_frames // self._length_step
        every = max(1, -(-num_steps // _WARM_UP_BATCHES))
        with contextlib.suppress(CodecError):  # what memory does not hold is cut when it comes
            for num_frames in range(every * step, self._max_frames + 1, every * step):
                nothing = SnacCodes(*(np.zeros(k * num_frames, np.int32) for k in (1, 2, 4)))
                self.decode([nothing], [0])

    def _padded(self, codes: SnacCodes) -> int:
        """Return a stream's length in frames, rounded up."""
        return -(-codes.num_frames // self._length_step) * self._length_step

    def _halves(self, batch: list[int], error: torch.OutOfMemoryError) -> list[list[int]]:
        """Return a batch that memory did not hold in two, and keep to such batches from here on.

        Raises:
            CodecError: It was a single stream.
        """
        if len(batch) == 1:
            raise CodecError(
                "out of memory while decoding one segment; lower engine.kv_cache_gb or engine.max_batch_size, so that "
                f"the engine leaves the codec more ({str(error).splitlines()[0]})"
            ) from error
        self._max_frames = max(1, self._max_frames // 2)
        logger.warning("out of memory: the codec goes on with batches of %d frames", self._max_frames)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]

    def _start(self, batch: list[int], streams: Sequence[SnacCodes], seeds: Sequence[int]) -> _Flight:
        """Queue a batch: codes in, decoding, samples out."""
        longest = self._padded(streams[batch[-1]])
        # code 0 past each stream's end, where nothing is read
        table = np.zeros((len(batch), 7 * longest), np.int32)
        for row, index in zip(table, batch, strict=True):
            codes = streams[index]
            for level, begin in ((codes.coarse, 0), (codes.mid, longest), (codes.fine, 3 * longest)):
                row[begin : begin + len(level)] = level
        stops = [4 * streams[index].num_frames for index in batch]
        with self._on_stream(), torch.inference_mode():
            levels = self._moved(torch.from_numpy(table)).split((longest, 2 * longest, 4 * longest), dim=1)
            decoded = self._decode(
                levels,
                self._moved(torch.tensor(stops)),
                self._moved(torch.tensor([seeds[index] for index in batch])),
            )
            is_finite = decoded.isfinite().all(dim=1)
            if self._stream is None:
                return _Flight(batch, decoded, is_finite, None)
            samples = torch.empty(decoded.shape, dtype=torch.float32, pin_memory=True)
            samples.copy_(decoded, non_blocking=True)
            flag = torch.empty(len(batch), dtype=torch.bool, pin_memory=True)
            flag.copy_(is_finite, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
            return _Flight(batch, samples, flag, copied)

    def _land(
        self, flight: _Flight, streams: Sequence[SnacCodes], seeds: Sequence[int], samples: list[np.ndarray]
    ) -> None:
        """Wait for a batch and hand out its samples."""
        if flight.copied is not None:
            flight.copied.synchronize()
        is_finite = flight.is_finite.tolist()
        for index, row in zip(flight.streams, flight.samples.numpy(), strict=True):
            samples[index] = row[: streams[index].num_frames * SAMPLES_PER_FRAME].copy()
        if self._exact is None or all(is_finite):
            return
        # only these: what a stream sounds like must not depend on its neighbours
        too_wide = [index for index, fine in zip(flight.streams, is_finite, strict=True) if not fine]
        if not self._has_warned:
            logger.warning(
                "half precision is too narrow for this codec: %d of %d streams decoded together are decoded again in "
                "float32, and so will be others like them; codec_precision float32 does so at once",
                len(too_wide),
                len(flight.streams),
            )
            self._has_warned = True
        again = self._exact.decode([streams[index] for index in too_wide], [seeds[index] for index in too_wide])
        for index, row in zip(too_wide, again, strict=True):
            samples[index] = row

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy to the device without waiting for it."""
        if self._stream is None:
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _on_stream(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def batches_by_length(lengths: Sequence[int], max_padded: int) -> Iterator[list[int]]:
    """Group streams so that each group, padded to its longest, holds at most ``max_padded`` frames.

    Args:
        lengths: Frames of each stream; streams of none are left out.
        max_padded: A longer stream makes a group of its own.

    Yields:
        Positions in ``lengths``, shortest stream first; every group is non-empty.
    """
    batch: list[int] = []
    for index in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > max_padded:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
