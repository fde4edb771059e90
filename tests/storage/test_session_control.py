"""What the proxy is told of the sessions."""

import time

from storage import session_control, sessions


def test_tells_the_active_one_flags_words_and_deleted(db):
    one, two, gone = (sessions.create(db) for _ in range(3))
    sessions.activate(db, one.id)
    sessions.delete(db, gone.id)

    told = session_control.read(db.conn)

    assert told.active == one.id
    assert {key: value.recording for key, value in told.sessions.items()} == {
        one.id: True,
        two.id: False,
    }
    assert told.sessions[one.id].word == one.word
    assert told.deleted == (gone.id,)


def test_forgets_what_was_deleted_long_ago_newest_last(db):
    now_ms = time.time_ns() // 1_000_000
    ages = {"a": 8 * 86_400_000, "b": 0, "c": 6 * 86_400_000}
    for session_id, age in ages.items():
        db.execute(
            "insert into tombstones (session_id, deleted_ms) values (?, ?)",
            [session_id, now_ms - age],
        )
    assert session_control.read(db.conn).deleted == ("c", "b")


def test_what_is_open_may_end_in_a_session_that_another_took_over_from(db):
    old, new = sessions.create(db), sessions.create(db)
    sessions.activate(db, old.id)
    sessions.activate(db, new.id)
    taken_over = session_control.read(db.conn).sessions[old.id]
    sessions.update(db, old.id, is_recording=False)
    asked_to_stop = session_control.read(db.conn).sessions[old.id]

    assert (taken_over.recording, taken_over.finishing) == (False, True)
    assert (asked_to_stop.recording, asked_to_stop.finishing) == (False, False)


def test_what_the_proxy_knows_is_the_same_read_at_once_or_by_what_changed(db):
    ids = [sessions.create(db, is_recording=number > 1).id for number in range(4)]
    known = session_control.read(db.conn)
    assert session_control.read_again(db.conn, known, {ids[0], "unknown"}) == known
    sessions.delete(db, ids[0])
    sessions.activate(db, ids[1])
    sessions.update(db, ids[2], is_recording=False)
    made = sessions.create(db).id
    assert session_control.read_again(db.conn, known, {*ids, made}) == session_control.read(db.conn)
