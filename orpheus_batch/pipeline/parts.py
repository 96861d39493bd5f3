"""Which share of the work is one independent process' own: every Nth book, or every Nth window of items.

Books have folders of their own anyway. Of items, a part has a folder and a ledger of its own under the output folder,
and blocks as one process would have; `orpheus_batch.corpus.merge` makes one folder of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orpheus_batch.errors import ConfigError, LedgerError
from orpheus_batch.ledger.store import LEDGER_NAME

Item = TypeVar("Item")

_FOLDER = re.compile(r"part-(\d+)-of-(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One of ``count`` parts."""

    index: int = 0
    """from 0"""
    count: int = 1

    def owns(self, window: int) -> bool:
        """Return whether a window is this part's."""
        return window % self.count == self.index

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return this part's items of a list that all parts have alike."""
        return list(items[self.index :: self.count])

    def folder(self, out: Path) -> Path:
        """Return where the part's output goes; the output folder itself where there is one part.

        Raises:
            LedgerError: There are parts and the whole is asked for, or the other way round.
        """
        has_whole = (out / LEDGER_NAME).exists()
        if self.count == 1:
            if not has_whole and part_folders(out):
                raise LedgerError(
                    f"{out} holds parts that --shard made; `merge` them and go on with that, or give another folder"
                )
            return out
        if has_whole:
            raise LedgerError(f"{out} holds a whole already, merged or made so; go on with it without --shard")
        return out / f"part-{self.index:04d}-of-{self.count:04d}"


def parse_part(text: str | None) -> Part:
    """Return the part that "2/8" names: the third of eight, counted from 0 as array jobs are.

    Raises:
        ConfigError: It names none.
    """
    if text is None:
        return Part()
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count) <= 10_000):
        raise ConfigError(f"--shard {text}: write i/N, i from 0 to N - 1: 0/4, 1/4, 2/4 and 3/4")
    return Part(int(index), int(count))


def part_folders(out: Path) -> dict[Part, Path]:
    """Return the folders of parts under an output folder."""
    found = {}
    for path in sorted(out.glob("part-*-of-*")):
        match = _FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            found[Part(int(match[1]), int(match[2]))] = path
    return found
