"""Codex: calls as 0.169 and 0.104 make them, by socket and by POST, with headers and without."""

import json

import msgspec
import pytest
from hypothesis import given, settings

from addons.agents import agent_of, codex
from addons.agents.contract import Hints, Reading, Touch
from addons.wire.contract import Head
from storage.decoded import (
    CompactionPart,
    MediaPart,
    Message,
    OtherPart,
    TextPart,
    ToolCallPart,
)
from tests.addons.agents import making
from tests.addons.agents.making import answer, results, tool_call, tool_result, user

AGENT = codex.AGENT
SESSION = "01a2016b-0296-79d3-92ad-41863d7b4c56"
THREAD = "01a2016b-04df-7a93-ad73-607c43467737"
TURN = "01a2016b-0342-7d21-80dd-27b22dc11ce6"
WORKSPACES = {
    "/work/a": {"associated_remote_urls": {"origin": "https://me:secret@example.com/acme/a.git"}}
}
USER_AGENT = "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)"
HEADERS = {
    "user-agent": USER_AGENT,
    "originator": "codex_exec",
    "version": "0.169.0",
    "session-id": SESSION,
    "thread-id": SESSION,
}
ENVIRONMENT = "<environment_context>\n  <cwd>/work/a/b</cwd>\n</environment_context>"


def metadata(**changed):
    known = {
        "session_id": SESSION,
        "thread_id": SESSION,
        "agent_name": "/root",
        "turn_id": TURN,
        "request_kind": "turn",
        "thread_source": "user",
        "workspaces": WORKSPACES,
        "reasoning_effort": "low",
    }
    return known | changed


def client(**changed):
    turn = metadata(**changed)
    fields = {"session_id": turn["session_id"], "thread_id": turn["thread_id"]}
    return {"client_metadata": fields | {"x-codex-turn-metadata": json.dumps(turn)}}


CHILD = {
    "thread_id": THREAD,
    "agent_name": "/root/counter",
    "parent_thread_id": SESSION,
    "subagent_kind": "thread_spawn",
    "thread_source": "subagent",
}


def labelled(*parts, kinds, provenance=(), role="user"):
    labels = {"turn_id": TURN, "content_item_kinds": kinds}
    if provenance:
        labels["content_item_metadata"] = [{"provenance": {"type": one}} for one in provenance]
    made = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    return Message(role=role, parts=made, labels_json=msgspec.json.encode(labels))


def developer(*texts):
    return Message(role="developer", parts=tuple(TextPart(text=text) for text in texts))


def agent_message(text, encrypted=None, author="/root"):
    parts = [TextPart(text=text)]
    if encrypted:
        raw = msgspec.json.encode({"type": "encrypted_content", "encrypted_content": encrypted})
        parts.append(OtherPart(type="encrypted_content", json=raw))
    return Message(role="user", parts=tuple(parts), name=author)


ASKED = (
    user(ENVIRONMENT),
    labelled("Fix it", kinds=["user.text"], provenance=["user"]),
)
TRIGGER = Message(
    role="user",
    parts=(OtherPart(type="compaction_trigger", json=b'{"type":"compaction_trigger"}'),),
)
TASK = agent_message("Message Type: NEW_TASK\nTask name: /root/counter\nPayload:\n", "Count")


def hints(*messages, at=HEADERS, fields=None, socket=False, **asked):
    fields = client() if fields is None else fields
    call = making.call(
        *messages, at=head(at, socket=socket), wire="openai.responses", fields=fields, **asked
    )
    return AGENT.hints(call)


def head(headers, socket=False):
    """With these very names: 0.104 has `session_id`, later ones `session-id`."""
    encoded = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Head(
        method="GET" if socket else "POST",
        host="api.openai.com",
        path="/v1/responses",
        headers=encoded,
        is_websocket=socket,
    )


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "is_it"),
    [
        ({"user-agent": USER_AGENT}, True),
        ({"user-agent": "codex_cli_rs/0.104.0 (Mac OS)"}, True),
        ({"user-agent": "Codex Desktop/1.2.3"}, True),
        ({"originator": "codex_vscode"}, True),
        ({"x-codex-turn-metadata": "{}"}, True),
        ({"user-agent": "opencode/1.18.33", "originator": "opencode"}, False),
        ({"session_id": SESSION}, False),
    ],
)
def test_headers_name_it(headers, is_it):
    assert AGENT.matches(head(headers)) is is_it


@pytest.mark.parametrize(
    ("messages", "system", "fields", "is_it"),
    [
        ((), (), client(), True),
        ((), (), {"client_metadata": {"x-codex-window-id": "w:0"}}, True),
        ((), ("You are Codex, an agent.",), {}, True),
        ((developer("You are Codex, an agent."), user("hi")), (), {}, True),
        ((user("You are Codex, an agent."),), (), {}, False),
        ((), (), {"client_metadata": {"a": "b"}}, False),
    ],
)
def test_the_body_alone_names_it(messages, system, fields, is_it):
    call = making.call(*messages, system=system, fields=fields)
    assert AGENT.recognises(call.head, call.asked) is is_it
    assert (agent_of(call.head, call.asked) is AGENT) is is_it


def test_a_first_turn_of_169():
    assert hints(*ASKED) == Hints(
        agent_version="0.169.0",
        conversation=SESSION,
        root=SESSION,
        cwd="/work/a/b",
        git_repository="https://example.com/acme/a.git",
        prompt="Fix it",
        prompt_id=TURN,
        effort="low",
        entry_point="codex_exec",
    )


def test_the_body_says_it_all_but_the_program():
    direct, bare = hints(*ASKED), hints(*ASKED, at={})
    assert (bare.agent_version, bare.entry_point) == (None, None)
    assert bare == msgspec.structs.replace(direct, agent_version=None, entry_point=None)


def test_a_later_turn_of_a_socket():
    """Its headers are those of the first message, which was a prewarm."""
    stale = json.dumps(metadata(request_kind="prewarm", turn_id="old"))
    at = HEADERS | {"x-codex-turn-metadata": stale}
    found = hints(results(tool_result("ok")), at=at, socket=True)
    assert (found.request_class, found.prompt_id, found.prompt) == ("main", TURN, None)
    assert (found.cwd, found.inferred) == ("/work/a", ("cwd",))
    without = hints(results(tool_result("ok")), at=at, socket=True, fields={})
    assert (without.request_class, without.prompt_id) == ("main", None)
    assert (without.conversation, without.inferred) == (SESSION, ("cwd", "request_class"))


def test_a_turn_of_104():
    turn = json.dumps({"turn_id": TURN, "workspaces": WORKSPACES, "sandbox": "none"})
    at = {
        "user-agent": "codex_exec/0.104.0 (Debian 12.0.0; x86_64) xterm-256color",
        "session_id": SESSION,
        "chatgpt-account-id": "acct-1",
        "x-codex-turn-metadata": turn,
    }
    messages = (
        developer("<permissions instructions>\n`sandbox_mode` is `read-only`: all of it."),
        user("# AGENTS.md instructions for /work/a\n\n<INSTRUCTIONS>\nBe brief."),
        user(ENVIRONMENT),
        user("Fix it"),
    )
    fields = {"prompt_cache_key": SESSION}
    found = hints(*messages, at=at, fields=fields, effort="medium")
    assert found == Hints(
        agent_version="0.104.0",
        conversation=SESSION,
        root=SESSION,
        cwd="/work/a/b",
        git_repository="https://example.com/acme/a.git",
        prompt="Fix it",
        prompt_id=TURN,
        mode="read-only",
        effort="medium",
        account="acct-1",
        inferred=("request_class",),
    )
    bare = hints(*messages, at={}, fields=fields)
    assert (bare.conversation, bare.prompt, bare.cwd) == (SESSION, "Fix it", "/work/a/b")
    assert bare.inferred == ("conversation", "root", "request_class")


# --- subagents and purposes -----------------------------------------------------------------------


@pytest.mark.parametrize("headers", [HEADERS, {}], ids=["headers", "body"])
def test_a_subagent(headers):
    found = hints(user("Fix it"), answer(), TASK, at=headers, fields=client(**CHILD))
    assert (found.conversation, found.root, found.parent) == (THREAD, SESSION, SESSION)
    assert (found.is_subagent, found.request_class, found.subagent_type) == (True, "subagent", None)
    assert (found.subagent_name, found.spawn_prompt) == ("/root/counter", "Count")
    assert found.prompt is None


def test_a_subagent_by_headers_alone():
    at = HEADERS | {
        "thread-id": THREAD,
        "x-openai-subagent": "collab_spawn",
        "x-codex-parent-thread-id": SESSION,
    }
    found = hints(user("Count"), at=at, fields={})
    assert (found.conversation, found.root, found.parent) == (THREAD, SESSION, SESSION)
    assert (found.is_subagent, found.request_class) == (True, "subagent")


def test_a_review_is_a_thread_without_a_name():
    changed = {"thread_id": THREAD, "parent_thread_id": SESSION, "subagent_kind": "review"}
    found = hints(user("Review it"), fields=client(**changed))
    assert (found.is_subagent, found.subagent_type, found.subagent_name) == (True, "review", None)


@pytest.mark.parametrize(
    ("changed", "asked", "expected"),
    [
        ({}, {}, "main"),
        ({"request_kind": "prewarm"}, {}, "prewarm"),
        ({"request_kind": "compaction"}, {}, "compaction"),
        ({"request_kind": "a-new-one"}, {}, "side"),
        ({"request_kind": ""}, {}, "main"),
        ({"request_kind": ""}, {"generates": False}, "prewarm"),
        ({"request_kind": ""}, {"operation": "compact"}, "compaction"),
        (CHILD | {"request_kind": "prewarm"}, {}, "prewarm"),
        ({"thread_source": "thread_title"}, {}, "title"),
        ({"thread_source": "a-new-one"}, {}, "side"),
        ({"thread_source": ""}, {}, "main"),
        ({"subagent_kind": "review"}, {}, "subagent"),
        ({"subagent_kind": "guardian"}, {}, "classifier"),
        ({"subagent_kind": "memory_consolidation"}, {}, "memory"),
    ],
)
def test_what_a_call_is_for(changed, asked, expected):
    found = hints(user("Fix it"), fields=client(**changed), **asked)
    assert found.request_class == expected
    assert (found.prompt is None) == (expected != "main")


@pytest.mark.parametrize(
    "last", [TRIGGER, user("You are performing a CONTEXT CHECKPOINT COMPACTION. Sum up.")]
)
def test_a_compaction_is_seen_in_the_body(last):
    found = hints(user("Fix it"), answer(), last, at={}, fields={})
    assert (found.request_class, found.compaction, found.prompt) == ("compaction", "unknown", None)


def test_how_a_compaction_came():
    fields = client(request_kind="compaction", compaction={"trigger": "auto"})
    assert hints(user("x"), fields=fields).compaction == "auto"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("<collaboration_mode># Plan Mode (Conversational)\nPlan.",), "plan"),
        (("<collaboration_mode># Collaboration Mode: Default\nGo.",), None),
        (("<collaboration_mode># Plan Mode", "<collaboration_mode># Collaboration Mode: Default"),
         None),
        (("`sandbox_mode` is `workspace-write`: so.",), "workspace-write"),
        ((), None),
    ],
)  # fmt: skip
def test_the_mode(texts, expected):
    found = hints(*(developer(text) for text in texts), user("`sandbox_mode` is `x`"))
    assert found.mode == expected


def test_the_latest_directory_counts():
    moved = user("<environment_context>\n  <cwd>/work/c</cwd>\n</environment_context>")
    assert hints(*ASKED, answer(), moved, user("More")).cwd == "/work/c"


# --- messages -------------------------------------------------------------------------------------

CASES = {
    "plain": (user("Fix it"), Reading(kind="prompt", prompt="Fix it")),
    "labelled": (ASKED[1], Reading(kind="prompt", prompt="Fix it")),
    "labelled though it looks injected": (
        labelled("<skill>", kinds=["user.text"], provenance=["user"]),
        Reading(kind="prompt", prompt="<skill>"),
    ),
    "labelled as the harness's": (
        labelled("Do it well.", kinds=["hooks.additional_context"]),
        Reading(kind="context", injected=(0,)),
    ),
    "provenance goes before the kind": (
        labelled("Beat.", kinds=["user.text"], provenance=["harness"]),
        Reading(kind="context", injected=(0,)),
    ),
    "labelled in part": (
        labelled("Context.", "Fix it", kinds=["ide.context", "user.text"]),
        Reading(kind="prompt", prompt="Fix it", injected=(0,)),
    ),
    "unknown label": (
        labelled("Fix it", kinds=["unknown"]),
        Reading(kind="prompt", prompt="Fix it"),
    ),
    "environment": (user(ENVIRONMENT), Reading(kind="context", injected=(0,))),
    "AGENTS.md": (
        user("# AGENTS.md instructions for /work/a\n\nBe brief."),
        Reading(kind="context", injected=(0,)),
    ),
    "developer": (developer("So."), Reading(kind="context", injected=(0,))),
    "editor": (
        user("# Context from my IDE setup:\n\n- a.py\n\n## My request for Codex:\nFix it\n"),
        Reading(kind="prompt", prompt="Fix it"),
    ),
    "image": (
        Message(
            role="user",
            parts=(
                TextPart(text="<image name=[Image #1]>"),
                MediaPart(media="image"),
                TextPart(text="</image>"),
                TextPart(text="What is it?"),
            ),
        ),
        Reading(kind="prompt", prompt="What is it?", injected=(0, 2)),
    ),
    "answer": (answer(), Reading(kind="answer")),
    "results": (results(tool_result("ok")), Reading(kind="tool-results")),
    "compaction": (
        Message(role="assistant", parts=(CompactionPart(text="All."),)),
        Reading(kind="summary"),
    ),
    "summary": (
        user("Another language model started to solve this problem. Here:"),
        Reading(kind="summary"),
    ),
    "compaction asks": (TRIGGER, Reading(kind="instruction")),
    "aborted": (
        user("<turn_aborted>\nThe user stopped it.\n</turn_aborted>"),
        Reading(kind="context", injected=(0,), is_interruption=True),
    ),
    "aborted, told by the developer": (
        developer("<turn_aborted>\nThe turn was stopped.\n</turn_aborted>"),
        Reading(kind="context", injected=(0,), is_interruption=True),
    ),
    "shell of the user": (
        user("<user_shell_command>\nls\n</user_shell_command>"),
        Reading(kind="command"),
    ),
    "task of a subagent": (TASK, Reading(kind="instruction")),
    "report of a subagent": (
        agent_message("Message Type: FINAL_ANSWER\nPayload:\nDone", author="/root/counter"),
        Reading(kind="notification"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_messages(case):
    message, expected = CASES[case]
    assert AGENT.reading(message) == expected


@pytest.mark.parametrize(
    ("messages", "prompt", "is_interrupted"),
    [
        ((developer("a"), user(ENVIRONMENT), user("Fix it")), "Fix it", False),
        ((user("Fix it"), developer("after")), "Fix it", False),
        ((user("Fix it"), answer(), results(tool_result("ok"))), None, False),
        (
            (user("Fix it"), answer(), user("<turn_aborted>x</turn_aborted>"), user("No")),
            "No",
            True,
        ),
        ((user("Fix it"), developer("<turn_aborted>x</turn_aborted>"), user("No")), "No", True),
        ((user("Fix it"), results(tool_result("ok")), user(ENVIRONMENT)), None, False),
        ((), None, False),
    ],
)
def test_the_prompt_that_a_call_is_the_first_to_carry(messages, prompt, is_interrupted):
    found = hints(*messages)
    assert (found.prompt, found.is_interrupted) == (prompt, is_interrupted)


# --- tools ----------------------------------------------------------------------------------------


def script(text):
    return ToolCallPart(
        call_id="c", name="exec", namespace="functions", arguments=text, is_custom=True
    )


PATCH = "*** Begin Patch\n*** Add File: a.txt\n+x\n*** Update File: b.txt\n*** End Patch\n"


@pytest.mark.parametrize(
    ("name", "namespace", "kind"),
    [
        ("exec_command", None, "shell"),
        ("apply_patch", None, "edit"),
        ("update_plan", None, "todo"),
        ("spawn_agent", "collaboration", "task"),
        ("tool_search", None, "tool-search"),
        ("web_search", None, "web"),
        ("sleep", "clock", "other"),
        ("echo_text", "mcp__demo", "mcp"),
        ("mcp__demo__echo_text", None, "mcp"),
    ],
)
def test_tools(name, namespace, kind):
    assert AGENT.tool(name, namespace).kind == kind


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (tool_call("exec_command", cmd="ls"), {"command": "ls"}),
        (tool_call("shell", command=["bash", "-lc", "ls -l"]), {"command": "bash -lc 'ls -l'"}),
        (tool_call("shell", commands=["ls", "pwd"]), {"command": "ls\npwd"}),
        (
            ToolCallPart(call_id="c", name="apply_patch", arguments=PATCH, is_custom=True),
            {
                "touches": (
                    Touch(path="a.txt", access="write"),
                    Touch(path="b.txt", access="edit"),
                )
            },
        ),
        (
            tool_call("view_image", path="/a.png"),
            {"touches": (Touch(path="/a.png", access="read"),)},
        ),
        (
            tool_call(
                "spawn_agent", namespace="collaboration", task_name="counter", message="Count"
            ),
            {"spawn_name": "counter", "spawn_prompt": "Count"},
        ),
        (tool_call("send_message", target="counter", message="Hm"), {"spawn_prompt": None}),
        (script("tools.exec_command({cmd: 'ls'}); tools.exec_command({cmd})"), {"command": "ls"}),
        (script("text(1)"), {"inner": (), "command": None}),
    ],
    ids=lambda value: value.name if isinstance(value, ToolCallPart) else "",
)
def test_calls(call, expected):
    found = AGENT.call(call)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "kind", "server", "is_inferred"),
    [
        ("tools.exec_command({cmd: 'ls'})", "shell", None, True),
        ("tools.mcp__demo__echo({})", "mcp", "demo", True),
        (f"tools.apply_patch({json.dumps(PATCH)})", "edit", None, True),
        ("tools.exec_command({}); tools.mcp__demo__echo({})", "shell", None, False),
        ("text(1)", "shell", None, False),
    ],
)
def test_a_script_is_of_the_kind_of_its_calls(text, kind, server, is_inferred):
    found = AGENT.call(script(text)).tool
    assert (found.kind, found.mcp_server, found.is_inferred) == (kind, server, is_inferred)


def test_a_script_shows_its_calls():
    found = AGENT.call(script(f"tools.exec_command({{cmd: 'ls'}}); tools.apply_patch(`{PATCH}`)"))
    assert [one.tool.kind for one in found.inner] == ["shell", "edit"]
    assert [touch.path for touch in found.touches] == ["a.txt", "b.txt"]


RAN = "Chunk ID: 1\nWall time: 0.0512 seconds\nProcess exited with code 3\nOutput:\noops\n"
SHOWN = 'Script completed\nWall time 0.1 seconds\nOutput:\n\n{"exit_code":3,"output":"oops"}'


@pytest.mark.parametrize(
    ("call", "text", "expected"),
    [
        ("exec_command", RAN, (True, True, 3, 51, False)),
        ("exec_command", RAN.replace("code 3", "code 0"), (False, True, 0, 51, False)),
        (
            "exec_command",
            "Wall time: 1 seconds\nProcess running with session ID 5\nOutput:\n",
            (None, False, None, 1000, True),
        ),
        (
            "exec_command",
            "Wall time: 0 seconds\nOutput:\nProcess exited with code 3",
            (None, False, None, 0, False),
        ),
        (
            "apply_patch",
            "Exit code: 0\nWall time: 2 seconds\nOutput:\nOK",
            (False, True, 0, 2000, False),
        ),
        (
            "shell",
            '{"output":"x","metadata":{"exit_code":1,"duration_seconds":0.5}}',
            (True, True, 1, 500, False),
        ),
        ("update_plan", "Plan updated", (None, False, None, None, False)),
        ("exec_command", "aborted by user after 3.1s", (True, True, None, None, False)),
        ("spawn_agent", '{"task_name":"/root/counter"}', (None, False, None, None, True)),
    ],
)
def test_results(call, text, expected):
    found = AGENT.result(tool_call(call), tool_result(text))
    got = found.is_error, found.is_inferred, found.exit_code, found.duration_ms, found.is_pending
    assert got == expected


def test_results_of_scripts():
    one = script("text(await tools.exec_command({cmd: 'exit 3'}))")
    two = script("tools.exec_command({cmd: 'a'}); tools.exec_command({cmd: 'b'})")
    assert AGENT.result(one, tool_result(SHOWN)).exit_code == 3
    assert AGENT.result(one, tool_result(SHOWN)).is_error is True
    assert AGENT.result(two, tool_result(SHOWN)).exit_code is None
    assert AGENT.result(one, tool_result("Script failed\nno such tool")).is_error is True
    assert AGENT.result(one, tool_result("Script running with cell ID 1")).is_pending


def test_an_older_subagent_is_named_by_its_thread():
    found = AGENT.result(tool_call("spawn_agent"), tool_result(f'{{"agent_id":"{THREAD}"}}'))
    assert (found.child, found.is_pending) == (THREAD, True)


PLAN = [{"step": "Look", "status": "completed"}, {"step": "Mend", "status": "in_progress"}]
SHOWN_PLAN = [("1", "Look", "completed", True), ("2", "Mend", "in_progress", True)]


def shown(changes):
    return [(one.key, one.subject, one.status, one.replaces_all) for one in changes]


def test_a_plan_is_a_task_list():
    call = tool_call("update_plan", explanation="so", plan=PLAN)
    assert shown(AGENT.tasks(call, None)) == SHOWN_PLAN
    assert AGENT.call(call).description == "so"
    assert AGENT.tasks(tool_call("exec_command", cmd="ls"), None) == ()


def test_a_plan_in_a_script_counts_when_it_was_made():
    call = script(f"await tools.update_plan({json.dumps({'plan': PLAN})})")
    assert AGENT.tasks(call, None) == ()
    assert shown(AGENT.tasks(call, tool_result("Script completed"))) == SHOWN_PLAN
    missing = tool_result("failed TypeError: tools.update_plan is not a function")
    assert AGENT.tasks(call, missing) == ()


# --- anything -------------------------------------------------------------------------------------

MARKERS = [
    ENVIRONMENT,
    RAN,
    SHOWN,
    PATCH,
    "x-codex-turn-metadata",
    json.dumps(metadata()),
    "client_metadata",
    "content_item_kinds",
    "user.text",
    "exec",
    "update_plan",
    "spawn_agent",
    "tools.exec_command({cmd:'a'})",
    "session-id",
    "<turn_aborted>",
]


@settings(max_examples=50, deadline=None)
@given(making.anything(MARKERS))
def test_nothing_makes_it_raise(made):
    making.check_total(AGENT, made)
