"""A cache of decoded segments, so that pauses, loudness or format change later without any model."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from orpheus_batch.data import Waveform

CacheKey = tuple[str, int]
"""segment_id and attempt"""


class AudioCache:
    """The decoded segments of one book, in one folder; see the module's docstring for the file format.

    Args:
        folder: Made if need be, unless ``read_only``.
        codec_fingerprint: Only audio of this codec is seen; that of others stays in the files, unseen.
        read_only: For encoder processes: nothing is written or truncated.
    """

    def __init__(self, folder: Path, codec_fingerprint: str, *, read_only: bool = False):
        raise NotImplementedError

    def put(self, chapter_index: int, entries: Sequence[tuple[str, int, Waveform]]) -> None:
        """Append (segment_id, attempt, audio) entries to the chapter's file: one FLAC stream, one process.

        Raises:
            EncodeError: The file can't be written, or ffmpeg failed.
        """
        raise NotImplementedError

    def get(self, segment_id: str, attempt: int) -> Waveform | None:
        """Return a segment's audio at 16 bits, or None where it is missing or damaged."""
        raise NotImplementedError

    def missing(self, keys: Iterable[CacheKey]) -> list[CacheKey]:
        """Return those of ``keys`` whose audio is not there or damaged, in their order, each once."""
        raise NotImplementedError
