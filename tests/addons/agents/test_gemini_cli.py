"""Gemini CLI: with an API key nothing names the session; with a Google login the envelope does."""

import msgspec
import pytest
from hypothesis import given, settings

from addons.agents import agent_of
from addons.agents.contract import ResultMeaning, ToolMeaning, Touch
from addons.agents.gemini_cli import AGENT
from storage.decoded import MediaPart, Message, TextPart
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

AGENT_HEADER = "GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)"
CONTEXT = (
    "<session_context>\nThis is the Gemini CLI. Setting up.\n"
    "- **Workspace Directories:**\n  - /srv/app\n  - /srv/lib\n</session_context>"
)
PREAMBLE = "You are Gemini CLI, one of several. You are currently operating in **{}** mode. Help."
MAIN_TOOLS = tools("read_file", "google_web_search", "invoke_agent")
SUB_TOOLS = tools("read_file", "google_web_search", "complete_task")
SESSION = "0d0e7a52-1111-4222-8333-444455556666"
CHILD = "7c1f0000-1111-4222-8333-444455556666"
MARKERS = [
    CONTEXT, "<session_context>", "This is the Gemini CLI.", "You are Gemini CLI", "complete_task",
    "<state_snapshot>", "</state_snapshot>", "run_shell_command", "Output: ", "\nExit Code: 3",
    "mcp_a_b_c", "write_todos", '{"todos":[{}]}', "User hints:\n<user_input>", "session_id",
    "--- Content from referenced files ---", "GeminiCLI/1",
]  # fmt: skip


def gemini(*messages, **known):
    known.setdefault("at", head(user_agent=AGENT_HEADER))
    known.setdefault("system", (PREAMBLE.format("Default"),))
    known.setdefault("tools", MAIN_TOOLS)
    return call(*messages, wire="google.gemini", **known)


def test_headers_tell_agent_version_and_installation():
    at = head(user_agent=AGENT_HEADER, x_gemini_api_privileged_user_id="install-1")
    hints = AGENT.hints(gemini(user("hi"), at=at))
    assert AGENT.matches(at)
    assert (hints.agent_version, hints.entry_point, hints.account) == ("0.61.0", "tui", "install-1")


def test_older_user_agents():
    at = head(user_agent="GeminiCLI/v0.1.5 (linux; x64)")
    hints = AGENT.hints(gemini(user("hi"), at=at))
    assert (hints.agent_version, hints.entry_point) == ("0.1.5", None)


@pytest.mark.parametrize(
    "asked",
    [
        {"system": (PREAMBLE.format("YOLO"),), "tools": ()},
        {"system": ("\nYou are a specialized Task Routing AI. Score.",), "tools": ()},
        {"system": ("own prompt",), "tools": SUB_TOOLS},
    ],
    ids=["main", "router", "subagent"],
)
def test_body_alone_tells_the_agent(asked):
    one = gemini(user("hi"), at=head(), **asked)
    assert agent_of(one.head, one.asked) is AGENT


def test_body_alone_tells_the_agent_by_the_context_of_the_session():
    one = gemini(user(CONTEXT, "hi"), at=head(), system=("own prompt",), tools=())
    assert agent_of(one.head, one.asked) is AGENT
    assert not AGENT.recognises(head(), call(user("You are Gemini CLI?")).asked)


def test_a_call_of_the_main_thread():
    hints = AGENT.hints(gemini(user(CONTEXT, "count the files")))
    assert hints.request_class == "main"
    assert hints.prompt == "count the files"
    assert hints.cwd == "/srv/app"
    assert (hints.conversation, hints.root, hints.git_branch) == (None, None, None)
    assert hints.inferred == ("request_class",)


@pytest.mark.parametrize(
    ("system", "asked", "expected"),
    [
        ("\nYou are a specialized Task Routing AI. Score.", "count the files", "router"),
        ("You are a specialized system component responsible for distilling it", "x", "compaction"),
        ("You are a diagnostic agent that determines whether it loops", "x", "classifier"),
        ("You are an expert code-editing assistant", "x", "side"),
        ("", "Analyze *only* the content and structure of your immediately", "classifier"),
        ("", "Summarize the user's primary intent or goal in one", "title"),
        ("", "Summarize the following tool output to", "summary"),
        ("", "what is the weather", "side"),
    ],
)
def test_calls_beside_the_main_thread(system, asked, expected):
    hints = AGENT.hints(gemini(user(asked), system=(system,), tools=()))
    assert (hints.request_class, hints.prompt, hints.is_subagent) == (expected, None, False)
    assert hints.compaction == ("unknown" if expected == "compaction" else None)


def test_count_is_stated_by_the_endpoint():
    hints = AGENT.hints(gemini(user("hi"), operation="count", generates=False))
    assert (hints.request_class, hints.inferred) == ("count", ())


def test_a_subagent_has_the_tool_that_ends_it():
    system = PREAMBLE.format("YOLO") + "\n# Environment Context\n- **Workspace Directories:**\n"
    one = gemini(user("look"), answer(), system=(system + "  - /srv/app\n",), tools=SUB_TOOLS)
    hints = AGENT.hints(one)
    assert hints.request_class == "subagent"
    assert hints.is_subagent
    assert (hints.spawn_prompt, hints.prompt, hints.cwd) == ("look", None, "/srv/app")
    assert (hints.conversation, hints.parent) == (None, None)
    assert set(hints.inferred) == {"request_class", "is_subagent"}


def test_code_assist_names_session_and_prompt():
    fields = {"project": "p", "session_id": SESSION, "user_prompt_id": SESSION}
    hints = AGENT.hints(gemini(user(CONTEXT, "hi"), fields=fields))
    assert (hints.conversation, hints.root, hints.prompt_id) == (SESSION, SESSION, SESSION)
    assert hints.parent is None


def test_code_assist_names_the_subagent():
    fields = {"session_id": SESSION, "user_prompt_id": f"{CHILD}#3"}
    hints = AGENT.hints(gemini(user("look"), tools=SUB_TOOLS, fields=fields))
    assert (hints.conversation, hints.root, hints.parent) == (CHILD, SESSION, SESSION)
    assert "parent" in hints.inferred


@pytest.mark.parametrize(
    ("system", "mode"),
    [
        (PREAMBLE.format("YOLO"), "yolo"),
        (PREAMBLE.format("Auto-Edit"), "autoEdit"),
        (PREAMBLE.format("Plan"), "plan"),
        (PREAMBLE.format("Default"), "default"),
        ("You are Gemini CLI.\n# Active Approval Mode: Plan\n", "plan"),
        ("You are Gemini CLI.", None),
    ],
)
def test_mode_stands_in_the_preamble(system, mode):
    assert AGENT.hints(gemini(user("hi"), system=(system,))).mode == mode


def test_the_prompt_after_an_interruption():
    stopped = answer("[The previous response was interrupted before it completed.]")
    hints = AGENT.hints(gemini(user(CONTEXT, "one"), stopped, user("two")))
    assert (hints.prompt, hints.is_interrupted) == ("two", True)
    assert not AGENT.hints(gemini(user("one"), answer(), user("two"))).is_interrupted
    assert AGENT.reading(stopped).is_interruption


FILES = ("--- Content from referenced files ---", "\nContent from @a.py:\n", "x = 1",
         "--- End of content ---")  # fmt: skip


@pytest.mark.parametrize(
    ("message", "kind", "prompt", "injected"),
    [
        (user(CONTEXT, "hi"), "prompt", "hi", (0,)),
        (user(CONTEXT), "context", None, (0,)),
        (user("hi", "<hook_context>x</hook_context>"), "prompt", "hi", (1,)),
        (user("see @a.py", *FILES, "and go"), "prompt", "see @a.py\nand go", (1, 2, 3, 4)),
        (user("User hints:\n<user_input>\n- be quick\n</user_input>\n\nInternal"), "prompt",
         "- be quick", ()),
        (user("<scratchpad>x</scratchpad>\n<state_snapshot>y</state_snapshot>"), "summary", None,
         ()),
        (user("Critically evaluate the <state_snapshot> you just generated. Did you"),
         "instruction", None, ()),
        (user("First think. Then, generate the updated <state_snapshot>."), "instruction", None,
         ()),
        (user("Too long. You have one final chance to complete the task with a short grace "
              "period."), "instruction", None, ()),
        (user("Background execution update:\n<background_output>"), "notification", None, ()),
        (results(tool_result("x"), TextPart(text="go on")), "tool-results", None, ()),
        (Message(role="user", parts=(MediaPart(media="image"),)), "prompt", "", ()),
    ],
)  # fmt: skip
def test_reading(message, kind, prompt, injected):
    read = AGENT.reading(message)
    assert (read.kind, read.prompt, read.injected) == (kind, prompt, injected)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("replace", ToolMeaning(kind="edit")),
        ("run_shell_command", ToolMeaning(kind="shell")),
        ("update_topic", ToolMeaning(kind="other")),
        ("mcp_demo_echo", ToolMeaning(kind="mcp", mcp_server="demo", mcp_tool="echo")),
        ("mcp_demo_echo_text", ToolMeaning(kind="mcp", mcp_server="demo", mcp_tool="echo_text",
                                           is_inferred=True)),
        ("mcp_demo", ToolMeaning(kind="other")),
    ],
)  # fmt: skip
def test_tools(name, meaning):
    assert AGENT.tool(name, None) == meaning
    assert AGENT.offered(tools(name)[0]) == meaning


@pytest.mark.parametrize(
    ("part", "touches"),
    [
        (tool_call("read_file", file_path="/a"), [("/a", "read")]),
        (tool_call("write_file", file_path="/a", content="x"), [("/a", "write")]),
        (tool_call("replace", file_path="/a", old_string="x"), [("/a", "edit")]),
        (tool_call("grep_search", pattern="x", dir_path="src"), [("src", "search")]),
        (tool_call("read_many_files", include=["a", "b"]), [("a", "read"), ("b", "read")]),
        (tool_call("run_shell_command", command="cat /a"), []),
    ],
)
def test_touches(part, touches):
    assert [(one.path, one.access) for one in AGENT.call(part).touches] == touches


def test_what_calls_do():
    assert AGENT.call(tool_call("run_shell_command", command="ls")).command == "ls"
    spawned = AGENT.call(tool_call("invoke_agent", agent_name="generalist", prompt="look"))
    assert (spawned.spawn_prompt, spawned.subagent_type) == ("look", "generalist")
    assert AGENT.call(tool_call("activate_skill", name="demo")).skill == "demo"
    assert AGENT.call(tool_call("read_file", file_path="/a")).touches == (
        Touch(path="/a", access="read"),
    )


def shell_result(inner):
    return tool_result(f"<untrusted_context>\n{inner}\n</untrusted_context>")


@pytest.mark.parametrize(
    ("result", "meaning"),
    [
        (shell_result("Output: a\nProcess Group PGID: 7"),
         ResultMeaning(is_error=False, is_inferred=True, exit_code=0)),
        (shell_result("Output: oops\nExit Code: 3\nProcess Group PGID: 7"),
         ResultMeaning(is_error=True, is_inferred=True, exit_code=3)),
        (shell_result("Output: Exit Code: 4\nb\nProcess Group PGID: 7"),
         ResultMeaning(is_error=False, is_inferred=True, exit_code=0)),
        (shell_result("Output: a\nSignal: 9\nProcess Group PGID: 7"),
         ResultMeaning(is_error=True, is_inferred=True)),
        (shell_result("Command was cancelled by user before it could complete."),
         ResultMeaning(is_error=True, is_inferred=True)),
        (shell_result("Command moved to background (PID: 7)."), ResultMeaning(is_pending=True)),
        (tool_result("denied", is_error=True), ResultMeaning(is_error=True)),
        (tool_result("{}"), ResultMeaning()),
    ],
)  # fmt: skip
def test_results_of_the_shell(result, meaning):
    assert AGENT.result(tool_call("run_shell_command", command="x"), result) == meaning


def test_a_result_without_its_call_has_the_name_of_the_tool():
    part = tool_result("Output: a\nExit Code: 2", name="run_shell_command")
    assert AGENT.result(None, part).exit_code == 2
    assert AGENT.result(None, tool_result("Output: a\nExit Code: 2")) == ResultMeaning()


def test_todos_are_sent_whole():
    todos = [{"description": "a", "status": "cancelled"}, {"description": "b", "status": "blocked"}]
    changes = AGENT.tasks(tool_call("write_todos", todos=todos), None)
    assert [(one.key, one.subject, one.status, one.replaces_all) for one in changes] == [
        ("1", "a", "cancelled", True),
        ("2", "b", "pending", True),
    ]


def test_the_tracker_names_a_task_in_its_result():
    create = tool_call("tracker_create_task", title="a", description="b", type="bug")
    assert AGENT.tasks(create, None) == ()
    (made,) = AGENT.tasks(create, tool_result("Created task 0a1b2c: a"))
    assert (made.key, made.subject, made.description, made.status) == (
        "0a1b2c",
        "a",
        "b",
        "pending",
    )
    assert msgspec.json.decode(made.metadata_json) == {"type": "bug"}
    update = tool_call("tracker_update_task", id="0a1b2c", status="closed", dependencies=["x"])
    (changed,) = AGENT.tasks(update, None)
    assert (changed.key, changed.status, changed.blocked_by) == ("0a1b2c", "completed", ("x",))
    assert not changed.replaces_all


@given(made=anything(MARKERS))
@settings(max_examples=50, deadline=None)
def test_never_raises(made):
    check_total(AGENT, made)
