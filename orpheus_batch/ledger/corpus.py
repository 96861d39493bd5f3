"""A corpus in the ledger: items of one segment each, and the shards that they were sealed in, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orpheus_batch.ledger.item_records import MadeItem
from orpheus_batch.ledger.items import ItemLedger


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A sealed shard."""

    name: str
    """of its file or folder, relative to the corpus' folder"""
    num_items: int
    num_bytes: int
    sha256: str
    audio_s: float


class CorpusLedger(ItemLedger):
    """A ledger of a corpus."""

    def shard_names(self, prefix: str) -> set[str]:
        """Return the names of sealed shards that begin so."""
        rows = self._database.rows(
            "SELECT name FROM shards WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return {name for (name,) in rows}

    def seal(self, shard: ShardRecord, made: Sequence[MadeItem], made_by: str) -> None:
        """Record a shard with its items, in one transaction; its files must lie in place, synced."""
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO shards (name, num_items, num_bytes, sha256, audio_s) VALUES (?, ?, ?, ?, ?)",
                (shard.name, shard.num_items, shard.num_bytes, shard.sha256, shard.audio_s),
            )
            ((key,),) = self._database.rows("SELECT key FROM shards WHERE name = ?", (shard.name,))
            self._database.execute_many(
                """
                UPDATE items SET state = 'done', made_by = ?, num_bytes = ?, sha256 = ?, duration_s = ?,
                    loudness_db = ?, num_words = ?, num_wrong_words = ?, shard = ? WHERE number = ?
                """,
                (
                    (
                        made_by, m.num_bytes, m.sha256, m.duration_s, m.loudness_db, m.num_words,
                        m.num_wrong_words, key, m.number,
                    )
                    for m in made
                ),
            )  # fmt: skip

    def totals(self) -> dict[str, Any]:
        """Return how many shards, items and seconds are sealed, and how much by split and by voice."""
        ((num_shards,),) = self._database.rows("SELECT count(*) FROM shards")
        by_split = self.done_by("split")
        return {
            "num_shards": num_shards,
            "num_items": sum(group["num_items"] for group in by_split.values()),
            "audio_s": sum(group["audio_s"] for group in by_split.values()),
            "by_split": by_split,
            "by_voice": self.done_by("voice"),
        }

    def histogram(self, what: str, width: float) -> list[tuple[float, int]]:
        """Return how many sealed items lie in each bin of ``width``, by its lower end.

        Args:
            what: "duration_s", "loudness_db", "num_chars" or "word_error_rate".
            width: Of a bin.
        """
        columns = {
            "duration_s": "duration_s",
            "loudness_db": "loudness_db",
            "num_chars": "length(text)",
            "word_error_rate": "(num_wrong_words * 1.0 / max(1, num_words))",
        }
        rows = self._database.rows(
            f"""
            SELECT CAST(floor({columns[what]} / ?) AS INTEGER), count(*) FROM items
            WHERE shard IS NOT NULL AND {columns[what]} IS NOT NULL GROUP BY 1 ORDER BY 1
            """,
            (width,),
        )
        return [(index * width, num) for index, num in rows]
