"""Copilot CLI: calls as 1.0.102 makes them, in its three wire formats."""

import pytest
from hypothesis import given, settings

from addons.agents import agent_of, copilot_cli
from addons.agents.contract import Hints, Reading, Touch
from storage.decoded import Message, TextPart, ToolCallPart
from tests.addons.agents import making
from tests.addons.agents.making import answer, results, tool_call, tool_result, user

AGENT = copilot_cli.AGENT
SESSION = "1004e306-1901-48be-9edd-2e1bdf229a52"
MAIN_TASK = "49d2c296-d333-44b7-bea3-01e206e9ab5e"
SUB_TASK = "5e02c1cf-344f-4dfb-accf-54cdc4055e46"
TURN = "8c36c02a-e8be-4bf6-b517-f3a7ca78a312"
PLACE = (
    "<environment_context>\nSo it is.\n* Current working directory: /work/a b\n"
    "* Git repository root: /work\n* Git repository: acme/a\n</environment_context>"
)
MAIN = ("You are the GitHub Copilot CLI, so act.",
        f"<version_information>Version number: 1.0.102</version_information>\n{PLACE}")  # fmt: skip
EXPLORE = ("You are an exploration agent. Be quick.", PLACE)
DATED = "<current_datetime>2026-11-22T04:06:10.391+00:00</current_datetime>\n\n"
SKILL = '<skill-context name="demo">\nBase directory: /s\n\nSay hello.\n</skill-context>'
HEADERS = {
    "user_agent": "copilot/1.0.102 (linux v24.20.0) term/unknown client/github/cli",
    "copilot_integration_id": "copilot-developer-cli",
    "x_client_session_id": SESSION,
    "x_agent_task_id": MAIN_TASK,
    "x_interaction_id": TURN,
    "x_interaction_type": "conversation-user",
    "x_github_repository_nwo": "__no_repository__",
}
SUBAGENT = HEADERS | {
    "x_agent_task_id": SUB_TASK,
    "x_parent_agent_id": MAIN_TASK,
    "x_interaction_type": "conversation-subagent",
}
FOLLOW_UP = HEADERS | {"x_interaction_type": "conversation-agent"}


def hints(*messages, at=HEADERS, system=MAIN, **asked):
    made = making.call(*messages, at=making.head(path="/v1/messages", **at), system=system, **asked)
    return AGENT.hints(made)


@pytest.mark.parametrize(
    ("headers", "is_it"),
    [
        (HEADERS, True),
        ({"copilot_integration_id": "copilot-developer-cli"}, True),
        ({"copilot_integration_id": "vscode-chat", "user_agent": "GitHubCopilotChat/0.1"}, False),
        ({"user_agent": "OpenAI/JS 5.20.1"}, False),
        ({}, False),
    ],
)
def test_headers_name_it(headers, is_it):
    assert AGENT.matches(making.head(**headers)) is is_it


def as_messages(*texts, role):
    return tuple(Message(role=role, parts=(TextPart(text=text),)) for text in texts)


@pytest.mark.parametrize(
    ("system", "messages", "is_it"),
    [
        (MAIN, (user("hi"),), True),
        ((), (*as_messages("\n".join(MAIN), role="system"), user("hi")), True),
        ((), (*as_messages("\n".join(MAIN), role="developer"), user("hi")), True),
        (EXPLORE, (user(f"{DATED}Count"),), True),
        (EXPLORE, (user("Count"),), False),
        ((), (user(f"{DATED}Count"),), False),
        (("You know the GitHub Copilot CLI.",), (user("hi"),), False),
    ],
    ids=["messages", "chat", "responses", "subagent", "undated", "no place", "other"],
)
def test_the_body_alone_names_it(system, messages, is_it):
    call = making.call(*messages, system=system)
    assert AGENT.recognises(call.head, call.asked) is is_it
    assert (agent_of(call.head, call.asked) is AGENT) is is_it


def test_the_first_call_of_a_turn():
    assert hints(user(f"{DATED}Fix it"), effort="high") == Hints(
        agent_version="1.0.102",
        conversation=SESSION,
        root=SESSION,
        cwd="/work/a b",
        git_repository="acme/a",
        prompt="Fix it",
        prompt_id=TURN,
        effort="high",
        entry_point="github/cli",
    )


@pytest.mark.parametrize(
    ("wire", "system", "first"),
    [
        ("anthropic.messages", MAIN, ()),
        ("openai.responses", ("\n".join(MAIN),), ()),
        ("openai.chat", (), as_messages("\n".join(MAIN), role="system")),
    ],
)
def test_a_provider_of_ones_own_leaves_the_body_alone(wire, system, first):
    found = hints(*first, user(f"{DATED}Fix it"), at={}, system=system, wire=wire)
    assert found == Hints(
        agent_version="1.0.102",
        cwd="/work/a b",
        git_repository="acme/a",
        prompt="Fix it",
        inferred=("request_class",),
    )


def test_a_subagent():
    asked = user(f"{DATED}Count the files")
    found = hints(asked, at=SUBAGENT, system=EXPLORE)
    assert (found.conversation, found.root, found.parent) == (SUB_TASK, SESSION, SESSION)
    assert (found.is_subagent, found.subagent_type) == (True, "explore")
    assert (found.request_class, found.prompt) == ("subagent", None)
    assert found.spawn_prompt == "Count the files"
    assert found.inferred == ("subagent_type", "parent")
    later = hints(asked, answer(), user(tool_result("3").text), at=SUBAGENT, system=EXPLORE)
    assert later.spawn_prompt == "Count the files"


def test_a_subagent_by_its_body():
    found = hints(user(f"{DATED}Count"), at={}, system=EXPLORE)
    assert (found.is_subagent, found.request_class, found.parent) == (True, "subagent", None)
    assert found.inferred == ("subagent_type", "request_class")


@pytest.mark.parametrize(
    ("stated", "system", "expected"),
    [
        ("conversation-user", MAIN, "main"),
        ("conversation-agent", MAIN, "main"),
        ("conversation-subagent", EXPLORE, "subagent"),
        ("conversation-compaction", MAIN, "compaction"),
        ("a-new-one", MAIN, "side"),
        (None, MAIN, "main"),
        (None, ("Name this.",), "side"),
    ],
)
def test_what_a_call_is_for(stated, system, expected):
    at = {name: value for name, value in HEADERS.items() if name != "x_interaction_type"}
    at |= {"x_interaction_type": stated} if stated else {}
    found = hints(user("Fix it"), at=at, system=system)
    assert (found.request_class, found.prompt is None) == (expected, expected != "main")
    assert ("request_class" in found.inferred) == (stated is None)


def test_a_repository_that_the_headers_name():
    at = HEADERS | {"x_github_repository_nwo": "acme/b"}
    assert hints(user("hi"), at=at).git_repository == "acme/b"


def test_users_texts_are_not_searched_for_the_place():
    found = hints(
        user("* Current working directory: /tmp"), system=("You are the GitHub Copilot CLI",)
    )
    assert found.cwd is None


SUMMARY = (
    "Some of the conversation history has been summarized to free up context.\n\n"
    "<user_message>\nFix it\n</user_message>\n<summary>\nFixed\n</summary>"
)
CASES = {
    "dated": (user(f"{DATED}Fix it"), Reading(kind="prompt", prompt="Fix it")),
    "plain": (user("Fix it"), Reading(kind="prompt", prompt="Fix it")),
    "skill": (user(SKILL), Reading(kind="context", injected=(0,))),
    "skill and prompt": (
        user(SKILL, f"{DATED}Go on"),
        Reading(kind="prompt", prompt="Go on", injected=(0,)),
    ),
    "compaction asks": (
        user("Please create a detailed summary of the conversation so far. The history is being"),
        Reading(kind="instruction"),
    ),
    "summary": (user(SUMMARY), Reading(kind="summary")),
    "summary and prompt": (
        user(SUMMARY, f"{DATED}Go on"),
        Reading(kind="prompt", prompt="Go on"),
    ),
    "results": (results(tool_result("ok"), role="user"), Reading(kind="tool-results")),
    "results in chat": (results(tool_result("ok")), Reading(kind="tool-results")),
    "answer": (answer(), Reading(kind="answer")),
    "developer": (
        Message(role="developer", parts=(TextPart(text="So."),)),
        Reading(kind="context", injected=(0,)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_messages(case):
    message, expected = CASES[case]
    assert AGENT.reading(message) == expected


def test_a_skill_behind_its_result_is_no_prompt():
    found = hints(
        user(f"{DATED}Fix it"), answer(), results(tool_result("ok"), role="user"), user(SKILL),
        at=FOLLOW_UP,
    )  # fmt: skip
    assert found.prompt is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bash", "shell"),
        ("read_bash", "shell"),
        ("view", "read"),
        ("create", "write"),
        ("edit", "edit"),
        ("grep", "search"),
        ("web_fetch", "web"),
        ("task", "task"),
        ("skill", "skill"),
        ("sql", "other"),
        ("mcp__a__b", "mcp"),
    ],
)
def test_tools(name, kind):
    assert AGENT.tool(name, None).kind == kind
    assert AGENT.offered(making.tools(name)[0]).kind == kind


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (tool_call("bash", command="ls", description="d"), {"command": "ls", "description": "d"}),
        (tool_call("view", path="/a"), {"touches": (Touch(path="/a", access="read"),)}),
        (tool_call("create", path="/a"), {"touches": (Touch(path="/a", access="write"),)}),
        (
            tool_call("grep", pattern="x", paths="/g"),
            {"touches": (Touch(path="/g", access="search"),)},
        ),
        (
            tool_call("task", prompt="Count", agent_type="explore", name="counter"),
            {"spawn_prompt": "Count", "spawn_name": "counter", "subagent_type": "explore"},
        ),
        (tool_call("write_agent", agent_id="a", message="x"), {"spawn_prompt": None}),
        (tool_call("skill", skill="demo"), {"skill": "demo"}),
    ],
    ids=lambda value: value.name if isinstance(value, ToolCallPart) else "",
)
def test_calls(call, expected):
    found = AGENT.call(call)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("bash", "oops\n<shellId: 1 completed with exit code 3>", (True, True, 3)),
        ("bash", "ok\n<shellId: 0 completed with exit code 0>", (False, True, 0)),
        ("bash", "<shellId: 0 completed with exit code 3>\nand more", (None, False, None)),
        ("view", "<shellId: 0 completed with exit code 3>", (None, False, None)),
        ("view", "Path /a does not exist.", (None, False, None)),
    ],
)
def test_results(name, text, expected):
    found = AGENT.result(tool_call(name), tool_result(text))
    assert (found.is_error, found.is_inferred, found.exit_code) == expected


MARKERS = [*MAIN, *EXPLORE, DATED, SKILL, "x-interaction-type", "conversation-subagent", "bash"]


@settings(max_examples=50, deadline=None)
@given(making.anything(MARKERS))
def test_nothing_makes_it_raise(made):
    making.check_total(AGENT, made)
