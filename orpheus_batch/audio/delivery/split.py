"""Which segments of a chapter go into one file: all of them, or parts that end with a sentence.

Arithmetic on lengths; it knows no sound.
"""

from collections.abc import Sequence


def split_at_sentences(
    lengths: Sequence[int], ends_sentence: Sequence[bool], max_length: int
) -> list[tuple[int, int]]:
    """Cut a chapter into parts of about one length.

    Args:
        lengths: Of each segment with the pause after it.
        ends_sentence: Whether a part may end after it.
        max_length: Of a part. A sentence that is longer is a part by itself.

    Returns:
        (first, one past the last) of each part; they tile the segments.
    """
    blocks = _sentences(lengths, ends_sentence)
    parts = _filled(blocks, max_length)
    if len(parts) > 1:
        # As many parts, but even: with room for a mean part and the longest sentence none is left over.
        even = -(-sum(lengths) // len(parts)) + max(length for _, _, length in blocks)
        parts = _filled(blocks, min(max_length, even))
    return parts


def _sentences(lengths: Sequence[int], ends_sentence: Sequence[bool]) -> list[tuple[int, int, int]]:
    """Return (first, one past the last, length) of each stretch that must stay together."""
    found, first = [], 0
    for index, ends in enumerate(ends_sentence):
        if ends or index + 1 == len(lengths):
            found.append((first, index + 1, sum(lengths[first : index + 1])))
            first = index + 1
    return found


def _filled(blocks: Sequence[tuple[int, int, int]], max_length: int) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    filled = 0
    for first, stop, length in blocks:
        if parts and filled + length <= max_length:
            parts[-1] = (parts[-1][0], stop)
            filled += length
        else:
            parts.append((first, stop))
            filled = length
    return parts
