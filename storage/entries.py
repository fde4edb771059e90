"""Rows of the table `entries` as `records.Entry`."""

import msgspec

from storage import heads
from storage.chunks import digests
from storage.records import Body, Entry

_MARKS = msgspec.msgpack.Decoder(tuple[str, ...])


def _size(part: str) -> str:
    found = f"(select size_bytes from bodies where {digests.equal('digest', f'e.{part}')})"
    return f"case when e.{part} is not null then {found} end"


def _size_of_side(side: str) -> str:
    # All of what is complete is stored, and a cut keeps lengths; only of imports less may be known
    # than crossed. A look into `bodies` costs more the larger the store is, for digests lie in no
    # order: two for each entry took half the time of a page of a million's.
    return f"""
        case when e.outcome = 'complete' and e.way <> 'import' then e.{side}_bytes
            else {_size(f"{side}_digest")} end
    """


COLUMNS = f"""
    e.id, e.session_id, e.kind, e.way, e.started_ns, e.client, e.method, e.scheme, e.host,
        e.port, e.target, e.http_version, e.request_headers, e.marks, e.continues, e.status,
        e.reason, e.response_version, e.response_headers, e.outcome, e.error, e.request_bytes,
        e.response_bytes, e.request_digest, {_size_of_side("request")},
        e.response_digest, {_size_of_side("response")},
        e.request_decoded, {_size("request_decoded")},
        e.response_decoded, {_size("response_decoded")}, e.request_hmac,
        e.response_hmac, e.timing, e.server, e.tls_version, e.close_code, e.close_reason,
        e.message_count
"""
SELECT = f"select {COLUMNS} from entries e"


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
