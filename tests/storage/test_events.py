"""Events are made of the projected tables: what, when, in which order."""

import pytest

from storage import events
from storage.decoded import TextPart
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def shown(found):
    return [(round((event.at_ns - projected.START_NS) / 1e9, 1), event.type) for event in found]


def test_a_story_is_told_in_time_order(db, session, story):
    found = list(events.of_session(db.conn, session.id))
    assert shown(found) == [
        (0.0, "session.start"),
        (0.0, "user.message"),
        (0.0, "assistant.turn_start"),
        (1.4, "tool.execution_start"),
        (1.5, "tool.execution_start"),
        (2.0, "assistant.message"),
        (2.0, "assistant.turn_end"),
        (2.5, "subagent.started"),
        (2.5, "user.message"),
        (2.5, "assistant.turn_start"),
        (3.5, "assistant.message"),
        (3.5, "assistant.turn_end"),
        (5.0, "tool.execution_complete"),
        (5.0, "tool.execution_complete"),
        (5.0, "subagent.completed"),
        (5.0, "assistant.turn_start"),
        (9.0, "assistant.message"),
        (9.0, "assistant.turn_end"),
    ]
    assert len({event.id for event in found}) == len(found)
    ids = {event.id for event in found}
    assert {event.parent_id for event in found} - {None} <= ids
    assert list(events.of_conversation(db.conn, story.root)) == found


def test_data_of_each_kind(db, session, story):
    found = list(events.of_session(db.conn, session.id))
    by_type = {}
    for event in found:
        by_type.setdefault(event.type, event)

    assert by_type["user.message"].message == "Find the bug, please"
    said = by_type["assistant.message"]
    assert said.message == "I look at it."
    assert said.data["thinking"] == "A shell will tell."
    assert [tool["name"] for tool in said.data["tools"]] == ["Bash", "Task"]
    assert said.data["tools"][0]["status"] == "error"
    assert by_type["tool.execution_start"].data["arguments"] == {"command": "make test"}
    done = by_type["tool.execution_complete"]
    assert (done.data["success"], done.data["durationMs"], done.data["exitCode"]) == (False, 742, 2)
    assert done.parent_id == by_type["tool.execution_start"].id
    started = by_type["subagent.started"]
    assert started.data["agentName"] == "Explore"
    assert started.parent_id == f"{story.calls[1]}/tool.execution_start"
    assert by_type["session.start"].data["selectedModel"] == "claude-opus-5"
    assert [event.turn for event in found if event.type == "assistant.turn_start"] == [0, 0, 1]


def test_conversations_side_by_side_are_woven_together(db, session):
    for name, began in (("one", 0.0), ("two", 0.5)):
        turns = [
            projected.turn(db, session.id, name, began=began + step * 3, took=2) for step in (0, 1)
        ]
        projected.conversation(db, session.id, turns, name)
    moments = [event.at_ns for event in events.of_session(db.conn, session.id)]
    assert moments == sorted(moments)


def test_an_error_and_another_model(db, session):
    first = projected.turn(
        db, session.id, "talk", failure_type="overloaded_error", failure_text="Busy", status=529
    )
    second = projected.turn(db, session.id, "talk", began=3, model_asked="claude-haiku-5")
    projected.conversation(db, session.id, [first, second], "talk")
    found = {event.type: event for event in events.of_session(db.conn, session.id)}
    assert found["error"].data == {
        "message": "Busy",
        "errorType": "overloaded_error",
        "status": 529,
    }
    assert found["session.model_change"].data == {
        "previousModel": "claude-opus-5",
        "newModel": "claude-haiku-5",
    }


def test_a_subagent_that_no_result_ends_ends_with_its_last_turn(db, session, story):
    db.execute("update conversations set parent_call = null where id = ?", [story.child])
    found = list(events.of_session(db.conn, session.id))
    assert [event.at_ns for event in found if event.type == "subagent.completed"] == [
        projected.at(3.5)
    ]


def test_a_subagent_in_the_background_ends_with_its_last_turn(db, session, story):
    db.execute("update tool_calls set is_pending = 1 where kind = 'task'")
    found = list(events.of_session(db.conn, session.id))
    assert [event.at_ns for event in found if event.type == "subagent.completed"] == [
        projected.at(3.5)
    ]


def test_what_is_not_known_gives_no_event(db, session):
    projected.turn(db, session.id, "not projected yet")
    assert list(events.of_session(db.conn, session.id)) == []
    assert list(events.of_conversation(db.conn, "unknown")) == []


def test_a_message_never_comes_before_its_turn(db, session):
    turn = projected.turn(db, session.id, "talk", began=5)
    projected.conversation(db, session.id, [turn], "talk")
    projected.message(db, "talk", turn, (TextPart(text="hi"),), at_ns=projected.at(1))
    asked = [
        event for event in events.of_session(db.conn, session.id) if event.type == "user.message"
    ]
    assert [event.at_ns for event in asked] == [projected.at(5)]


def test_a_history_that_was_sent_gives_no_events(db, session):
    turn = projected.turn(db, session.id, "talk")
    projected.conversation(db, session.id, [turn], "talk")
    projected.tool_call(
        db, "talk", turn, "old", made=0, result="x", result_turn=turn, result_ns=projected.at(0)
    )
    types = {event.type for event in events.of_session(db.conn, session.id)}
    assert not types & {"tool.execution_start", "tool.execution_complete"}
