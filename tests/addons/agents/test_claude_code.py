"""Claude Code: calls as 2.1.330 and 2.1.197 make them, with headers and without."""

import msgspec
import pytest
from hypothesis import given, settings

from addons.agents import agent_of, claude_code
from addons.agents.contract import Hints, Reading, Touch
from storage.decoded import CompactionPart, MediaPart, Message, TextPart, ToolCallPart
from tests.addons.agents import making
from tests.addons.agents.making import answer, results, system, tool_call, tool_result, user

AGENT = claude_code.AGENT
SESSION = "be83a3c0-154b-4f4c-ab15-fc6e8a6f6712"
PROMPT_ID = "6dd2aeeb-fffe-4f82-ac93-71bdfb6d32a2"
ACCOUNT = "11111111-2222-3333-4444-555555555555"
USER_ID = msgspec.json.encode(
    {"device_id": "a" * 64, "account_uuid": ACCOUNT, "session_id": SESSION}
).decode()
BILLING = (
    "x-anthropic-billing-header: cc_version=2.1.330.62d; cc_entrypoint=sdk-cli; cch=ab12c; "
    f"cc_prompt_id={PROMPT_ID}; cc_turn_origin=sdk; cc_prompt_index=0; cc_turn_index=1;"
)
BARE_BILLING = "x-anthropic-billing-header: cc_version=2.1.330.62d; cc_entrypoint=cli;"
SUB_BILLING = f"{BARE_BILLING} cc_is_subagent=true;"
HEADERS = {
    "user_agent": "claude-cli/2.1.330 (external, sdk-cli)",
    "x_claude_code_session_id": SESSION,
    "x_app": "cli",
    "x_stainless_retry_count": "0",
}
DIRECT = HEADERS | {
    "x_claude_code_request_class": "main",
    "x_claude_code_prompt_id": PROMPT_ID,
}
SUBAGENT = DIRECT | {
    "x_claude_code_request_class": "subagent",
    "x_claude_code_agent_id": "a7dad518ce05c8b35",
    "x_claude_code_agent_type": "Explore",
}
STATUS = (
    "<system-reminder>\nContext:\n# gitStatus\nThis is the git status at the start of all.\n\n"
    "Current branch: feature/x\n\nMain branch: main\n</system-reminder>"
)
ENVIRONMENT = (
    "# Environment\nSo it is: \n - Primary working directory: /work/a b\n - Platform: linux"
)
TOOLS = making.tools("Agent", "Bash", "Read")
NOTIFIED = (
    "<system-reminder>\n[SYSTEM NOTIFICATION - NOT USER INPUT]\n<task-notification>\n"
    "<task-id>a7dad518ce05c8b35</task-id>\n</task-notification>\n</system-reminder>"
)
SUMMARY = "This session is being continued from a previous conversation that ran out. It was long."
ECHO = (
    "<command-name>/compact</command-name>\n  <command-message>compact</command-message>\n"
    "  <command-args>keep it short</command-args>"
)
TYPED = (
    "<command-message>review is running</command-message>\n<command-name>/review</command-name>\n"
    "<command-args>the last one</command-args>"
)


def head(**headers):
    return making.head(path="/v1/messages", host="api.anthropic.com", **headers)


def hints(*messages, at=DIRECT, system=(BILLING,), fields=None, tools=TOOLS, **asked):
    fields = {"metadata": {"user_id": USER_ID}} if fields is None else fields
    made = making.call(*messages, at=head(**at), system=system, fields=fields, tools=tools, **asked)
    return AGENT.hints(made)


def only(hints, *names):
    """The fields that say something, or those named."""
    names = names or Hints.__struct_fields__
    return {name: getattr(hints, name) for name in names}


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "is_it"),
    [
        (HEADERS, True),
        ({"x_claude_code_session_id": SESSION}, True),
        ({"user_agent": "claude-code/2.1.330"}, False),
        ({"user_agent": "opencode/1.18.33"}, False),
        ({}, False),
    ],
)
def test_headers_name_it(headers, is_it):
    assert AGENT.matches(head(**headers)) is is_it


@pytest.mark.parametrize(
    ("system", "user_id", "is_it"),
    [
        ((BARE_BILLING, "Some prompt."), None, True),
        (("You are Claude Code, Anthropic's official CLI for it.",), None, True),
        (("You are a Claude agent, built on Anthropic's Claude Agent SDK.",), None, True),
        (("You are an agent for Claude Code, so act.",), None, True),
        ((), USER_ID, True),
        ((), f"user_{'b' * 64}_account__session_{SESSION}", True),
        ((), "u-17", False),
        (("You know Claude Code well.",), None, False),
    ],
)
def test_the_body_alone_names_it(system, user_id, is_it):
    call = making.call(user("hi"), system=system, fields={"metadata": {"user_id": user_id}})
    assert AGENT.recognises(call.head, call.asked) is is_it
    assert (agent_of(call.head, call.asked) is AGENT) is is_it


def test_a_first_call_of_330():
    found = hints(user(STATUS, "Fix it"), system_of_330(), effort="medium", max_tokens=128000)
    assert found == Hints(
        agent_version="2.1.330",
        conversation=SESSION,
        root=SESSION,
        cwd="/work/a b",
        git_branch="feature/x",
        prompt="Fix it",
        prompt_id=PROMPT_ID,
        effort="medium",
        entry_point="sdk-cli",
        account=ACCOUNT,
    )


def system_of_330():
    return Message(role="system", parts=(TextPart(text=ENVIRONMENT),))


def test_a_first_call_of_330_without_headers():
    found = hints(user(STATUS, "Fix it"), system_of_330(), at={})
    assert found == Hints(
        agent_version="2.1.330",
        conversation=SESSION,
        root=SESSION,
        cwd="/work/a b",
        git_branch="feature/x",
        prompt="Fix it",
        prompt_id=PROMPT_ID,
        entry_point="sdk-cli",
        account=ACCOUNT,
        inferred=("request_class",),
    )


def test_a_first_call_of_197():
    last = (
        "# Environment\n - Primary working directory: /work/b\n\n"
        "gitStatus: This is the git status at the start of all.\n\nCurrent branch: main\n"
    )
    found = hints(user("Fix it"), at=HEADERS, system=(BARE_BILLING, "You are.", "So.", last))
    assert (found.cwd, found.git_branch, found.prompt) == ("/work/b", "main", "Fix it")
    assert (found.request_class, found.inferred) == ("main", ("request_class",))


def test_the_environment_block_of_older_versions():
    found = hints(user("Fix it"), at={}, system=("<env>\nWorking directory: /work/c\n</env>",))
    assert found.cwd == "/work/c"


def test_users_texts_are_not_searched_for_the_place():
    found = hints(user("Working directory: /tmp\ngit status at the start\nCurrent branch: x"))
    assert (found.cwd, found.git_branch) == (None, None)


def test_the_older_user_id():
    user_id = f"user_{'b' * 64}_account_{ACCOUNT}_session_{SESSION}"
    found = hints(user("hi"), at={}, fields={"metadata": {"user_id": user_id}})
    assert (found.conversation, found.account) == (SESSION, ACCOUNT)


# --- subagents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "billing", "expected"),
    [
        (
            SUBAGENT,
            SUB_BILLING,
            ("a7dad518ce05c8b35", SESSION, "Explore", ()),
        ),
        (
            SUBAGENT | {"x_claude_code_parent_agent_id": "a1"},
            SUB_BILLING,
            ("a7dad518ce05c8b35", "a1", "Explore", ()),
        ),
        (
            HEADERS | {"x_claude_code_agent_id": "a7dad518ce05c8b35"},
            SUB_BILLING,
            ("a7dad518ce05c8b35", SESSION, "general-purpose", ("subagent_type", "request_class")),
        ),
        (
            {},
            SUB_BILLING,
            (None, SESSION, "general-purpose", ("subagent_type", "parent", "request_class")),
        ),
    ],
    ids=["direct", "nested", "base-url", "body"],
)
def test_subagents(headers, billing, expected):
    conversation, parent, type_, inferred = expected
    found = hints(
        user(STATUS, "Count the files"),
        at=headers,
        system=(billing, "You are Claude.", "You are an agent for Claude Code, so act."),
    )
    assert only(found, "conversation", "parent", "subagent_type", "inferred") == {
        "conversation": conversation,
        "parent": parent,
        "subagent_type": type_,
        "inferred": inferred,
    }
    assert only(found, "root", "is_subagent", "request_class", "spawn_prompt", "prompt") == {
        "root": SESSION,
        "is_subagent": True,
        "request_class": "subagent",
        "spawn_prompt": "Count the files",
        "prompt": None,
    }


def test_a_subagent_keeps_its_task_in_later_calls():
    found = hints(user("Count"), answer(), results(tool_result("3"), role="user"), at=SUBAGENT)
    assert found.spawn_prompt == "Count"


def test_a_forks_task_is_behind_its_parents_history():
    forked = user("<fork-boilerplate>You are a fork.</fork-boilerplate>\n\nYour directive: Count")
    assert hints(user("Fix it"), answer(), forked, at=SUBAGENT).spawn_prompt == "Count"


# --- what for -------------------------------------------------------------------------------------

SCHEMA = {"output_config": {"format": {"schema": {"properties": {"title": {"type": "string"}}}}}}


@pytest.mark.parametrize(
    ("headers", "asked", "expected"),
    [
        ({"x_claude_code_request_class": "main"}, {}, "main"),
        ({"x_claude_code_request_class": "workflow"}, {}, "subagent"),
        ({"x_claude_code_request_class": "side_reply"}, {}, "side"),
        ({"x_claude_code_request_class": "compaction"}, {}, "compaction"),
        ({"x_claude_code_request_class": "auxiliary"}, {}, "side"),
        ({"x_claude_code_request_class": "auxiliary"}, {"fields": SCHEMA, "tools": ()}, "title"),
        (
            {
                "x_claude_code_request_class": "auxiliary",
                "x_claude_code_auxiliary_type": "memory_save",
            },
            {},
            "memory",
        ),
        ({"x_claude_code_request_class": "a-new-one"}, {}, "side"),
        ({}, {}, "main"),
        ({}, {"tools": ()}, "side"),
        ({}, {"operation": "count"}, "count"),
        ({}, {"text": "quota", "max_tokens": 1, "tools": ()}, "quota"),
        ({}, {"text": "quota"}, "main"),
        ({}, {"text": "ping", "max_tokens": 1, "tools": ()}, "side"),
        ({}, {"fields": SCHEMA, "tools": ()}, "title"),
        (
            {},
            {"system": ("Generate a concise, sentence-case title for it.",), "tools": ()},
            "title",
        ),
        (
            {},
            {
                "system": ("Analyze if this message indicates a new conversation topic.",),
                "tools": (),
            },
            "classifier",
        ),
        ({}, {"text": "<policy_spec>\nWhat prefix?", "tools": ()}, "classifier"),
        ({}, {"text": "CRITICAL: Respond with TEXT ONLY. Sum up."}, "compaction"),
        ({}, {"text": "The user stepped away and is coming back. Recap."}, "summary"),
    ],
)
def test_what_a_call_is_for(headers, asked, expected):
    asked = dict(asked)
    found = hints(user(asked.pop("text", "Fix it")), at=headers, **asked)
    assert found.request_class == expected
    assert (found.prompt is None) == (expected != "main")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x_claude_code_compaction": "auto"}, "auto"),
        ({}, "unknown"),
    ],
)
def test_how_a_compaction_came(headers, expected):
    at = DIRECT | {"x_claude_code_request_class": "compaction"} | headers
    assert hints(user("CRITICAL: Respond with TEXT ONLY"), at=at).compaction == expected
    assert hints(user("Fix it"), at=DIRECT | headers).compaction is None


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("Read=15;Bash=65", (("Read", 15), ("Bash", 65))),
        ("mcp__a__b=1", (("mcp__a__b", 1),)),
        ("Read=;=3;x;Bash=fast;;Edit=-1", ()),
        ("", ()),
    ],
)
def test_durations_of_the_tools_before(stated, expected):
    at = DIRECT | {"x_claude_code_prev_tool_durations": stated}
    assert hints(user("hi"), at=at).tool_durations == expected


@pytest.mark.parametrize(("count", "expected"), [("0", None), ("2", 2), ("x", None)])
def test_the_count_of_retries_says_nothing_at_zero(count, expected):
    assert hints(user("hi"), at=DIRECT | {"x_stainless_retry_count": count}).attempt == expected


@pytest.mark.parametrize(
    ("reminders", "expected"),
    [
        (("Plan mode is active. Wait.",), "plan"),
        (("Plan mode is active. Wait.", "You have exited plan mode. Go."), None),
        (("While bypass permissions mode is active:",), "bypassPermissions"),
        (("While auto mode is active:", "Plan mode still active"), "plan"),
    ],
)
def test_the_mode_is_the_last_that_a_reminder_names(reminders, expected):
    messages = [user(f"<system-reminder>\n{text}\n</system-reminder>") for text in reminders]
    found = hints(user("Plan mode is active, is it?"), *messages)
    assert (found.mode, "mode" in found.inferred) == (expected, expected is not None)


def test_what_the_providers_classifier_is_told_states_the_mode():
    context = {"permission_mode": "auto", "live_cwd": "/work/d", "git_state": {"branch": "side"}}
    fields = {"safeguards": [{"type": "x"}, {"type": "y", "classifier_context": context}]}
    reminder = user("<system-reminder>\nPlan mode is active.\n</system-reminder>")
    found = hints(user("hi"), reminder, fields=fields)
    assert (found.mode, found.cwd, found.git_branch) == ("auto", "/work/d", "side")
    assert "mode" not in found.inferred


# --- messages -------------------------------------------------------------------------------------

CASES = {
    "plain": (user("Fix it"), Reading(kind="prompt", prompt="Fix it")),
    "beside reminders": (
        user(STATUS, "<system-reminder>x</system-reminder>\n", "Fix it"),
        Reading(kind="prompt", prompt="Fix it", injected=(0, 1)),
    ),
    "wrapped in one text": (
        user("<system-reminder>x</system-reminder>\nFix it"),
        Reading(kind="prompt", prompt="Fix it"),
    ),
    "editor": (
        user("<ide_opened_file>a.py is open</ide_opened_file>", "Fix it"),
        Reading(kind="prompt", prompt="Fix it", injected=(0,)),
    ),
    "only reminders": (user(STATUS), Reading(kind="context", injected=(0,))),
    "system inside": (system(ENVIRONMENT), Reading(kind="context", injected=(0,))),
    "answer": (answer(), Reading(kind="answer")),
    "results": (
        results(tool_result("ok"), TextPart(text=STATUS), role="user"),
        Reading(kind="tool-results", injected=(1,)),
    ),
    "skill": (
        results(
            tool_result("Launching skill: demo"),
            TextPart(text="Base directory for this skill: /s\n\nSay hello."),
            role="user",
        ),
        Reading(kind="tool-results", injected=(1,)),
    ),
    "tool search": (
        results(tool_result(""), TextPart(text="Tool loaded."), role="user"),
        Reading(kind="tool-results", injected=(1,)),
    ),
    "notification": (user(NOTIFIED), Reading(kind="notification")),
    "older notification": (
        user("<task-notification>\n<task-id>a1</task-id>\n</task-notification>"),
        Reading(kind="notification"),
    ),
    "summary": (user(SUMMARY), Reading(kind="summary")),
    "summary of the provider": (
        Message(role="assistant", parts=(CompactionPart(text="All."),)),
        Reading(kind="summary"),
    ),
    "summary and prompt": (
        user(SUMMARY, STATUS, "Go on"),
        Reading(kind="prompt", prompt="Go on", injected=(1,)),
    ),
    "compaction asks": (
        user("CRITICAL: Respond with TEXT ONLY. Sum up."),
        Reading(kind="instruction"),
    ),
    "compaction asks behind results": (
        results(tool_result("ok"), TextPart(text="CRITICAL: Respond with TEXT ONLY"), role="user"),
        Reading(kind="tool-results", injected=(1,)),
    ),
    "the rest of an answer is asked for": (
        results(
            tool_result("ok"),
            TextPart(text="Your response above was cut off mid-stream. Resume directly."),
            role="user",
        ),
        Reading(kind="tool-results", injected=(1,)),
    ),
    "title asks": (user("<session>\nFix it\n</session>"), Reading(kind="instruction")),
    "local command": (
        user(ECHO, "<local-command-stdout>Done</local-command-stdout>"),
        Reading(kind="command", slash_command="/compact keep it short"),
    ),
    "local command and prompt": (
        user("<local-command-caveat>Beware</local-command-caveat>", ECHO, "Go on"),
        Reading(
            kind="prompt",
            prompt="Go on",
            injected=(0, 1),
            slash_command="/compact keep it short",
        ),
    ),
    "command that asks the model": (
        user(TYPED, "You are to review the code. Look well."),
        Reading(
            kind="prompt",
            prompt="/review the last one",
            injected=(0, 1),
            slash_command="/review the last one",
        ),
    ),
    "shell of the user": (
        user("<bash-input>ls</bash-input>", "<bash-stdout>a</bash-stdout>"),
        Reading(kind="command"),
    ),
    "interrupted": (
        user("[Request interrupted by user]"),
        Reading(kind="context", injected=(0,), is_interruption=True),
    ),
    "interrupted and prompt": (
        user("[Request interrupted by user for tool use]", "Do that instead"),
        Reading(kind="prompt", prompt="Do that instead", injected=(0,), is_interruption=True),
    ),
    "image": (
        Message(role="user", parts=(MediaPart(media="image"), TextPart(text="What is it?"))),
        Reading(kind="prompt", prompt="What is it?"),
    ),
    "image alone": (
        Message(role="user", parts=(MediaPart(media="image"),)),
        Reading(kind="prompt", prompt=""),
    ),
    "nothing": (user(), Reading(kind="context")),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case):
    message, expected = CASES[case]
    assert AGENT.reading(message) == expected


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (user(STATUS, "Fix it"), user("Fix it")),
        (user(NOTIFIED), Message(role="user", parts=(TextPart(text=NOTIFIED, extra_json=b"{}"),))),
        (CASES["results"][0], results(tool_result("ok"), role="user")),
    ],
)
def test_a_message_that_is_sent_again_reads_the_same(first, later):
    was, now = AGENT.reading(first), AGENT.reading(later)
    assert (was.kind, was.prompt) == (now.kind, now.prompt)


@pytest.mark.parametrize(
    ("messages", "prompt", "is_interrupted"),
    [
        ((user("Fix it"), system(ENVIRONMENT)), "Fix it", False),
        ((user("Fix it"), answer(), user("More")), "More", False),
        ((user("Fix it"), answer(), results(tool_result("ok"), role="user")), None, False),
        ((user("Fix it"), answer(), user(NOTIFIED)), None, False),
        ((user("Fix it"), answer(), user("[Request interrupted by user]", "No")), "No", True),
        (
            (user("Fix it"), answer(), user("[Request interrupted by user]"), user("No")),
            "No",
            True,
        ),
        ((user(SUMMARY),), None, False),
        ((), None, False),
    ],
)
def test_the_prompt_that_a_call_is_the_first_to_carry(messages, prompt, is_interrupted):
    found = hints(*messages)
    assert (found.prompt, found.is_interrupted) == (prompt, is_interrupted)


def test_a_slash_command_is_told():
    found = hints(user(TYPED, "You are to review."))
    assert (found.prompt, found.slash_command) == ("/review the last one",) * 2


# --- tools ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Read", "read"),
        ("MultiEdit", "edit"),
        ("Bash", "shell"),
        ("Agent", "task"),
        ("Task", "task"),
        ("TaskUpdate", "todo"),
        ("TodoWrite", "todo"),
        ("Skill", "skill"),
        ("ExitPlanMode", "plan"),
        ("ToolSearch", "tool-search"),
        ("web_search", "web"),
        ("ReportFindings", "other"),
    ],
)
def test_tools(name, kind):
    assert AGENT.tool(name, None).kind == kind
    assert AGENT.offered(making.tools(name)[0]).kind == kind


def test_a_tool_of_a_server():
    found = AGENT.tool("mcp__demo__echo__text", None)
    assert (found.kind, found.mcp_server, found.mcp_tool) == ("mcp", "demo", "echo__text")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (tool_call("Read", file_path="/a"), {"touches": (Touch(path="/a", access="read"),)}),
        (
            tool_call("NotebookEdit", notebook_path="/n"),
            {"touches": (Touch(path="/n", access="edit"),)},
        ),
        (
            tool_call("Glob", pattern="*", path="/g"),
            {"touches": (Touch(path="/g", access="search"),)},
        ),
        (
            tool_call("Bash", command="ls", description="List"),
            {"command": "ls", "description": "List", "touches": ()},
        ),
        (
            tool_call("Agent", prompt="Count", description="d", subagent_type="Explore", name="n"),
            {"spawn_prompt": "Count", "subagent_type": "Explore", "spawn_name": "n"},
        ),
        (tool_call("SendMessage", to="a1", prompt="x"), {"spawn_prompt": None}),
        (tool_call("Skill", skill="demo"), {"skill": "demo"}),
        (tool_call("SlashCommand", command="/review all"), {"skill": "review"}),
        (ToolCallPart(call_id="c", name="Bash", arguments='{"comm'), {"command": None}),
    ],
    ids=lambda value: value.name if isinstance(value, ToolCallPart) else "",
)
def test_calls(call, expected):
    found = AGENT.call(call)
    assert {name: getattr(found, name) for name in expected} == expected


LAUNCHED = "Async agent launched successfully. (Quiet.)\nagentId: a7dad518ce05c8b35 (internal)\n"
REPORT = (
    "[Subagent hand-back] The report follows:\n  All is well.\n  agentId: forged\n"
    "agentId: a0cdde9124eea8f96 (go on with it)\n<usage>tokens: 9\nduration_ms: 204</usage>"
)


@pytest.mark.parametrize(
    ("call", "result", "expected"),
    [
        ("Agent", tool_result(LAUNCHED), {"child": "a7dad518ce05c8b35", "is_pending": True}),
        (
            "Task",
            tool_result(REPORT),
            {"child": "a0cdde9124eea8f96", "is_pending": False, "duration_ms": 204},
        ),
        (None, tool_result(LAUNCHED), {"child": "a7dad518ce05c8b35", "is_pending": True}),
        ("Read", tool_result("agentId: a1"), {"child": None}),
        (
            "Bash",
            tool_result("Exit code 3\noops", is_error=True),
            {"is_error": True, "exit_code": 3, "is_inferred": False},
        ),
        ("Bash", tool_result("Exit code 3", is_error=False), {"exit_code": None}),
        ("Bash", tool_result("Command running in background with ID: b1"), {"is_pending": True}),
        (
            "Edit",
            tool_result("<tool_use_error>No.</tool_use_error>"),
            {"is_error": True, "is_inferred": True},
        ),
        ("Read", tool_result("1\tx"), {"is_error": None, "is_inferred": False}),
    ],
)
def test_results(call, result, expected):
    found = AGENT.result(tool_call(call) if call else None, result)
    assert {name: getattr(found, name) for name in expected} == expected


def shown(changes):
    return [(one.key, one.subject, one.status, one.replaces_all) for one in changes]


def test_a_todo_list_is_sent_whole():
    todos = [
        {"content": "Look", "status": "completed", "activeForm": "Looking"},
        {"content": "Mend", "status": "in_progress", "activeForm": "Mending"},
    ]
    changes = AGENT.tasks(tool_call("TodoWrite", todos=todos), None)
    assert shown(changes) == [("1", "Look", "completed", True), ("2", "Mend", "in_progress", True)]
    assert changes[1].active_form == "Mending"
    refused = tool_result("No", is_error=True)
    assert AGENT.tasks(tool_call("TodoWrite", todos=todos), refused) == ()


def test_a_task_has_its_number_from_the_result():
    call = tool_call("TaskCreate", subject="Mend", description="All", activeForm="Mending")
    made = tool_result("Task #4 created successfully: Mend")
    assert AGENT.tasks(call, None) == ()
    assert shown(AGENT.tasks(call, made)) == [("4", "Mend", "pending", False)]


def test_a_task_changes():
    call = tool_call(
        "TaskUpdate", taskId="4", status="completed", addBlockedBy=["2"], metadata={"a": 1}
    )
    (change,) = AGENT.tasks(call, tool_result("Updated task #4 status"))
    assert (change.key, change.status, change.subject) == ("4", "completed", None)
    assert (change.blocked_by, change.blocks, change.metadata_json) == (("2",), None, b'{"a":1}')
    assert AGENT.tasks(call, tool_result("Task #4 not found")) == ()


def test_a_list_of_tasks_tells_their_state():
    result = tool_result("#1 [completed] Look\n#2 [pending] Mend (me) [blocked by #1]")
    found = AGENT.tasks(tool_call("TaskList"), result)
    assert shown(found) == [("1", None, "completed", False), ("2", None, "pending", False)]


# --- anything -------------------------------------------------------------------------------------

MARKERS = [
    *claude_code._SYSTEM,
    BILLING,
    SUB_BILLING,
    USER_ID,
    STATUS,
    NOTIFIED,
    ECHO,
    TYPED,
    LAUNCHED,
    "<system-reminder>",
    "</system-reminder>",
    "user-agent",
    "x-claude-code-prev-tool-durations",
    "TaskUpdate",
    "Agent",
    "metadata",
    "todos",
]


@settings(max_examples=50, deadline=None)
@given(making.anything(MARKERS))
def test_nothing_makes_it_raise(made):
    making.check_total(AGENT, made)
