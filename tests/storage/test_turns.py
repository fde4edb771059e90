"""Turns: one of them, those of a conversation, a session, an entry, and in time order."""

import pytest

from storage import turns
from storage.errors import Conflict, NotFound
from storage.projection.rows import TurnDetail
from tests.storage import plans, projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_whose_they_are(db, session, story):
    asks, answers, works, title = story.turns
    assert [one.id for one in turns.of_conversation(db.conn, story.root)] == [asks, title, answers]
    after = turns.of_session(db.conn, session.id, after=title, limit=1)
    assert [one.id for one in after] == [works]
    assert [one.id for one in turns.of_entry(db.conn, asks.partition(".")[0])] == [asks]
    assert turns.by_time(db.conn, session_id=session.id) == [asks, title, works, answers]
    assert turns.by_time(db.conn, root=story.child) == [works]


def test_turns_of_a_long_socket_stand_where_they_happened(db, session):
    socket = "00000000-0000-7000-8000-000000000001"
    late = projected.turn(db, session.id, "a", began=50, entry_id=socket, number=1)
    early = projected.turn(db, session.id, "a", began=10)
    assert late < early
    assert turns.by_time(db.conn, session_id=session.id) == [early, late]


def test_a_turn_is_shown_with_its_detail(db, session):
    made = projected.turn(
        db, session.id, "a", detail=TurnDetail(effort="high", betas=("x",)), failure_text="no"
    )
    found = turns.get(db.conn, made)
    assert (found.detail.effort, found.detail.betas, found.failed) == ("high", ("x",), True)
    assert found.is_complete is True


def test_an_id_may_be_shortened_as_long_as_it_is_unique(db, session):
    entry_id = "01a00000-0000-7000-8000-000000000001"
    first = projected.turn(db, session.id, "a", entry_id=entry_id)
    projected.turn(db, session.id, "a", entry_id=entry_id, number=1)
    assert turns.find(db.conn, first.upper()).id == first
    with pytest.raises(Conflict):
        turns.find(db.conn, entry_id)
    for unknown in ("01a", "ffff"):
        with pytest.raises(NotFound):
            turns.find(db.conn, unknown)


def test_lists_are_read_off_an_index(db, session):
    with plans.of(db) as plan:
        turns.of_conversation(db.conn, "c")
        turns.of_session(db.conn, "s")
    assert "TEMP B-TREE" not in plan.text
    assert "turns_conversation" in plan.texts[0]
    assert "turns_session" in plan.texts[1]
