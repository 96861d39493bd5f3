"""What the line asks of a codec: sound for codes.

A codec knows codes and samples. It does not know tokens, text or files.
"""

from collections.abc import Sequence
from typing import Protocol

from orpheus_batch.data import SnacCodes, Waveform


class Codec(Protocol):
    """Decodes SNAC codes to audio, many streams at once."""

    fingerprint: str
    """hexadecimal; changes whenever decoded audio may"""

    def decode(self, streams: Sequence[SnacCodes], seeds: Sequence[int]) -> list[Waveform]:
        """Decode each stream as if it were alone.

        Args:
            streams: Any number of streams of any lengths; memory stays bounded however many.
            seeds: One a stream, for the codec's noise; the same codes and seed give the same samples.

        Returns:
            One waveform a stream, float32 [2048 * num_frames], in the same order.

        Raises:
            CodecError: The codes can't be decoded.
        """
        ...

    def warm_up(self) -> None:
        """Do beforehand what would make `decode` wait for an engine that runs beside it."""
        ...
