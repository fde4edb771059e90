"""
The projected tables: what the bytes mean. All of it can be thrown away and made again from the raw
tables, and comes out the same, row for row, in whatever order entries were read.

So rows are merged and never overwritten by chance: whatever several turns say of one thing, the one
with the smallest turn id has said (or the greatest, where the newest counts). A turn's id is its
entry's id, a dot and its number in five digits, so turn ids sort as the turns happened.

The statements make a set of tables under a prefix: "" is the set that is read, "next_" the one
that a rebuild fills, "old_" one that was swapped out and is being removed. Names of indexes carry
a generation, for they stay with a table that is renamed.
"""

from sqlite_utils import Database

from storage import ddl

VERSION = 11  # raised when the same bytes would give other rows

NAMES = (
    "turns",
    "conversations",
    "messages",
    "tool_calls",
    "touches",
    "tasks",
    "notes",
    "shares",
    "quarters",
    "search",
    "unprojected",
    "stale",
)

_BEFORE = ("days",)  # of earlier versions: they go with their sets

# Where the rows of an FTS5 table lie (sqlite.org/fts5.html, section 9), and which of them can go
# before it: without its averages and its structure it could not even be dropped.
_SHADOWS = {"_data": "id > 10", "_idx": "true"}

_TABLES = (
    """
    create table {p}turns (
        -- local: what messages name it by; never given twice, for messages go after their turn
        number          integer primary key autoincrement,
        id              text not null unique,  -- <entry id>.<number, five digits>
        session_id      text not null,
        conversation_id text not null,
        version         integer not null,  -- of the projection that made this row
        request_class   text not null,     -- records.RequestClass
        is_complete     integer not null,
        status          integer,           -- HTTP
        started_ns      integer not null,  -- Unix time: the request was whole
        ended_ns        integer,           -- Unix time
        failure_type    text,              -- NULL together with failure_text: no failure
        failure_text    text,
        answer_id       text,              -- the provider's id of an answer that a later request
                                           -- may name; NULL: none will
        previous_id     text,              -- Responses: the answer that this goes on from
        is_unjoined     integer not null default 0,  -- 1: no turn before it gave that answer
        prompt          text,              -- the user's own words, if this turn is the first to
                                           -- carry them
        asked_leaf      text,              -- last message of what was sent; NULL: none
        leaf            text,              -- last message with the answer
        sent_messages   integer not null,  -- messages in this very request
        input_tokens    integer,           -- all that went in, cached parts included
        output_tokens   integer,
        cache_read_tokens     integer,
        cache_write_tokens    integer,
        cache_write_5m_tokens integer,
        cache_write_1h_tokens integer,
        reasoning_tokens      integer,
        counted_tokens        integer,     -- answer of a call that only counts
        cost_usd        real,              -- NULL: unknown price or unknown usage
        asked_offset_ns         integer,   -- monotonic, from the entry's start
        first_byte_offset_ns    integer,
        first_content_offset_ns integer,
        last_content_offset_ns  integer,
        ended_offset_ns         integer,
        longest_silence_ns      integer,   -- between two arrivals while the answer ran
        request_digest  blob,              -- 8 bytes of the body's: equal bodies are attempts of
                                           -- one request
        attempt         integer,           -- as the client counts, from 0; NULL: it does not
        detail          blob not null      -- rows.pack_detail: what no query looks for
    ) strict
    """,
    # Unique, as ids are: so SQLite knows that what is read off them needs no sorting within a turn.
    "create unique index {g}turns_session on {p}turns (session_id, id)",
    "create unique index {g}turns_conversation on {p}turns (conversation_id, id)",
    "create index {g}turns_answer on {p}turns (answer_id) where answer_id is not null",
    "create index {g}turns_previous on {p}turns (previous_id) where previous_id is not null",
    "create index {g}turns_prompts on {p}turns (conversation_id, session_id, asked_leaf) "
    "where prompt is not null",
    """
    create table {p}conversations (
        id              text primary key,  -- public: the agent's own id where that is fit for it
        key             text not null,     -- agent, a blank, the agent's id or the inferred hash
        agent           text not null,
        is_inferred     integer not null,  -- 1: the wire has no id, the key was concluded
        parent_id       text,              -- of a subagent's; NULL: a root, or not found yet
        parent_call     text,              -- id of the tool call that started it; NULL: not found
        is_subagent     integer not null,
        session_id      text not null,     -- capture session of its first turn
        first_turn      text not null,     -- smallest turn id
        last_turn       text not null,     -- greatest turn id
        started_ns      integer not null,
        ended_ns        integer not null,  -- Unix time of the latest thing in it
        summary         text,              -- first real prompt; of a subagent its task
        cwd             text,              -- the first that was stated
        git_branch      text,
        git_repository  text,
        agent_version   text,              -- the newest
        model           text,              -- the newest that a main or subagent turn asked for
        mode            text,
        subagent_type   text,
        subagent_name   text,
        parent_key      text,              -- the agent's id of the parent; NULL: not stated
        spawn_call_id   text,              -- what to find the parent's tool call by: its call id,
        spawn_digest    blob,              -- or the digest of the task's text
        marks           blob not null,     -- msgpack map: which turn said each of the fields above
        turn_count      integer not null,  -- of every class
        thread_turns    integer not null default 0,  -- of the thread itself: main, subagent and
                                           -- compaction; 0: only calls beside one (titles)
        prompt_count    integer not null,
        message_count   integer not null,  -- without injected ones
        tool_call_count integer not null,
        error_count     integer not null,  -- turns that failed or were cut off
        input_tokens    integer not null,  -- sums of what is known
        output_tokens   integer not null,
        cache_read_tokens  integer not null,
        cache_write_tokens integer not null,
        reasoning_tokens   integer not null,
        cost_usd        real not null,
        unmetered_turns integer not null,  -- turns that should have usage and have none
        unpriced_turns  integer not null   -- turns with usage and without a price
    ) strict
    """,
    "create index {g}conversations_newest on {p}conversations (last_turn)",
    "create index {g}conversations_parent on {p}conversations (parent_id, first_turn)",
    "create index {g}conversations_spawn on {p}conversations (spawn_digest) "
    "where spawn_digest is not null",
    "create index {g}conversations_cwd on {p}conversations (cwd, last_turn)",
    """
    create table {p}messages (
        number          integer primary key,  -- local: the row of the search index
        id              text not null,     -- of its content and its parent's id
        conversation_id text not null,
        parent_id       text,              -- NULL: the first of its track
        depth           integer not null,  -- ancestors
        track           text not null,     -- main, or the request class of calls beside it
        role            text not null,
        kind            text not null,     -- agents.contract.Reading.kind
        hangs           integer not null,  -- 1: injected or mere thinking: no other message has it
                                           -- as its parent, it shows beside its parent
        is_partial      integer not null,  -- 1: of an answer that was cut off
        is_answer       integer not null,  -- 1: its turn's answer brought it; 0: its request
        turn            integer not null,  -- number of the smallest that holds it
        position        integer not null,  -- in that turn's request and answer
        at_ns           integer not null,  -- Unix time at which it passed
        preview         text,              -- the first 200 signs of its text, in one line; NULL:
                                           -- those of its content
        injected        blob not null default x'90',  -- msgpack array: indices of the parts that
                                           -- the agent put in beside what the user wrote
        content         blob not null      -- rows.pack of the parts
    ) strict
    """,
    "create unique index {g}messages_id on {p}messages (id)",
    "create index {g}messages_order on {p}messages (conversation_id, turn, position)",
    """
    create table {p}tool_calls (
        id              text primary key,  -- of conversation and call id
        conversation_id text not null,
        call_id         text,              -- the provider's; NULL: the wire has none
        name            text not null,     -- as the agent calls it
        namespace       text,
        is_custom       integer not null default 0,  -- 1: its arguments are text, not JSON
        kind            text not null,     -- decoded.ToolKind
        mcp_server      text,
        mcp_tool        text,
        skill           text,
        turn_id         text,              -- smallest whose answer or request holds the call;
                                           -- NULL: only its result was seen
        message_id      text,
        part            integer,
        made            integer not null default 1,  -- 1: an answer brought it; 0: it was only
                                           -- seen in a history that was sent
        called_ns       integer,           -- Unix time at which it was whole
        result_turn     text,              -- smallest that holds the result; NULL: none came
        result_message  text,
        result_part     integer,
        result_ns       integer,           -- Unix time at which the result was sent
        is_error        integer,           -- NULL: no result, or nobody can tell
        is_error_inferred integer not null, -- 1: read from the result's text
        exit_code       integer,
        is_pending      integer not null,  -- 1: the result only says that it was started
        stated_ms       integer,           -- duration by the agent's own word; NULL: see the times
        child           text,              -- conversation that it started, by the result's word
        spawn_digest    blob,              -- of the task's text
        spawn_name      text,
        subagent_type   text,              -- that the call asks for
        description     text,
        command         text,
        arguments       blob,              -- rows.squeeze of the text; NULL: as in its message
        result          blob               -- the same of the result
    ) strict
    """,
    "create index {g}tool_calls_uncalled on {p}tool_calls (id) where turn_id is null",
    "create index {g}tool_calls_conversation on {p}tool_calls (conversation_id, turn_id, part)",
    "create index {g}tool_calls_result on {p}tool_calls (result_message)",
    "create index {g}tool_calls_name on {p}tool_calls (name, turn_id)",
    "create index {g}tool_calls_spawn on {p}tool_calls (spawn_digest) "
    "where spawn_digest is not null",
    """
    create table {p}touches (              -- paths that tool calls name
        tool_call_id    text not null,
        number          integer not null,
        conversation_id text not null,
        path            text not null,     -- as it stands in the call
        access          text not null,     -- read, write, edit, delete, search
        primary key (conversation_id, tool_call_id, number)
    ) strict, without rowid
    """,
    """
    create table {p}tasks (                -- items of the agent's own list, as they stand now
        conversation_id text not null,
        key             text not null,     -- the agent's id, or the place in its list
        place           integer not null,  -- order in the list
        subject         text not null,
        description     text,
        status          text not null,     -- pending, in_progress, completed, cancelled, deleted
        active_form     text,
        owner           text,
        blocked_by      blob not null,     -- msgpack array of keys
        blocks          blob not null,
        metadata_json   blob,
        created_turn    text not null,
        updated_turn    text not null,
        primary key (conversation_id, key)
    ) strict, without rowid
    """,
    """
    create table {p}notes (
        turn_id text not null,
        number  integer not null,
        decoder text not null,             -- wire format, or "agents"
        kind    text not null,
        detail  text,
        count   integer not null,
        primary key (turn_id, number)
    ) strict, without rowid
    """,
    """
    create table {p}shares (               -- what of a conversation happened in a session
        session_id      text not null,
        conversation_id text not null,
        turn_count      integer not null,  -- all as in conversations
        prompt_count    integer not null,
        message_count   integer not null,
        tool_call_count integer not null,
        error_count     integer not null,
        input_tokens    integer not null,
        output_tokens   integer not null,
        cache_read_tokens  integer not null,
        cache_write_tokens integer not null,
        reasoning_tokens   integer not null,
        cost_usd        real not null,
        unmetered_turns integer not null,
        unpriced_turns  integer not null,
        primary key (session_id, conversation_id)
    ) strict, without rowid
    """,
    "create index {g}shares_conversation on {p}shares (conversation_id)",
    """
    create table {p}quarters (             -- sums per quarter of an hour, UTC
        quarter         integer not null,  -- Unix time / 900 s
        conversation_id text not null,
        model           text not null,     -- '' unknown
        turns          integer not null,
        tool_calls     integer not null,
        input_tokens   integer not null,
        output_tokens  integer not null,
        cache_read_tokens  integer not null,
        cache_write_tokens integer not null,
        cost_usd       real not null,
        unmetered      integer not null,
        unpriced       integer not null,
        primary key (quarter, conversation_id, model)
    ) strict, without rowid
    """,
    "create index {g}quarters_conversation on {p}quarters (conversation_id)",
    """
    create virtual table {p}search using fts5 (
        text, content = '', columnsize = 0, tokenize = "unicode61 remove_diacritics 2"
    )
    """,
    # storage.upkeep joins two segments of the same level, for each costs a look per word.
    "insert into {p}search ({p}search, rank) values ('usermerge', 2)",
    """
    create table {p}unprojected (          -- entries that this set does not hold yet
        entry_id text primary key
    ) strict, without rowid
    """,
    """
    create table {p}stale (                -- conversations that are not to be relied on
        conversation_id text primary key,
        unfinished text                    -- a turn of it of which some rows are there, and more
                                           -- are to come; NULL: it is to be removed, and made
                                           -- again from what turns are left of it
    ) strict, without rowid
    """,
)


def create(db: Database, prefix: str, generation: int) -> None:
    """Make an empty set of tables."""
    for statement in _TABLES:
        ddl.execute(db, statement.format(p=prefix, g=f"g{generation}_"))


def rename(db: Database, prefix: str, to: str) -> None:
    """Give a set, or what there is of it, another prefix, which must be free."""
    for name in names(db, prefix):
        db.execute(f"alter table {name} rename to {to}{name.removeprefix(prefix)}")


def names(db: Database, prefix: str) -> list[str]:
    """Names of the tables of a set, whatever there is of it."""
    rows = db.execute("select name from sqlite_master where type = 'table'").fetchall()
    known = {name for (name,) in rows}
    return [prefix + name for name in NAMES + _BEFORE if prefix + name in known]


def drop_slice(db: Database, prefix: str, rows: int) -> bool:
    """
    Remove some rows of a set, or a table that is empty; False: nothing is left of it.

    A whole table at once would be one long transaction: its pages are overwritten.
    """
    found = names(db, prefix)
    if not found:
        return False
    name = found[0]
    parts = _SHADOWS if name == f"{prefix}search" else {"": "true"}
    if not any(_delete_some(db, name + part, where, rows) for part, where in parts.items()):
        db.execute(f"drop table {name}")
    return True


def _delete_some(db: Database, name: str, where: str, rows: int) -> bool:
    columns = db.execute(f"pragma table_info({name})").fetchall()
    key = ", ".join(column for _, column, _, _, _, place in columns if place)
    some = f"select {key} from {name} where {where} limit {rows}"
    return bool(db.execute(f"delete from {name} where ({key}) in ({some})").rowcount)
