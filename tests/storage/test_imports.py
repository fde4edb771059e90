import pytest

from storage import imports, session_control, sessions
from storage.errors import Conflict

DIGEST = "ab" * 32


def test_a_file_is_finished_only_when_that_is_said(db):
    begun = imports.begin(db, DIGEST, "a.har")
    assert (begun.origin, begun.name, begun.is_recording) == ("import", "a.har", False)
    assert imports.finished(db.conn, DIGEST) is None
    imports.finish(db, begun.id, DIGEST)
    assert imports.finished(db.conn, DIGEST).id == begun.id
    assert imports.finished(db.conn, "cd" * 32) is None


def test_what_was_left_unfinished_is_deleted(db):
    left = imports.begin(db, DIGEST, "a.har")
    other = imports.begin(db, "cd" * 32, "b.har")
    begun = imports.begin(db, DIGEST, "a.har")
    assert {one.id for one in sessions.list_all(db.conn)} == {begun.id, other.id}
    assert left.id in session_control.read(db.conn).deleted


def test_a_session_that_is_gone_cannot_be_finished(db):
    begun = imports.begin(db, DIGEST, "a.har")
    sessions.delete(db, begun.id)
    with pytest.raises(Conflict, match="was deleted while the file was imported"):
        imports.finish(db, begun.id, DIGEST)
