"""Names of finished files: readable, and safe on every filesystem. It makes no files."""

import unicodedata
from pathlib import Path

MAX_NAME_BYTES = 120
"""Of a chapter's file name in UTF-8; filesystems allow 255, and parts and temporary names add to it."""

_REPLACED = {"/": "-", "\\": "-", "|": "-", '"': "'", ":": " -", "<": "(", ">": ")", "?": "", "*": ""}
"""What Windows or macOS does not allow in names, and what stands in for it."""

_JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling in Persian and Hindi."""


def chapter_filename(index: int, count: int, title: str) -> str:
    """Return the file name of a chapter: "01 - Title.mp3", safe on every filesystem.

    The number in front keeps names apart, in order, and off the names that Windows reserves ("CON", "NUL").

    Args:
        index: From 0; the name counts from 1, zero-padded to the width of ``count`` and at least two digits.
        count: Chapters of the book.
        title: "Chapter 1" stands in for an empty one.
    """
    number = str(index + 1).zfill(max(2, len(str(count))))
    prefix, suffix = f"{number} - ", ".mp3"
    room = MAX_NAME_BYTES - len(prefix) - len(suffix)
    name = _cut(_safe(title), room) or f"Chapter {index + 1}"
    return prefix + name + suffix


def part_path(path: Path, part: int, num_parts: int) -> Path:
    """Return the path of a part: ``path`` itself where there is one, else "NAME (part 1).mp3"."""
    return path if num_parts == 1 else path.with_name(f"{path.stem}{part_suffix(part, num_parts)}{path.suffix}")


def part_suffix(part: int, num_parts: int) -> str:
    """Return what is added to a title or a name: " (part 1)", or nothing where there is one part."""
    return "" if num_parts == 1 else f" (part {part})"


def _safe(title: str) -> str:
    """Return a title without characters that are forbidden, invisible or turn text around; NFC, one line."""
    text = unicodedata.normalize("NFC", title)
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Zs", "Zl", "Zp", "Cc"):
            kept.append(" ")
        elif category[0] != "C" or character in _JOINERS:
            kept.append(_REPLACED.get(character, character))
    return " ".join("".join(kept).split()).strip(" .-")


def _cut(text: str, max_bytes: int) -> str:
    """Return ``text`` cut to so many bytes, at a character that combines with none that was cut."""
    if len(text.encode()) <= max_bytes:
        return text
    cut = text.encode()[:max_bytes].decode("utf-8", errors="ignore")
    while cut and unicodedata.combining(text[len(cut)]):
        cut = cut[:-1]
    return cut.rstrip(" .-")
