"""One ledger of the ledgers of parts: what each has made its own, with the takes of it."""

from pathlib import Path

from orpheus_batch.errors import InputError, LedgerError
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.ledger.store import LEDGER_NAME

_SEGMENT = "segment_id, text, voice, seed, temperature, position"
_STANDING = "state, num_takes, retake_from, chosen, score, num_audio_s, failure"
_ITEM = """number, item_id, row_sha256, text, voice, seed, temperature, format, file, split, extra, line, epoch,
    state, made_by, num_bytes, sha256, duration_s, loudness_db, num_words,
    num_wrong_words"""


class MergedLedger(CorpusLedger):
    """A ledger that takes in others."""

    def take_in(self, folder: Path, *, first: bool) -> None:
        """Copy what a part's ledger has on the line, in one transaction.

        Args:
            folder: The part's; nobody may write to it meanwhile.
            first: Take facts, sources and bad rows too, which all parts have alike.

        Raises:
            InputError: It does not go with those that were taken in before: planned from other sources.
            LedgerError: One of them can't be read or written.
        """
        database = self._database
        database.execute("ATTACH ? AS part", (str(folder / LEDGER_NAME),))
        try:
            with database.transaction():
                if first:
                    database.execute("INSERT OR REPLACE INTO facts SELECT * FROM part.facts")
                    database.execute("INSERT INTO sources SELECT * FROM part.sources")
                    database.execute("INSERT INTO bad_rows SELECT * FROM part.bad_rows")
                self._copy()
        except LedgerError as error:
            if "UNIQUE constraint failed" in str(error):
                raise InputError(
                    f"{folder} does not go with the other parts: it was planned from other sources or settings. Run "
                    "all parts on the same sources, in an empty output folder, and merge again"
                ) from error
            raise
        finally:
            database.execute("DETACH part")

    def _copy(self) -> None:
        columns = [name.strip() for name in _STANDING.split(",")]
        newer = ", ".join(
            f"{name} = iif(segments.state = 'pending', excluded.{name}, segments.{name})" for name in columns
        )
        takes = ", ".join(
            name for _, name, *_ in self._database.rows("PRAGMA main.table_info(takes)") if name != "segment"
        )
        statements = (
            f"""
            INSERT INTO segments ({_SEGMENT}, {_STANDING}) SELECT {_SEGMENT}, {_STANDING} FROM part.segments
            WHERE true ON CONFLICT (segment_id) DO UPDATE SET
                position = min(coalesce(position, excluded.position), coalesce(excluded.position, position)),
                {newer}
            """,
            f"""
            INSERT OR IGNORE INTO takes (segment, {takes})
            SELECT m.key, {", ".join(f"t.{name}" for name in takes.split(", "))}
            FROM part.takes t JOIN part.segments s ON s.key = t.segment
            JOIN main.segments m ON m.segment_id = s.segment_id
            """,
            """
            INSERT INTO places
            SELECT p.position, m.key, p.source_start, p.source_end, p.boundary, p.pause_after_s
            FROM part.places p JOIN part.segments s ON s.key = p.segment
            JOIN main.segments m ON m.segment_id = s.segment_id
            """,
            """
            INSERT INTO shards (name, num_items, num_bytes, sha256, audio_s)
            SELECT name, num_items, num_bytes, sha256, audio_s FROM part.shards ORDER BY name
            """,
            f"""
            INSERT INTO items ({_ITEM}, source, shard)
            SELECT {_ITEM}, (SELECT m.key FROM main.sources m JOIN part.sources p USING (path) WHERE p.key = i.source),
                (SELECT m.key FROM main.shards m JOIN part.shards p USING (name) WHERE p.key = i.shard)
            FROM part.items i WHERE line IS NOT NULL
            """,
        )
        for statement in statements:
            self._database.execute(statement)

    def num_missing(self, folder: Path) -> int:
        """Return how many items that a part knows are on no part's line.

        A row that has left its table is not one of them.
        """
        self._database.execute("ATTACH ? AS part", (str(folder / LEDGER_NAME),))
        try:
            ((num,),) = self._database.rows(
                """
                SELECT count(*) FROM part.items WHERE item_id NOT IN (SELECT item_id FROM main.items)
                AND epoch = (SELECT max(epoch) FROM part.items p WHERE p.source = items.source)
                """
            )
        finally:
            self._database.execute("DETACH part")
        return num

    def files_made(self) -> list[str]:
        """Return the files of items that have one of their own."""
        rows = self._database.rows(
            "SELECT file FROM items WHERE file IS NOT NULL AND num_bytes IS NOT NULL AND state <> 'planned'"
        )
        return [file for (file,) in rows]
