"""What a file says of itself, as ffmpeg takes it: tags, and the chapters inside a long file.

ffmpeg turns them into what each format has: ID3v2.3 frames with CHAP and CTOC, an MP4's atoms, Vorbis comments.
It knows no sound.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orpheus_batch.audio.mp3 import SYNTHETIC_COMMENT, SYNTHETIC_TAG, iso_639_2, printable
from orpheus_batch.units import SAMPLE_RATE_HZ


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


def ffmetadata(tags: Tags, marks: Sequence[ChapterMark], *, has_free_tags: bool) -> str:
    """Return a file's tags and chapters in ffmpeg's own format.

    Args:
        tags: Control characters in them are dropped.
        marks: In order; none for a file that is one chapter.
        has_free_tags: Whether the format takes tags of any name; the mark of synthetic speech goes into the
            comment in any case.
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
        "comment": f"{SYNTHETIC_COMMENT} {SYNTHETIC_TAG}=1",
        SYNTHETIC_TAG: "1" if has_free_tags else "",
    }
    lines = [";FFMETADATA1"]
    lines += [f"{key}={_escaped(printable(value))}" for key, value in named.items() if printable(value)]
    for number, mark in enumerate(marks, start=1):
        title = _escaped(printable(mark.title)) or f"Chapter {number}"
        lines += ["[CHAPTER]", f"TIMEBASE=1/{SAMPLE_RATE_HZ}", f"START={mark.start}", f"END={mark.stop}"]
        lines.append(f"title={title}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
