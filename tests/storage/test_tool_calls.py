"""Tool calls with their results and durations."""

import pytest

from storage import tool_calls
from storage.decoded import ToolCallPart, ToolResultPart
from storage.errors import NotFound
from storage.tool_calls import Query
from tests.storage import plans, projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def walk(conn, query, **options):
    found, after = [], None
    while True:
        page = tool_calls.page(conn, query, after=after, limit=2, **options)
        found += [one.call_id for one in page.tool_calls]
        after = page.next
        if after is None:
            return found


@pytest.fixture
def more(db, session, story):
    """Four more, of which two were seen by their results alone."""
    for number in (3, 4):
        projected.tool_call(
            db, story.root, story.turns[1], f"call-{number}", called_ns=projected.at(number + 5)
        )
    for number in (5, 6):
        projected.tool_call(
            db,
            story.root,
            None,
            f"call-{number}",
            called_ns=None,
            result_turn=story.turns[1],
            result_ns=projected.at(5),
        )
    return story


@pytest.mark.parametrize("by", ["conversation", "session", "all"])
def test_pages_cover_all_once_and_the_unseen_come_last(db, session, more, by):
    query = {
        "conversation": Query(conversation_id=more.root),
        "session": Query(session_id=session.id),
        "all": Query(),
    }[by]
    names = [f"call-{number}" for number in range(1, 7)]
    assert walk(db.conn, query, order="oldest") == names
    assert walk(db.conn, query) == names[3::-1] + names[4:]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(name="Bash"), ["call-1"]),
        (Query(kind="task"), ["call-2"]),
        (Query(has_error=True), ["call-1"]),
        (Query(has_error=False), ["call-2"]),
        (Query(subagents=True), ["call-2"]),
        (Query(subagents=False), ["call-1"]),
        (Query(mcp_server="github"), []),
    ],
    ids=["name", "kind", "error", "no-error", "subagents", "others", "mcp"],
)
def test_filters(db, story, query, found):
    assert walk(db.conn, query) == found


def test_durations_say_where_they_come_from(db, story):
    shell, spawn = (tool_calls.get(db.conn, call) for call in story.calls)
    assert (shell.duration_ms, shell.duration_source) == (742, "stated")
    assert (spawn.duration_ms, spawn.duration_source) == (3500, "measured")
    assert (shell.is_error, shell.exit_code) == (True, 2)
    assert shell.result.startswith("make: ***")
    assert spawn.child == story.child


def test_what_only_began_has_no_duration(db, story):
    db.execute("update tool_calls set is_pending = 1 where id = ?", [story.calls[1]])
    found = tool_calls.get(db.conn, story.calls[1])
    assert (found.duration_ms, found.duration_source) == (None, None)
    with pytest.raises(NotFound):
        tool_calls.get(db.conn, "unknown")


def test_of_a_turn(db, story):
    asked = tool_calls.of_turn(db.conn, story.turns[0])
    assert [call.call_id for call in asked] == ["call-1", "call-2"]
    assert tool_calls.answered_by(db.conn, story.turns[1]) == asked


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "turns_1 (id"),
        (Query(conversation_id="c"), "tool_calls_conversation"),
        (Query(session_id="s"), "turns_session"),
        (Query(name="Bash"), "tool_calls_name"),
    ],
    ids=["all", "conversation", "session", "name"],
)
def test_pages_are_read_off_an_index(db, session, query, index):
    with plans.of(db) as plan:
        tool_calls.page(db.conn, query, after=("t", 1, 1, "i"))
    assert index in plan.text
    assert "TEMP B-TREE FOR ORDER BY" not in plan.texts[0]
    if query == Query():
        assert "tool_calls_conversation (conversation_id=? AND turn_id=?)" in plan.texts[0]
        assert "tool_calls_uncalled (id>?)" in plan.texts[1]


def test_calls_that_a_turn_answered_are_looked_up(db, session):
    with plans.of(db) as plan:
        tool_calls.answered_by(db.conn, "t")
    assert "tool_calls_result (result_message=?)" in plan.text


def test_calls_of_a_turn_are_looked_up(db, session):
    with plans.of(db) as plan:
        tool_calls.of_turn(db.conn, "t")
    assert "tool_calls_conversation (conversation_id=? AND turn_id=?)" in plan.text


def test_messages_of_a_page_are_read_in_one_statement(db, session, story):
    root, turn = story.root, story.turns[1]
    for number in range(8):
        name = f"said-{number}"
        asked = ToolCallPart(call_id=name, name="Bash", arguments=f'{{"n":{number}}}')
        answered = ToolResultPart(call_id=name, text=f"result {number}")
        projected.tool_call(
            db, root, turn, name,
            message_id=projected.message(db, root, turn, (asked,)),
            result_message=projected.message(db, root, turn, (answered,)), result_part=0,
        )  # fmt: skip
    db.execute("update tool_calls set arguments = null, result = null where call_id like 'said-%'")

    counts = []
    for limit in (2, 8):
        with plans.of(db) as plan:
            found = tool_calls.page(db.conn, Query(conversation_id=root), limit=limit).tool_calls
        counts.append(len(plan.statements))
        assert {call.call_id: (call.arguments, call.result) for call in found} == {
            f"said-{number}": (f'{{"n":{number}}}', f"result {number}")
            for number in range(8 - limit, 8)
        }
    assert counts == [2, 2]


def test_a_message_that_another_turn_brought_is_found_too(db, session, story):
    asked = ToolCallPart(call_id="early", name="Bash", arguments='{"n":1}')
    message_id = projected.message(db, story.root, story.turns[0], (asked,))
    projected.tool_call(db, story.root, story.turns[1], "early", message_id=message_id)
    db.execute("update tool_calls set arguments = null where call_id = 'early'")
    (call,) = (
        one
        for one in tool_calls.page(db.conn, Query(conversation_id=story.root)).tool_calls
        if one.call_id == "early"
    )
    assert call.arguments == '{"n":1}'
