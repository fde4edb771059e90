"""What retention dropped stays visible, until somebody forgets it."""

import pytest

from storage import drops, removal, sessions
from storage.errors import NotFound
from tests.storage import recording


def drop(db, name, now_ms, reason="retention.days"):
    made = recording.session(db, name)
    drops.add(db, made, reason, now_ms)
    sessions.delete(db, made.id)
    return made


def test_pages_are_newest_first(db):
    made = [drop(db, f"n{number}", 1000 + number) for number in range(5)]

    first = drops.page(db.conn, limit=2)
    second = drops.page(db.conn, after=first.next, limit=2)
    last = drops.page(db.conn, after=second.next, limit=2)

    found = [*first.drops, *second.drops, *last.drops]
    assert [one.session_id for one in found] == [one.id for one in reversed(made)]
    assert (first.total, last.next) == (5, None)


def test_a_line_tells_the_session_as_it_was(db):
    made = recording.session(db, "was here")
    recording.entry(db, made.id, request=b"12345")
    made = sessions.get(db.conn, made.id)
    drops.add(db, made, "retention.max_gb", 7000)

    (found,) = drops.page(db.conn, limit=1).drops
    assert (found.name, found.origin, found.reason) == ("was here", "user", "retention.max_gb")
    assert (found.created_ms, found.updated_ms) == (made.created_ms, made.updated_ms)
    assert (found.traffic_count, found.total_bytes, found.dropped_ms) == (1, 5, 7000)


def test_a_dropped_session_is_not_merely_unknown(db):
    gone = drop(db, "gone", 1_795_000_000_000)
    deleted = recording.session(db)
    sessions.delete(db, deleted.id)

    for ask in (sessions.get, sessions.find):
        with pytest.raises(NotFound, match=r"^Session not found$") as raised:
            ask(db.conn, gone.id)
        assert raised.value.details == "retention.days dropped it at 2026-11-18T11:06:40Z"
        with pytest.raises(NotFound) as raised:
            ask(db.conn, deleted.id)
        assert raised.value.details is None


def test_only_the_newest_are_kept(db, monkeypatch):
    monkeypatch.setattr(drops, "MOST", 3)
    for number in range(5):
        drop(db, f"n{number}", number)
    assert [one.name for one in drops.page(db.conn, limit=9).drops] == ["n4", "n3", "n2"]


def test_what_is_cleared_leaves_the_files(datadir, db):
    drop(db, "Projekt Zeppelin", 1)
    while removal.sweep(db):
        pass
    assert b"Zeppelin" in datadir.database.read_bytes()

    assert drops.clear(db) == 1
    while removal.sweep(db):
        pass

    assert drops.count(db.conn) == 0
    found = [path for path in datadir.root.rglob("*") if path.is_file()]
    assert not any(b"Zeppelin" in path.read_bytes() for path in found)
    assert drops.clear(db) == 0
