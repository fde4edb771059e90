"""What the scripts answer, asked without a socket."""

import msgspec
import pytest

from tests.provider import SUMMARY, Ask, Tool
from tests.provider.plan import Call, own_words
from tests.provider.scenarios import Scripts
from tests.provider.tour import FAILING, SUBAGENT_PROMPT

BASH = Tool(name="Bash", properties=frozenset({"command"}))
READ = Tool(name="Read", properties=frozenset({"file_path"}))
TODO = Tool(name="todowrite", properties=frozenset({"todos"}))
AGENT = Tool(name="Agent", properties=frozenset({"prompt"}))


def ask(prompt: str, steps: int = 0, tools: tuple[Tool, ...] = (), **more: object) -> Ask:
    return Ask(
        wire="chat",
        model="m",
        stream=True,
        prompt=prompt,
        steps=steps,
        tools=list(tools),
        **more,
    )


def rounds(tools: tuple[Tool, ...]) -> list[list[Call]]:
    scripts, found = Scripts(), []
    while calls := scripts.plan(ask("SCENARIO:tour", len(found), tools)).calls:
        found.append(calls)
    return found


def test_a_tour_takes_the_tools_that_there_are() -> None:
    assert rounds(()) == []
    assert [len(calls) for calls in rounds((BASH,))] == [1, 2, 1]
    found = rounds((BASH, READ, TODO, AGENT))
    assert [[call.tool.name for call in calls] for calls in found] == [
        ["Bash"], ["Bash", "Bash"], ["Bash"], ["Read"], ["todowrite"], ["todowrite"], ["Agent"],
    ]  # fmt: skip
    assert found[2][0].arguments == {"command": FAILING}
    assert found[6][0].arguments == {"prompt": SUBAGENT_PROMPT}


def test_a_task_list_goes_on() -> None:
    first, second = (calls[0].arguments for calls in rounds((TODO,)))
    assert [item["status"] for item in first["todos"]] == ["in_progress", "pending"]
    assert [item["status"] for item in second["todos"]] == ["completed", "in_progress"]


def test_an_accident_happens_once_in_its_round() -> None:
    scripts = Scripts()
    prompt = "SCENARIO:turns:2 ACCIDENT:error529:1 ACCIDENT:cut:1"
    first, refused, cut, whole = (
        scripts.plan(ask(prompt, steps, (BASH,))) for steps in (0, 1, 1, 1)
    )
    assert (first.refusal, first.fault) == (None, None)
    assert refused.refusal is not None
    assert refused.refusal.status == 529
    assert (cut.fault, len(cut.calls)) == ("cut", 1)
    assert msgspec.structs.replace(whole, fault="cut") == cut


def test_a_heavy_answer_says_that_the_context_is_full() -> None:
    scripts, asked = Scripts(), ask("ACCIDENT:heavy:0")
    heavy, light = (scripts.usage(asked, scripts.plan(asked)).input for _ in range(2))
    assert heavy > 900_000 > light


def test_a_summary_is_given_instead_of_the_scenario() -> None:
    plan = Scripts().plan(ask("SCENARIO:error400 ACCIDENT:cut:0", compacts=True))
    assert SUMMARY in plan.text
    assert (plan.refusal, plan.fault) == (None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<system-reminder>x</system-reminder>\nGo on", "Go on"),
        ("Your response above was cut off mid-stream. Resume directly.", ""),
        ("The connection dropped mid-response. Resume directly.", ""),
    ],
    ids=["reminder", "Claude Code", "Qwen Code"],
)
def test_what_an_agent_writes_is_no_word_of_the_user(text: str, words: str) -> None:
    assert own_words(text) == words
