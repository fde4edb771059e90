"""A run of model calls as conversations, messages and tool calls."""

import itertools

import pytest

from addons.wire import anthropic
from storage import database, removal, sessions, traffic, understanding
from storage.projection import forgetting, keeping
from tests.addons.project.house import AGENT, ROOT, assistant, text, tool_result, tool_use, user
from tests.addons.project.test_corpus import forget

SESSION = (b"X-Claude-Code-Session-Id", ROOT.encode())
MAIN = (AGENT, SESSION)
SUB = (*MAIN, (b"x-claude-code-agent-id", b"a7dad518ce05c8b35"),
       (b"x-claude-code-request-class", b"subagent"))  # fmt: skip
TASK = "count the files of this directory"


def run(house, headers=MAIN):
    """A prompt, a tool call, its result, an answer, a second prompt, an answer."""
    prompt = user("please list the files")
    call = tool_use("toolu_1", command="ls -la")
    said = assistant(text("I will look."), call)
    result = user(tool_result("toolu_1", "a.txt", is_error=False))
    house.call([prompt], [text("I will look."), call], headers=headers)
    house.call([prompt, said, result], [text("There is a.txt.")], headers=headers)
    again = [user(text("please list the files")), said, result, assistant(text("There is a.txt."))]
    house.call([*again, user("thanks, and now?")], [text("Nothing more.")], headers=headers)


def test_sent_again_history_adds_nothing(house):
    run(house)
    house.project()
    found = [(one.role, one.kind, one.preview) for one in house.messages()]
    assert found == [
        ("user", "prompt", "please list the files"),
        ("assistant", "answer", 'I will look. Bash {"command":"ls -la"}'),
        ("user", "tool-results", "a.txt"),
        ("assistant", "answer", "There is a.txt."),
        ("user", "prompt", "thanks, and now?"),
        ("assistant", "answer", "Nothing more."),
    ]
    leaves = house.rows(
        "select id from messages m where not exists "
        "(select 1 from messages c where c.parent_id = m.id)"
    )
    assert len(leaves) == 1
    assert house.rows("select count(*) from messages where parent_id is null") == [(1,)]


def test_the_conversation_has_its_figures(house):
    run(house)
    house.project()
    (found,) = house.rows(
        "select id, key, is_inferred, parent_id, turn_count, prompt_count, message_count, "
        "tool_call_count, error_count, input_tokens, output_tokens, unmetered_turns, "
        "unpriced_turns, summary, agent_version from conversations"
    )
    assert found == (
        ROOT, f"claude-code {ROOT}", 0, None, 3, 2, 6, 1, 0, 30, 15, 0, 0, "please list the files",
        "2.1.330",
    )  # fmt: skip
    assert house.one("select round(cost_usd, 9) from conversations") == pytest.approx(
        3 * (10 * 5 + 5 * 25) / 1e6
    )


def test_a_tool_call_is_joined_to_its_result(house):
    run(house)
    house.project()
    row = house.one(
        "select name, kind, made, is_error, turn_id, result_turn, result_ns - called_ns > 0, "
        "command from tool_calls"
    )
    turns = [turn for (turn,) in house.rows("select id from turns order by id")]
    assert row == ("Bash", "shell", 1, 0, turns[0], turns[1], 1, "ls -la")


def test_stated_durations_go_to_the_tools_of_the_turn_before(house):
    headers = (*MAIN, (b"x-claude-code-prev-tool-durations", b"Read=15;Bash=65;Bash=7"))
    calls = [tool_use("t1", "Bash", command="a"), tool_use("t2", "Read", file_path="/b"),
             tool_use("t3", "Bash", command="c")]  # fmt: skip
    house.call([user("go")], calls, headers=MAIN)
    results = user(*[tool_result(f"t{n}") for n in (1, 2, 3)])
    house.call([user("go"), assistant(*calls), results], [text("done")], headers=headers)
    house.project()
    found = house.rows("select call_id, stated_ms from tool_calls order by call_id")
    assert found == [("t1", 65), ("t2", 15), ("t3", 7)]


def test_a_fork_is_a_second_branch(house):
    house.call([user("one")], [text("first")], headers=MAIN)
    house.call([user("one"), assistant(text("first")), user("left")], [text("l")], headers=MAIN)
    house.call([user("one"), assistant(text("first")), user("right")], [text("r")], headers=MAIN)
    house.project()
    assert house.one("select count(*) from messages where depth = 2") == 2
    assert house.one("select count(distinct parent_id) from messages where depth = 2") == 1


def test_what_an_answer_that_was_cut_off_held_is_kept_and_marked(house):
    house.call([user("one")], [text("a long answer"), text("more")], headers=MAIN, cut=True)
    house.call([user("one")], [text("a long answer")], headers=MAIN)
    house.project()
    assert house.rows("select is_complete from turns order by id") == [(0,), (1,)]
    assert house.one("select error_count from conversations") == 1
    kinds = house.rows("select distinct kind from notes")
    assert ("truncated-stream",) in kinds


def test_a_refusal_is_a_turn_with_its_failure(house):
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    for _ in range(2):
        house.call([user("one")], response=body, status=529, media=b"application/json",
                   headers=MAIN)  # fmt: skip
    house.call([user("one")], [text("at last")], headers=MAIN)
    house.project()
    found = house.rows("select status, failure_type, failure_text, cost_usd from turns order by id")
    assert found[:2] == [(529, "overloaded_error", "Overloaded", None)] * 2
    assert house.one("select count(distinct request_digest) from turns") == 1
    assert house.one("select error_count from conversations") == 2
    assert house.one("select unmetered_turns from conversations") == 0


def test_an_attempt_that_is_repeated_is_no_second_prompt(house):
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    house.call([user("one")], response=body, status=529, media=b"application/json", headers=MAIN)
    house.call([user("one")], [text("first")], headers=MAIN)
    history = [user("one"), assistant(text("first"))]
    house.call([*history, user("two")], [text("second")], headers=MAIN)
    house.project()
    assert house.one("select prompt_count from conversations") == 2
    assert house.one("select prompt_count, turn_count from shares") == (2, 3)


def test_what_the_agent_put_in_beside_a_prompt_is_told_apart(house):
    reminder = "<system-reminder>\nToday is a day.\n</system-reminder>"
    house.call([user(text(reminder), text("what day is it?"))], [text("a day")], headers=MAIN)
    house.call(
        [user("what day is it?"), assistant(text("a day")), user("and now?")],
        [text("still")],
        headers=MAIN,
    )
    house.project()
    found = [
        (one.kind, one.preview, one.injected) for one in house.messages() if one.role == "user"
    ]
    assert found == [
        ("prompt", "what day is it?", (0,)),
        ("prompt", "and now?", ()),
    ]
    assert house.rows("select prompt from turns order by id") == [
        ("what day is it?",), ("and now?",)
    ]  # fmt: skip


def test_a_session_counts_what_a_conversation_did_in_it(house):
    later = sessions.create(house.db, name="later", origin="run", is_recording=True).id
    house.call([user("one")], [text("first")], headers=MAIN)
    history = [user("one"), assistant(text("first"))]
    house.call([*history, user("two")], [text("second")], headers=MAIN, session=later)
    house.project()
    columns = "select turn_count, prompt_count, message_count, input_tokens from shares"
    expected = [(1, 1, 2, 10), (1, 1, 2, 10)]
    assert house.rows(f"{columns} order by session_id") == expected
    assert house.one("select count(*) from conversations") == 1
    told = understanding.of_sessions(house.db.conn)
    assert {told[house.session].figures.turns, told[later].figures.turns} == {1}
    assert told[later].summary == "one"
    before = house.dump()
    forget(house)
    house.project(list(reversed(house.entries)))
    assert house.dump() == before


def subagent(house):
    spawn = tool_use("toolu_9", "Agent", prompt=TASK, description="count",
                     subagent_type="Explore")  # fmt: skip
    house.call([user("how many?")], [spawn], headers=MAIN)
    house.call([user(TASK)], [tool_use("toolu_s", command="ls | wc -l")], headers=SUB)
    history = [user(TASK), assistant(tool_use("toolu_s", command="ls | wc -l"))]
    house.call([*history, user(tool_result("toolu_s", "7"))], [text("seven")], headers=SUB)
    told = user(tool_result("toolu_9", "seven"))
    house.call([user("how many?"), assistant(spawn), told], [text("7 files")], headers=MAIN)


def test_a_subagent_hangs_on_the_call_that_started_it(house):
    subagent(house)
    house.project()
    child = house.one(
        "select parent_id, parent_call, is_subagent, summary, turn_count from conversations "
        "where id = 'a7dad518ce05c8b35'"
    )
    call = house.one("select id from tool_calls where call_id = 'toolu_9'")
    assert child == (ROOT, call, 1, TASK, 2)


@pytest.mark.parametrize("record", [run, subagent], ids=["run", "subagent"])
def test_any_order_of_reading_gives_the_same_rows(tmp_path, house, record):
    record(house)
    house.project()
    expected = house.dump()
    assert expected["messages"]
    orders = list(itertools.permutations(house.entries))
    for order in orders[:: max(1, len(orders) // 6)]:
        house.db.execute("delete from stale")
        for (conversation,) in house.rows("select id from conversations"):
            forgetting.make_stale(keeping.sets(house.db)[0], conversation)
        while house.rows("select 1 from stale"):
            removal.sweep(house.db)
        assert house.rows("select count(*) from messages") == [(0,)]
        house.project(order)
        assert house.dump() == expected, order


@pytest.mark.parametrize("record", [run, subagent], ids=["run", "subagent"])
def test_a_rebuild_gives_the_same_rows(house, record):
    record(house)
    house.project()
    expected = house.dump()
    assert (
        house.rebuild()
        == f"done: {len(expected['turns'])} turns, {len(expected['messages'])} messages"
    )
    assert house.dump() == expected
    assert house.rows("select name from sqlite_master where name like 'old_%'") == []


def test_a_smaller_rebuild_is_refused(house):
    run(house)
    house.project()
    expected = house.dump()
    house.db.execute("update entries set host = 'x', target = x'2f' where id = ?",
                     [house.entries[0]])  # fmt: skip
    assert house.rebuild().startswith("refused: 2 turns instead of 3")
    assert house.dump() == expected
    assert house.rebuild(is_forced=True).startswith("done: 2 turns")
    assert len(house.dump()["turns"]) == 2


def test_a_decoder_that_fails_leaves_a_note_and_the_others(house, monkeypatch):
    run(house)
    broken = house.entries[1]
    real = type(anthropic.DECODER).open
    seen = []

    def open_(self, head):
        seen.append(head)
        if len(seen) == 2:
            raise ZeroDivisionError("a bug")
        return real(self, head)

    monkeypatch.setattr(type(anthropic.DECODER), "open", open_)
    house.project()
    assert house.rows("select turn_id, decoder, kind, detail from notes") == [
        (f"{broken}.00000", "anthropic.messages", "projection-failed", "ZeroDivisionError: a bug")
    ]
    assert house.one("select count(*) from turns") == 2
    assert traffic.get(house.db.conn, broken).outcome == "complete"
    assert house.one("select count(*) from unprojected") == 0


def test_a_deleted_entry_takes_what_only_it_held(house):
    run(house)
    house.project()
    traffic.delete(house.db, house.entries[2])
    house.project()
    previews = [one.preview for one in house.messages()]
    assert "thanks, and now?" not in previews
    assert len(previews) == 4
    assert house.one("select turn_count from conversations") == 2
    traffic.delete(house.db, house.entries[0])
    traffic.delete(house.db, house.entries[1])
    house.project()
    assert not any(house.dump().values())


def test_a_session_that_is_deleted_before_it_was_read_gives_no_rows(house):
    run(house)
    house.read()
    sessions.delete(house.db, house.session)
    assert house.one("select count(*) from unprojected") == 3
    house.projection.step(house.db)
    house.project()
    assert not any(house.dump().values())


def test_a_deleted_session_leaves_no_word_in_any_file(house):
    canary = "zebracanary"
    kept = sessions.create(house.db, name="kept", origin="run", is_recording=True).id
    house.call([user(f"the {canary} prompt")], [text(f"a {canary} answer")], headers=MAIN)
    house.call([user("another")], [text("thing")], session=kept)
    house.project()
    search = "select count(*) from search where search match ?"
    assert house.one(search, canary) == 2
    assert house.one(search, "another") == 1
    house.log.end()
    sessions.delete(house.db, house.session)
    house.project()
    for _ in range(2000):
        if not removal.sweep(house.db):
            break
    assert house.one(search, canary) == 0
    assert house.one(search, "another") == 1
    for path in house.datadir.root.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
    assert house.rows("select summary from conversations") == [("another",)]


def test_traffic_that_no_session_was_active_for_gets_one_per_conversation(house):
    house.session = None
    run(house)
    house.call([user("a question of another kind")], [text("answer")])
    house.project()
    found = house.rows(
        "select name, traffic_count from sessions where origin = 'automatic' order by created_ms"
    )
    assert found == [("please list the files", 3), ("a question of another kind", 1)]
    placed = house.rows(
        """
        select distinct c.session_id = e.session_id, t.session_id = e.session_id
        from turns t join conversations c on t.conversation_id = c.id
        join entries e on e.id = substr(t.id, 1, 36)
        """
    )
    assert placed == [(1, 1)]


def test_a_rebuild_queues_a_few_entries_at_a_time(house, monkeypatch):
    monkeypatch.setattr("storage.projection.keeping._QUEUED", 1)
    run(house)
    house.project()
    before = house.dump()
    with database.write(house.db):
        keeping.begin(house.db, is_forced=False)
    assert house.rows("select entry_id from next_unprojected") == [("!",)]
    assert keeping.state(house.db.conn).entries == 3
    left = [keeping.left(house.db.conn, "next_")]
    while keeping.state(house.db.conn).is_building:
        house.projection.step(house.db)
        if keeping.state(house.db.conn).is_building:
            left.append(keeping.left(house.db.conn, "next_"))
    assert left == sorted(left, reverse=True)
    assert house.dump() == before


def test_a_session_is_queued_a_few_entries_at_a_time(house, monkeypatch):
    monkeypatch.setattr("storage.projection.keeping._QUEUED", 1)
    run(house)
    house.call([user("elsewhere")], [text("a")], session=sessions.create(house.db, name="t").id)
    house.project()
    before = house.dump()
    with database.write(house.db):
        keeping.requeue_session(house.db, house.session)
    assert keeping.left(house.db.conn, "") == 3
    house.project()
    assert house.one("select count(*) from unprojected") == 0
    assert house.dump() == before
