"""Qwen Code: ids only in the cache key for api.openai.com; elsewhere the body's texts alone."""

import pytest
from hypothesis import given, settings

from addons.agents import agent_of
from addons.agents.contract import ResultMeaning, ToolMeaning
from addons.agents.qwen_code import AGENT
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
    tools,
    user,
)

SESSION = "939b49df-a780-418d-8b66-321c3b256f8f"
KEY = {"prompt_cache_key": f"qwen-code:{SESSION}"}
CHILD = "general-purpose-call_js1Pui1NA0"
CHILD_KEY = {"prompt_cache_key": f"qwen-code:{SESSION}:{CHILD}"}
MAIN = system(
    "You are Qwen Code, a non-interactive CLI agent. Rules.\ngit: Current branch: topic/x\n"
)
SUB = system("You are a general-purpose subagent working for a parent agent. Do it.")
WELCOME = (
    "<system-reminder>\nThis is the Qwen Code. Setting up.\n"
    "I'm currently working in the directory: /srv/app\nIt has files.\n</system-reminder>"
)
SKILLS = "<system-reminder>\nSkills are available.\n</system-reminder>"
PLAN = "<system-reminder>\nPlan mode is active. Do not edit.\n</system-reminder>"
MAIN_TOOLS = tools("agent", "list_agents", "read_file", "tool_search", "tool_call")
SUB_TOOLS = tools("agent", "read_file", "mcp__demo__echo_text")
MARKERS = [
    WELCOME, "<system-reminder>", "</system-reminder>", "You are Qwen Code, ", "tool_call", "agent",
    '{"name":"todo_write","arguments":{"todos":[{}]}}', "task_create", "Task #1 created:",
    "Command: ", "\nExit Code: 3\nSignal: (none)", "qwen-code:", "prompt_cache_key",
    "Background agent launched\ntask_id: a", "<state_snapshot>", "</state_snapshot>",
]  # fmt: skip


def qwen(*messages, **known):
    known.setdefault("at", head(user_agent="QwenCode/0.24.4 (linux; x64)"))
    known.setdefault("tools", MAIN_TOOLS)
    return call(*messages, **known)


def test_a_call_of_the_main_thread():
    at = head(user_agent="QwenCode/0.24.4 (linux; x64)", x_stainless_retry_count="1")
    hints = AGENT.hints(qwen(MAIN, user(SKILLS, WELCOME, "count"), at=at, fields=KEY))
    assert AGENT.matches(at)
    assert hints.agent_version == "0.24.4"
    assert (hints.conversation, hints.root, hints.parent) == (SESSION, SESSION, None)
    assert (hints.request_class, hints.prompt) == ("main", "count")
    assert (hints.cwd, hints.git_branch) == ("/srv/app", "topic/x")
    assert (hints.attempt, hints.entry_point, hints.mode) == (1, "non-interactive", None)


def test_another_base_url_names_no_session():
    hints = AGENT.hints(qwen(MAIN, user(WELCOME, "count")))
    assert (hints.conversation, hints.root) == (None, None)


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ((MAIN, user("hi")), {}),
        ((SUB, user("hi")), {}),
        ((system("own prompt"), user(WELCOME, "hi")), {}),
        ((user("hi"),), KEY),
    ],
    ids=["main", "subagent", "context", "key"],
)
def test_body_alone_tells_the_agent(messages, fields):
    one = call(*messages, fields=fields)
    assert agent_of(one.head, one.asked) is AGENT


def test_the_key_names_the_subagent_and_the_call_that_started_it():
    one = qwen(SUB, user(SKILLS, WELCOME, "look"), tools=SUB_TOOLS, fields=CHILD_KEY)
    hints = AGENT.hints(one)
    assert (hints.request_class, hints.is_subagent) == ("subagent", True)
    assert (hints.conversation, hints.root, hints.parent) == (CHILD, SESSION, SESSION)
    assert (hints.subagent_type, hints.spawn_call_id) == ("general-purpose", "call_js1Pui1NA0")
    assert (hints.spawn_prompt, hints.prompt) == ("look", None)
    assert hints.inferred == ("parent",)


def test_without_a_key_a_subagent_is_told_by_its_prompt():
    one = qwen(SUB, user(WELCOME, "look"), answer(), tools=SUB_TOOLS)
    hints = AGENT.hints(one)
    assert (hints.request_class, hints.subagent_type) == ("subagent", "general-purpose")
    assert (hints.spawn_prompt, hints.spawn_call_id, hints.parent) == ("look", None, None)
    assert set(hints.inferred) == {"request_class", "is_subagent"}


@pytest.mark.parametrize(
    ("offered", "expected"), [(SUB_TOOLS, "subagent"), (MAIN_TOOLS, "main"), ((), "side")]
)
def test_prompts_of_ones_own_are_told_by_the_tools(offered, expected):
    one = qwen(system("Speak like a pirate."), user(WELCOME, "look"), tools=offered)
    assert AGENT.hints(one).request_class == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((system("You are now acting as the managed memory extraction subagent for it"),
          user("hi"), answer(), user("Managed memory has TWO directories. Choose.")), "memory"),
        ((system("Generate a concise, sentence-case title"), user("x")), "title"),
        ((system("You generate session recaps for it"), user("x")), "summary"),
        ((system("You are an independent Goal Verifier. Judge"), user("x")), "classifier"),
        ((MAIN, user("hi"), answer(),
          user("First, reason. Then, produce the <state_snapshot> XML.")), "compaction"),
        ((MAIN, user("hi"), answer(),
          user("Analyze *only* the content and structure of your immediately")), "classifier"),
    ],
    ids=["memory", "title", "recap", "goal", "compaction", "next-speaker"],
)  # fmt: skip
def test_calls_beside_the_main_thread(messages, expected):
    hints = AGENT.hints(qwen(*messages, fields=KEY))
    assert (hints.request_class, hints.prompt, hints.is_subagent) == (expected, None, False)
    assert hints.conversation == SESSION
    assert hints.compaction == ("unknown" if expected == "compaction" else None)


def test_plan_mode_is_told_with_the_prompt():
    assert AGENT.hints(qwen(MAIN, user(WELCOME, PLAN, "think"))).mode == "plan"
    assert AGENT.hints(qwen(MAIN, user(PLAN, "think"), answer(), user("go"))).mode is None


NOTIFICATION = "<task-notification>\n<task-id>a</task-id>\n</task-notification>"


def test_a_background_task_that_reports_is_no_prompt():
    hints = AGENT.hints(qwen(MAIN, user("hi"), answer(), user(NOTIFICATION)))
    assert hints.prompt is None


@pytest.mark.parametrize(
    ("message", "kind", "prompt", "injected"),
    [
        (user(SKILLS, WELCOME, "hi"), "prompt", "hi", (0, 1)),
        (user("hi"), "prompt", "hi", ()),
        (user(SKILLS + "\nhi"), "prompt", "hi", ()),
        (user(SKILLS), "context", None, (0,)),
        (user("hi", "<qwen:user-prompt-submit-context>x</qwen:user-prompt-submit-context>"),
         "prompt", "hi", (1,)),
        (user(SKILLS, NOTIFICATION), "notification", None, (0,)),
        (user("<state_snapshot>x</state_snapshot>"), "summary", None, ()),
        (user("Like <state_snapshot>x</state_snapshot>. Then, produce the <state_snapshot> XML."),
         "instruction", None, ()),
        (user("The connection dropped mid-response. Resume directly — no"),
         "instruction", None, ()),
        (user("Managed memory has TWO directories."), "instruction", None, ()),
        (results(tool_result("x")), "tool-results", None, ()),
        (MAIN, "context", None, (0,)),
    ],
)  # fmt: skip
def test_reading(message, kind, prompt, injected):
    read = AGENT.reading(message)
    assert (read.kind, read.prompt, read.injected) == (kind, prompt, injected)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("agent", "task"),
        ("run_shell_command", "shell"),
        ("edit", "edit"),
        ("todo_write", "todo"),
        ("tool_search", "tool-search"),
        ("exit_plan_mode", "plan"),
        ("update_goal", "other"),
    ],
)
def test_tools(name, kind):
    assert AGENT.tool(name, None) == ToolMeaning(kind=kind)


ECHO = ToolMeaning(kind="mcp", mcp_server="demo", mcp_tool="echo_text")


def test_a_deferred_tool_means_what_is_called_through_it():
    wrapped = tool_call("tool_call", name="mcp__demo__echo_text", arguments={"text": "hi"})
    assert AGENT.call(wrapped).tool == ECHO
    assert AGENT.offered(tools("mcp__demo__echo_text")[0]) == ECHO
    image = tool_call("tool_call", name="zoom_image", arguments={"file_path": "/a.png"})
    assert [one.path for one in AGENT.call(image).touches] == ["/a.png"]
    assert AGENT.call(tool_call("tool_call", x=1)).tool == ToolMeaning(kind="other")


def test_what_calls_do():
    spawned = AGENT.call(tool_call("agent", prompt="look", subagent_type="Explore"))
    assert (spawned.spawn_prompt, spawned.subagent_type) == ("look", "Explore")
    assert AGENT.call(tool_call("skill", skill="demo")).skill == "demo"
    assert AGENT.call(tool_call("run_shell_command", command="ls")).command == "ls"
    touches = AGENT.call(tool_call("notebook_edit", notebook_path="/n.ipynb")).touches
    assert [(one.path, one.access) for one in touches] == [("/n.ipynb", "edit")]


def shell_result(code, signal="(none)"):
    end = f"Error: (none)\nExit Code: {code}\nSignal: {signal}\nProcess Group PGID: (none)"
    return tool_result(f"Command: x\nDirectory: (root)\nOutput: Exit Code: 9\n{end}")


@pytest.mark.parametrize(
    ("part", "result", "meaning"),
    [
        (tool_call("run_shell_command"), shell_result(0),
         ResultMeaning(is_error=False, is_inferred=True, exit_code=0)),
        (tool_call("run_shell_command"), shell_result(3),
         ResultMeaning(is_error=True, is_inferred=True, exit_code=3)),
        (tool_call("run_shell_command"), shell_result("(none)", "9"),
         ResultMeaning(is_error=True, is_inferred=True)),
        (tool_call("read_file"), tool_result("File not found: /a"),
         ResultMeaning(is_error=True, is_inferred=True)),
        (tool_call("read_file"), tool_result("text of a file"), ResultMeaning()),
        (tool_call("agent"), tool_result(f"Background agent launched well.\ntask_id: {CHILD} (x)"),
         ResultMeaning(child=CHILD, is_pending=True)),
        (tool_call("read_file"), tool_result(f"Background agent launched.\ntask_id: {CHILD}"),
         ResultMeaning()),
        (None, shell_result(2), ResultMeaning(is_error=True, is_inferred=True, exit_code=2)),
    ],
)  # fmt: skip
def test_results(part, result, meaning):
    assert AGENT.result(part, result) == meaning


def test_todos_are_sent_whole_also_through_the_wrapper():
    todos = [{"id": "a", "content": "one", "status": "in_progress"}, {"content": "two"}]
    for part in (
        tool_call("todo_write", todos=todos),
        tool_call("tool_call", name="todo_write", arguments={"todos": todos}),
    ):
        changes = AGENT.tasks(part, None)
        assert [(one.key, one.subject, one.status) for one in changes] == [
            ("a", "one", "in_progress"),
            ("2", "two", None),
        ]


def test_tasks_of_a_team():
    create = tool_call("task_create", subject="one", description="d")
    (made,) = AGENT.tasks(create, tool_result('Task #7 created: "one"'))
    assert (made.key, made.subject, made.status) == ("7", "one", "pending")
    assert AGENT.tasks(create, tool_result("No active team.")) == ()
    update = tool_call("task_update", taskId="7", status="deleted", addBlockedBy=["3"])
    (changed,) = AGENT.tasks(update, None)
    assert (changed.status, changed.blocked_by, changed.subject) == ("deleted", ("3",), None)


@given(made=anything(MARKERS))
@settings(max_examples=50, deadline=None)
def test_never_raises(made):
    check_total(AGENT, made)
