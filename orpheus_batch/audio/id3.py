"""The one ID3v2.3 frame that ffmpeg does not write: a comment that players show (COMM).

ffmpeg turns a comment into a TXXX frame called "comment", which they don't. It is asked to leave room in the
header, and the frame goes there. It knows no other frame.

Source: ID3v2.3.0, 3.1 (header), 3.3 (frames), 4.11 (comments).
"""

import struct
from pathlib import Path

from orpheus_batch.errors import EncodeError

PADDING_BYTES = 512
PADDING_ARGS = ("-metadata_header_padding", str(PADDING_BYTES))
"""Output options that leave the room."""

_HEADER_BYTES = 10


def write_comment(file: Path, text: str) -> None:
    """Put a comment into the room that ffmpeg left.

    Args:
        file: An MP3 that was made with `PADDING_ARGS`.
        text: In English and in ASCII.

    Raises:
        EncodeError: There is no room.
        OSError: It can't be read or written.
    """
    body = b"\0eng\0" + text.encode("ascii")  # Latin-1, language, no description
    frame = struct.pack(">4sIH", b"COMM", len(body), 0) + body
    with file.open("r+b") as opened:
        header = opened.read(_HEADER_BYTES)
        size = 0
        for byte in header[6:]:
            size = size << 7 | byte & 0x7F
        frames = opened.read(size)
        position = 0
        while header[:5] == b"ID3\x03\x00" and position + _HEADER_BYTES <= len(frames) and frames[position]:
            position += _HEADER_BYTES + int.from_bytes(frames[position + 4 : position + 8], "big")
        if header[:5] != b"ID3\x03\x00" or len(frames) - position < len(frame):
            raise EncodeError(f"{file}: ffmpeg left no room for a comment in its ID3v2.3 header")
        opened.seek(_HEADER_BYTES + position)
        opened.write(frame)
