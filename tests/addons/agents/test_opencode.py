"""opencode: headers name session and parent; without them the body says less."""

import pytest
from hypothesis import given, settings

from addons.agents import agent_of
from addons.agents.contract import ResultMeaning, ToolMeaning
from addons.agents.opencode import AGENT, unquoted
from storage.decoded import ToolCallPart
from tests.addons.agents.making import (
    answer,
    anything,
    call,
    check_total,
    head,
    results,
    tool_call,
    tool_result,
    tools,
    user,
)

SESSION, CHILD = "ses_dfe91cea8ffewGKP7W", "ses_dfe91beb6ffeMe2Cu7"
ENV = "\n<env>\n  Working directory: /srv/app\n  Workspace root folder: /srv/app\n</env>"
SYSTEM = "You are OpenCode, the helper." + ENV
TITLE = "You are a title generator. You output ONLY a thread title. Nothing else."
PLAN = "<system-reminder>\n# Plan Mode - System Reminder\nOnly read.\n</system-reminder>"
BUILD = (
    "<system-reminder>\nYour operational mode has changed from plan to build.\n</system-reminder>"
)
QUEUED = (
    "<system-reminder>\nThe user sent the following message:\nfaster\n\n"
    "Please address this message and continue with your tasks.\n</system-reminder>"
)
MAIN_TOOLS = tools("bash", "read", "task", "todowrite")
SUB_TOOLS = tools("bash", "read")
AGENT_HEADER = "opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14"
MAIN_HEAD = head(user_agent=AGENT_HEADER, x_session_id=SESSION, x_session_affinity=SESSION)
SUB_HEAD = head(user_agent=AGENT_HEADER, x_session_id=CHILD, x_parent_session_id=SESSION)
MARKERS = [
    SYSTEM, TITLE, PLAN, QUEUED[:60], '"', '\\"', " ", "task", "todowrite", '{"todos":["x"]}',
    f'<task id="{CHILD}" state="', "error", "Called the Read tool with the following input: ",
    "What did we do so far?", "<system-reminder>", "</system-reminder>", "apply_patch",
    "*** Add File: a", "prompt_cache_key", SESSION, "opencode/1.2",
]  # fmt: skip


def opencode(*messages, **known):
    known.setdefault("at", MAIN_HEAD)
    known.setdefault("system", (SYSTEM,))
    known.setdefault("tools", MAIN_TOOLS)
    return call(*messages, wire="anthropic.messages", **known)


def test_a_call_of_the_main_thread():
    hints = AGENT.hints(opencode(user('"count the files"')))
    assert AGENT.matches(MAIN_HEAD)
    assert hints.agent_version == "1.18.33"
    assert (hints.conversation, hints.root, hints.parent) == (SESSION, SESSION, None)
    assert (hints.request_class, hints.prompt, hints.cwd) == ("main", "count the files", "/srv/app")
    assert hints.inferred == ("prompt",)
    assert AGENT.hints(opencode(user("hi"))).inferred == ()


def test_a_subagent_names_its_parent():
    one = opencode(user("look"), answer(), at=SUB_HEAD, tools=SUB_TOOLS)
    hints = AGENT.hints(one)
    assert (hints.request_class, hints.is_subagent) == ("subagent", True)
    assert (hints.conversation, hints.parent, hints.root) == (CHILD, SESSION, SESSION)
    assert (hints.spawn_prompt, hints.prompt, hints.inferred) == ("look", None, ("root",))


def test_the_user_agent_of_the_openai_route():
    at = head(user_agent="opencode/1.18.33 (linux 6.1; x64)", x_session_id=SESSION)
    assert AGENT.hints(opencode(user("hi"), at=at)).agent_version == "1.18.33"


@pytest.mark.parametrize(
    "system",
    [SYSTEM, TITLE, "Speak like a pirate." + ENV, "You are opencode, an agent - go on"],
    ids=["main", "title", "own", "other-model"],
)
def test_body_alone_tells_the_agent(system):
    one = opencode(user("hi"), at=head(), system=(system,))
    assert agent_of(one.head, one.asked) is AGENT


def test_without_headers_a_subagent_lacks_the_tool_that_starts_one():
    sub = AGENT.hints(opencode(user("look"), at=head(), tools=SUB_TOOLS))
    assert (sub.request_class, sub.conversation, sub.parent) == ("subagent", None, None)
    assert set(sub.inferred) == {"request_class", "is_subagent"}
    main = AGENT.hints(opencode(user("hi"), at=head()))
    assert (main.request_class, main.inferred) == ("main", ("request_class",))


def test_without_headers_openai_has_the_session_in_its_cache_key():
    one = opencode(user("hi"), at=head(), fields={"prompt_cache_key": SESSION})
    hints = AGENT.hints(one)
    assert (hints.conversation, "conversation" in hints.inferred) == (SESSION, True)


@pytest.mark.parametrize(
    ("system", "messages", "expected"),
    [
        (TITLE, (user("Generate a title for this conversation:\n", '"hi"'),), "title"),
        ("You are a context summarization agent. Go.",
         (user("<conversation>\nhi\n</conversation>"),), "compaction"),
        ("Summarize what was done in this conversation.", (user("x"),), "summary"),
    ],
    ids=["title", "compaction", "summary"],
)  # fmt: skip
def test_calls_beside_the_main_thread(system, messages, expected):
    hints = AGENT.hints(opencode(*messages, system=(system,), tools=()))
    assert (hints.request_class, hints.prompt, hints.conversation) == (expected, None, SESSION)
    assert hints.inferred == ("request_class",)
    assert hints.compaction == ("unknown" if expected == "compaction" else None)


@pytest.mark.parametrize(
    ("messages", "mode"),
    [
        ((user("think", PLAN),), "plan"),
        ((user("think", PLAN), answer(), user("go", BUILD)), "build"),
        ((user("think", PLAN), answer(), results(tool_result("x"), role="user")), "plan"),
        ((user("hi"),), None),
    ],
)
def test_mode_is_told_beside_the_prompt(messages, mode):
    assert AGENT.hints(opencode(*messages)).mode == mode


def test_the_prompt_after_an_interruption():
    stopped = results(tool_result("Tool execution aborted", is_error=True), role="user")
    hints = AGENT.hints(opencode(user("one"), answer(), stopped, user("two")))
    assert (hints.prompt, hints.is_interrupted) == ("two", True)
    assert not AGENT.hints(opencode(user("one"), answer(), user("two"))).is_interrupted


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('"two words"', "two words"),
        ('"say \\"hi\\" now"', 'say "hi" now'),
        ("bare", "bare"),
        ('"word"', '"word"'),
        ('"a" or "b"', '"a" or "b"'),
        ('"', '"'),
    ],
)
def test_quotes_of_the_command_line(said, meant):
    assert unquoted(said) == meant


@pytest.mark.parametrize(
    ("message", "kind", "prompt", "injected"),
    [
        (user('"do it"'), "prompt", "do it", ()),
        (user('"do it"', PLAN), "prompt", "do it", (1,)),
        (user(f"do it\n{PLAN}"), "prompt", "do it", ()),
        (user(QUEUED), "prompt", "faster", ()),
        (user("see @a", 'Called the Read tool with the following input: {"filePath":"a"}', "x = 1"),
         "prompt", "see @a", (1, 2)),
        (user("ask @x", " Use the above message and context to generate a prompt and call"),
         "prompt", "ask @x", (1,)),
        (user(PLAN), "context", None, (0,)),
        (user("What did we do so far?"), "summary", None, ()),
        (user("Continue if you have next steps, or stop and ask for clarification if"),
         "instruction", None, ()),
        (user("Generate a title for this conversation:\n", '"hi"'), "instruction", None, ()),
        (user("Here is the conversation so far:\n\n<conversation>\n[User]: hi"),
         "instruction", None, ()),
        (user("The following tool was executed by the user"), "context", None, (0,)),
        (results(tool_result("x"), role="user"), "tool-results", None, ()),
    ],
)  # fmt: skip
def test_reading(message, kind, prompt, injected):
    read = AGENT.reading(message)
    assert (read.kind, read.prompt, read.injected) == (kind, prompt, injected)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("bash", ToolMeaning(kind="shell")),
        ("apply_patch", ToolMeaning(kind="edit")),
        ("plan_exit", ToolMeaning(kind="plan")),
        ("demo_echo_text", ToolMeaning(kind="mcp", mcp_server="demo", mcp_tool="echo_text",
                                       is_inferred=True)),
        ("frobnicate", ToolMeaning(kind="other")),
    ],
)  # fmt: skip
def test_tools(name, meaning):
    assert AGENT.tool(name, None) == meaning
    assert AGENT.offered(tools(name)[0]) == meaning


def test_what_calls_do():
    spawned = AGENT.call(tool_call("task", prompt="look", subagent_type="general"))
    assert (spawned.spawn_prompt, spawned.subagent_type) == ("look", "general")
    assert AGENT.call(tool_call("skill", name="demo")).skill == "demo"
    assert AGENT.call(tool_call("bash", command="ls")).command == "ls"
    patch = "*** Begin Patch\n*** Delete File: a.py\n*** End Patch"
    for part in (
        tool_call("apply_patch", patchText=patch),
        ToolCallPart(call_id="1", name="apply_patch", arguments=patch, is_custom=True),
    ):
        touches = AGENT.call(part).touches
        assert [(one.path, one.access) for one in touches] == [("a.py", "delete")]


@pytest.mark.parametrize(
    ("part", "result", "meaning"),
    [
        (tool_call("task"), tool_result(f'<task id="{CHILD}" state="completed">\nx'),
         ResultMeaning(is_error=False, is_inferred=True, child=CHILD)),
        (tool_call("task"), tool_result(f'<task id="{CHILD}" state="error">\nx'),
         ResultMeaning(is_error=True, is_inferred=True, child=CHILD)),
        (tool_call("task"), tool_result(f'<task id="{CHILD}" state="running">\nx'),
         ResultMeaning(child=CHILD, is_pending=True)),
        (tool_call("task"), tool_result(f"Subagent failed (task_id: {CHILD}): x", is_error=True),
         ResultMeaning(is_error=True, child=CHILD)),
        (tool_call("bash"), tool_result("oops\n"), ResultMeaning()),
        (tool_call("bash"), tool_result("a\n\n<shell_metadata>\nUser aborted the command\n"
                                        "</shell_metadata>"),
         ResultMeaning(is_error=True, is_inferred=True)),
        (tool_call("read"), tool_result("File not found: /a"),
         ResultMeaning(is_error=True, is_inferred=True)),
        (tool_call("read"), tool_result("File not found: /a", is_error=True),
         ResultMeaning(is_error=True)),
        (None, tool_result("x"), ResultMeaning()),
    ],
)  # fmt: skip
def test_results(part, result, meaning):
    assert AGENT.result(part, result) == meaning


def test_todos_are_sent_whole():
    todos = [{"content": "a", "status": "in_progress", "priority": "high"}]
    (change,) = AGENT.tasks(tool_call("todowrite", todos=todos), None)
    assert (change.key, change.subject, change.status) == ("1", "a", "in_progress")
    assert change.replaces_all
    assert AGENT.tasks(tool_call("task", todos=todos), None) == ()


@given(made=anything(MARKERS))
@settings(max_examples=50, deadline=None)
def test_never_raises(made):
    check_total(AGENT, made)
