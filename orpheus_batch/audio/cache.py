"""A cache of decoded segments, so that pauses, loudness or format change later without any model.

One append-only file a chapter, of records that each hold a few segments back to back as one FLAC stream in Ogg
(24 kHz, 16 bits, mono):

    prefix, little-endian: magic "OBA2", header length, header crc32, payload crc32 (uint32 each),
        payload length (uint64)
    header: JSON {"codec": fingerprint, "entries": [{"segment_id", "attempt", "num_samples"}, ...]}
    payload: Ogg FLAC

Bare FLAC has no lengths: where a frame ends is guessed from what looks like the next one's header, and ffmpeg 4.2
guesses wrong for one record in some thousands and leaves out its last frames, without an error. Ogg's pages say
how long each frame is.

The header's crc32 runs over the lengths and the payload's crc32 too. The index lives in memory and is rebuilt
from the headers when the folder is opened. Everything here can be made again from tokens, so nothing is
fsynced: a torn or damaged record counts as missing, is never played, and any file may be deleted at any time,
by anyone. A segment is found whichever chapter's file it lies in; of several copies the last one written
counts.

It knows segments by id and attempt alone: no ledger, no chapters' order, no codec. FLAC is written and read by
ffmpeg (libsndfile is LGPL and would be one more library).
"""

import json
import logging
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from orpheus_batch.audio.ffmpeg import BITEXACT_ARGS, run_ffmpeg
from orpheus_batch.audio.pcm import BYTES_PER_SAMPLE, from_int16, to_int16
from orpheus_batch.data import Waveform
from orpheus_batch.errors import EncodeError
from orpheus_batch.units import SAMPLE_RATE_HZ

logger = logging.getLogger(__name__)

CacheKey = tuple[str, int]
"""segment_id and attempt"""

MAX_RECORD_SAMPLES = 600 * SAMPLE_RATE_HZ
"""Ten minutes, 29 MB as samples: what reading one segment decodes at most. A longer one is a record alone."""

_MAGIC = b"OBA2"
_PREFIX = struct.Struct("<4sIIIQ")
_LENGTHS = struct.Struct("<IIQ")
_MAX_HEADER_BYTES = 1 << 24
_FLAC_ARGS = ("-c:a", "flac", "-compression_level", "5", "-frame_size", "4608")
"""The longest frame that any decoder takes; ffmpeg's own choice, half as long, takes a third longer to decode."""
_PCM_ARGS = ("-f", "s16le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1")


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """A record that is not in a file yet; `AudioCache.pack` makes it."""

    header: bytes
    payload: bytes
    entries: tuple[tuple[CacheKey, int], ...]
    """keys and their numbers of samples, in the payload's order"""


@dataclass(frozen=True, slots=True)
class _Record:
    """Where a record lies, and what it holds."""

    path: Path
    offset: int
    payload_offset: int
    payload_length: int
    payload_crc: int
    entries: tuple[tuple[CacheKey, int], ...]
    """keys and their numbers of samples, in the payload's order"""

    @property
    def end(self) -> int:
        return self.payload_offset + self.payload_length


class AudioCache:
    """The decoded segments of one book, in one folder; see the module's docstring for the file format.

    One process writes, any number read.

    Args:
        folder: Made when first written to; may not exist.
        codec_fingerprint: Only audio of this codec is seen; that of others stays in the files, unseen.
        read_only: For encoder processes: nothing is written or truncated.

    Raises:
        EncodeError: The folder is there and can't be read.
    """

    def __init__(self, folder: Path, codec_fingerprint: str, *, read_only: bool = False):
        self._folder = folder
        self._codec = codec_fingerprint
        self._read_only = read_only
        self._index: dict[CacheKey, _Record] = {}
        self._ends: dict[Path, int] = {}
        self._sound: set[tuple[Path, int, int]] = set()
        for path in sorted(folder.glob("chapter-*.audio")):
            self._scan(path)

    def put(self, chapter_index: int, entries: Sequence[tuple[str, int, Waveform]]) -> None:
        """Append (segment_id, attempt, audio) entries to the chapter's file.

        Args:
            chapter_index: Names the file, no more.
            entries: Audio at 24 kHz; rounded to 16 bits as `orpheus_batch.audio.pcm.to_int16` says. One ffmpeg
                process for each ten minutes.

        Raises:
            EncodeError: The file can't be written, or ffmpeg failed; the file is as it was.
        """
        self.append(chapter_index, self.pack(entries))

    def pack(self, entries: Sequence[tuple[str, int, Waveform]]) -> list[PackedRecord]:
        """Do the work of `put` and write nothing: any thread may, several at once.

        Raises:
            EncodeError: ffmpeg failed.
        """
        return [self._packed(batch) for batch in _batches(entries)]

    def append(self, chapter_index: int, records: Iterable[PackedRecord]) -> None:
        """Write what was packed.

        Raises:
            EncodeError: The file can't be written; it is as it was.
        """
        if self._read_only:
            raise EncodeError(f"the audio cache {self._folder} is open for reading only")
        path = self._folder / f"chapter-{chapter_index:04d}.audio"
        for record in records:
            self._append(path, record)

    def get(self, segment_id: str, attempt: int) -> Waveform | None:
        """Return a segment's audio at 16 bits, or None where it is missing or damaged."""
        record = self._index.get((segment_id, attempt))
        if record is None:
            return None
        with tempfile.TemporaryFile() as scratch:
            if not self._decode(record, scratch):
                return None
            start = 0
            for key, num_samples in record.entries:
                if key == (segment_id, attempt):
                    break
                start += num_samples
            scratch.seek(start * BYTES_PER_SAMPLE)
            samples = np.frombuffer(scratch.read(num_samples * BYTES_PER_SAMPLE), "<i2")
            return Waveform(from_int16(samples), SAMPLE_RATE_HZ)

    def missing(self, keys: Iterable[CacheKey]) -> list[CacheKey]:
        """Return those of ``keys`` whose audio is not there or damaged, in their order, each once.

        Every record that holds one of them is read once and held to its checksum.
        """
        lacking = []
        for key in dict.fromkeys(keys):
            record = self._index.get(key)
            if record is None or not self._is_sound(record):
                lacking.append(key)
        return lacking

    def read_in_order(self, keys: Sequence[CacheKey], scratch: BinaryIO) -> Iterator[np.ndarray]:
        """Yield the audio of ``keys`` in their order, each record decoded once, in whatever order they lie.

        ffmpeg writes the samples into ``scratch`` itself, and they are mapped from there: memory holds a record
        before it is decoded, and what is being looked at.

        Args:
            keys: Of one chapter, say; one may occur more than once.
            scratch: An empty file open for reading and writing; holds all samples in the end, and must not be
                cut while what was yielded is in use.

        Yields:
            int16 [num_samples] for each key.

        Raises:
            EncodeError: Audio of a key is missing or damaged; names the first, and how many.
        """
        wanted = set(keys)
        found = (self._index.get(key) for key in keys)
        records = {(record.path, record.offset): record for record in found if record is not None}
        places: dict[CacheKey, tuple[int, int]] = {}
        end = 0
        for _, record in sorted(records.items()):
            scratch.seek(end * BYTES_PER_SAMPLE)
            if not self._decode(record, scratch):
                continue
            for key, num_samples in record.entries:
                if key in wanted and self._index.get(key) is record:
                    places[key] = (end, num_samples)
                end += num_samples
        lacking = [key for key in keys if key not in places]
        if lacking:
            raise EncodeError(
                f"the audio of {len(lacking)} of {len(keys)} segments is missing in {self._folder} "
                f"(segment {lacking[0][0]}, attempt {lacking[0][1]} for one); run the same command again to "
                "decode it from the ledger"
            )
        samples = np.memmap(scratch, "<i2", "r", shape=(end,)) if end else np.zeros(0, "<i2")
        for key in keys:
            start, num_samples = places[key]
            yield samples[start : start + num_samples]

    def _packed(self, batch: Sequence[tuple[CacheKey, np.ndarray]]) -> PackedRecord:
        samples = np.concatenate([audio for _, audio in batch])
        payload = b""
        if len(samples):
            payload = run_ffmpeg(
                [*_PCM_ARGS, "-i", "pipe:0", *_FLAC_ARGS, *BITEXACT_ARGS, "-f", "ogg", "pipe:1"],
                stdin=samples.tobytes(),
                what=f"packing audio for the cache {self._folder}",
            )
        entries = [
            {"segment_id": segment_id, "attempt": attempt, "num_samples": len(audio)}
            for (segment_id, attempt), audio in batch
        ]
        header = json.dumps({"codec": self._codec, "entries": entries}, separators=(",", ":")).encode()
        return PackedRecord(header, payload, tuple((key, len(audio)) for key, audio in batch))

    def _append(self, path: Path, packed: PackedRecord) -> None:
        header, payload = packed.header, packed.payload
        payload_crc = zlib.crc32(payload)
        header_crc = _header_crc(header, payload_crc, len(payload))
        prefix = _PREFIX.pack(_MAGIC, len(header), header_crc, payload_crc, len(payload))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered, or bytes left in a buffer would be written again after the file has been cut.
            with path.open("ab", buffering=0) as file:
                offset = file.tell()
                if offset != self._ends.get(path, 0):
                    # Deleted, or cut, by someone since it was scanned: what was known of it is void.
                    self._forget(path)
                    self._scan(path)
                    offset = self._ends.get(path, 0)
                try:
                    _write_all(file, prefix + header + payload)
                except OSError:
                    file.truncate(offset)
                    raise
        except OSError as error:
            raise EncodeError(f"can't write the audio cache {path}: {error.strerror or error}") from error
        payload_offset = offset + len(prefix) + len(header)
        record = _Record(
            path=path,
            offset=offset,
            payload_offset=payload_offset,
            payload_length=len(payload),
            payload_crc=payload_crc,
            entries=packed.entries,
        )
        self._ends[path] = record.end
        self._index.update({key: record for key, _ in record.entries})

    def _forget(self, path: Path) -> None:
        self._index = {key: record for key, record in self._index.items() if record.path != path}
        self._ends.pop(path, None)

    def _scan(self, path: Path) -> None:
        """Read the headers of a file into the index; a writer cuts off what follows the last whole record."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                end = 0
                while record := self._read_header(path, file, end, size):
                    self._index.update({key: record for key, _ in record.entries})
                    end = record.end
            if end < size and not self._read_only:
                logger.warning("%s: %d bytes after the last whole record are cut off", path, size - end)
                with path.open("r+b") as file:
                    file.truncate(end)
        except FileNotFoundError:
            return
        except OSError as error:
            raise EncodeError(f"can't read the audio cache {path}: {error.strerror or error}") from error
        self._ends[path] = end

    def _read_header(self, path: Path, file: BinaryIO, offset: int, size: int) -> _Record | None:
        """Return the record at ``offset``, or None where no whole and undamaged header begins there.

        The record of another codec comes back without entries.
        """
        file.seek(offset)
        prefix = file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return None
        magic, header_length, header_crc, payload_crc, payload_length = _PREFIX.unpack(prefix)
        payload_offset = offset + _PREFIX.size + header_length
        if magic != _MAGIC or header_length > _MAX_HEADER_BYTES or payload_offset + payload_length > size:
            return None
        header = file.read(header_length)
        if _header_crc(header, payload_crc, payload_length) != header_crc:
            return None
        content = json.loads(header)
        return _Record(
            path=path,
            offset=offset,
            payload_offset=payload_offset,
            payload_length=payload_length,
            payload_crc=payload_crc,
            entries=_entries(content) if content["codec"] == self._codec else (),
        )

    def _payload(self, record: _Record) -> bytes | None:
        """Return a record's Ogg stream, or None where the file no longer holds this very record."""
        try:
            with record.path.open("rb") as file:
                size = file.seek(0, 2)
                if self._read_header(record.path, file, record.offset, size) != record:
                    return None
                file.seek(record.payload_offset)
                payload = file.read(record.payload_length)
        except OSError as error:
            logger.warning("can't read the audio cache %s: %s", record.path, error)
            return None
        if zlib.crc32(payload) != record.payload_crc:
            logger.warning("%s: the record at byte %d is damaged", record.path, record.offset)
            return None
        return payload

    def _is_sound(self, record: _Record) -> bool:
        """Say whether a record's payload is whole; remembered for as long as its file is there."""
        mark = (record.path, record.offset, record.payload_crc)
        if mark in self._sound and record.path.is_file():
            return True
        if self._payload(record) is None:
            return False
        self._sound.add(mark)
        return True

    def _decode(self, record: _Record, sink: BinaryIO) -> bool:
        """Write a record's samples where ``sink`` stands, and say whether they are all there and undamaged."""
        payload = self._payload(record)
        if payload is None:
            return False
        start = sink.tell()
        sink.flush()  # ffmpeg shares the file's position, and knows nothing of a buffer
        if payload:
            run_ffmpeg(
                # One thread: FLAC's frames are so small that handing them around costs more than it saves.
                ["-threads", "1", "-f", "ogg", "-i", "pipe:0", *_PCM_ARGS, "pipe:1"],
                stdin=payload,
                stdout=sink,
                what=f"reading the audio cache {record.path}",
            )
        num_bytes = os.fstat(sink.fileno()).st_size - start
        wanted = sum(num_samples for _, num_samples in record.entries) * BYTES_PER_SAMPLE
        if num_bytes != wanted:
            logger.warning(
                "%s: the record at byte %d holds %d bytes of samples instead of %d",
                record.path,
                record.offset,
                num_bytes,
                wanted,
            )
            sink.truncate(start)
        return num_bytes == wanted


def _write_all(file: RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _header_crc(header: bytes, payload_crc: int, payload_length: int) -> int:
    return zlib.crc32(header, zlib.crc32(_LENGTHS.pack(len(header), payload_crc, payload_length)))


def _entries(content: dict[str, Any]) -> tuple[tuple[CacheKey, int], ...]:
    return tuple(((e["segment_id"], e["attempt"]), e["num_samples"]) for e in content["entries"])


def _batches(
    entries: Sequence[tuple[str, int, Waveform]],
) -> Iterator[list[tuple[CacheKey, np.ndarray]]]:
    """Round to 16 bits and group into records of at most `MAX_RECORD_SAMPLES`.

    Raises:
        EncodeError: Audio at another sample rate.
    """
    batch: list[tuple[CacheKey, np.ndarray]] = []
    num_samples = 0
    for segment_id, attempt, waveform in entries:
        if waveform.sample_rate_hz != SAMPLE_RATE_HZ:
            raise EncodeError(
                f"segment {segment_id}: audio at {waveform.sample_rate_hz} Hz; the cache holds "
                f"{SAMPLE_RATE_HZ} Hz"
            )
        samples = to_int16(waveform.samples)
        if batch and num_samples + len(samples) > MAX_RECORD_SAMPLES:
            yield batch
            batch, num_samples = [], 0
        batch.append(((segment_id, attempt), samples))
        num_samples += len(samples)
    if batch:
        yield batch
