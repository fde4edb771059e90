"""What runs, in the words of Claude Code's hooks."""

from tests.addons.live.speaking import (
    assistant,
    begins,
    calls,
    claude,
    codex,
    creates,
    hooks,
    item,
    output,
    responds,
    result,
    says,
    shell,
    stops,
    told,
    use,
    user,
)


def test_a_call_with_a_tool_from_start_to_stop(log, session, feed, go):
    prompt = user("list the files")
    block = use("toolu_1", "Bash", command="ls")
    stops(calls(begins(claude(log, session, prompt)), block), "tool_use")
    go()
    assert hooks(feed) == ["SessionStart", "PreToolUse"]

    answered = [prompt, assistant(block), user([result("toolu_1", "a.txt", is_error=False)])]
    entry = begins(claude(log, session, *answered), "msg_2")
    go()
    assert hooks(feed)[2:] == ["PostToolUse"]
    stops(says(entry, "One file."))
    go()

    start, pre, post, stop = told(feed, "hooks")
    assert start["source"] == "startup"
    assert start["session_id"] == start["conversation_id"] == "conv-1"
    assert start["capture_session_id"] == session
    assert start["agent"] == "claude-code"
    assert pre["tool_name"] == post["tool_name"] == "Bash"
    assert pre["tool_input"] == post["tool_input"] == {"command": "ls"}
    assert pre["tool_use_id"] == "toolu_1"
    assert post["tool_response"] == "a.txt"
    assert post["is_error"] is False
    assert stop["hook_event_name"] == "Stop"
    assert stop["stop_reason"] == "end_turn"
    assert stop["turn_id"] == f"{entry.id}.00000"
    assert "transcript_path" not in stop
    seqs = [event["seq"] for event in (start, pre, post, stop)]
    assert seqs == sorted(set(seqs))


def test_a_tool_call_is_told_before_its_answer_ends(log, session, feed, go):
    entry = begins(claude(log, session, user("go")))
    says(entry, "I look.", index=0)
    entry.sends(
        "content_block_start", index=1,
        content_block={"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}},
    )  # fmt: skip
    for text in ('{"file_pa', 'th": "/a"}'):
        delta = {"type": "input_json_delta", "partial_json": text}
        entry.sends("content_block_delta", index=1, delta=delta)
    go()
    assert hooks(feed) == ["SessionStart"]

    entry.sends("content_block_stop", index=1)
    go()
    assert hooks(feed) == ["SessionStart", "PreToolUse"]
    assert told(feed, "hooks")[1]["tool_input"] == {"file_path": "/a"}

    stops(entry, "tool_use")
    go()
    assert hooks(feed) == ["SessionStart", "PreToolUse"]


def test_results_are_told_once_however_often_they_are_sent(log, session, feed, go):
    block = use("toolu_1", "Bash", command="ls")
    stops(calls(begins(claude(log, session, user("go"))), block), "tool_use")
    history = [user("go"), assistant(block), user([result("toolu_1", "a")])]
    claude(log, session, *history).close("upstream_error")
    stops(says(begins(claude(log, session, *history), "msg_2"), "done"))
    go()

    assert hooks(feed) == ["SessionStart", "PreToolUse", "PostToolUse", "Stop"]


def test_a_subagent_starts_once_and_stops(log, session, feed, go):
    block = use("toolu_9", "Agent", prompt="Count.", subagent_type="Explore", description="count")
    stops(calls(begins(claude(log, session, user("delegate"))), block), "tool_use")
    ls = use("toolu_10", "Bash", command="ls")
    child = claude(log, session, user("Count."), agent="a1b2")
    stops(calls(begins(child, "msg_2"), ls), "tool_use")
    history = [user("Count."), assistant(ls), user([result("toolu_10", "a")])]
    stops(says(begins(claude(log, session, *history, agent="a1b2"), "msg_3"), "One."))
    go()

    assert hooks(feed) == [
        "SessionStart", "PreToolUse", "SubagentStart", "PreToolUse", "PostToolUse", "SubagentStop",
    ]  # fmt: skip
    events = told(feed, "hooks")
    assert {event["session_id"] for event in events} == {"conv-1"}
    start, stop = events[2], events[5]
    assert (start["agent_type"], start["description"]) == ("Explore", "count")
    assert start["tool_use_id"] == "toolu_9"
    assert (stop["agent_type"], stop["description"]) == ("Explore", "count")
    assert stop["agent_id"] == stop["conversation_id"] == events[3]["conversation_id"] == "a1b2"
    assert hooks(feed, about="a1b2") == hooks(feed)[3:]
    assert hooks(feed, about="conv-1") == hooks(feed)


def test_a_subagent_that_ends_with_a_tool_stops_when_its_result_comes(log, session, feed, go):
    block = use("toolu_9", "Agent", prompt="Count.", subagent_type="Explore")
    stops(calls(begins(claude(log, session, user("delegate"))), block), "tool_use")
    done = use("toolu_10", "Bash", command="exit")
    child = claude(log, session, user("Count."), agent="a1b2")
    stops(calls(begins(child, "msg_2"), done), "tool_use")
    history = [user("delegate"), assistant(block), user([result("toolu_9", "One.")])]
    stops(says(begins(claude(log, session, *history), "msg_3"), "One."))
    go()

    assert hooks(feed)[2:] == [
        "SubagentStart", "PreToolUse", "SubagentStop", "PostToolUse", "Stop",
    ]  # fmt: skip
    stop = told(feed, "hooks")[4]
    assert (stop["agent_id"], stop["conversation_id"]) == ("a1b2", "a1b2")
    assert stop["session_id"] == "conv-1"


def test_a_subagent_whose_call_was_not_seen_starts_with_its_first_turn(log, session, feed, go):
    stops(says(begins(claude(log, session, user("Count."), agent="a1b2")), "One."))
    stops(says(begins(claude(log, session, user("More."), agent="a1b2")), "Two."))
    go()

    assert hooks(feed) == ["SubagentStart", "SubagentStop", "SubagentStop"]


def test_calls_beside_the_thread_start_and_stop_nothing(log, session, feed, go):
    stops(says(begins(claude(log, session, user("a title"), title=True)), "Title"))
    go()

    assert hooks(feed) == []


def test_an_answer_that_was_cut_off_or_failed_is_no_stop(log, session, feed, go):
    says(begins(claude(log, session, user("go"))), "half").close("upstream_error")
    failed = claude(log, session, user("go"))
    failed.sends("error", error={"type": "overloaded_error", "message": "busy"}).ends()
    go()

    assert hooks(feed) == ["SessionStart"]


def test_tasks_of_the_agents_own_list(log, session, feed, go):
    def write(call_id, *todos):
        items = [{"content": name, "status": status, "activeForm": name} for name, status in todos]
        return use(call_id, "TodoWrite", todos=items)

    first = write("toolu_1", ("a", "in_progress"), ("b", "pending"))
    second = write("toolu_2", ("a", "completed"), ("b", "in_progress"))
    history = [user("go")]
    for block in (first, second):
        stops(calls(begins(claude(log, session, *history)), block), "tool_use")
        history += [assistant(block), user([result(block["id"], "ok")])]
    stops(says(begins(claude(log, session, *history)), "done"))
    go()

    tasks = [event for event in told(feed, "hooks") if event["hook_event_name"].startswith("Task")]
    assert [(one["hook_event_name"], one["task"], one["task_status"]) for one in tasks] == [
        ("TaskStart", "a", "in_progress"),
        ("TaskStart", "b", "pending"),
        ("TaskComplete", "a", "completed"),
        ("TaskUpdate", "b", "in_progress"),
    ]


def test_a_socket_of_codex(log, session, feed, go):
    socket = codex(log, session)
    creates(socket, item("list the files"))
    responds(socket, "resp_1", shell("call_1", "ls"))
    go()
    assert hooks(feed) == ["SessionStart", "PreToolUse"]

    creates(socket, output("call_1", "a.txt"), previous="resp_1")
    responds(socket, "resp_2", item("One file.", "assistant"))
    go()
    assert hooks(feed)[2:] == ["PostToolUse", "Stop"]
    pre, post = told(feed, "hooks")[1:3]
    assert pre["tool_name"] == post["tool_name"] == "exec_command"
    assert post["tool_input"] == {"cmd": "ls"}
    assert post["tool_response"] == "a.txt"
