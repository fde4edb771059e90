"""Builds spools as the proxy writes them, for the tests of ingest."""

import itertools

from storage import ids, spool
from storage.records import (
    BodyEnd,
    ConnectionTimes,
    Cut,
    EntryClosed,
    EntryOpened,
    Gap,
    ResponseHead,
)

STARTED_NS = 1_795_348_800_000_000_000  # 2026-11-22 12:00 UTC


class Records:
    """Records in the order in which they will come to a log."""

    def __init__(self):
        self.records = []
        self._gaps = itertools.count()

    def entry(self, session=None, **fields):
        return LoggedEntry(self, session, **fields)

    def gap(self, reason="queue_full", **fields):
        gap = Gap(reason=reason, **fields)
        self.records.append(spool.pack(spool.NIL, next(self._gaps), "gap", 0, gap))


class Log(Records):
    """One writer; `records` holds what was not appended yet."""

    def __init__(self, datadir, name=None, segment_bytes=spool.SEGMENT_BYTES):
        super().__init__()
        self.writer = spool.SpoolWriter(datadir.spool, name=name, segment_bytes=segment_bytes)
        self.folder = self.writer.folder

    def append(self):
        """Bring all records to the log; returns their number."""
        count = len(self.records)
        for record in self.records:
            self.writer.append(record)
        self.records = []
        return count

    def end(self):
        """Append the rest and let the writer be dead."""
        self.append()
        self.writer.close()


class LoggedEntry:
    """One entry of a log; each call makes a record one millisecond after the one before."""

    def __init__(self, log, session, *, kind="http", started_ns=STARTED_NS, marks=(), id=None,
                 continues=None):  # fmt: skip
        self.raw = ids.raw(id) if id else ids.new_bytes()
        self.id = ids.text(self.raw)
        self.number = 0
        self.now_ns = 0
        self._log = log
        opened = EntryOpened(
            kind=kind,
            way="proxy",
            started_ns=started_ns,
            session=session,
            client="127.0.0.1:5000",
            method="POST",
            scheme="https",
            host="api.example.com",
            port=443,
            target=b"/v1/messages?beta=true",
            http_version="HTTP/1.1",
            headers=((b"Host", b"api.example.com"), (b"X-Odd", b"\xff")),
            marks=marks,
            continues=continues,
        )
        self.pack("open", opened)

    def pack(self, kind, content):
        self.put(spool.pack(self.raw, self.number, kind, self.now_ns, content))

    def put(self, buffers):
        self._log.records.append(buffers)
        self.number += 1
        self.now_ns += 1_000_000

    def chunk(self, side, data, size=None):
        size = len(data) if size is None else size
        self.put(spool.pack_chunk(self.raw, self.number, f"{side}-chunk", self.now_ns, size, data))
        return self

    def decoded(self, side, data):
        self.put(spool.pack_decoded(self.raw, self.number, f"{side}-decoded", self.now_ns, data))
        return self

    def end(self, side, size_bytes=0, **fields):
        self.pack(f"{side}-end", BodyEnd(size_bytes=size_bytes, **fields))
        return self

    def response(self, status=200, headers=((b"Content-Type", b"Text/Event-Stream; x=y"),)):
        head = ResponseHead(status=status, reason=b"OK", http_version="HTTP/1.1", headers=headers)
        self.pack("response", head)
        return self

    def message(self, data, *, from_client=True, opcode=1, final=True):
        self.put(
            spool.pack_message(
                self.raw, self.number, self.now_ns, data,
                from_client=from_client, opcode=opcode, final=final,
            )
        )  # fmt: skip
        return self

    def cut(self, **fields):
        values = {"part": "request-body", "offset_bytes": 3, "length_bytes": 4, "kind": "known"}
        self.pack("cut", Cut(**(values | {"hmac": "ab"} | fields)))
        return self

    def gap(self, reason="queue_full", **fields):
        self.pack("gap", Gap(reason=reason, **fields))
        return self

    def lose(self, count=1):
        """Records that never reach the log."""
        self.number += count
        return self

    def close(self, outcome="complete", **fields):
        connection = ConnectionTimes(connect_started_ns=1, connected_ns=2, tls_done_ns=3)
        self.pack("close", EntryClosed(outcome=outcome, connection=connection, **fields))
        return self

    def exchange(self, request=b"question", response=(b"ans", b"wer")):
        """The whole of a plain HTTP entry."""
        self.chunk("request", request).end("request", len(request)).response()
        for data in response:
            self.chunk("response", data)
        total = sum(map(len, response))
        self.end("response", total)
        return self.close(request_bytes=len(request), response_bytes=total)
