"""Reads an M4B's boxes: tags, cover, chapters of both kinds. Nothing here is ffmpeg's, which wrote them.

Source: ISO/IEC 14496-12 (boxes, sample tables); Apple's QuickTime File Format, "Chapter lists" (a text track that
another names with `chap`) and metadata items; the Nero `chpl` box as players read it.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

_CONTAINERS = {"moov", "udta", "trak", "mdia", "minf", "stbl", "tref", "edts", "ilst"}


@dataclass(frozen=True)
class M4b:
    """What a player would find."""

    brand: str
    tags: dict[str, str]
    """by four-letter name: "©nam", "©ART", …"""
    numbers: dict[str, bytes]
    """"trkn", "disk", "stik" as they are"""
    cover: bytes
    nero_chapters: list[tuple[float, str]]
    """start in seconds, title"""
    track_chapters: list[tuple[float, str]]
    languages: list[str]
    """of sound"""
    is_streamable: bool
    """whether the index stands before the sound"""


def read_m4b(file: Path) -> M4b:
    """Read a file whole."""
    data = file.read_bytes()
    boxes = list(_boxes(data, 0, len(data), ""))
    order = [path for path, _, _ in boxes if path in ("moov", "mdat")]
    found = {path: data[start:stop] for path, start, stop in boxes}
    tags, numbers, cover = {}, {}, b""
    for path, start, _ in boxes:
        if not path.startswith("moov.udta.meta.ilst."):
            continue
        name = path.rpartition(".")[2]
        size, kind, sort = struct.unpack(">I4sI", data[start : start + 12])
        value = data[start + 16 : start + size]
        if kind != b"data":
            raise AssertionError(f"{path} holds {kind!r}")
        if name == "covr":
            cover = value
        elif sort == 1:
            tags[name] = value.decode("utf-8")
        else:
            numbers[name] = value
    tracks = _tracks(data, boxes)
    chapter_ids = [i for track in tracks for i in track.get("chap", [])]
    chapters = [chapter for track in tracks if track["id"] in chapter_ids for chapter in _texts(data, track)]
    return M4b(
        brand=found["ftyp"][:4].decode(),
        tags=tags,
        numbers=numbers,
        cover=cover,
        nero_chapters=_nero(found.get("moov.udta.chpl", b"")),
        track_chapters=chapters,
        languages=[track["language"] for track in tracks if track["handler"] == b"soun"],
        is_streamable=order == ["moov", "mdat"],
    )


def _boxes(data, start, stop, prefix):
    """Yield (path, first byte inside, one past the last)."""
    while start + 8 <= stop:
        size, name = struct.unpack(">I4s", data[start : start + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", data[start + 8 : start + 16])[0], 16
        size = size or stop - start
        path = prefix + name.decode("latin-1")
        yield path, start + head, start + size
        if path.rpartition(".")[2] in _CONTAINERS:
            yield from _boxes(data, start + head, start + size, f"{path}.")
        elif path.endswith("udta.meta"):
            yield from _boxes(data, start + head + 4, start + size, f"{path}.")
        start += size


def _tracks(data, boxes):
    """Return each track's id, handler, language, time scale, sample table and references."""
    tracks = []
    for path, start, stop in boxes:
        body = data[start:stop]
        if path == "moov.trak":
            tracks.append({})
        elif path == "moov.trak.tkhd":
            tracks[-1]["id"] = struct.unpack(">I", body[12:16] if body[0] == 0 else body[20:24])[0]
        elif path == "moov.trak.mdia.mdhd":
            at = 12 if body[0] == 0 else 20
            tracks[-1]["scale"] = struct.unpack(">I", body[at : at + 4])[0]
            code = struct.unpack(">H", body[-4:-2])[0]
            tracks[-1]["language"] = "".join(chr((code >> shift & 31) + 0x60) for shift in (10, 5, 0))
        elif path == "moov.trak.mdia.hdlr":
            tracks[-1]["handler"] = body[8:12]
        elif path == "moov.trak.tref.chap":
            tracks[-1]["chap"] = struct.unpack(f">{len(body) // 4}I", body)
        elif path.startswith("moov.trak.mdia.minf.stbl."):
            tracks[-1][path.rpartition(".")[2]] = body
    return tracks


def _texts(data, track):
    """Return (start in seconds, text) of each sample of a text track, one sample a chunk."""
    count = struct.unpack(">I", track["stts"][4:8])[0]
    lengths = [
        length
        for i in range(count)
        for n, length in [struct.unpack(">II", track["stts"][8 + 8 * i : 16 + 8 * i])]
        for _ in range(n)
    ]
    wide = "co64" in track
    table = track["co64" if wide else "stco"]
    num_chunks = struct.unpack(">I", table[4:8])[0]
    offsets = struct.unpack(f">{num_chunks}{'Q' if wide else 'I'}", table[8:])
    same, num_samples = struct.unpack(">II", track["stsz"][4:12])
    sizes = [same] * num_samples if same else struct.unpack(f">{num_samples}I", track["stsz"][12:])
    runs = struct.unpack(">I", track["stsc"][4:8])[0]
    per_chunk = {}
    for i in range(runs):
        first, samples, _ = struct.unpack(">III", track["stsc"][8 + 12 * i : 20 + 12 * i])
        per_chunk[first] = samples
    found, sample, time, now = [], 0, 0, 0
    for chunk, offset in enumerate(offsets, start=1):
        now, at = per_chunk.get(chunk, now), offset
        for _ in range(now):
            size = struct.unpack(">H", data[at : at + 2])[0]
            found.append((time / track["scale"], data[at + 2 : at + 2 + size].decode("utf-8")))
            at += sizes[sample]
            time += lengths[sample]
            sample += 1
    return found


def _nero(body):
    if not body:
        return []
    found, at = [], 9
    for _ in range(body[8]):
        start, size = struct.unpack(">QB", body[at : at + 9])
        found.append((start / 1e7, body[at + 9 : at + 9 + size].decode("utf-8")))
        at += 9 + size
    return found
