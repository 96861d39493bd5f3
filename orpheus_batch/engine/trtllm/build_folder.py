"""Where something is built: a folder beside the target, alone there, moved into place whole.

Two builds of one target wait for each other; what a killed one left is cleared away, and the older engine that it
had just moved aside comes back. What is built is not known here.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from orpheus_batch.errors import EngineError
from orpheus_batch.files import sync

_SUFFIX = ".building"
_OLD = "old"
_ASK_AGAIN_S = 0.2


@contextmanager
def build_lock(target: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Be the only build of ``target``, waiting for another to end; its folder's parents are made.

    Args:
        target: Of the build.
        say: Is told that one waits.

    Raises:
        EngineError: The target can't be replaced as a whole, or there are no locks on its file system.
    """
    if os.path.ismount(target):
        raise EngineError(f"{target} is a mount point, which can't be replaced as a whole: give a folder in it")
    path = target.with_name(f".{target.name}.lock")
    file = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
        if file is None:
            say(f"another process is building {target}; waiting for it")
            while (file := _locked(path)) is None:
                time.sleep(_ASK_AGAIN_S)
    except OSError as error:
        raise EngineError(f"can't lock {path}: {error.strerror}; build in a folder on a local disk") from error
    try:
        _clear_left_overs(target)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked: who waits looks whether it is still the one
        file.close()


@contextmanager
def build_folder(target: Path) -> Iterator[Path]:
    """Have an empty folder beside ``target``, gone afterwards; hold `build_lock` meanwhile."""
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=_SUFFIX))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def move_into_place(built: Path, target: Path) -> None:
    """Put a finished folder where the target is to be, on disk first; an older one there goes once it is in place.

    Args:
        built: Lies in a `build_folder` of the target.
        target: Is not there, or is what will be replaced.

    Raises:
        OSError: It can't be written.
    """
    for path in [*built.rglob("*"), built]:
        sync(path)
    if target.exists():
        target.rename(built.parent / _OLD)
    built.rename(target)
    sync(target.parent)


def _locked(path: Path) -> TextIO | None:
    """Return the lock's file, locked, None while another process has it."""
    while True:
        file = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # its holder has removed it in the meantime: another file has the name now


def _clear_left_overs(target: Path) -> None:
    """Undo what a build was at when it was killed."""
    for left in target.parent.iterdir():
        name = left.name
        if name.startswith(f".{target.name}.") and name.endswith(_SUFFIX) and left.is_dir():
            if (left / _OLD).is_dir() and not target.exists():
                (left / _OLD).rename(target)
            shutil.rmtree(left, ignore_errors=True)
