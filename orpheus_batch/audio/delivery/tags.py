"""What a file says of itself, as ffmpeg takes it: tags, and the chapters inside a long file.

ffmpeg turns them into what each format has: ID3v2.3 frames with CHAP and CTOC, an MP4's atoms, Vorbis comments.
It knows no sound.
"""

import base64
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from orpheus_batch.audio.mp3 import SYNTHETIC_COMMENT, SYNTHETIC_TAG, iso_639_2, printable
from orpheus_batch.units import SAMPLE_RATE_HZ

MARKED_COMMENT = f"{SYNTHETIC_COMMENT} {SYNTHETIC_TAG}=1"
"""for people, with an end for machines, where a format has no tags of any name"""


@dataclass(frozen=True, slots=True)
class Tags:
    """What a player shows; an empty text is left out."""

    title: str
    album: str
    artist: str
    """the author"""
    composer: str
    """the narrator"""
    track: int
    num_tracks: int
    disc: int = 1
    num_discs: int = 1
    """parts of a chapter that was too long for one file"""
    year: str = ""
    genre: str = "Audiobook"
    language: str = ""


@dataclass(frozen=True, slots=True)
class ChapterMark:
    """Where a chapter begins inside a file."""

    title: str
    start: int
    """sample at 24 kHz"""
    stop: int


def ffmetadata(
    tags: Tags,
    marks: Sequence[ChapterMark],
    *,
    has_free_tags: bool,
    has_comment: bool = True,
    picture: bytes | None = None,
) -> str:
    """Return a file's tags and chapters in ffmpeg's own format.

    Args:
        tags: Control characters in them are dropped.
        marks: In order; none for a file that is one chapter.
        has_free_tags: Whether the format takes tags of any name; the mark of synthetic speech goes into the
            comment in any case.
        has_comment: Whether ffmpeg writes it as what players show.
        picture: JPEG that is to become a tag, in formats that know no pictures but as one.
    """
    named = {
        "title": tags.title,
        "album": tags.album,
        "artist": tags.artist,
        "album_artist": tags.artist,
        "composer": tags.composer,
        "track": f"{tags.track}/{tags.num_tracks}",
        "disc": f"{tags.disc}/{tags.num_discs}" if tags.num_discs > 1 else "",
        "genre": tags.genre,
        "date": tags.year,
        "language": iso_639_2(tags.language),
        "comment": MARKED_COMMENT if has_comment else "",
        SYNTHETIC_TAG: "1" if has_free_tags else "",
        "METADATA_BLOCK_PICTURE": _picture_block(picture) if picture else "",
    }
    lines = [";FFMETADATA1"]
    lines += [f"{key}={_escaped(printable(value))}" for key, value in named.items() if printable(value)]
    for number, mark in enumerate(marks, start=1):
        title = _escaped(printable(mark.title)) or f"Chapter {number}"
        lines += ["[CHAPTER]", f"TIMEBASE=1/{SAMPLE_RATE_HZ}", f"START={mark.start}", f"END={mark.stop}"]
        lines.append(f"title={title}")
    return "\n".join(lines) + "\n"


def _picture_block(jpeg: bytes) -> str:
    """Return a front cover as Ogg files carry it.

    Source: RFC 9639, 8.8 (picture: type, media type, description, sizes of which 0 is unknown, data); the Xiph
    wiki's VorbisComment, METADATA_BLOCK_PICTURE (the same in base64).
    """
    media_type = b"image/jpeg"
    numbers = struct.pack(">IIIII", 0, 0, 0, 0, len(jpeg))
    head = struct.pack(">II", 3, len(media_type)) + media_type + struct.pack(">I", 0)
    return base64.b64encode(head + numbers + jpeg).decode()


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
