"""
The tables, as append-only migrations (sqlite-utils `Migrations`).

Raw tables hold what crossed the wire and are the truth. Ids are UUIDs of version 7 as text, made by
whoever writes the row. Digests are SHA-256 as 32 bytes. Lists and heads are msgpack of the types in
storage.records. Some tables are made anew by a later migration (storage.trees).
"""

from sqlite_utils import Database, Migrations

from storage import ddl, trees

migrations = Migrations("wirescribe")


@migrations()
def m001_raw(db: Database) -> None:
    """Sessions, entries, their bodies and frames, and the log's own book-keeping."""
    for statement in _RAW:
        ddl.execute(db, statement)


@migrations()
def m002_projection(db: Database) -> None:
    """Which projected tables there are; they come and go with storage.projection."""
    for statement in _PROJECTION:
        ddl.execute(db, statement)


@migrations()
def m003_chunks(db: Database) -> None:
    """
    Bodies as numbered chunks in packs. Those of the first store are moved in the background.

    Its tables get other names, and go when nothing is left in them (storage.chunks.moving).
    """
    for statement in _CHUNKS:
        ddl.execute(db, statement)
    (has_bodies,) = db.execute(
        "select exists (select 1 from blocks) or exists (select 1 from first_bodies)"
    ).fetchone()
    if has_bodies:
        db.execute("update numbering set is_moving = 1")
    else:
        for table in ("first_bodies", "first_released", "blocks"):
            db.execute(f"drop table {table}")


@migrations()
def m004_retention(db: Database) -> None:
    """Which sessions are kept, and what became of those that were not: storage.retention."""
    for statement in _RETENTION:
        ddl.execute(db, statement)


@migrations()
def m005_fewer_trees(db: Database) -> None:
    """Fewer and smaller trees: storage.trees."""
    trees.plant(db)


_RETENTION = (
    # 1: retention leaves it alone
    "alter table sessions add column is_pinned integer not null default 0",
    """
    create table drops (               -- sessions that retention deleted: storage.drops
        session_id    text primary key,
        name          text not null,   -- as it was at last
        origin        text not null,
        created_ms    integer not null,
        updated_ms    integer not null,
        traffic_count integer not null,
        total_bytes   integer not null,
        reason        text not null,   -- the limit: retention.days, retention.max_gb
        dropped_ms    integer not null
    ) strict, without rowid
    """,
    "create index drops_newest on drops (dropped_ms, session_id)",
    """
    create table retention (           -- the limits that the server has, or had when it ran last
        one       integer primary key check (one = 1),
        days      real,                -- NULL: no limit; so too below
        max_bytes integer
    ) strict
    """,
)

_CHUNKS = (
    "alter table bodies rename to first_bodies",
    "alter table released rename to first_released",
    """
    create table numbering (
        one         integer primary key check (one = 1),
        next_number integer not null,  -- of the next chunk; none is ever used twice
        stamp       integer not null,  -- rises with every change of bodies
        is_moving   integer not null default 0,  -- 1: the tables of the first store are there
        moved       text not null default ''     -- how far storage.chunks.moving came
    ) strict
    """,
    "insert into numbering (one, next_number, stamp) values (1, 1, 0)",
    """
    create table packs (               -- where chunks are: storage.chunks.packs
        first      integer primary key,  -- number of its first chunk
        count      integer not null,   -- of the numbers it stands for, those that are gone too
        size_bytes integer not null,   -- plain
        stage      integer not null,   -- 0 as it came, 1 joined, 2 joined and compressed well,
                                       -- 3 damaged and left as it is
        is_dirty   integer not null default 0,  -- 1: holds chunks that nobody uses
        is_damaged integer not null default 0,  -- 1: holds chunks that are not what they were
        token      integer not null,   -- of these bytes; another one when it is written again
        crc        integer not null,   -- CRC-32 of packed.data, to mend it: storage.chunks.flips
        uses       blob not null,      -- per chunk: in how many recipes it stands itself
        sizes      blob not null       -- per chunk: size and CRC-32; then a CRC-32 of these
    ) strict
    """,
    "create index packs_work on packs (first) where stage < 2 or is_dirty = 1",
    """
    create table packed (              -- apart, so that to count a use writes no long row
        first integer primary key,     -- as packs.first
        data  blob not null            -- zstd frame of its chunks, one behind the other
    ) strict
    """,
    """
    create table chunks (              -- to find a chunk again; only a hint, of landmarks alone
        key    integer primary key,    -- first 40 bits of its SHA-256
        number integer not null
    ) strict
    """,
    """
    create table bodies (
        id         integer primary key,
        digest     blob not null unique,  -- SHA-256 of the whole
        size_bytes integer not null,
        uses       integer not null,   -- entries and messages that point here; 0: about to go
        depth      integer not null,   -- how many bases there are behind it at most
        base       integer,            -- the body whose recipe this one copies from; NULL: none
        recipe     blob not null,      -- storage.chunks.recipes; a CRC-32 of base and steps
        coding     blob                -- storage.chunks.recoding: its chunks are of the decoded
                                       -- bytes; NULL: of the bytes as they came
    ) strict
    """,
    "create index bodies_base on bodies (base) where base is not null",
    """
    create table released (            -- what is to be let go of, a slice at a time
        id   integer primary key,
        body integer,                  -- a body that nobody uses; NULL: see runs
        runs blob                      -- a recipe without base: these chunks lose one use each
    ) strict
    """,
    "alter table pieces add column runs blob",  # chunks that were cut off, as released.runs
    "alter table pieces add column size_bytes integer",  # of these chunks; NULL: see data
)

_PROJECTION = (
    # 1: a user or the first prompt named it; 0: an automatic session whose name may still change
    "alter table sessions add column is_named integer not null default 1",
    """
    create table projection (
        one         integer primary key check (one = 1),
        version     integer not null,  -- storage.projection.tables.VERSION that made the tables
        generation  integer not null,  -- counts sets of tables
        is_building integer not null,  -- 1: a rebuild fills the set "next_"
        is_forced   integer not null default 0,  -- 1: it swaps even for a set that holds less
        entries     integer not null default 0,  -- that the rebuild began with
        result      text,              -- how the last rebuild ended; NULL: there was none
        is_unmerged integer not null default 0  -- 1: the search index still holds deleted words;
                                       -- 2: and nobody knows which, so all is to be made anew
    ) strict
    """,
)

_RAW = (
    """
    create table sessions (
        id            text primary key,
        name          text not null,
        is_active     integer not null default 0,  -- at most one row has 1
        is_recording  integer not null default 0,
        is_finishing  integer not null default 0,  -- 1: it stopped recording because another became
                                                   -- active, so what is open in it may end there
        word          text not null,     -- of the proxy tag
        origin        text not null,     -- user, run, automatic, import
        key           text,              -- of automatic sessions: what they gather; else NULL
        created_ms    integer not null,  -- Unix time
        updated_ms    integer not null,
        traffic_count integer not null default 0,  -- entries of every kind, kept by ingest
        total_bytes   integer not null default 0   -- body bytes as they crossed, both ways
    ) strict
    """,
    "create unique index sessions_active on sessions (is_active) where is_active = 1",
    "create unique index sessions_key on sessions (key) where key is not null",
    "create index sessions_created on sessions (created_ms, id)",
    """
    create table tombstones (
        session_id text primary key,  -- a deleted session: its records are dropped
        deleted_ms integer not null,
        swept      integer not null default 0  -- 1: nothing of it is left in any file
    ) strict
    """,
    "create index tombstones_unswept on tombstones (session_id) where swept = 0",
    """
    create table removed_entries (   -- entries whose row is gone and whose remains are swept
        entry_id text primary key,
        writer   text not null,
        is_open  integer not null,   -- 1: records of it may still come, and are dropped
        swept    integer not null default 0  -- 1: no row of it is left
    ) strict, without rowid
    """,
    "create index removed_entries_swept on removed_entries (swept)",
    """
    create table scrubbing (          -- storage.scrubbing goes through the file in slices
        one       integer primary key check (one = 1),
        next_page integer not null    -- 1: it does not go on with anything
    ) strict
    """,
    """
    create table entries (
        id               text primary key,
        session_id       text not null,
        writer           text not null,     -- folder of the spool that it came from
        kind             text not null,     -- http, websocket, tunnel
        way              text not null,     -- proxy, base-url, import
        started_ns       integer not null,  -- Unix time of the request's complete head
        client           text not null,
        method           text not null,
        scheme           text not null,     -- '' for a tunnel: unknown
        host             text not null,
        port             integer not null,
        target           blob not null,     -- path and query, query secrets cut
        http_version     text not null,
        request_headers  blob not null,     -- msgpack array of [name, value]
        marks            blob not null,     -- msgpack array of text
        continues        text,              -- the entry that this one goes on with; NULL: none
        status           integer,           -- NULL: no answer (yet)
        reason           blob,
        response_version text,
        response_headers blob,              -- NULL: no answer (yet)
        content_type     text,              -- of the answer, lower case, no parameters
        outcome          text,              -- NULL: still open
        error            text,
        request_bytes    integer not null default 0,  -- bodies as they crossed
        response_bytes   integer not null default 0,
        request_digest   blob,              -- into bodies; NULL: empty, or still in pieces
        response_digest  blob,
        request_decoded  blob,              -- digest of the cut, decoded text beside a coded body
        response_decoded blob,
        request_hmac     text,              -- where something was cut: keyed print of the original
        response_hmac    text,
        timing           blob not null,     -- msgpack of records.Timing
        duration_ns      integer,           -- NULL: still open or unknown
        server           text,
        tls_version      text,
        close_code       integer,           -- WebSocket
        close_reason     text,
        message_count    integer not null default 0,
        dropped_bytes    integer not null default 0
    ) strict
    """,
    # The filters of traffic.page behind the key: they are decided without the wide row.
    """
    create index entries_session on entries
        (session_id, id, status, kind, method, host, outcome)
    """,
    "create index entries_open on entries (writer) where outcome is null",
    "create index entries_host on entries (host, id)",
    """
    create table blocks (              -- a rowid table: long rows make a poor index tree
        digest     blob primary key,   -- SHA-256 of the plain bytes
        size_bytes integer not null,   -- plain, at most 256 KB
        uses       integer not null,   -- places in recipes and pieces that point here
        data       blob not null       -- zstd frame if shorter, else plain; last: long
    ) strict
    """,
    """
    create table bodies (
        digest     blob primary key,   -- SHA-256 of the whole
        size_bytes integer not null,
        blocks     blob not null,      -- the recipe: digests of its blocks, 36 bytes each:
                                       -- digest, then plain size as 4 bytes
        uses       integer not null    -- entries and messages that point here
    ) strict, without rowid
    """,
    """
    create table released (            -- what is left of the recipes of bodies that are no more:
        id     integer primary key,    -- these blocks lose one use each, a slice at a time
        blocks blob not null           -- as bodies.blocks
    ) strict
    """,
    """
    create table pieces (              -- the tail of a body that is still growing
        entry_id text not null,
        part     text not null,        -- request, response, request-decoded, response-decoded,
                                       -- client-message, server-message
        number   integer not null,     -- ascending
        block    blob,                 -- digest of a full block that was cut off; NULL: see data
        data     blob,                 -- plain bytes; NULL: see block
        primary key (entry_id, part, number)
    ) strict, without rowid
    """,
    """
    create table folds (               -- where ingest stands in the entries that are open
        entry_id text primary key,
        state    blob not null         -- msgpack of addons.ingest.progress.Progress
    ) strict, without rowid
    """,
    """
    create table clocks (              -- the chunk clock of streamed bodies
        entry_id text not null,
        side     text not null,        -- request, response
        first    integer not null,     -- number of the first chunk in this run
        count    integer not null,
        at_bytes integer not null,     -- where the first chunk begins in its body
        run      blob not null,        -- storage.clocks
        primary key (entry_id, side, first)
    ) strict, without rowid
    """,
    """
    create table frames (              -- WebSocket messages
        entry_id   text not null,
        number     integer not null,   -- from 0, both directions together
        side       text not null,      -- request: from the client
        opcode     integer not null,   -- 1 text, 2 binary
        offset_ns  integer not null,
        size_bytes integer not null,
        digest     blob,               -- into bodies; NULL: empty
        primary key (entry_id, number)
    ) strict, without rowid
    """,
    """
    create table cuts (
        entry_id     text not null,
        number       integer not null, -- of the record
        part         text not null,
        name         text,             -- header or query name
        position     integer,          -- which header, or which message
        offset_bytes integer not null,
        length_bytes integer not null,
        kind         text not null,
        hmac         text not null,
        primary key (entry_id, number)
    ) strict, without rowid
    """,
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
    ) strict
    """,
    "create index gaps_session on gaps (session_id)",
    "create index gaps_entry on gaps (entry_id)",
    """
    create table quarantine (
        id       text primary key,
        writer   text not null,
        entry_id text,
        session_id text,               -- of the entry; NULL: unknown
        segment  integer not null,
        position integer not null,
        reason   text not null,
        payload  blob not null         -- the whole record
    ) strict
    """,
    "create index quarantine_entry on quarantine (entry_id)",
    "create index quarantine_session on quarantine (session_id)",
    """
    create table spool_positions (
        writer  text primary key,
        segment integer not null,
        position integer not null      -- all before it is committed
    ) strict
    """,
)
