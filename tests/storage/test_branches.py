"""Branches: one, unless the history was changed."""

import pytest

from storage import branches
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_a_plain_conversation_is_one_branch(db, story):
    (only,) = branches.of_conversation(db.conn, story.root)
    assert (only.leaf, only.messages, only.forks_at, only.is_current) == (
        story.messages[5],
        4,
        None,
        True,
    )
    assert branches.current(db.conn, story.root) == {
        story.messages[place] for place in (0, 3, 4, 5)
    }


def test_a_fork_is_a_second_branch(db, session, story):
    turn = projected.turn(db, session.id, story.root, began=20)
    other = projected.message(
        db, story.root, turn, "Now differently", parent_id=story.messages[3], depth=2
    )
    db.execute("update turns set leaf = ? where id = ?", [other, turn])
    first, second = branches.of_conversation(db.conn, story.root)
    assert (first.is_current, second.is_current) == (False, True)
    assert (second.leaf, second.messages, second.forks_at) == (other, 3, story.messages[3])


def test_half_an_answer_is_no_branch(db, session, story):
    turn = projected.turn(db, session.id, story.root, began=6, leaf=None)
    projected.message(
        db, story.root, turn, "The bu", parent_id=story.messages[4], is_partial=1, is_answer=1
    )
    assert len(branches.of_conversation(db.conn, story.root)) == 1


def test_nothing_has_no_branch(db, session):
    assert branches.of_conversation(db.conn, "unknown") == []
    assert branches.current(db.conn, "unknown") == set()
