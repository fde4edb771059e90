"""Clients that are not known: conventions, and nothing made up."""

import msgspec
import pytest
from hypothesis import given, settings

from addons.agents import AGENTS, agent_of
from addons.agents.contract import ResultMeaning, ToolMeaning, Touch
from addons.agents.generic import AGENT
from storage.decoded import CompactionPart, MediaPart, Message, ToolCallPart
from tests.addons.agents.making import (
    answer,
    anything,
    call,
    check_total,
    head,
    results,
    system,
    tool_call,
    tool_result,
    user,
)

MARKERS = ["<context>", "</context>", "cwd: /", "mcp__a__b", "bash", "todos", "Exit code: 1"]


def test_it_is_the_last_of_the_table_and_takes_who_is_left():
    assert AGENTS[-1] is AGENT
    one = call(user("hi"), at=head(user_agent="own-agent/0.1"))
    assert agent_of(one.head, one.asked) is AGENT


@pytest.mark.parametrize(
    ("agent", "product", "version"),
    [
        ("own-agent/0.1.2 (linux)", "own-agent", "0.1.2"),
        ("OpenAI/Python 1.68.2", "OpenAI/Python", "1.68.2"),
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 Editor/0.42.1 Chrome/120 Electron/28", "Editor",
         "0.42.1"),
        ("curl", "curl", None),
        ("", None, None),
    ],
)  # fmt: skip
def test_product_and_version_are_those_of_the_user_agent(agent, product, version):
    hints = AGENT.hints(call(user("hi"), at=head(user_agent=agent)))
    assert (hints.product, hints.agent_version) == (product, version)


def test_product_is_the_title_that_routers_ask_for():
    at = head(user_agent="OpenAI/JS 5.1.0", x_title="Some Editor")
    hints = AGENT.hints(call(user("hi"), at=at))
    assert (hints.product, hints.agent_version) == ("Some Editor", None)


@pytest.mark.parametrize(
    ("at", "fields"),
    [
        (head(x_session_id="s1"), {}),
        (head(conversation_id="s1"), {}),
        (head(), {"metadata": {"session_id": "s1"}}),
        (head(), {"conversation": "s1"}),
        (head(), {"conversation": {"id": "s1"}}),
        (head(), {"session_id": "s1"}),
    ],
    ids=["header", "other-header", "metadata", "conversation", "object", "field"],
)
def test_conversation_is_what_common_names_hold(at, fields):
    hints = AGENT.hints(call(user("hi"), at=at, fields=fields))
    assert (hints.conversation, hints.root) == ("s1", "s1")


def test_a_cache_key_names_no_conversation():
    assert AGENT.hints(call(user("hi"), fields={"prompt_cache_key": "k"})).conversation is None


@pytest.mark.parametrize(
    ("text", "cwd", "branch"),
    [
        ("Working directory: /srv/app\nOS: linux", "/srv/app", None),
        ("<cwd>/srv/my app</cwd>", "/srv/my app", None),
        ("Your working directory is /srv/app. Stay there.", "/srv/app", None),
        ("Current working directory is `C:\\src`\nCurrent branch: topic/x", "C:\\src", "topic/x"),
        ("Change the working directory when asked.", None, None),
    ],
)
def test_directory_and_branch_are_inferred_from_texts(text, cwd, branch):
    hints = AGENT.hints(call(system(text), user("hi")))
    assert (hints.cwd, hints.git_branch) == (cwd, branch)
    assert set(hints.inferred) == {
        name for name, value in (("cwd", cwd), ("git_branch", branch)) if value
    }


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ((user("one"),), "one"),
        ((user("one"), answer(), user("two")), "two"),
        ((user("one"), answer()), None),
        ((user("one"), answer(), results(tool_result("x"))), None),
        ((user("one"), system("be brief")), "one"),
        ((), None),
    ],
)
def test_prompt_is_the_last_words_that_nothing_answered(messages, prompt):
    assert AGENT.hints(call(*messages)).prompt == prompt


@pytest.mark.parametrize(
    ("message", "kind", "prompt", "injected"),
    [
        (user("hi"), "prompt", "hi", ()),
        (user("<context>a</context>", "hi"), "prompt", "hi", (0,)),
        (user("<context>a</context>\n\nhi\n<system-reminder>b</system-reminder>"), "prompt", "hi",
         ()),
        (user("<context>a</context>"), "context", None, (0,)),
        (user("<b>bold</b> words"), "prompt", "<b>bold</b> words", ()),
        (Message(role="user", parts=(MediaPart(media="image"),)), "prompt", "", ()),
        (system("rules"), "context", None, (0,)),
        (answer(), "answer", None, ()),
        (results(tool_result("x"), role="user"), "tool-results", None, ()),
        (Message(role="user", parts=(CompactionPart(),)), "summary", None, ()),
    ],
)  # fmt: skip
def test_reading(message, kind, prompt, injected):
    read = AGENT.reading(message)
    assert (read.kind, read.prompt, read.injected) == (kind, prompt, injected)


@pytest.mark.parametrize(
    ("operation", "generates", "expected"),
    [
        ("generate", True, "main"),
        ("generate", False, "prewarm"),
        ("count", False, "count"),
        ("compact", True, "compaction"),
        ("embed", True, "side"),
    ],
)
def test_request_class_is_the_endpoints(operation, generates, expected):
    one = call(user("hi"), operation=operation, generates=generates)
    assert AGENT.hints(one).request_class == expected


def test_retries_are_counted_by_the_sdk():
    assert AGENT.hints(call(at=head(x_stainless_retry_count="2"))).attempt == 2
    assert AGENT.hints(call(at=head(x_stainless_retry_count="²"))).attempt is None


@pytest.mark.parametrize(
    ("name", "namespace", "meaning"),
    [
        ("Read", None, ToolMeaning(kind="read")),
        ("apply-patch", None, ToolMeaning(kind="edit")),
        ("mcp__files__read__all", None,
         ToolMeaning(kind="mcp", mcp_server="files", mcp_tool="read__all")),
        ("echo", "mcp__demo", ToolMeaning(kind="mcp", mcp_server="demo", mcp_tool="echo")),
        ("mcp__half", None, ToolMeaning(kind="other")),
        ("frobnicate", "functions", ToolMeaning(kind="other")),
    ],
)  # fmt: skip
def test_tools_mean_what_their_names_say(name, namespace, meaning):
    assert AGENT.tool(name, namespace) == meaning


def test_calls_say_paths_commands_and_tasks():
    assert AGENT.call(tool_call("read_file", filePath="/a")).touches == (
        Touch(path="/a", access="read"),
    )
    assert AGENT.call(tool_call("shell", command=["ls", "a b"])).command == "ls 'a b'"
    spawned = AGENT.call(tool_call("task", prompt="look", subagent_type="scout"))
    assert (spawned.spawn_prompt, spawned.subagent_type) == ("look", "scout")
    assert AGENT.call(tool_call("skill", name="demo")).skill == "demo"


def test_a_patch_names_its_files():
    patch = "*** Begin Patch\n*** Add File: a.py\n+x\n*** Update File: b.py\n*** Move to: c.py\n"
    part = ToolCallPart(call_id="1", name="apply_patch", arguments=patch, is_custom=True)
    assert [(one.path, one.access) for one in AGENT.call(part).touches] == [
        ("a.py", "write"),
        ("b.py", "edit"),
        ("c.py", "write"),
    ]


@pytest.mark.parametrize(
    ("result", "meaning"),
    [
        (tool_result("Exit code: 3\noops"),
         ResultMeaning(is_error=True, is_inferred=True, exit_code=3)),
        (tool_result("exited with code 0", is_error=True),
         ResultMeaning(is_error=True, exit_code=0)),
        (tool_result("fine"), ResultMeaning()),
    ],
)  # fmt: skip
def test_results_of_a_shell(result, meaning):
    assert AGENT.result(tool_call("bash"), result) == meaning


def test_exit_codes_in_files_mean_nothing():
    assert AGENT.result(tool_call("read_file"), tool_result("Exit code: 3")) == ResultMeaning()


def test_todo_lists_are_sent_whole():
    todos = [{"content": "a", "status": "completed"}, {"id": "x", "content": "b", "status": "?"}]
    changes = AGENT.tasks(tool_call("todo_write", todos=todos), None)
    assert [(one.key, one.subject, one.status) for one in changes] == [
        ("1", "a", "completed"),
        ("x", "b", None),
    ]
    assert all(one.replaces_all for one in changes)
    assert AGENT.tasks(tool_call("read", todos=todos), None) == ()


def test_arguments_that_were_cut_off_mean_what_the_name_says():
    part = ToolCallPart(call_id="1", name="bash", arguments='{"command": "l')
    assert msgspec.to_builtins(AGENT.call(part)) == {"tool": {"kind": "shell"}}


@given(made=anything(MARKERS))
@settings(max_examples=50, deadline=None)
def test_never_raises(made):
    check_total(AGENT, made)
