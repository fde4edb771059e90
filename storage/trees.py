"""
The tables that the migration m005 makes anew, so that the file has fewer and smaller trees.

Each table and each index is a tree of at least one page.
"""

from sqlite_utils import Database

from storage import ddl


def plant(db: Database) -> None:
    """
    Tables of which any store has few rows are made anew, with what is in them.

    Those that may be long only if nothing is in them yet: elsewhere they stay as they are, and the
    same statements do for both forms.
    """
    for name, statements in TABLES.items():
        _remake(db, name, statements)
    for name, statements in IF_EMPTY.items():
        if not db.execute(f"select exists (select 1 from {name})").fetchone()[0]:
            _remake(db, name, statements)
    for statement in UPKEEP:
        ddl.execute(db, statement)


def _remake(db: Database, name: str, statements: tuple[str, ...]) -> None:
    """The same rows in a table that the first of these statements makes; the rest are indexes."""
    columns = ", ".join(column.name for column in db.table(name).columns)
    db.execute(f"alter table {name} rename to before_{name}")
    table, *indexes = statements
    ddl.execute(db, table)
    db.execute(f"insert into {name} ({columns}) select {columns} from before_{name}")
    db.execute(f"drop table before_{name}")
    for statement in indexes:
        ddl.execute(db, statement)


TABLES = {
    "sessions": (
        """
        create table sessions (
            id            text primary key,
            name          text not null,
            is_active     integer not null default 0,  -- at most one row has 1
            is_recording  integer not null default 0,
            is_finishing  integer not null default 0,  -- 1: it stopped recording because another
                                                       -- became active, so what is open in it may
                                                       -- end there
            is_named      integer not null default 1,  -- 1: a user or the first prompt named it; 0:
                                                       -- an automatic session whose name may still
                                                       -- change
            is_pinned     integer not null default 0,  -- 1: retention leaves it alone
            word          text not null,     -- of the proxy tag
            origin        text not null,     -- user, run, automatic, import
            key           text,              -- of automatic sessions: what they gather; else NULL
            created_ms    integer not null,  -- Unix time
            updated_ms    integer not null,
            traffic_count integer not null default 0,  -- entries of every kind, kept by ingest
            total_bytes   integer not null default 0   -- body bytes as they crossed, both ways
        ) strict, without rowid
        """,
        "create unique index sessions_active on sessions (is_active) where is_active = 1",
        "create unique index sessions_key on sessions (key) where key is not null",
        "create index sessions_created on sessions (created_ms, id)",
    ),
    "tombstones": (
        """
        create table tombstones (
            session_id text primary key,  -- a deleted session: its records are dropped
            deleted_ms integer not null,
            swept      integer not null default 0  -- 1: nothing of it is left in any file
        ) strict, without rowid
        """,
        "create index tombstones_unswept on tombstones (session_id) where swept = 0",
    ),
    "gaps": (
        """
        create table gaps (
            id         text primary key,
            writer     text not null,
            entry_id   text,               -- NULL: nobody's in particular
            session_id text,               -- of the entry; NULL: unknown
            reason     text not null,
            records    integer,            -- NULL: unknown
            size_bytes integer,            -- NULL: unknown
            started_ns integer,
            ended_ns   integer,
            detail     text
        ) strict, without rowid
        """,
        "create index gaps_session on gaps (session_id)",
        "create index gaps_entry on gaps (entry_id)",
    ),
    "spool_positions": (
        """
        create table spool_positions (
            writer  text primary key,
            segment integer not null,
            position integer not null      -- all before it is committed
        ) strict, without rowid
        """,
    ),
}

IF_EMPTY = {
    "bodies": (
        """
        create table bodies (
            id         integer primary key,
            digest     blob not null,      -- SHA-256 of the whole; it is in one row alone
            size_bytes integer not null,
            uses       integer not null,   -- entries and messages that point here; 0: about to go
            depth      integer not null,   -- how many bases there are behind it at most
            base       integer,            -- the body whose recipe this one copies from; NULL: none
            recipe     blob not null,      -- storage.chunks.recipes; a CRC-32 of base and steps
            coding     blob                -- storage.chunks.recoding: its chunks are of the decoded
                                           -- bytes; NULL: of the bytes as they came
        ) strict
        """,
        "create index bodies_digest on bodies (substr(digest, 1, 5))",  # storage.chunks.digests
        "create index bodies_base on bodies (base) where base is not null",
    ),
    "quarantine": (
        """
        create table quarantine (
            id       text primary key,
            writer   text not null,
            entry_id text,
            session_id text,               -- of the entry; NULL: unknown
            segment  integer not null,
            position integer not null,
            reason   text not null,
            payload  blob not null         -- the whole record; last: long
        ) strict, without rowid
        """,
        "create index quarantine_entry on quarantine (entry_id)",
        "create index quarantine_session on quarantine (session_id)",
    ),
}

UPKEEP = (
    "drop index drops_newest",  # there are few lines, and they are seldom asked for
    "drop index removed_entries_swept",  # what is swept goes at once, so there are few rows too
    """
    create table upkeep (
        one           integer primary key check (one = 1),
        next_page     integer not null default 1,  -- where storage.scrubbing goes on; 1: it does
                                                   -- not go on with anything
        is_unscrubbed integer not null default 0,  -- 1: traces of removed entries may be in the
                                                   -- file
        max_days      real,                        -- the limits of storage.retention that the
        max_bytes     integer                      -- server has or had; NULL: no limit
    ) strict
    """,
    """
    insert into upkeep (one, next_page, is_unscrubbed, max_days, max_bytes) values (
        1, coalesce((select next_page from scrubbing), 1),
        exists (select 1 from removed_entries where swept = 1),
        (select days from retention), (select max_bytes from retention))
    """,
    "drop table scrubbing",
    "drop table retention",
    # 1: none of its rows is left. What had 2 was scrubbed too.
    "update removed_entries set swept = 1 where swept = 2",
    "delete from removed_entries where swept = 1 and is_open = 0",
)
