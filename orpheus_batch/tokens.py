"""From the language model's token ids to SNAC codes and back.

A frame is seven tokens; position p of the frame holds one code of a fixed level, and its id is
``audio_offset + codebook_size * p + code``. Which text made the tokens, and what the codes sound like, is
not known here.

Source: Orpheus-3B's layout (audio_offset 128,266, codebook_size 4,096) as documented by its authors; the
level of each position is `POSITION_LEVEL`.
"""

from dataclasses import dataclass

import numpy as np

from orpheus_batch.data import SnacCodes
from orpheus_batch.errors import TokenStreamError
from orpheus_batch.units import TOKENS_PER_FRAME

POSITION_LEVEL = (0, 1, 2, 2, 1, 2, 2)
"""Codebook level of each position of the frame: 1 coarse, 2 middle, 4 fine."""


@dataclass(frozen=True, slots=True)
class TokenLayout:
    """Where prompts, audio codes and the stop lie in a model's vocabulary. Read from the model pack."""

    prompt_prefix: tuple[int, ...]
    """before the text's ids (Orpheus: start of human, begin of text)"""
    prompt_suffix: tuple[int, ...]
    """after them (Orpheus: end of text, end of human, start of AI, start of speech)"""
    stop_id: int
    """end of speech; legal only where a frame could start"""
    audio_offset: int
    """id of code 0 at position 0"""
    codebook_size: int
    """codes a level"""

    @property
    def audio_end(self) -> int:
        """One past the highest audio id."""
        return self.audio_offset + TOKENS_PER_FRAME * self.codebook_size

    def position_start(self, position: int) -> int:
        """Return the id of code 0 at ``position`` (0..6) of the frame."""
        return self.audio_offset + position * self.codebook_size

    def to_codes(self, token_ids: np.ndarray) -> SnacCodes:
        """Split a stream of whole, ordered frames into the three codebooks.

        Args:
            token_ids: int [7F], without prompt and stop id.

        Returns:
            The codes of F frames.

        Raises:
            TokenStreamError: A ragged end, or an id that is not legal at its position.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.ndim != 1 or len(ids) % TOKENS_PER_FRAME:
            raise TokenStreamError(
                f"{ids.size} tokens are not whole frames of {TOKENS_PER_FRAME}; cut the ragged end first"
            )
        frames = ids.reshape(-1, TOKENS_PER_FRAME)
        codes = frames - (self.audio_offset + self.codebook_size * np.arange(TOKENS_PER_FRAME))
        wrong = (codes < 0) | (codes >= self.codebook_size)
        if wrong.any():
            frame, position = (int(i) for i in np.argwhere(wrong)[0])
            raise TokenStreamError(
                f"token {int(frames[frame, position])} at frame {frame}, position {position} is outside "
                f"[{self.position_start(position)}, {self.position_start(position + 1)})"
            )
        codes = codes.astype(np.int32)
        return SnacCodes(
            coarse=codes[:, 0].copy(),
            mid=codes[:, [1, 4]].reshape(-1),
            fine=codes[:, [2, 3, 5, 6]].reshape(-1),
        )

    def from_codes(self, codes: SnacCodes) -> np.ndarray:
        """Interleave the three codebooks into token ids: the inverse of `to_codes`.

        Args:
            codes: F frames, each code in [0, codebook_size).

        Returns:
            int32 [7F].

        Raises:
            TokenStreamError: The levels' lengths do not agree, or a code is out of range.
        """
        num_frames = codes.num_frames
        if len(codes.mid) != 2 * num_frames or len(codes.fine) != 4 * num_frames:
            raise TokenStreamError(
                f"levels of {num_frames}, {len(codes.mid)} and {len(codes.fine)} codes must be as 1 : 2 : 4"
            )
        frames = np.empty((num_frames, TOKENS_PER_FRAME), dtype=np.int64)
        frames[:, 0] = codes.coarse
        frames[:, [1, 4]] = np.asarray(codes.mid).reshape(num_frames, 2)
        frames[:, [2, 3, 5, 6]] = np.asarray(codes.fine).reshape(num_frames, 4)
        if frames.size and (frames.min() < 0 or frames.max() >= self.codebook_size):
            raise TokenStreamError(f"a code lies outside [0, {self.codebook_size})")
        frames += self.audio_offset + self.codebook_size * np.arange(TOKENS_PER_FRAME)
        return frames.reshape(-1).astype(np.int32)
