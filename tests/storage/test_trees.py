"""Tables that m005 makes anew: what is in them stays, and both forms of the longer ones serve."""

import hashlib

import pytest
from sqlite_utils import Database

from storage import bodies, database, raw, removal, retention, sessions, trees
from storage.bodies import Growing
from storage.projection import keeping, tables
from storage.records import Body
from storage.schema import migrations

_PIECE = b"the same bytes in both stores, "


def sql_of(db, name):
    (text,) = db.execute("select sql from sqlite_master where name = ?", [name]).fetchone()
    return text


def indexes(db, table):
    return {name for _, name, *_ in db.execute(f"pragma index_list({table})").fetchall()}


@pytest.fixture
def old(datadir):
    """A database as the versions before left it, with rows; the id of its session."""
    datadir.database.touch(mode=0o600)
    with Database(datadir.database, execute_plugins=False) as db:
        db.execute("pragma page_size = 2048")
        db.execute("pragma auto_vacuum = incremental")
        db.execute("pragma journal_mode = wal").fetchall()
        with database.write(db):
            migrations.apply(db, stop_before="m005_fewer_trees")
            session = sessions.create(
                db, name="old", origin="automatic", key="k", is_recording=True
            )
            db.execute("update sessions set is_pinned = 1, traffic_count = 7")
            db.execute("insert into tombstones values ('gone', 5, 0), ('long gone', 4, 1)")
            db.execute("insert into spool_positions values ('writer', 2, 300)")
            db.execute(
                "insert into gaps values ('g', 'w', 'e', ?, 'queue_full', 1, 2, 3, 4, 'why')",
                [session.id],
            )
            db.execute(
                "insert into quarantine values ('q', 'w', 'e', ?, 1, 2, 'bad', x'00')",
                [session.id],
            )
            db.execute("insert into removed_entries values ('open', 'w', 1, 2)")
            db.execute("insert into removed_entries values ('closed', 'w', 0, 1)")
            db.execute("insert into removed_entries values ('waiting', 'w', 0, 0)")
            db.execute("insert into scrubbing values (1, 9)")
            db.execute("insert into retention values (1, 30.5, null)")
            bodies.put(db, _PIECE * 100)
    return session.id


def test_what_was_there_stays(datadir, old):
    with database.create(datadir.database) as db:
        session = sessions.get(db.conn, old)
        assert (session.name, session.is_pinned, session.traffic_count) == ("old", True, 7)
        assert not sessions.is_named(db.conn, old)
        assert sessions.by_key(db.conn, "k") == session
        assert db.execute("select * from tombstones order by 1").fetchall() == [
            ("gone", 5, 0), ("long gone", 4, 1)
        ]  # fmt: skip
        assert raw.position(db, "writer").offset == 300
        assert db.execute("select id, session_id, detail from gaps").fetchall() == [
            ("g", old, "why")
        ]
        assert db.execute("select id, payload from quarantine").fetchall() == [("q", b"\0")]
        assert retention.state(db.conn, datadir).limits == retention.Limits(days=30.5)
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        left = db.execute("select name from sqlite_master where name glob 'before_*'").fetchall()
        assert left == []


def test_nothing_is_missing_once_it_was_opened(datadir, old):
    database.create(datadir.database).close()
    conn = database.reader(datadir.database)
    database.check(conn, datadir.database)
    conn.close()


def test_what_was_to_be_swept_still_is(datadir, old):
    with database.create(datadir.database) as db:
        assert raw.is_removed(db, "open")
        assert not raw.is_removed(db, "closed")
        assert removal.has_rows(db)  # of what waits
        while removal.sweep(db):
            pass
        assert db.execute("select entry_id, swept from removed_entries").fetchall() == [("open", 1)]
        assert db.execute("select min(swept) from tombstones").fetchone() == (1,)
        assert db.execute("select is_unscrubbed from upkeep").fetchone() == (0,)
        raw.forget_writer(db, "w")
        assert not raw.is_removed(db, "open")


def test_bodies_of_before_keep_their_index_and_are_found(datadir, old):
    digest = hashlib.sha256(_PIECE * 100).digest()
    with database.create(datadir.database) as db:
        assert "sqlite_autoindex_bodies_1" in indexes(db, "bodies")
        assert bodies.put(db, _PIECE * 100) == Body(digest=digest, size_bytes=len(_PIECE) * 100)
        assert db.execute("select uses from bodies").fetchall() == [(2,)]
        assert bodies.view(db.conn, digest).read() == _PIECE * 100


def test_after_a_death_in_the_midst_all_is_as_before(datadir, old, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trees, "UPKEEP", (*trees.UPKEEP, "insert into no_table values (1)"))
        with pytest.raises(Exception, match="no_table"):
            database.create(datadir.database)
    with database.create(datadir.database) as db:
        assert sessions.get(db.conn, old).name == "old"
        assert migrations.pending(db) == []


def test_new_bodies_are_in_one_row_each(db):
    assert indexes(db, "bodies") == {"bodies_digest", "bodies_base"}
    data = _PIECE * 50
    body = bodies.put(db, data)
    growing = Growing("entry", "request")
    growing.append(data)
    assert growing.finish(db) == body == bodies.put(db, data)
    assert db.execute("select uses from bodies").fetchall() == [(3,)]


def test_bodies_that_begin_alike_are_told_apart(db):
    one, other = bodies.put(db, _PIECE * 3), bodies.put(db, _PIECE * 4)
    alike = one.digest[:8] + other.digest[8:]
    db.execute("update bodies set digest = ? where digest = ?", [alike, other.digest])
    assert bodies.view(db.conn, one.digest).read() == _PIECE * 3
    assert bodies.put(db, _PIECE * 3) == one
    uses = dict(db.execute("select digest, uses from bodies").fetchall())
    assert uses == {one.digest: 2, alike: 1}
    bodies.release(db, one.digest)
    bodies.release(db, one.digest)
    assert dict(db.execute("select digest, uses from bodies").fetchall()) == {
        one.digest: 0, alike: 1
    }  # fmt: skip


@pytest.mark.parametrize("name", [*trees.TABLES, "quarantine"])
def test_small_tables_have_no_rowids(db, name):
    assert sql_of(db, name).endswith("without rowid")
    assert f"sqlite_autoindex_{name}_1" not in {
        found for (found,) in db.execute("select name from sqlite_master where type = 'index'")
    }


def test_tables_of_an_older_projection_go(db):
    with database.write(db):
        db.execute("create table days (day integer primary key, turns integer)")
        db.execute("insert into days values (1, 1)")
        db.execute("update projection set version = version - 1")
        keeping.ensure(db)
        assert db.execute("select version from projection").fetchone() == (tables.VERSION,)
        while keeping.drop_old(db):
            pass
    assert "days" not in {name.rpartition("_")[2] for name in db.table_names()}
