"""Turns that go on from an answer, which may come later, from elsewhere, or go."""

import msgspec
import pytest

from storage import database, traffic
from storage.projection import forgetting, keeping
from tests.addons.project.house import AGENT, ROOT, assistant, text, tool_result, tool_use, user

MAIN = (AGENT, (b"X-Claude-Code-Session-Id", ROOT.encode()))


def item(words, role="user"):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": words}]}


def respond(house, answer_id, asked, answer, previous=None, thread=None):
    """A call of the Responses API without a stream; `thread`: its conversation."""
    body = {"model": "gpt-5", "input": asked, "stream": False}
    if previous:
        body["previous_response_id"] = previous
    answer = {"id": answer_id, "object": "response", "status": "completed", "model": "gpt-5",
              "output": answer}  # fmt: skip
    return house.call(
        None, body=body, path=b"/v1/responses", media=b"application/json",
        response=msgspec.json.encode(answer),
        headers=((b"x-session-id", thread.encode()),) if thread else (),
    )  # fmt: skip


def shell(call_id):
    return {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id,
            "name": "exec_command", "arguments": '{"cmd":"ls"}', "status": "completed"}  # fmt: skip


def output(call_id, words="a.txt"):
    return {"type": "function_call_output", "call_id": call_id, "output": words}


def assert_as_a_rebuild(house):
    found = house.dump()
    assert house.rebuild(is_forced=True).startswith("done")
    assert house.dump() == found


def test_an_answer_of_a_later_entry_is_not_waited_for_for_ever(house):
    respond(house, "r1", [item("one")], [item("a", "assistant")], previous="r2", thread="t")
    respond(house, "r2", [item("two")], [item("b", "assistant")], previous="r1", thread="t")
    house.project()
    assert house.rows("select previous_id, is_unjoined from turns order by id") == [
        ("r2", 1),
        ("r1", 0),
    ]
    assert_as_a_rebuild(house)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_turns_that_are_read_before_the_one_they_go_on_from_are_joined(house, order):
    respond(house, "r1", [item("list")], [shell("c1")], thread="t")
    respond(house, "r2", [output("c1")], [item("one file", "assistant")], "r1", thread="t")
    respond(house, "r3", [item("thanks")], [item("well", "assistant")], "r2", thread="t")
    house.project([house.entries[place] for place in order])
    assert house.one("select sum(is_unjoined) from turns") == 0
    assert house.one("select count(*) from messages where parent_id is null") == 1
    assert house.rows("select name, result_turn is not null from tool_calls") == [
        ("exec_command", 1)
    ]
    assert_as_a_rebuild(house)


def test_two_conversations_may_go_on_from_one_answer(house):
    first = respond(house, "r1", [item("one")], [item("a", "assistant")], thread="t")
    respond(house, "r2", [item("on")], [item("b", "assistant")], "r1", thread="t")
    respond(house, "r3", [item("on")], [item("b", "assistant")], "r1", thread="u")
    house.project()
    counts = "select id, message_count from conversations order by id"
    assert house.rows(counts) == [("t", 4), ("u", 2)]
    house.project([house.entries[2]])
    with database.write(house.db):
        traffic.delete(house.db, first)
    house.project()
    assert house.rows("select is_unjoined from turns") == [(1,), (1,)]
    parents = "select 1 from messages where parent_id not in (select id from messages)"
    assert house.rows(parents) == []
    assert_as_a_rebuild(house)


def test_an_answer_that_goes_while_its_conversation_is_made_anew(house):
    gone = respond(house, "r1", [item("one")], [item("a", "assistant")], thread="t")
    respond(house, "r2", [item("on")], [item("b", "assistant")], "r1", thread="u")
    house.project()
    tables = keeping.sets(house.db)[0]
    with database.write(house.db):
        house.db.execute("insert into stale (conversation_id) values ('t')")
        while forgetting.remove_slice(tables, "t"):
            pass
        traffic.delete(house.db, gone)
    house.project()
    assert house.one("select is_unjoined from turns") == 1
    assert_as_a_rebuild(house)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_message_that_gave_its_calls_to_a_later_turn_gives_them_back(house, order):
    """Ids of calls do not count in a message, so both requests hold the same one."""
    respond(house, "r1", [output("c1")], [item("a", "assistant")], thread="t")
    respond(house, "r2", [output("c2")], [item("b", "assistant")], thread="t")
    house.project([house.entries[place] for place in order])
    assert house.rows("select call_id from tool_calls") == [("c1",)]
    assert_as_a_rebuild(house)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_equal_call_ids_are_counted_where_the_first_was_made(house, order):
    for at_s, words in ((0, "one"), (1000, "two")):
        house.call([user(words)], [tool_use("same", command="ls")], headers=MAIN, after_s=at_s)
    house.project([house.entries[place] for place in order])
    assert house.rows("select tool_calls from quarters order by quarter") == [(1,), (0,)]
    assert_as_a_rebuild(house)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_stated_duration_stays_with_its_result(house, order):
    """The second request brings a result beside one that was sent before."""
    headers = (*MAIN, (b"x-claude-code-prev-tool-durations", b"Bash=5;Bash=70"))
    calls = [tool_use("c1", command="a"), tool_use("c2", command="b")]
    asked = [user("go"), assistant(*calls), user(tool_result("c1"))]
    house.call([user("go")], calls, headers=MAIN)
    house.call(asked, response=b"{}", status=529, media=b"application/json", headers=headers)
    house.call([*asked, user(tool_result("c2", "x"))], [text("ok")], headers=headers)
    house.project([house.entries[place] for place in order])
    found = house.rows("select call_id, stated_ms from tool_calls order by call_id")
    assert found == [("c1", 5), ("c2", 70)]


def test_a_message_that_was_empty_at_first_is_not_passed_over(house):
    tail = [user("two")]
    house.call([user("one"), assistant(), *tail], [text("a")], headers=MAIN)
    house.call([user("one"), assistant(text("late")), *tail], [text("b")], headers=MAIN)
    house.project()
    assert [one.preview for one in house.messages()].count("late") == 1
    assert_as_a_rebuild(house)
