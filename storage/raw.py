"""
What ingest writes: rows of the raw tables, gathered and then written in bulk.

Statements that ingest needs between (which session, how far is an entry) stand here too. All run
in the writer thread inside the transaction of a step.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from sqlite_utils import Database

from storage import clocks, heads, ids
from storage.projection import keeping
from storage.records import Cut, EntryClosed, EntryOpened, Frame, Gap, Headers, ResponseHead, Timing
from storage.spool import Position

# --- the rows of one transaction -----------------------------------------------------------------


class Stored(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One direction of an entry, as far as it is in the tables."""

    size_bytes: int = 0  # as crossed so far
    digest: bytes | None = None
    decoded: bytes | None = None  # digest of the cut, decoded text beside a coded body
    hmac: str | None = None


class EntryRow(msgspec.Struct, kw_only=True):
    """An entry and what is new about it; None leaves a part of the row as it is."""

    id: str
    session_id: str
    opened: EntryOpened | None  # given: the row is new
    answer: ResponseHead | None
    closed: EntryClosed | None
    duration_ns: int | None  # of a closed one
    request: Stored
    response: Stored
    timing: Timing
    marks: tuple[str, ...]
    message_count: int


class Rows:
    """Gathers the rows that come from one writer."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self._entries: list[EntryRow] = []
        self._folds: list[tuple[str, bytes]] = []
        self._closed: list[tuple[str]] = []
        self._frames: list[tuple[Any, ...]] = []
        self._clocks: list[tuple[Any, ...]] = []
        self._cuts: list[tuple[Any, ...]] = []
        self._gaps: list[tuple[Any, ...]] = []
        self._quarantine: list[tuple[Any, ...]] = []
        self._sessions: dict[str, list[int]] = {}  # new entries, new bytes, newest moment

    def entry(self, row: EntryRow, state: bytes | None) -> None:
        """`state` is what ingest must know to go on; None: nothing, the entry is closed."""
        self._entries.append(row)
        if state is not None:
            self._folds.append((row.id, state))
        elif row.opened is None:
            self._closed.append((row.id,))

    def traffic(self, session_id: str, *, entries: int, size_bytes: int, at_ns: int) -> None:
        """Count entries and bytes of a session, seen at a Unix time."""
        counted = self._sessions.setdefault(session_id, [0, 0, 0])
        counted[0] += entries
        counted[1] += size_bytes
        counted[2] = max(counted[2], at_ns // 1_000_000)

    def frame(self, entry_id: str, frame: Frame) -> None:
        digest = frame.body.digest if frame.body else None
        self._frames.append(
            (entry_id, frame.number, frame.side, frame.opcode, frame.offset_ns, frame.size_bytes,
             digest)
        )  # fmt: skip

    def clock(
        self, entry_id: str, side: str, first: int, count: int, at_bytes: int, run: bytes
    ) -> None:
        self._clocks.append((entry_id, side, first, count, at_bytes, clocks.squeeze(run)))

    def cut(self, entry_id: str, number: int, cut: Cut) -> None:
        self._cuts.append(
            (entry_id, number, cut.part, cut.name, cut.index, cut.offset_bytes, cut.length_bytes,
             cut.kind, cut.hmac)
        )  # fmt: skip

    def gap(self, gap: Gap, *, entry_id: str | None = None, session_id: str | None = None) -> None:
        self._gaps.append(
            (ids.new(), self.writer, entry_id, session_id, gap.reason, gap.records, gap.size_bytes,
             gap.started_ns, gap.ended_ns, gap.detail)
        )  # fmt: skip

    def quarantine(
        self,
        payload: bytes,
        reason: str,
        position: Position,
        *,
        entry_id: str | None = None,
        session_id: str | None = None,
    ) -> None:
        self._quarantine.append(
            (ids.new(), self.writer, entry_id, session_id, position.segment, position.offset,
             reason, payload)
        )  # fmt: skip

    def write(self, db: Database) -> None:
        """Put it all down."""
        rows = {
            _INSERT_ENTRY: [_whole(row, self.writer) for row in self._entries if row.opened],
            _ANSWER: [
                (*_answer(row.answer), row.id)
                for row in self._entries
                if row.answer and not row.opened
            ],
            _PROGRESS: [(*_progress(row), row.id) for row in self._entries if not row.opened],
            _CLOSE: [
                (*_end(row), row.id) for row in self._entries if row.closed and not row.opened
            ],
            _SET_FOLD: self._folds,
            _REMOVE_FOLD: self._closed,
            _INSERT_FRAME: self._frames,
            _SET_CLOCK: self._clocks,
            _INSERT_CUT: self._cuts,
            _INSERT_GAP: self._gaps,
            _INSERT_QUARANTINE: self._quarantine,
            _COUNT: [(*counted, session) for session, counted in self._sessions.items()],
        }
        for statement, values in rows.items():
            if values:
                db.conn.executemany(statement, values)
        keeping.enqueue(db, [row.id for row in self._entries if row.closed])


def _whole(row: EntryRow, writer: str) -> tuple[Any, ...]:
    opened = row.opened
    assert opened is not None
    head = (
        row.id, row.session_id, writer, opened.kind, opened.way, opened.started_ns, opened.client,
        opened.method, opened.scheme, opened.host, opened.port, opened.target, opened.http_version,
        heads.pack(opened.headers), opened.continues,
    )  # fmt: skip
    return head + _answer(row.answer) + _progress(row) + _end(row)


def _answer(answer: ResponseHead | None) -> tuple[Any, ...]:
    if answer is None:
        return (None,) * 5
    return (
        answer.status, answer.reason, answer.http_version, heads.pack(answer.headers),
        content_type(answer.headers),
    )  # fmt: skip


def _progress(row: EntryRow) -> tuple[Any, ...]:
    return (
        row.request.size_bytes, row.response.size_bytes, row.request.digest, row.response.digest,
        row.request.decoded, row.response.decoded, row.request.hmac, row.response.hmac,
        heads.pack_timing(row.timing), _pack(row.marks), row.message_count,
    )  # fmt: skip


def _end(row: EntryRow) -> tuple[Any, ...]:
    closed = row.closed
    if closed is None:
        return (None,) * 7 + (0,)
    return (
        closed.outcome, closed.error, row.duration_ns, closed.server, closed.tls_version,
        closed.close_code, closed.close_reason, closed.dropped_bytes,
    )  # fmt: skip


def content_type(headers: Headers) -> str | None:
    """The media type alone, in lower case; None if there is none."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.split(b";")[0].strip().lower().decode("latin-1") or None
    return None


def _pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


_HEAD = (
    "id", "session_id", "writer", "kind", "way", "started_ns", "client", "method", "scheme",
    "host", "port", "target", "http_version", "request_headers", "continues",
)  # fmt: skip
_ANSWERED = ("status", "reason", "response_version", "response_headers", "content_type")
_PROGRESSED = (
    "request_bytes", "response_bytes", "request_digest", "response_digest", "request_decoded",
    "response_decoded", "request_hmac", "response_hmac", "timing", "marks", "message_count",
)  # fmt: skip
_ENDED = (
    "outcome", "error", "duration_ns", "server", "tls_version", "close_code", "close_reason",
    "dropped_bytes",
)  # fmt: skip


def _insert(columns: Sequence[str]) -> str:
    places = ", ".join("?" * len(columns))
    return f"insert into entries ({', '.join(columns)}) values ({places})"


def _update(columns: Iterable[str]) -> str:
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"update entries set {changes} where id = ?"


_INSERT_ENTRY = _insert(_HEAD + _ANSWERED + _PROGRESSED + _ENDED)
_ANSWER = _update(_ANSWERED)
_PROGRESS = _update(_PROGRESSED)
_CLOSE = _update(_ENDED)
_SET_FOLD = """
    insert into folds (entry_id, state) values (?, ?)
    on conflict (entry_id) do update set state = excluded.state
"""
_REMOVE_FOLD = "delete from folds where entry_id = ?"
_INSERT_FRAME = """
    insert into frames (entry_id, number, side, opcode, offset_ns, size_bytes, digest)
    values (?, ?, ?, ?, ?, ?, ?)
"""
_SET_CLOCK = """
    insert into clocks (entry_id, side, first, count, at_bytes, run) values (?, ?, ?, ?, ?, ?)
    on conflict (entry_id, side, first) do update set count = excluded.count, run = excluded.run
"""
_INSERT_CUT = """
    insert into cuts
        (entry_id, number, part, name, position, offset_bytes, length_bytes, kind, hmac)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_GAP = """
    insert into gaps (
        id, writer, entry_id, session_id, reason, records, size_bytes, started_ns, ended_ns, detail
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_QUARANTINE = """
    insert into quarantine
        (id, writer, entry_id, session_id, segment, position, reason, payload)
    values (?, ?, ?, ?, ?, ?, ?, ?)
"""
_COUNT = """
    update sessions
    set traffic_count = traffic_count + ?, total_bytes = total_bytes + ?,
        updated_ms = max(updated_ms, ?)
    where id = ?
"""


# --- entries that are open -----------------------------------------------------------------------


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say of an entry."""

    writer: str
    session_id: str
    started_ns: int
    is_open: bool
    state: bytes | None  # of its fold


def standing(db: Database, entry_id: str) -> Standing | None:
    """None: there is no such entry."""
    row = db.conn.execute(
        """
        select e.writer, e.session_id, e.started_ns, e.outcome is null, f.state
        from entries e left join folds f on f.entry_id = e.id where e.id = ?
        """,
        [entry_id],
    ).fetchone()
    if row is None:
        return None
    return Standing(
        writer=row[0], session_id=row[1], started_ns=row[2], is_open=bool(row[3]), state=row[4]
    )


def known(db: Database, entry_id: str) -> Literal["there", "removed"] | None:
    """Whether there is such an entry, or was; None: never."""
    row = db.conn.execute(
        """
        select 'there' from entries where id = :id
        union all select 'removed' from removed_entries where entry_id = :id limit 1
        """,
        {"id": entry_id},
    ).fetchone()
    return row[0] if row else None


def open_entries(db: Database, writer: str, limit: int) -> list[str]:
    """Ids of entries of a writer that are open, oldest first."""
    rows = db.conn.execute(
        "select id from entries where writer = ? and outcome is null order by id limit ?",
        [writer, limit],
    )
    return [entry_id for (entry_id,) in rows.fetchall()]


def run(db: Database, entry_id: str, side: str, first: int) -> tuple[int, bytes] | None:
    """Where in the body a run of the chunk clock begins, and its bytes."""
    row = db.conn.execute(
        "select at_bytes, run from clocks where entry_id = ? and side = ? and first = ?",
        [entry_id, side, first],
    ).fetchone()
    return (row[0], clocks.unsqueeze(row[1])) if row else None


def is_tombstoned(db: Database, session_id: str) -> bool:
    """Whether there was such a session and it was deleted."""
    row = db.conn.execute("select 1 from tombstones where session_id = ?", [session_id]).fetchone()
    return row is not None


def session_exists(db: Database, session_id: str) -> bool:
    row = db.conn.execute("select 1 from sessions where id = ?", [session_id]).fetchone()
    return row is not None


def is_removed(db: Database, entry_id: str) -> bool:
    """Whether this is an entry whose records are dropped."""
    row = db.conn.execute("select 1 from removed_entries where entry_id = ?", [entry_id]).fetchone()
    return row is not None


def drop(db: Database, entry_id: str, writer: str) -> None:
    """Have all further records of an entry dropped that never had a row."""
    db.conn.execute(
        """
        insert into removed_entries (entry_id, writer, is_open, swept) values (?, ?, 1, 1)
        on conflict (entry_id) do nothing
        """,
        [entry_id, writer],
    )


# --- positions -----------------------------------------------------------------------------------


def position(db: Database, writer: str) -> Position:
    """Where ingest stands in the log of a writer."""
    row = db.conn.execute(
        "select segment, position from spool_positions where writer = ?", [writer]
    ).fetchone()
    return Position(*row) if row else Position()


def set_position(db: Database, writer: str, position: Position) -> None:
    # Replaced: a row that is set to what it is already changes no page, and the commit of a
    # transaction that changes none waits for no disk.
    db.conn.execute(
        "replace into spool_positions (writer, segment, position) values (?, ?, ?)",
        [writer, position.segment, position.offset],
    )


def writers(db: Database) -> set[str]:
    """Writers of whom something is left to do, whether their folder is there or not."""
    rows = db.conn.execute(
        """
        select writer from spool_positions
        union select writer from entries where outcome is null
        """
    )
    return {writer for (writer,) in rows.fetchall()}


def forget_writer(db: Database, writer: str) -> None:
    """No record of this writer will come any more."""
    db.conn.execute("delete from spool_positions where writer = ?", [writer])
    db.conn.execute("delete from removed_entries where writer = ? and swept = 1", [writer])
    db.conn.execute("update removed_entries set is_open = 0 where writer = ?", [writer])
