"""
Sessions made to measure: spool records as a proxy writes them, ingested as a server does it.

    with Recording(tmp_path) as recording:
        entry = recording.http(chunks=[(5_000_000, b"hello")])
        recording.ingest()
        document = recording.export()

All times are offsets of the entry in nanoseconds.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from addons.ingest import Ingest
from addons.redaction import Redactor
from api.exports import har
from storage import database, ids, sessions, spool, traffic
from storage.datadir import DataDir
from storage.records import (
    BodyEnd,
    ConnectionTimes,
    Cut,
    Entry,
    EntryClosed,
    EntryOpened,
    Gap,
    Headers,
    ResponseHead,
    Session,
)
from tests.storage import damage
from tests.storage.empty import with_database

MS = 1_000_000
STARTED_NS = 1_795_000_000_123_456_789  # 2026-11-18T11:06:40.123456Z
JSON = (b"content-type", b"application/json")
Chunk = tuple[int, bytes]
Message = tuple[int, bool, int, bytes]  # offset_ns, from_client, opcode, data


class Recording:
    """A data dir with one session, and a writer of its spool."""

    def __init__(self, folder: Path) -> None:
        self.datadir = DataDir(folder / "data").prepare()
        self._db = database.create(with_database(self.datadir).database)
        with database.write(self._db):
            made = sessions.create(self._db, name="Recorded", is_recording=True)
        self._session_id = made.id
        self._ingest = Ingest(self.datadir)
        self._writer = spool.SpoolWriter(self.datadir.spool)
        self.conn: sqlite3.Connection = database.reader(self.datadir.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.conn.close()
        self._writer.close()
        self._db.conn.close()

    @property
    def session(self) -> Session:
        return sessions.get(self.conn, self._session_id)

    # --- entries ---------------------------------------------------------------------------------

    def http(
        self,
        *,
        request: bytes = b"",
        request_headers: Headers = (JSON,),
        headers: Headers = (JSON,),
        chunks: list[Chunk] | None = None,
        status: int | None = 200,
        closed: dict[str, Any] | None = None,
        closed_ns: int | None = 90 * MS,
        cuts: tuple[Cut, ...] = (),
        gaps: tuple[Gap, ...] = (),
        decoded: bytes = b"",
        cut_coded: bool = False,
        **opened: Any,
    ) -> str:
        """An exchange; `status` None: no answer came. `closed_ns` None: it is still open."""
        log = self._open("http", headers=request_headers, **{"method": "POST", **opened})
        log.chunks("request", [(10 * MS, request)] if request else [])
        log.put("request-end", 11 * MS, BodyEnd(size_bytes=len(request)))
        chunks = [(50 * MS, b"{}")] if chunks is None else chunks
        if status is not None:
            head = ResponseHead(
                status=status, reason=b"Scripted", http_version="HTTP/1.1", headers=headers
            )
            log.put("response", 40 * MS, head)
            log.chunks("response", chunks)
        for cut in cuts:
            log.put("cut", 60 * MS, cut)
        for gap in gaps:
            log.put("gap", 60 * MS, gap)
        if decoded:
            log.decoded(60 * MS, decoded)
        size = sum(len(data) for _, data in chunks)
        if closed_ns is not None:
            if status is not None:
                end = BodyEnd(size_bytes=size, cut_coded=cut_coded)
                log.put("response-end", closed_ns, end)
            fields = {"outcome": "complete", "server": "203.0.113.5:443", **(closed or {})}
            connection = ConnectionTimes(
                connect_started_ns=1 * MS, connected_ns=3 * MS, tls_done_ns=7 * MS
            )
            done = EntryClosed(
                request_bytes=len(request),
                response_bytes=size if status is not None else 0,
                **{"connection": connection, **fields},
            )
            log.put("close", closed_ns, done)
        return log.id

    def websocket(self, messages: list[Message], **closed: Any) -> str:
        log = self._open("websocket", headers=(), method="GET", target=b"/v1/responses")
        head = ResponseHead(status=101, reason=b"Switching Protocols", http_version="HTTP/1.1")
        log.put("response", 5 * MS, head)
        sizes = {True: 0, False: 0}
        for offset_ns, from_client, opcode, data in messages:
            log.message(offset_ns, data, from_client=from_client, opcode=opcode)
            sizes[from_client] += len(data)
        fields = {"outcome": "complete", "close_code": 1000, "close_reason": "done", **closed}
        done = EntryClosed(request_bytes=sizes[True], response_bytes=sizes[False], **fields)
        log.put("close", 500 * MS, done)
        return log.id

    def tunnel(self, *, sent: int = 700, received: int = 5000) -> str:
        log = self._open("tunnel", headers=(), method="CONNECT", scheme="", target=b"")
        connection = ConnectionTimes(connect_started_ns=0, connected_ns=2 * MS)
        done = EntryClosed(
            outcome="complete",
            request_bytes=sent,
            response_bytes=received,
            connection=connection,
            server="[2001:db8::7]:443",
        )
        log.put("close", 300 * MS, done)
        return log.id

    def _open(self, kind: Any, **opened: Any) -> "_Log":
        fields = {
            "way": "proxy",
            "started_ns": STARTED_NS,
            "session": self._session_id,
            "client": "127.0.0.1:50000",
            "scheme": "https",
            "host": "api.anthropic.com",
            "port": 443,
            "target": b"/v1/messages",
            "http_version": "HTTP/1.1",
            **opened,
        }
        log = _Log(self._writer)
        log.put("open", 0, EntryOpened(kind=kind, **fields))
        return log

    # --- reading ---------------------------------------------------------------------------------

    def ingest(self) -> None:
        """Bring all that was written into the tables."""
        while self._ingest.step(self._db) == 0:
            pass

    def entry(self, entry_id: str) -> Entry:
        return traffic.get(self.conn, entry_id)

    def pieces(self, redactor: Redactor | None = None) -> Iterator[bytes]:
        return har.export(self.conn, self.session, redactor=redactor)

    def export(self, redactor: Redactor | None = None) -> dict[str, Any]:
        """The HAR as another program's JSON reader sees it."""
        document = json.loads(b"".join(self.pieces(redactor)))
        assert isinstance(document, dict)
        return document

    def exported(self, entry_id: str, redactor: Redactor | None = None) -> dict[str, Any]:
        """One entry of the export."""
        entries = self.export(redactor)["log"]["entries"]
        return next(entry for entry in entries if entry["_id"] == entry_id)

    # --- harm ------------------------------------------------------------------------------------

    def damage(self, entry_id: str, side: str = "response") -> None:
        """Flip a bit in the first chunk of a body, or of a WebSocket's first message."""
        column = f"{side}_digest"
        (digest,) = self._db.execute(
            f"""
            select coalesce(
                (select {column} from entries where id = :id),
                (select digest from frames where entry_id = :id order by number limit 1)
            )
            """,
            {"id": entry_id},
        ).fetchone()
        damage.first_chunk(self._db, digest)

    def forget(self, entry_id: str) -> None:
        """Delete an entry, and sweep what was its own."""
        with database.write(self._db):
            traffic.delete(self._db, entry_id)
        self.ingest()

    def delete_session(self) -> None:
        """Delete it all, and sweep it."""
        with database.write(self._db):
            sessions.delete(self._db, self._session_id)
        while sessions.sweep(self._db):
            pass


class _Log:
    """The records of one entry."""

    def __init__(self, writer: spool.SpoolWriter) -> None:
        self._raw = ids.new_bytes()
        self.id = ids.text(self._raw)
        self._writer = writer
        self._number = -1

    def _next(self) -> int:
        self._number += 1
        return self._number

    def put(self, kind: str, offset_ns: int, content: Any) -> None:
        self._writer.append(spool.pack(self._raw, self._next(), kind, offset_ns, content))

    def chunks(self, side: str, chunks: list[Chunk]) -> None:
        for offset_ns, data in chunks:
            for at in range(0, len(data), spool.MAX_DATA):
                part = data[at : at + spool.MAX_DATA]
                size = 0 if at else len(data)
                kind = f"{side}-chunk"
                record = spool.pack_chunk(self._raw, self._next(), kind, offset_ns, size, part)
                self._writer.append(record)

    def decoded(self, offset_ns: int, data: bytes) -> None:
        record = spool.pack_decoded(self._raw, self._next(), "response-decoded", offset_ns, data)
        self._writer.append(record)

    def message(self, offset_ns: int, data: bytes, *, from_client: bool, opcode: int) -> None:
        parts = [data[at : at + spool.MAX_DATA] for at in range(0, len(data), spool.MAX_DATA)]
        parts = parts or [b""]
        for index, part in enumerate(parts, 1):
            record = spool.pack_message(
                self._raw,
                self._next(),
                offset_ns,
                part,
                from_client=from_client,
                opcode=opcode,
                final=index == len(parts),
            )
            self._writer.append(record)
