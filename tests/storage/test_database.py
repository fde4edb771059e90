"""The SQLite file: settings, transactions, and who may write."""

import sqlite3
import stat
import subprocess
import sys
import textwrap

import pytest
from sqlite_utils import Database

from storage import database
from storage.errors import StoreError
from storage.schema import migrations


def pragma(conn, name):
    return conn.execute(f"pragma {name}").fetchone()[0]


def without_rollback(action, what, *_):
    """As if SQLite had not even the memory to begin one."""
    is_one = action == sqlite3.SQLITE_TRANSACTION and what == "ROLLBACK"
    return sqlite3.SQLITE_DENY if is_one else sqlite3.SQLITE_OK


class TestCreate:
    def test_settings(self, db):
        assert pragma(db.conn, "journal_mode") == "wal"
        assert pragma(db.conn, "auto_vacuum") == 2
        assert pragma(db.conn, "synchronous") == 2
        assert pragma(db.conn, "secure_delete") == 1
        assert pragma(db.conn, "temp_store") == 2
        assert pragma(db.conn, "page_size") == database.PAGE_BYTES
        assert pragma(db.conn, "wal_autocheckpoint") * database.PAGE_BYTES == 64 << 20

    def test_pages_of_an_older_database_stay_as_they_are(self, datadir):
        with sqlite3.connect(datadir.database) as conn:
            conn.execute("pragma page_size = 4096")
            conn.execute("pragma auto_vacuum = incremental")
            conn.execute("create table older (one)")
        conn.close()

        with database.create(datadir.database) as db:
            assert pragma(db.conn, "page_size") == 4096
            assert pragma(db.conn, "wal_autocheckpoint") * 4096 == 64 << 20

    def test_the_file_holds_no_comments_on_its_tables(self, db):
        for (text,) in db.execute("select sql from sqlite_master where sql is not null"):
            assert "--" not in text
            assert "\n" not in text or "_sqlite_migrations" in text

    def test_files_are_private(self, datadir, db):
        db.execute("insert into tombstones values ('s', 1, 0)")

        found = sorted(datadir.root.glob("wirescribe.db*"))

        assert [path.suffix for path in found] == [".db", ".db-shm", ".db-wal"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}

    def test_is_whole_at_once_and_can_be_repeated(self, datadir, db):
        tables = db.table_names()
        db.execute("insert into tombstones values ('s', 1, 0)")
        db.close()

        with database.create(datadir.database) as again:
            assert again.table_names() == tables
            assert again.execute("select session_id from tombstones").fetchall() == [("s",)]
            assert migrations.pending(again) == []

    def test_refuses_what_a_newer_wirescribe_made(self, datadir, db):
        db["_sqlite_migrations"].insert(
            {"migration_set": "wirescribe", "name": "m999_future", "applied_at": "later"}
        )
        db.close()
        with pytest.raises(StoreError, match=r"newer Wirescribe \(m999_future\)"):
            database.create(datadir.database)

    def test_refuses_what_is_no_database(self, datadir):
        datadir.database.write_bytes(b"not a database at all" * 1000)
        with pytest.raises(StoreError, match="no sound database"):
            database.create(datadir.database)

    def test_ten_processes_at_once_migrate_once(self, datadir):
        code = textwrap.dedent(
            """
            import sys, time, pathlib, sqlite3
            from storage import database
            for _ in range(600):
                try:
                    database.create(pathlib.Path(sys.argv[1])).close()
                except sqlite3.OperationalError as error:
                    assert database.is_busy(error), error
                    time.sleep(0.05)
                else:
                    break
            else:
                raise SystemExit("never")
            """
        )
        command = [sys.executable, "-c", code, str(datadir.database)]
        running = [subprocess.Popen(command) for _ in range(4)]
        assert [process.wait(60) for process in running] == [0] * 4
        with database.create(datadir.database) as db:
            assert db.execute("select count(*) from _sqlite_migrations").fetchone() == (5,)


class TestReader:
    def test_cannot_write_nor_checkpoint(self, datadir, db):
        conn = database.reader(datadir.database)
        try:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                conn.execute("insert into tombstones values ('s', 1, 0)")
            conn.execute("pragma query_only = off")
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                conn.execute("insert into tombstones values ('s', 1, 0)")
            assert pragma(conn, "wal_autocheckpoint") == 0
        finally:
            conn.close()

    def test_sees_every_commit_and_nothing_before_it(self, datadir, db):
        conn = database.reader(datadir.database)
        query = "select count(*) from tombstones"
        try:
            with database.write(db):
                db.execute("insert into tombstones values ('s', 1, 0)")
                assert conn.execute(query).fetchone() == (0,)
            assert conn.execute(query).fetchone() == (1,)
        finally:
            conn.close()

    def test_works_without_a_server(self, datadir, db):
        db.execute("insert into tombstones values ('s', 1, 0)")
        db.close()
        conn = database.reader(datadir.database)
        try:
            assert conn.execute("select count(*) from tombstones").fetchone() == (1,)
        finally:
            conn.close()

    def test_a_snapshot_stands_still(self, datadir, db):
        conn = database.reader(datadir.database)
        query = "select count(*) from tombstones"
        try:
            with database.snapshot(conn), database.snapshot(conn):
                assert conn.execute(query).fetchone() == (0,)
                db.execute("insert into tombstones values ('s', 1, 0)")
                assert conn.execute(query).fetchone() == (0,)
            assert conn.execute(query).fetchone() == (1,)
        finally:
            conn.close()

    def test_without_a_database(self, datadir):
        with pytest.raises(StoreError, match="nothing was recorded"):
            database.reader(datadir.database)


class TestWrite:
    def insert_and_fail(self, db, name):
        with database.write(db):
            db.execute("insert into tombstones values (?, 1, 0)", [name])
            raise KeyError

    def test_rolls_back_whole(self, db):
        with pytest.raises(KeyError):
            self.insert_and_fail(db, "s")
        assert not db.conn.in_transaction
        assert db["tombstones"].count == 0

    def test_nested_is_a_savepoint(self, db):
        with database.write(db):
            db.execute("insert into tombstones values ('outer', 1, 0)")
            with pytest.raises(KeyError):
                self.insert_and_fail(db, "inner")
        assert [row["session_id"] for row in db["tombstones"].rows] == ["outer"]

    def test_waits_for_the_disk_unless_told_otherwise(self, db):
        levels = []
        for is_durable in (True, False, True):
            with database.write(db, is_durable=is_durable):
                levels.append(pragma(db.conn, "synchronous"))
        with database.write(db), database.write(db, is_durable=False):
            levels.append(pragma(db.conn, "synchronous"))
        assert levels == [2, 1, 2, 2]

    def test_waits_for_the_disk_again_behind_one_that_failed(self, db):
        with pytest.raises(KeyError), database.write(db, is_durable=False):
            raise KeyError
        with database.write(db):
            assert pragma(db.conn, "synchronous") == 2

    def test_waits_for_the_disk_again_behind_one_that_could_not_be_rolled_back(self, db):
        db.conn.set_authorizer(without_rollback)
        with (
            pytest.raises(sqlite3.DatabaseError, match="not authorized"),
            database.write(db, is_durable=False),
        ):
            raise KeyError
        assert db.conn.in_transaction
        db.conn.set_authorizer(None)
        db.rollback()
        with database.write(db):
            assert pragma(db.conn, "synchronous") == 2

    def test_takes_the_lock_at_its_begin(self, datadir, db):
        other = sqlite3.connect(datadir.database, timeout=0)
        try:
            with (
                database.write(db),
                pytest.raises(sqlite3.OperationalError) as caught,
            ):
                other.execute("begin immediate")
            assert database.is_busy(caught.value)
        finally:
            other.close()

    def test_is_busy_knows_other_errors(self, db):
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("select nothing from nowhere")
        assert not database.is_busy(caught.value)
        assert not database.is_busy(ValueError())


class TestTruncateLog:
    def test_empties_the_wal(self, datadir, db):
        log = datadir.database.with_name("wirescribe.db-wal")
        db.execute("insert into tombstones values ('s', 1, 0)")
        assert log.stat().st_size > 0

        assert database.truncate_log(db)

        assert log.stat().st_size == 0
        assert pragma(db.conn, "busy_timeout") == 1000

    def test_waits_for_a_reader(self, datadir, db):
        conn = database.reader(datadir.database)
        try:
            with database.snapshot(conn):
                conn.execute("select count(*) from tombstones").fetchone()
                db.execute("insert into tombstones values ('s', 1, 0)")
                assert not database.truncate_log(db)
            assert database.truncate_log(db)
        finally:
            conn.close()


def test_the_connection_belongs_to_one_thread(db):
    import threading

    caught = []

    def use():
        try:
            db.execute("select 1")
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert caught


def test_known_migrations_need_no_database():
    with Database(memory=True) as empty:
        known = [migration.name for migration in migrations.pending(empty)]
    assert known == [
        "m001_raw",
        "m002_projection",
        "m003_chunks",
        "m004_retention",
        "m005_fewer_trees",
    ]
