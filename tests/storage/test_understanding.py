"""What is understood of sessions, all of them in one query."""

import pytest

from storage import understanding
from tests.storage import plans, projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_one_query_has_all_sessions(db, session, story):
    other = recording.session(db, "other")
    projected.tell(db, other.id, name="second", began=100)
    empty = recording.session(db, "empty")
    found = understanding.of_sessions(db.conn)
    assert set(found) == {session.id, other.id}
    assert found[session.id] == understanding.of_sessions(db.conn, session.id)[session.id]
    assert understanding.of_sessions(db.conn, empty.id) == {}
    assert understanding.of_sessions(db.conn, among=[empty.id, other.id]) == {
        other.id: found[other.id]
    }
    assert understanding.of_sessions(db.conn, among=[]) == {}
    with plans.of(db) as plan:
        understanding.of_sessions(db.conn, session.id)
    assert "SCAN conversations" not in plan.text
    assert "SCAN c\n" not in plan.text
    one = found[session.id]
    assert (one.summary, one.cwd, one.agent) == (
        "Find the bug, please",
        "/home/user/work.dir",
        "claude-code",
    )
    assert (one.conversations, one.subagents, one.figures.turns) == (1, 1, 4)
    assert (one.figures.unpriced_turns, round(one.figures.cost_usd, 2)) == (1, 0.03)
