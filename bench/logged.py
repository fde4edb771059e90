"""One exchange of an agent with its model as the proxy writes it to the spool."""

import time

import msgspec

from storage import ids, spool
from storage.records import (
    BodyEnd,
    ConnectionTimes,
    EntryClosed,
    EntryOpened,
    Headers,
    ResponseHead,
)

ANSWERED_BYTES = 400  # of an answer's chunk: three events

_ASKED_BYTES = 64 << 10  # of a request's chunk
_BETWEEN_NS = 20_000_000  # two chunks of an answer
_ASKED: Headers = (
    (b"Host", b"api.anthropic.com"),
    (b"User-Agent", b"claude-cli/2.0.50 (external, cli)"),
    (b"Content-Type", b"application/json"),
)
_ANSWERED: Headers = ((b"Content-Type", b"text/event-stream; charset=utf-8"),)


def append(
    writer: spool.SpoolWriter,
    session: str,
    request: bytes,
    answer: bytes,
    *,
    header: tuple[bytes, bytes],
    started_ns: int | None = None,
    answered_bytes: int = ANSWERED_BYTES,
) -> bytes:
    """Started now if not at another time, with one more `header`; returns its id."""
    entry, now_ns, number = ids.new_bytes(), 0, 0

    def pack(kind: str, content: msgspec.Struct) -> None:
        nonlocal number
        writer.append(spool.pack(entry, number, kind, now_ns, content))
        number += 1

    def chunk(kind: str, data: bytes) -> None:
        nonlocal number
        writer.append(spool.pack_chunk(entry, number, kind, now_ns, len(data), data))
        number += 1

    pack("open", EntryOpened(
        kind="http", way="proxy", started_ns=started_ns or time.time_ns(), session=session,
        client="127.0.0.1:5000", method="POST", scheme="https", host="api.anthropic.com",
        port=443, target=b"/v1/messages?beta=true", http_version="HTTP/1.1",
        headers=(*_ASKED, header),
    ))  # fmt: skip
    for at in range(0, len(request), _ASKED_BYTES):
        chunk("request-chunk", request[at : at + _ASKED_BYTES])
    pack("request-end", BodyEnd(size_bytes=len(request)))
    pack("response", ResponseHead(
        status=200, reason=b"OK", http_version="HTTP/1.1", headers=_ANSWERED
    ))  # fmt: skip
    for at in range(0, len(answer), answered_bytes):
        now_ns += _BETWEEN_NS
        chunk("response-chunk", answer[at : at + answered_bytes])
    pack("response-end", BodyEnd(size_bytes=len(answer)))
    connection = ConnectionTimes(connect_started_ns=1, connected_ns=2, tls_done_ns=3)
    pack("close", EntryClosed(
        outcome="complete", connection=connection,
        request_bytes=len(request), response_bytes=len(answer),
    ))  # fmt: skip
    return entry
