"""All that a frame reads and changes, as tensors on the device; see `SamplingState` for what each row holds.

The host writes rows when sequences join and copies rows when they move; between, nothing is looked at but
``frame``.
"""

from collections.abc import Sequence as Many

import numpy as np
import torch

from orpheus_batch.data import TokenRequest
from orpheus_batch.engine.torch.kernels.types import SamplingState
from orpheus_batch.engine.torch.noise import segment_words
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

_NEVER = (1 << 31) - 1


class FrameState:
    """Slots, with a block table each."""

    def __init__(self, num_slots: int, max_blocks: int, layout: TokenLayout, device: torch.device):
        """Make ``num_slots`` idle slots of up to ``max_blocks`` blocks."""
        self._layout = layout
        self._device = device

        def rows(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
            return torch.zeros(num_slots, *shape, device=device, dtype=dtype)

        self.table = rows(max_blocks)
        """int32 [slots, blocks of a sequence]"""
        self.sampling = SamplingState(
            token=rows(),
            position=rows() - 1,
            step=rows(),
            stop_from_step=rows(),
            end_step=rows(),
            seed=rows(dtype=torch.int64),
            segment=rows(3, dtype=torch.int64),
            temperature=rows(dtype=torch.float32),
            top_p=rows(dtype=torch.float32) + 1,
            repetition_penalty=rows(dtype=torch.float32) + 1,
            seen=rows(TOKENS_PER_FRAME, layout.codebook_size, dtype=torch.uint8),
            frame=rows(TOKENS_PER_FRAME),
        )

    def fill(
        self, slots: Many[int], requests: Many[TokenRequest], max_frames: Many[int], blocks: Many[list[int]]
    ) -> None:
        """Set slots to the beginning of requests, with the blocks of their first frame."""
        state, at = self.sampling, self.upload(np.array(slots, dtype=np.int64))
        table = np.zeros((len(slots), self.table.shape[1]), dtype=np.int32)
        for row, ids in zip(table, blocks, strict=True):
            row[: len(ids)] = ids
        ints = np.array(
            [
                (
                    r.prompt_token_ids[-1],
                    len(r.prompt_token_ids) - 1,
                    0,
                    TOKENS_PER_FRAME if r.forced_num_tokens is None else _NEVER,
                    frames * TOKENS_PER_FRAME,
                )
                for r, frames in zip(requests, max_frames, strict=True)
            ],
            dtype=np.int32,
        )
        floats = np.array(
            [(r.sampling.temperature, r.sampling.top_p, r.sampling.repetition_penalty) for r in requests],
            dtype=np.float32,
        )
        # a seed's 64 bits, whatever its sign
        noise = np.array(
            [(r.seed & (1 << 64) - 1, *segment_words(r.segment_id)) for r in requests], dtype=np.uint64
        ).view(np.int64)
        self.table[at] = self.upload(table)
        for rows, values in zip(
            (state.token, state.position, state.step, state.stop_from_step, state.end_step),
            self.upload(ints).unbind(1),
            strict=True,
        ):
            rows[at] = values
        settings = (state.temperature, state.top_p, state.repetition_penalty)
        for rows, values in zip(settings, self.upload(floats).unbind(1), strict=True):
            rows[at] = values
        noise_rows = self.upload(noise)
        state.seed[at], state.segment[at] = noise_rows[:, 0], noise_rows[:, 1:]
        state.seen[at] = torch.zeros((), dtype=torch.uint8, device=self._device)
        self._mark_prompts(slots, requests)

    def add_blocks(self, entries: np.ndarray) -> None:
        """Write int64 [n, 3] of (slot, column, block) into the table."""
        slot, column, block = self.upload(entries).unbind(1)
        self.table[slot, column] = block.int()

    def move(self, sources: Many[int], targets: Many[int]) -> None:
        """Let idle slots take over others', which fall idle; no slot may be in both lists."""
        source, target = (self.upload(np.array(slots, dtype=np.int64)) for slots in (sources, targets))
        state = self.sampling
        for rows in (self.table, *(getattr(state, name) for name in state.__slots__)):
            rows[target] = rows[source]
        state.position[source] = torch.full((), -1, dtype=torch.int32, device=self._device)

    def clear(self) -> None:
        """Let every slot fall idle."""
        self.sampling.position.fill_(-1)

    def upload(self, array: np.ndarray) -> torch.Tensor:
        """Return an array on the device, without waiting for what the device still does."""
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor

    def _mark_prompts(self, slots: Many[int], requests: Many[TokenRequest]) -> None:
        """Mark audio codes in prompts as seen: they are in the sequence, for the repetition penalty."""
        layout = self._layout
        found = [
            (slot, *divmod(token - layout.audio_offset, layout.codebook_size))
            for slot, request in zip(slots, requests, strict=True)
            for token in set(request.prompt_token_ids)
            if layout.audio_offset <= token < layout.audio_end
        ]
        if found:
            slot, place, code = self.upload(np.array(found, dtype=np.int64)).unbind(1)
            self.sampling.seen[slot, place, code] = torch.ones((), dtype=torch.uint8, device=self._device)
