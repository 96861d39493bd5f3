"""Reads the headers of an MP3's frames: is the bit rate constant, is there anything between frames. It decodes nothing.

Source: ISO/IEC 11172-3 and 13818-3, 2.4.1.3 (header) and 2.4.2.3 (rates); ID3v2.3, 3.1 (the tag's length).
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orpheus_batch.errors import DeliveryError

_RATES_KBPS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG1_HZ = (44_100, 48_000, 32_000)
_HEADER_BYTES = 4
_ID3_BYTES = 10
_MAX_LOST_BYTES = 1 << 16
"""between frames before a file is called damaged"""


@dataclass(frozen=True, slots=True)
class Mp3Frames:
    """What an MP3's frames say."""

    bit_rates_kbps: frozenset[int]
    """of all frames of sound: one where the rate is constant"""
    num_lost_bytes: int
    """between two frames, and in neither"""


def read_mp3_frames(file: Path) -> Mp3Frames:
    """Walk a file from frame to frame.

    The first frame of a file made by LAME holds a table and no sound, and is left out.

    Raises:
        DeliveryError: It can't be read, or holds no frames.
    """
    try:
        if file.stat().st_size < _ID3_BYTES + _HEADER_BYTES:
            raise DeliveryError(f"{file} is too short to be an MP3")
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            rates: set[int] = set()
            num_lost = 0
            for kbps, is_table, lost in _frames(data):
                num_lost += lost
                if not is_table:
                    rates.add(kbps)
    except OSError as error:
        raise DeliveryError(f"can't read {file}: {error.strerror or error}") from error
    if not rates:
        raise DeliveryError(f"{file} holds no MP3 frames")
    return Mp3Frames(frozenset(rates), num_lost)


def _frames(data: mmap.mmap) -> Iterator[tuple[int, bool, int]]:
    """Yield each Layer III frame's bit rate in kbps, whether it is LAME's table, and how many bytes were skipped.

    All frames are of the first one's kind, or bytes that happen to look like a header would pass for frames.
    """
    position = _end_of_id3(data)
    last = len(data) - _HEADER_BYTES
    kind, lost = None, 0
    while position <= last and lost < _MAX_LOST_BYTES:
        frame = _header(data[position : position + _HEADER_BYTES])
        if frame is None or (kind is not None and frame[2] != kind):
            position, lost = position + 1, lost + 1
            continue
        kbps, length, found = frame
        table = kind is None and any(
            mark in data[position : position + 64] for mark in (b"Xing", b"Info", b"VBRI")
        )
        yield kbps, table, 0 if kind is None else lost
        position, lost, kind = position + length, 0, found


def _end_of_id3(data: mmap.mmap) -> int:
    if data[:3] != b"ID3":
        return 0
    length = 0
    for byte in data[6:_ID3_BYTES]:
        length = length << 7 | byte & 0x7F
    return _ID3_BYTES + length


def _header(header: bytes) -> tuple[int, int, tuple[int, int]] | None:
    """Return a frame's bit rate in kbps, its length in bytes and its kind, None where no frame begins."""
    if header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # sync, Layer III
        return None
    version, rate_index, hz_index = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate_index in (0, 15) or hz_index == 3:
        return None
    is_mpeg1 = version == 3
    kbps = _RATES_KBPS[is_mpeg1][rate_index]
    rate_hz = _MPEG1_HZ[hz_index] // {3: 1, 2: 2, 0: 4}[version]
    padding = header[2] >> 1 & 1
    return kbps, (144 if is_mpeg1 else 72) * kbps * 1000 // rate_hz + padding, (version, hz_index)
