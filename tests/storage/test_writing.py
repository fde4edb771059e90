"""Rows of one set of projected tables, written and changed."""

import random

from storage import database, messages
from storage.messages import Query
from storage.projection.writing import Tables
from storage.quotes import squeeze
from tests.storage import projected, recording


class Everything:
    """A source in which all is found."""

    def quote(self, data, said, side):
        return squeeze(b"")


def prose(seed):
    return random.Random(seed).randbytes(300).hex()


def test_messages_that_became_quotes_give_their_pages_back(db):
    projected.make(db)
    session = recording.session(db)
    turn = projected.turn(db, session.id, "root")
    with database.write(db):
        found = [projected.message(db, "root", turn, prose(seed)) for seed in range(200)]
    before = messages.page(db.conn, Query(session_id=session.id), limit=200, order="oldest")
    assert [one.id for one in before.messages] == found
    with database.write(db):
        for message_id in found:
            Tables(db).quote_message(message_id, Everything())
    (free,) = db.execute("pragma freelist_count").fetchone()
    assert db.execute("select count(*) from messages").fetchone() == (200,)
    assert db.execute("select max(length(content)) from messages").fetchone() == (1,)
    assert free > len(found) // 8  # each had a quarter of a page
