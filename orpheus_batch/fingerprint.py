"""What identifies a set of files by content, without reading gigabytes twice.

Hashes are kept in the user's cache folder by path, size and modification time; a cache that can't be written
costs time and nothing else.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from orpheus_batch.files import read_sha256


def sha256_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file, from the cache where its size and time have not changed."""
    path = path.resolve()
    stat = path.stat()
    key = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
    cache = _read_cache()
    if key not in cache:
        cache[key] = read_sha256(path)
        _write_cache(cache)
    return cache[key]


def fingerprint_files(files: Iterable[Path], salt: str = "") -> str:
    """Return a hexadecimal sha256 over names and contents of ``files``, in order, and ``salt``.

    Raises:
        FileNotFoundError: One is missing.
    """
    return fingerprint_entries(((file.name, sha256_file(file)) for file in files), salt)


def fingerprint_entries(entries: Iterable[tuple[str, str]], salt: str = "") -> str:
    """Return what `fingerprint_files` does, of names and hexadecimal sha256s alone."""
    digest = hashlib.sha256(salt.encode())
    for name, sha256 in entries:
        digest.update(f"\0{name}\0{sha256}".encode())
    return digest.hexdigest()


def _cache_file() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orpheus-batch" / "fingerprints.json"


def _read_cache() -> dict[str, str]:
    try:
        cache = json.loads(_cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cache if isinstance(cache, dict) else {}


def _write_cache(cache: dict[str, str]) -> None:
    file = _cache_file()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as beside:
            json.dump(cache, beside)
        Path(beside.name).replace(file)
