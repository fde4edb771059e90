"""
Whether every body is what it was stored as.

What costs nothing, or can be mended, is in `flaws`.
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from storage.chunks import chains, first, packs, recoding, views
from storage.errors import NotFound, StoreError

# Any bodies may share chunks: with 24 MB the packs of a store of 200 MB, whose bodies quoted each
# other at random, were unpacked some 20 times each, and 950 MB of bodies took 190 s.
_CACHED_BYTES = 128 << 20


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A body that cannot be read whole."""

    digest: bytes
    reason: str
    entry_ids: tuple[str, ...]  # whose body, or message, it is; ascending


def verify(
    conn: sqlite3.Connection, on_read: Callable[[], None] = lambda: None
) -> Iterator[Damage]:
    """
    Read every body and compare it with its digest; yields those that fail or are missing.

    `on_read` is called behind each body that was read.
    """
    # Of its own: what others read before proves nothing of the file.
    cache = packs.Cache(_CACHED_BYTES)
    for digest in _listed(conn):
        reason = _fault(conn, digest, packs.Reader(conn, cache))
        on_read()
        if reason:
            yield Damage(digest=digest, reason=reason, entry_ids=entry_ids(conn, digest))
    for digest in missing(conn):
        reason = f"body {digest.hex()} is missing"
        yield Damage(digest=digest, reason=reason, entry_ids=entry_ids(conn, digest))


def count(conn: sqlite3.Connection) -> int:
    """How many bodies `verify` reads, those of the first store apart."""
    (found,) = conn.execute("select count(*) from bodies where uses > 0").fetchone()
    return int(found)


def file_faults(conn: sqlite3.Connection, most: int) -> list[str]:
    """What SQLite says of its file, tables against indexes included. Raises StoreError."""
    try:
        rows = conn.execute(
            "select cast(integrity_check as blob) from pragma_integrity_check(?)", [most]
        ).fetchall()
    except UnicodeDecodeError as error:
        raise StoreError("the schema of the database is damaged: SQLite quotes no text") from error
    # It quotes what it finds, which may be no text any more.
    return [fault.decode(errors="replace") for (fault,) in rows if fault != b"ok"]


def foreign_codings(conn: sqlite3.Connection) -> dict[str, int]:
    """
    By library: bodies stored decoded that were coded by another one than that of today.

    They can be read as long as today's codes them alike; `verify` knows.
    """
    found: Counter[str] = Counter()
    for (coding,) in conn.execute(
        "select coding from bodies where coding is not null and uses > 0"
    ):
        with contextlib.suppress(StoreError):
            known = recoding.unpack(coding)
            if isinstance(known, recoding.Coded):
                found[known.library] += 1
    del found[recoding.library()]
    return found


def _listed(conn: sqlite3.Connection) -> Iterator[bytes]:
    try:
        yield from digests(conn)
    except sqlite3.DatabaseError:  # a torn page: at least those that somebody asks for
        rows = conn.execute(f"select digest from ({NAMES}) where digest is not null").fetchall()
        yield from (digest for (digest,) in rows)


def digests(conn: sqlite3.Connection) -> Iterator[bytes]:
    last = 0
    while rows := conn.execute(
        "select id, digest from bodies where id > ? and uses > 0 order by id limit 100", [last]
    ).fetchall():
        last = rows[-1][0]
        for _, digest in rows:
            yield digest
    yield from first.digests(conn)


def _fault(conn: sqlite3.Connection, digest: bytes, reader: packs.Reader) -> str | None:
    try:
        for _ in views.proved_by(conn, digest, reader).stream():
            pass
    except NotFound:
        if is_lost(conn, digest):
            return f"body {digest.hex()} is in the table, but not in its index"
        return None  # deleted since it was listed
    except StoreError as error:
        return str(error)
    except sqlite3.DatabaseError as error:
        return f"body {digest.hex()} is damaged: {error}"
    return None


def is_lost(conn: sqlite3.Connection, digest: bytes) -> bool:
    """Whether a body that is in the table is not found there; goes through all if it is not."""
    with contextlib.suppress(StoreError):
        if chains.runs_of(conn, digest) is None:
            # The plus: without the index.
            rows = conn.execute("select 1 from bodies where +digest = ? and uses > 0", [digest])
            return rows.fetchone() is not None
    return False


NAMES = """
    select request_digest as digest from entries union select response_digest from entries
    union select request_decoded from entries union select response_decoded from entries
    union select digest from frames
"""


def missing(conn: sqlite3.Connection) -> list[bytes]:
    """Digests that entries and messages name, and there is no such body."""
    rows = conn.execute(
        f"""
        select digest from ({NAMES}) where digest is not null
            and digest not in (select digest from bodies where uses > 0)
        """
    ).fetchall()
    return [digest for (digest,) in rows if first.recipe(conn, digest) is None]


def entry_ids(conn: sqlite3.Connection, digest: bytes) -> tuple[str, ...]:
    rows = conn.execute(
        """
        select id from entries
        where :digest in (request_digest, response_digest, request_decoded, response_decoded)
        union
        select entry_id from frames where digest = :digest
        order by 1
        """,
        {"digest": digest},
    )
    return tuple(entry_id for (entry_id,) in rows)
