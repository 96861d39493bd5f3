"""The state of every slot as tensors on the device, one row a slot.

Rows 0..n-1 run. All of it could live in a captured graph: nothing here is looked at by the host but `frame`,
once a frame.
"""

from collections.abc import Sequence as Rows
from itertools import chain

import torch

from orpheus_batch.data import TokenRequest
from orpheus_batch.engine.torch.noise import seed_words, segment_words, uniforms
from orpheus_batch.tokens import TokenLayout
from orpheus_batch.units import TOKENS_PER_FRAME

_NEVER = 1 << 60


class SlotState:
    """Tensors [slots, …]."""

    def __init__(self, num_slots: int, layout: TokenLayout, device: torch.device):
        self._layout = layout
        self._device = device
        codebook_size = layout.codebook_size

        def rows(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.zeros(num_slots, *shape, device=device, dtype=dtype)

        self.last_token = rows(dtype=torch.int64)
        """int64, the newest token: not yet in the cache"""
        self.position = rows(dtype=torch.int64)
        """int64, of ``last_token`` in its sequence; so many are in the cache"""
        self.num_frames = rows(dtype=torch.int64)
        """int64, finished frames"""
        self.stop_from_frame = rows(dtype=torch.int64)
        """int64, finished frames before the stop id is legal: 1, or never for a forced length"""
        self.temperature = rows(dtype=torch.float32)
        self.top_p = rows(dtype=torch.float32)
        self.repetition_penalty = rows(dtype=torch.float32)
        self.seed = rows(2, dtype=torch.int64)
        """int64 [slots, 2], 32 bits each"""
        self.segment = rows(3, dtype=torch.int64)
        """int64 [slots, 3], 32 bits each"""
        self.seen = rows(TOKENS_PER_FRAME, codebook_size, dtype=torch.bool)
        """bool [slots, 7, codebook_size], codes that the sequence holds at each position of the frame"""
        self.frame = rows(TOKENS_PER_FRAME, dtype=torch.int64)
        """int64 [slots, 7], token ids of the present frame"""
        self._rows = (
            self.last_token,
            self.position,
            self.num_frames,
            self.stop_from_frame,
            self.temperature,
            self.top_p,
            self.repetition_penalty,
            self.seed,
            self.segment,
            self.seen,
        )

    def fill(self, start: int, requests: Rows[TokenRequest]) -> None:
        """Set slots ``start``, ``start + 1``, … to the beginning of requests."""
        slots = slice(start, start + len(requests))

        def ints(values: Rows[object]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.int64, device=self._device)

        def floats(values: Rows[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=self._device)

        self.last_token[slots] = ints([r.prompt_token_ids[-1] for r in requests])
        self.position[slots] = ints([len(r.prompt_token_ids) - 1 for r in requests])
        self.num_frames[slots] = 0
        self.stop_from_frame[slots] = ints([1 if r.forced_num_tokens is None else _NEVER for r in requests])
        self.temperature[slots] = floats([r.sampling.temperature for r in requests])
        self.top_p[slots] = floats([r.sampling.top_p for r in requests])
        self.repetition_penalty[slots] = floats([r.sampling.repetition_penalty for r in requests])
        self.seed[slots] = ints([seed_words(r.seed) for r in requests])
        self.segment[slots] = ints([segment_words(r.segment_id) for r in requests])
        self.seen[slots] = False
        self._mark_prompts(start, requests)

    def move(self, source: int, target: int) -> None:
        """Copy a slot's row over another's."""
        for rows in self._rows:
            rows[target] = rows[source]

    def noise(self, num_slots: int) -> torch.Tensor:
        """Return the uniform numbers of the present frame, float32 [n, 7]."""
        steps = self.num_frames[:num_slots, None] * TOKENS_PER_FRAME
        steps = steps + torch.arange(TOKENS_PER_FRAME, device=self._device)
        return uniforms(self.seed[:num_slots], self.segment[:num_slots], steps)

    def accept(self, position: int, choice: torch.Tensor) -> None:
        """Take the columns chosen at ``position`` of the frame, int64 [n], as the newest tokens."""
        num_slots = len(choice)
        if position == 0:  # column 0 is the stop id
            token = torch.where(choice == 0, self._layout.stop_id, choice + (self._layout.audio_offset - 1))
            choice = (choice - 1).clamp_min_(0)  # a stopped sequence's marks are never read
        else:
            token = choice + self._layout.position_start(position)
        self.seen[:num_slots, position].scatter_(1, choice[:, None], True)
        self.frame[:num_slots, position] = token
        self.last_token[:num_slots] = token
        self.position[:num_slots] += 1

    def _mark_prompts(self, start: int, requests: Rows[TokenRequest]) -> None:
        """Mark audio codes in prompts as seen: they are in the sequence, for the repetition penalty."""
        layout = self._layout
        found = [
            (start + row, *divmod(token - layout.audio_offset, layout.codebook_size))
            for row, request in enumerate(requests)
            for token in set(request.prompt_token_ids)
            if layout.audio_offset <= token < layout.audio_end
        ]
        if found:
            flat = torch.tensor(list(chain.from_iterable(found)), device=self._device).view(-1, 3)
            self.seen[flat[:, 0], flat[:, 1], flat[:, 2]] = True
