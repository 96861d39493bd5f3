"""Files that are whole or not there: made beside, on disk before they have their name.

It knows nothing of what is in them.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orpheus_batch.errors import EncodeError

_READ_BYTES = 1 << 20


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_sha256(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, read whole; see `fingerprint.sha256_file` for one that remembers."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def work_folder(work: Path, path: Path) -> Iterator[None]:
    """Have an empty folder ``work`` while ``path`` is made; it is gone afterwards, whatever happened.

    Raises:
        EncodeError: An `OSError` came out of what was done meanwhile.
    """
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            yield
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise EncodeError(
            f"can't write {path}: {error.strerror or error}; nothing half-made was left there. "
            "Make room or give another folder, and run the same command again"
        ) from error
