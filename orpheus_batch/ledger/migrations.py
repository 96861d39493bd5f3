"""The ledger's schema, as the steps that lead to it.

A step and its record (a row of ``migrations`` and SQLite's ``user_version``) are one transaction, so a ledger
is always at a whole version. Steps are never edited once released; a change is a new step at the end.
"""

from dataclasses import dataclass

from orpheus_batch.errors import LedgerError
from orpheus_batch.ledger.database import Database

APPLICATION_ID = 0x4F726268
"""'Orbh', in the file's header: tells a ledger from any other SQLite file"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    description: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "first schema",
        (
            """
            CREATE TABLE migrations (
                version INTEGER PRIMARY KEY,
                description TEXT NOT NULL
            )
            """,
            # book, config, model, plan digest: one JSON value each
            """
            CREATE TABLE facts (
                name TEXT PRIMARY KEY,
                value TEXT NOT NULL
            ) WITHOUT ROWID
            """,
            # Content: what is said, by whom. Rows stay when the plan drops them (position is null then).
            """
            CREATE TABLE segments (
                key INTEGER PRIMARY KEY,
                segment_id TEXT NOT NULL UNIQUE,
                text TEXT NOT NULL,
                voice TEXT NOT NULL,
                seed INTEGER NOT NULL,
                position INTEGER,              -- of its first place in the present plan
                state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'failed')),
                num_takes INTEGER NOT NULL DEFAULT 0,
                retake_from INTEGER NOT NULL DEFAULT 0,  -- takes before this one do not settle the segment
                chosen INTEGER,                -- attempt; its score and length are copied here so that a
                score REAL,                    -- summary of a million segments reads no take
                num_audio_s REAL NOT NULL DEFAULT 0,
                failure TEXT NOT NULL DEFAULT ''  -- why it can't be spoken at all
            )
            """,
            """
            CREATE INDEX segments_pending ON segments (position, num_takes)
            WHERE state = 'pending' AND position IS NOT NULL
            """,
            """
            CREATE INDEX segments_by_attempt ON segments (num_takes, position)
            WHERE state = 'pending' AND position IS NOT NULL
            """,
            "CREATE INDEX segments_failed ON segments (position) WHERE state = 'failed'",
            # Never updated but for the verdict; never deleted. The blob comes last: a row is read without it.
            """
            CREATE TABLE takes (
                segment INTEGER NOT NULL REFERENCES segments (key),
                attempt INTEGER NOT NULL,
                seed INTEGER NOT NULL,
                accepted INTEGER NOT NULL CHECK (accepted IN (0, 1)),
                score REAL NOT NULL,
                num_audio_s REAL NOT NULL,
                finish_reason TEXT NOT NULL,
                engine TEXT NOT NULL,
                problems TEXT NOT NULL,        -- JSON list
                measurements TEXT NOT NULL,    -- JSON object
                sha256 BLOB NOT NULL,          -- of tokens and of whose they are
                tokens BLOB NOT NULL,
                UNIQUE (segment, attempt)
            )
            """,
            """
            CREATE TABLE chapters (
                chapter_index INTEGER PRIMARY KEY,
                title TEXT NOT NULL,
                plan_sha256 TEXT NOT NULL
            )
            """,
            # The plan: where in the book a segment is heard. Many places to one segment. The position is the
            # chapter's index times 2^32 plus the segment's, so a chapter can change without moving the others.
            """
            CREATE TABLE places (
                position INTEGER PRIMARY KEY,
                segment INTEGER NOT NULL REFERENCES segments (key),
                source_start INTEGER NOT NULL,
                source_end INTEGER NOT NULL,
                boundary TEXT NOT NULL,
                pause_after_s REAL NOT NULL
            )
            """,
            "CREATE INDEX places_by_segment ON places (segment)",
            """
            CREATE TABLE skipped (
                source_start INTEGER NOT NULL,
                source_end INTEGER NOT NULL,
                reason TEXT NOT NULL,
                chapter_index INTEGER          -- null outside chapters
            )
            """,
            """
            CREATE TABLE overrides (
                text TEXT PRIMARY KEY,         -- as planned
                spoken TEXT NOT NULL           -- instead
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE encoded_chapters (
                chapter_index INTEGER PRIMARY KEY,
                recipe_sha256 TEXT NOT NULL
            )
            """,
            # Every file that was ever marked, until it is forgotten; chapter_index is null once superseded.
            """
            CREATE TABLE files (
                name TEXT PRIMARY KEY,
                chapter_index INTEGER,
                num_bytes INTEGER NOT NULL,
                sha256 TEXT NOT NULL,
                duration_s REAL NOT NULL
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE cues (
                chapter_index INTEGER NOT NULL,
                segment_index INTEGER NOT NULL,
                start_sample INTEGER NOT NULL,
                num_samples INTEGER NOT NULL,
                PRIMARY KEY (chapter_index, segment_index)
            ) WITHOUT ROWID
            """,
        ),
    ),
    Migration(
        "items of a CSV or a corpus",
        (
            "ALTER TABLE segments ADD COLUMN temperature REAL",  # null: the run's
            """
            CREATE TABLE sources (
                key INTEGER PRIMARY KEY,
                path TEXT NOT NULL UNIQUE,
                digest TEXT NOT NULL,          -- of content and settings once all of it is planned, else ''
                report TEXT NOT NULL           -- JSON object: what of it was left out, and why
            )
            """,
            # A row or sentence that becomes one audio file. Its places are at number * 2^32 + index.
            """
            CREATE TABLE items (
                number INTEGER PRIMARY KEY,
                item_id TEXT NOT NULL UNIQUE,
                row_sha256 BLOB NOT NULL,      -- of what it was planned from
                text TEXT NOT NULL,            -- as the source has it
                voice TEXT NOT NULL,
                seed INTEGER NOT NULL,
                temperature REAL,
                format TEXT NOT NULL,
                file TEXT,                     -- relative to the folder; null while it has none of its own
                split TEXT NOT NULL,
                extra TEXT NOT NULL,           -- JSON object
                source INTEGER NOT NULL REFERENCES sources (key),
                line INTEGER,                  -- null once it has left its source
                epoch INTEGER NOT NULL,        -- of the planning that last met it
                state TEXT NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done', 'failed')),
                made_by TEXT,                  -- digest of the settings of its audio
                num_bytes INTEGER,
                sha256 TEXT,
                duration_s REAL,
                loudness_db REAL,
                shard INTEGER REFERENCES shards (key)
            )
            """,
            "CREATE INDEX items_open ON items (number) WHERE state = 'planned' AND line IS NOT NULL",
            "CREATE INDEX items_unsealed ON items (number) WHERE state <> 'planned' AND shard IS NULL",
            "CREATE INDEX items_by_file ON items (file COLLATE NOCASE) WHERE file IS NOT NULL",
            "CREATE INDEX items_by_line ON items (source, line)",
            """
            CREATE TABLE bad_rows (
                source INTEGER NOT NULL REFERENCES sources (key),
                line INTEGER NOT NULL,
                item_id TEXT NOT NULL,
                text TEXT NOT NULL,
                reason TEXT NOT NULL
            )
            """,
            "CREATE INDEX bad_rows_by_line ON bad_rows (source, line)",
            """
            CREATE TABLE shards (
                key INTEGER PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                num_items INTEGER NOT NULL,
                num_bytes INTEGER NOT NULL,
                sha256 TEXT NOT NULL,
                audio_s REAL NOT NULL
            )
            """,
        ),
    ),
    Migration(
        "whether a take's seed decided its noise",
        ("ALTER TABLE takes ADD COLUMN seed_honoured INTEGER NOT NULL DEFAULT 1",),
    ),
    Migration(
        "what a recogniser heard of items",
        (
            "ALTER TABLE items ADD COLUMN num_words INTEGER",  # null: nobody listened
            "ALTER TABLE items ADD COLUMN num_wrong_words INTEGER",
        ),
    ),
)


def migrate(database: Database) -> None:
    """Bring a ledger to the newest schema, creating it in an empty file.

    Raises:
        LedgerError: The file is some other database, or was written by a newer release.
    """
    for version in range(check_version(database), len(MIGRATIONS)):
        migration = MIGRATIONS[version]
        with database.transaction():
            for statement in migration.statements:
                database.execute(statement)
            database.execute("INSERT INTO migrations VALUES (?, ?)", (version + 1, migration.description))
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {version + 1}")


def check_version(database: Database) -> int:
    """Return the schema's version, 0 for an empty file.

    Raises:
        LedgerError: The file is some other database, or was written by a newer release.
    """
    ((version,),) = database.rows("PRAGMA user_version")
    ((application_id,),) = database.rows("PRAGMA application_id")
    ((num_tables,),) = database.rows("SELECT count(*) FROM sqlite_master")
    if application_id != APPLICATION_ID and (version or num_tables):
        raise LedgerError(f"{database.path} is not a ledger of this program; move it away")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"{database.path} has schema {version}, written by a newer release; this one knows up to "
            f"{len(MIGRATIONS)}: upgrade orpheus-batch"
        )
    return version
