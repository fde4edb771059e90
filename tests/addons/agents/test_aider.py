"""aider: no header, no id and no tool; who speaks is told by the texts alone."""

import pytest
from hypothesis import given, settings

from addons.agents import agent_of
from addons.agents.aider import AGENT
from storage.decoded import MediaPart, Message, TextPart
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

CODER = system("Act as an expert software developer.\nUse *SEARCH/REPLACE blocks*.")
RULES = system("# *SEARCH/REPLACE block* Rules:\nAs follows.")
MAP = (
    user("Here are summaries of some files present in my git repository.\n\na.py:\n"),
    answer("Ok, I won't try and edit those files without asking first."),
)
FILES = (
    user("I have *added these files to the chat* so you can.\n\na.py\n"),
    answer("Ok, any changes I propose will be to those files."),
)
STOPPED = (
    user("one\n^C KeyboardInterrupt"),
    answer("I see that you interrupted my previous reply."),
)
COMMIT = "You are an expert software engineer that generates concise, one-line Git commit messages."
MARKERS = [
    "Act as an expert software developer.", "*SEARCH/REPLACE", COMMIT, "Ok.", "\n\n# File editing",
    "^C KeyboardInterrupt", "I ran this command:\n\n", "# 1 SEARCH/REPLACE block failed to match!",
    "I spoke to you previously about a number of things.", "Aider", "x-title",
]  # fmt: skip


def test_openrouter_is_told_the_title():
    assert AGENT.matches(head(x_title="Aider"))
    assert AGENT.matches(head(http_referer="https://aider.chat"))
    assert not AGENT.matches(head(user_agent="OpenAI/Python 2.20.0"))


@pytest.mark.parametrize(
    "first",
    [
        CODER,
        system("Formatting re-enabled.\n" + CODER.parts[0].text),
        system("Act as an expert software developer.\nTake requests for changes to the supplied "
               "code."),
        system("Act as an expert architect engineer and provide direction to your editor it."),
        system(COMMIT),
        system("*Briefly* summarize this partial conversation about programming."),
        user(CODER.parts[0].text),
    ],
    ids=["diff", "prefixed", "whole", "architect", "commit", "summary", "no-system"],
)  # fmt: skip
def test_body_alone_tells_the_agent(first):
    one = call(first, user("hi"), at=head(user_agent="OpenAI/Python 2.20.0"))
    assert agent_of(one.head, one.asked) is AGENT


def test_an_expert_of_somebody_else_is_not_aider():
    one = call(system("Act as an expert software developer. Speak like a pirate."), user("hi"))
    assert not AGENT.recognises(one.head, one.asked)


def test_a_call_of_the_main_thread():
    at = head(user_agent="OpenAI/Python 2.20.0", x_stainless_retry_count="0")
    hints = AGENT.hints(call(CODER, *MAP, *FILES, user("rename f"), RULES, at=at))
    assert (hints.request_class, hints.prompt, hints.mode) == ("main", "rename f", "code")
    assert (hints.attempt, hints.inferred) == (0, ("request_class",))
    assert (hints.conversation, hints.cwd, hints.git_branch) == (None, None, None)
    assert (hints.agent_version, hints.product) == (None, None)


def test_history_leaves_the_users_words_and_the_answers():
    committed = (user("I committed the changes with git hash 1a2b & commit msg: x"), answer("Ok."))
    one = call(CODER, user("one"), answer("done"), *committed, *MAP, *FILES, user("two"), RULES)
    kinds = [AGENT.reading(message).kind for message in one.asked.messages]
    assert [kind for kind in kinds if kind != "context"] == ["prompt", "answer", "prompt"]
    assert AGENT.hints(one).prompt == "two"


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (COMMIT, "side"),
        ("*Briefly* summarize this partial conversation about programming.", "compaction"),
    ],
    ids=["commit", "summary"],
)
def test_calls_of_the_weak_model(opening, expected):
    hints = AGENT.hints(call(system(opening), user("# USER\nhi")))
    assert (hints.request_class, hints.prompt, hints.is_subagent) == (expected, None, False)


def test_the_editor_of_an_architect_has_a_thread_of_its_own():
    editor = system("Act as an expert software developer who edits source code.\n*SEARCH/REPLACE")
    hints = AGENT.hints(call(editor, *FILES, user("Rename f in a.py."), RULES))
    assert (hints.request_class, hints.subagent_type) == ("subagent", "editor")
    assert (hints.spawn_prompt, hints.prompt) == ("Rename f in a.py.", None)


@pytest.mark.parametrize(
    ("opening", "mode"),
    [
        ("Act as an expert architect engineer and provide direction to your editor", "architect"),
        ("Act as an expert code analyst.\nAnswer questions about the supplied code.", "ask"),
        ("You are an expert on the AI coding tool called Aider.", "help"),
    ],
)
def test_mode_is_told_by_the_system_prompt(opening, mode):
    assert AGENT.hints(call(system(opening), user("hi"))).mode == mode


def test_the_prompt_after_an_interruption():
    hints = AGENT.hints(call(CODER, *STOPPED, *MAP, *FILES, user("two"), RULES))
    assert (hints.prompt, hints.is_interrupted) == ("two", True)
    calm = AGENT.hints(call(CODER, user("one"), answer("x"), *FILES, user("two")))
    assert not calm.is_interrupted


@pytest.mark.parametrize(
    ("message", "kind", "prompt"),
    [
        (user("rename f"), "prompt", "rename f"),
        (user("rename f\n\n# *SEARCH/REPLACE block* Rules:\n\nAll."), "prompt", "rename f"),
        (user("rename f\n\n# File editing rules:\n\nAll."), "prompt", "rename f"),
        (STOPPED[0], "prompt", "one"),
        (STOPPED[1], "context", None),
        (user("Refactor hello() into its own file."), "context", None),
        (user("Act as an expert software developer."), "context", None),
        (Message(role="user", parts=(TextPart(text="a.png"), MediaPart(media="image"))), "context",
         None),
        (user("I spoke to you previously about a number of things.\nI asked"), "summary", None),
        (user("I ran this command:\n\nls\n\nAnd got this output:\n\na"), "command", None),
        (user("# 2 SEARCH/REPLACE blocks failed to match!\n"), "instruction", None),
        (user("I added these files to the chat: a.py\n"), "instruction", None),
        (user("\nUSER: rename f\n\n# Diffs:\nx"), "instruction", None),
        (user("# USER\nrename f\n# ASSISTANT\ndone\n"), "instruction", None),
        (answer("Ok."), "context", None),
        (answer("Ok, here it is."), "answer", None),
        (RULES, "context", None),
        (results(tool_result("x")), "tool-results", None),
    ],
)  # fmt: skip
def test_reading(message, kind, prompt):
    read = AGENT.reading(message)
    assert (read.kind, read.prompt) == (kind, prompt)
    assert read.injected == (tuple(range(len(message.parts))) if kind == "context" else ())


def test_what_aider_asks_by_itself_is_no_prompt():
    order = user("# 1 SEARCH/REPLACE block failed to match!\n")
    assert AGENT.hints(call(CODER, user("one"), answer("x"), order, RULES)).prompt is None


def test_tools_of_functions_are_told_by_their_names():
    assert AGENT.call(tool_call("write_file", path="a")).tool.kind == "write"
    assert AGENT.result(None, tool_result("x")).is_error is None
    assert AGENT.tasks(tool_call("todo_write", todos=["x"]), None) == ()


@given(made=anything(MARKERS))
@settings(max_examples=50, deadline=None)
def test_never_raises(made):
    check_total(AGENT, made)
