"""Audio that stands in for speech, and readers of finished files that share nothing with the package."""

import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from orpheus_batch.audio.cache import AudioCache
from orpheus_batch.audio.encode import ChapterJob, ChapterPiece, ChapterTags
from orpheus_batch.audio.ffmpeg import find_ffmpeg
from orpheus_batch.config import AudioConfig
from orpheus_batch.data import Waveform

RATE = 24_000
CODEC = "a codec's fingerprint"


def voiced(seconds: float, *, amplitude: float = 0.3, pitch_hz: float = 120.0) -> np.ndarray:
    """Return float32 harmonics with an envelope of syllables, beginning and ending at full level."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * pitch_hz * (time_s + 0.01 * np.sin(2 * np.pi * 1.3 * time_s))
    wave = sum(np.sin(k * phase) / k for k in range(1, 12))
    envelope = 0.6 + 0.4 * np.cos(2 * np.pi * 3.0 * time_s)
    return (amplitude * wave * envelope / np.abs(wave).max()).astype(np.float32)


def noise(seconds: float, level_db: float, seed: int = 0) -> np.ndarray:
    """Return float32 white noise of an RMS level."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (samples * 10 ** (level_db / 20)).astype(np.float32)


def utterance(
    seconds: float = 1.0,
    *,
    head_s: float = 0.5,
    tail_s: float = 0.4,
    noise_db: float = -60.0,
    amplitude: float = 0.3,
    seed: int = 0,
) -> np.ndarray:
    """Return float32 speech as a model gives it: low noise before and after."""
    speech = voiced(seconds, amplitude=amplitude, pitch_hz=100 + 7 * (seed % 9))
    return np.concatenate(
        [
            noise(head_s, noise_db, seed),
            speech + noise(seconds, noise_db, seed + 1),
            noise(tail_s, noise_db, seed),
        ]
    )


def int16(samples: np.ndarray) -> np.ndarray:
    """Return samples at 16 bits, by a rule written out again here."""
    return np.clip(np.round(samples.astype(np.float64) * 32768), -32768, 32767).astype("<i2")


def fill_cache(folder: Path, utterances: Sequence[np.ndarray], chapter_index: int = 0) -> None:
    """Put utterances into a cache as segments "s0", "s1", …, attempt 0."""
    entries = [(f"s{i}", 0, Waveform(samples, RATE)) for i, samples in enumerate(utterances)]
    AudioCache(folder, CODEC).put(chapter_index, entries)


def make_job(folder: Path, num_pieces: int, *, pause_s: float = 0.3, **changes: object) -> ChapterJob:
    """Return a job over segments "s0", "s1", … of the cache in ``folder``."""
    fields: dict = {
        "chapter_index": 0,
        "output_path": folder / "01 - Title.mp3",
        "cache_dir": folder / "cache",
        "codec_fingerprint": CODEC,
        "pieces": tuple(ChapterPiece(f"s{i}", i, 0, pause_s) for i in range(num_pieces)),
        "tags": ChapterTags("Title", "Book", "Author", 1, 3),
        "audio": AudioConfig(),
    }
    return ChapterJob(**(fields | changes))


def decode(file: Path, sample_rate_hz: int = RATE) -> np.ndarray:
    """Return a file's audio, float32."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(file), "-map", "0:a", "-f", "f32le"]
    done = subprocess.run(
        [*command, "-ar", str(sample_rate_hz), "-"], capture_output=True, check=True, stdin=subprocess.DEVNULL
    )
    return np.frombuffer(done.stdout, "<f4")


def read_id3(file: Path) -> dict[str, object]:
    """Read an ID3v2.3 header: text frames as strings, TXXX by their description, APIC as (type, MIME, bytes),
    COMM as (language, text), CHAP as a list of (id, start in ms, end in ms, title), CTOC as a list of ids."""
    data = file.read_bytes()
    if data[:5] != b"ID3\x03\x00":
        raise AssertionError(f"no ID3v2.3 at the start: {data[:10]!r}")
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    frames: dict[str, object] = {}
    for key, body in _id3_frames(data[10 : 10 + size]):
        if key == "APIC":
            mime, rest = body[1:].split(b"\0", 1)
            kind, rest = rest[0], rest[1:]
            picture = rest.split(b"\0\0" if body[0] == 1 else b"\0", 1)[1]
            frames["APIC"] = (kind, mime.decode(), picture.lstrip(b"\0") if body[0] == 1 else picture)
        elif key == "CHAP":
            name, rest = body.split(b"\0", 1)
            start, end, _, _ = struct.unpack(">IIII", rest[:16])
            inside = {inner: _id3_text(text) for inner, text in _id3_frames(rest[16:])}
            frames.setdefault("CHAP", []).append((name.decode(), start, end, inside["TIT2"]))
        elif key == "CTOC":
            frames["CTOC"] = [name.decode() for name in body.split(b"\0", 1)[1][2:].split(b"\0") if name]
        elif key == "COMM":
            frames["COMM"] = (
                body[1:4].decode(),
                _id3_text(body[:1] + body[4:]).replace("\ufeff", "").strip("\0"),
            )
        elif key == "TXXX":
            description, text = _id3_text(body).replace("\ufeff", "").split("\0", 1)
            frames[f"TXXX:{description}"] = text
        else:
            frames[key] = _id3_text(body)
    return frames


def _id3_frames(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position + 10 <= len(data) and data[position] != 0:
        name, length, _ = struct.unpack(">4sIH", data[position : position + 10])
        yield name.decode(), data[position + 10 : position + 10 + length]
        position += 10 + length


def _id3_text(body: bytes) -> str:
    return body[1:].decode("utf-16" if body[0] == 1 else "latin-1").rstrip("\0")


def mpeg_frame_bitrates(file: Path) -> set[int]:
    """Walk every MPEG-2 Layer III frame at 24 kHz and return the bit rates met, in kbps."""
    data = file.read_bytes()
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    position, found = 10 + size, set()
    rates = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    while position + 4 <= len(data):
        if data[position] != 0xFF or data[position + 1] & 0xFE != 0xF2:
            raise AssertionError(f"no MPEG-2 Layer III frame at {position}")
        kbps = rates[data[position + 2] >> 4]
        padding = data[position + 2] >> 1 & 1
        found.add(kbps)
        position += 72 * kbps * 1000 // RATE + padding
    return found
