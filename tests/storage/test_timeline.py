"""Where the time went."""

import pytest

from storage import timeline
from storage.projection.rows import TurnDetail
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


def bars(db, session):
    return list(timeline.of_session(db.conn, session.id))


def test_bars_have_their_waits_and_tools(db, session):
    story = projected.tell(db, session.id)
    asks, title, works, answers = bars(db, session)
    assert [one.turn.id for one in (asks, answers, works, title)] == story.turns
    assert (asks.wait_ns, title.wait_ns, works.wait_ns) == (None, None, None)
    assert answers.wait_ns == 3_000_000_000
    assert asks.first_byte_ns == 399_000_000
    assert asks.first_content_ns == 499_000_000
    assert asks.duration_ns == 2_000_000_000
    assert asks.tokens_per_s == 100.0
    assert [call.name for call in asks.tools] == ["Bash", "Task"]
    assert [one.number for one in (asks, title, answers)] == [0, 1, 2]
    assert [one.turn.id for one in timeline.of_conversation(db.conn, story.child)] == [
        story.turns[2]
    ]


def test_a_retry_names_the_attempt_that_failed(db, session):
    same = {"request_digest": b"same"}
    first = projected.turn(db, session.id, "a", failure_text="Overloaded", **same)
    second = projected.turn(db, session.id, "a", began=2, is_complete=0, **same)
    projected.turn(db, session.id, "a", began=4, **same)
    projected.turn(db, session.id, "a", began=6, **same)
    projected.turn(db, session.id, "b", began=8, **same)
    assert [bar.retry_of for bar in bars(db, session)] == [None, first, second, None, None]


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"output_tokens": None}, None),
        ({"first_content_offset_ns": None}, None),
        ({"last_content_offset_ns": 250_000_000}, None),
        ({"reasoning_tokens": 50}, 181.8),
    ],
    ids=["no-usage", "no-content", "one-piece", "thought-unseen"],
)
def test_tokens_per_second_where_they_can_be_told(db, session, changes, rate):
    projected.turn(db, session.id, "a", **changes)
    assert bars(db, session)[0].tokens_per_s == rate


def test_what_runs_has_no_end(db, session):
    projected.turn(db, session.id, "a", ended_ns=None, detail=TurnDetail(silence_side="client"))
    projected.turn(db, session.id, "a", began=1, asked_offset_ns=None)
    running, blind = bars(db, session)
    assert (running.duration_ns, running.silence_side) == (None, "client")
    assert (blind.first_byte_ns, blind.wait_ns) == (None, None)
