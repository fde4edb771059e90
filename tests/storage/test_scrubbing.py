"""What balancing leaves between the rows of a page goes, and nothing else changes."""

import random
import uuid

import pytest

from storage import database, scrubbing

TABLES = {
    "names": "create table names (id integer primary key, name text)",
    "keyed": "create table keyed (key text primary key, name text) without rowid",
}


@pytest.fixture
def canary():
    return f"CANARY-{uuid.uuid4().hex}-"


@pytest.fixture
def wide(datadir, db, canary):
    """Tables of several groups of the pointer map; every third row is deleted again."""
    source = random.Random(7)
    with database.write(db):
        for statement in TABLES.values():
            db.execute(statement)
        for number in range(20_000):
            kept = number % 3 != 0
            name = (canary if not kept else "kept-") * source.randrange(1, 25)
            db.execute("insert into names values (?, ?)", [number * 7919 % 20_011, name])
            db.execute("insert into keyed values (?, ?)", [f"{number * 7919 % 20_011}", name])
    with database.write(db):
        for table in TABLES:
            db.execute(f"delete from {table} where name not like 'kept%'")
    assert db.execute("pragma page_count").fetchone()[0] > 2 * 820
    return datadir.database


def content(db):
    return [db.execute(f"select * from {table} order by 1").fetchall() for table in TABLES]


def scrub_all(db, path, until=lambda: False):
    """Page numbers at which it stopped."""
    stops, page = [], 1
    while page is not None:
        assert database.truncate_log(db)
        page = scrubbing.scrub(db, path, page, until)
        stops.append(page)
    return stops


def test_takes_the_copies_and_nothing_else(db, wide, canary):
    before = content(db)

    assert scrub_all(db, wide) == [None]

    assert canary.encode() not in wide.read_bytes()
    assert content(db) == before
    assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_the_writer_does_not_bring_them_back(db, wide, canary):
    content(db)  # in its page cache
    scrub_all(db, wide)
    with database.write(db):
        for table in TABLES:
            db.execute(f"update {table} set name = 'k' || substr(name, 2)")
            db.execute(f"insert into {table} values (99999999, 'new')")
    assert database.truncate_log(db)
    assert canary.encode() not in wide.read_bytes()


def test_goes_on_where_it_stopped(db, wide, canary):
    before = content(db)
    looks = iter(range(10**9))

    stops = scrub_all(db, wide, until=lambda: next(looks) % 100 == 99)

    assert len(stops) > 5
    assert stops[:-1] == sorted(stops[:-1])
    assert canary.encode() not in wide.read_bytes()
    assert content(db) == before


def test_one_page_at_a_time_still_comes_to_the_end(db, datadir):
    stops = scrub_all(db, datadir.database, until=lambda: True)
    assert len(stops) > 20
    assert stops[-1] is None


def test_does_nothing_while_the_wal_holds_pages(db, wide, canary):
    assert database.truncate_log(db)
    db.execute("insert into names values (99999999, 'new')")
    before = wide.read_bytes()

    assert scrubbing.scrub(db, wide, 1, lambda: False) == 1

    assert wide.read_bytes() == before


def test_a_reader_sees_the_same_before_and_after(db, wide):
    assert database.truncate_log(db)
    conn = database.reader(wide)
    try:
        with database.snapshot(conn):
            conn.execute("select count(*) from names").fetchone()
            scrubbing.scrub(db, wide, 1, lambda: False)
            rows = [
                conn.execute(f"select * from {table} order by 1").fetchall() for table in TABLES
            ]
        assert rows == content(db)
    finally:
        conn.close()


def test_leaves_a_page_alone_that_contradicts_itself(db, wide, canary):
    assert database.truncate_log(db)
    data = bytearray(wide.read_bytes())
    (page_bytes,) = db.execute("pragma page_size").fetchone()
    leafs = (at for at in range(0, len(data), page_bytes) if data[at] == 13)
    *_, page_at = (at for at in leafs if data[at + 3 : at + 5] != b"\0\0")
    data[page_at + 3 : page_at + 5] = b"\xff\xff"  # more cells than there is room for
    wide.write_bytes(data)

    scrubbing.scrub(db, wide, 1, lambda: False)

    after = wide.read_bytes()
    assert after[page_at : page_at + page_bytes] == data[page_at : page_at + page_bytes]
    assert after != data
