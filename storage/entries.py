"""Rows of the table `entries` as `records.Entry`."""

import msgspec

from storage import heads
from storage.records import Body, Entry

_MARKS = msgspec.msgpack.Decoder(tuple[str, ...])

COLUMNS = """
    e.id, e.session_id, e.kind, e.way, e.started_ns, e.client, e.method, e.scheme, e.host,
        e.port, e.target, e.http_version, e.request_headers, e.marks, e.continues, e.status,
        e.reason, e.response_version, e.response_headers, e.outcome, e.error, e.request_bytes,
        e.response_bytes, e.request_digest, b1.size_bytes, e.response_digest, b2.size_bytes,
        e.request_decoded, b3.size_bytes, e.response_decoded, b4.size_bytes, e.request_hmac,
        e.response_hmac, e.timing, e.server, e.tls_version, e.close_code, e.close_reason,
        e.message_count
"""
FROM = """
    from entries e
        left join bodies b1 on b1.digest = e.request_digest
        left join bodies b2 on b2.digest = e.response_digest
        left join bodies b3 on b3.digest = e.request_decoded
        left join bodies b4 on b4.digest = e.response_decoded
"""
SELECT = f"select {COLUMNS} {FROM}"


def of_row(row: tuple) -> Entry:  # type: ignore[type-arg]
    """A row that begins with `COLUMNS`."""
    return Entry(
        id=row[0],
        session_id=row[1],
        kind=row[2],
        way=row[3],
        started_ns=row[4],
        client=row[5],
        method=row[6],
        scheme=row[7],
        host=row[8],
        port=row[9],
        target=row[10],
        http_version=row[11],
        request_headers=heads.unpack(row[12]),
        marks=_MARKS.decode(row[13]),
        continues=row[14],
        status=row[15],
        reason=row[16],
        response_http_version=row[17],
        response_headers=None if row[18] is None else heads.unpack(row[18]),
        outcome=row[19],
        error=row[20],
        request_bytes=row[21],
        response_bytes=row[22],
        request_body=body(row[23], row[24]),
        response_body=body(row[25], row[26]),
        request_decoded=body(row[27], row[28]),
        response_decoded=body(row[29], row[30]),
        request_wire_hmac=row[31],
        response_wire_hmac=row[32],
        timing=heads.unpack_timing(row[33]),
        server=row[34],
        tls_version=row[35],
        close_code=row[36],
        close_reason=row[37],
        message_count=row[38],
    )


def body(digest: bytes | None, size_bytes: int | None) -> Body | None:
    """None: there is none (yet)."""
    return None if digest is None else Body(digest=digest, size_bytes=size_bytes or 0)
