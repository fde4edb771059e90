"""Tasks: pages of them."""

import pytest

from storage import tasks
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_pages_and_filters(db, session, story):
    for number in range(1, 6):
        projected.task(
            db, story.root, str(number), story.turns[0], status="completed"
        ) if number < 3 else projected.task(db, story.root, str(number), story.turns[1])
    first = tasks.page(db.conn, tasks.Query(), limit=3)
    second = tasks.page(db.conn, tasks.Query(), limit=3, after=first.next)
    assert [one.key for one in first.tasks + second.tasks] == ["3", "4", "5", "1", "2"]
    assert second.next is None
    done = tasks.page(db.conn, tasks.Query(session_id=session.id, status="completed")).tasks
    assert [one.key for one in done] == ["1", "2"]
    assert done[0].created_ns == projected.START_NS
    assert tasks.page(db.conn, tasks.Query(conversation_id="none")).tasks == []
