"""
What was understood of real agent CLIs is what the scripted provider handed out and saw.

Each goes through its journey once (see there): tools one after another, in parallel and failing, a
sub-agent, a task list, a refused call and a cut answer, a resumed conversation, a compaction.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.agents import install
from tests.agents.journeys import BRANCH, JOURNEYS, Journey, go
from tests.agents.oracle import Saw, cost_usd, saw, tokens
from tests.agents.runner import prepare
from tests.agents.understood import Understood, bars, read, used
from tests.e2e.stack import Stack
from tests.provider import GREETING, SUBAGENT_GREETING, SUMMARY, Provider
from tests.provider.tour import FAILING, MISSING, SUBAGENT_PROMPT, TOUR_TASKS

pytestmark = [pytest.mark.agents, pytest.mark.timeout(400)]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what was asked, what the provider saw of it, and all that is understood after it."""

    prompt: str
    session_id: str
    saw: Saw
    understood: Understood


class Story(msgspec.Struct, frozen=True, kw_only=True):
    journey: Journey
    workdir: Path
    tour: Stage
    resumed: Stage
    compacted: Stage | None
    after: Stage | None

    @property
    def stages(self) -> list[Stage]:
        all_stages = [self.tour, self.resumed, self.compacted, self.after]
        return [stage for stage in all_stages if stage]

    @property
    def last(self) -> Understood:
        return self.stages[-1].understood

    @property
    def answers(self) -> list:
        return [answer for stage in self.stages for answer in stage.saw.answers]


class Traveller:
    """Takes one CLI through its runs."""

    def __init__(self, stack: Stack, provider: Provider, journey: Journey, home: Path) -> None:
        self._stack = stack
        self._provider = provider
        self._journey = journey
        self._home = home
        self._sessions: list[str] = []

    def go(self, stage: str, prompt: str, *arguments: str, is_dying: bool = False) -> Stage:
        name = f"{stage} of {self._journey.name}"
        seen = len(self._provider.requests)
        row = self._journey.row
        code = go(self._stack, row, self._home, prompt, name, *arguments)
        assert bool(code) is is_dying
        sessions = self._stack.api.get("/api/sessions").raise_for_status().json()["sessions"]
        session_id = next(one["id"] for one in sessions if one["name"] == name)
        self._sessions.append(session_id)
        return Stage(
            prompt=prompt,
            session_id=session_id,
            saw=saw(row, self._provider.requests[seen:]),
            understood=read(self._stack, self._sessions),
        )


@pytest.fixture(scope="module", params=JOURNEYS, ids=lambda journey: journey.name)
def story(request, stack, provider, tmp_path_factory) -> Iterator[Story]:
    journey: Journey = request.param
    home = tmp_path_factory.mktemp(journey.name) / "home"
    workdir = prepare(journey.row, home)
    start_branch(workdir)
    traveller = Traveller(stack, provider, journey, home)
    name = journey.name
    tour = traveller.go("tour", f"SCENARIO:tour {journey.accidents} {name}")
    resumed = traveller.go("resumed", f"resumed words, {name}", *journey.resume)
    compacted = after = None
    if journey.compact:
        prompt = journey.compact.format(name=name)
        compacted = traveller.go("compacted", prompt, *journey.resume)
        if journey.goes_on:
            after = traveller.go("after", f"words after it, {name}", *journey.resume)
    return Story(
        journey=journey,
        workdir=workdir,
        tour=tour,
        resumed=resumed,
        compacted=compacted,
        after=after,
    )


def start_branch(workdir: Path) -> None:
    """With a commit on it: before one Qwen Code does not tell the branch."""
    git = ["git", "-C", str(workdir), "-c", "user.name=Tour", "-c", "user.email=tour@example.org"]
    subprocess.run([*git, "checkout", "-q", "-b", BRANCH], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)


def test_a_run_is_one_conversation(story):
    journey, root = story.journey, story.tour.understood.root
    assert root.own["agent"] == journey.agent
    assert root.own["agentVersion"] == version(journey)
    assert root.own["isInferred"] is not journey.has_id
    assert root.own["parentId"] is None
    assert root.own["sessionId"] == story.tour.session_id
    assert root.own["summary"] == story.tour.prompt
    assert root.own["model"] == story.tour.saw.answers[-1].model
    assert root.own["mode"] == journey.mode
    assert root.own["project"] == (str(story.workdir) if journey.tells_place else None)
    assert root.own["gitBranch"] == (BRANCH if journey.tells_branch else None)


def version(journey):
    if journey.package is None:
        return None
    package = Path(install.__file__).with_name("package.json").read_bytes()
    return msgspec.json.decode(package)["dependencies"][journey.package]


def test_its_id_is_the_one_that_the_agent_stores_it_under(story):
    home, root = story.workdir.parent, story.tour.understood.root.own["id"]
    named = list(home.rglob(f"*{root}*"))
    stored = [path for path in home.rglob("*.db*") if root.encode() in path.read_bytes()]
    assert bool(named or stored) is story.journey.has_id


def test_history_that_is_sent_again_adds_nothing(story):
    root = story.tour.understood.root
    assert len(root.branches) == story.journey.tour_branches
    said = [one for one in root.messages if one["kind"] == "prompt" and not one["isInjected"]]
    assert [one["turnId"] for one in said] == [root.own["firstTurnId"]] or len(said) == 1
    last = root.messages[-1]
    assert (last["kind"], last["isAnswer"], last["isCurrent"]) == ("answer", True, True)
    assert GREETING in last["preview"]


def test_prompts_are_what_the_user_said(story):
    root = story.tour.understood.root
    assert root.prompts == [story.tour.prompt]
    if story.journey.has_id:
        wanted = [stage.prompt for stage in story.stages if not stage.prompt.startswith("/")]
        assert story.last.root.prompts == wanted


def test_nothing_that_an_agent_wrote_passes_for_the_users_words(story):
    """Reminders, orders to sum up or to go on: all that is in a prompt's place is a prompt."""
    said = {stage.prompt for stage in story.stages} | {SUBAGENT_PROMPT}
    messages = [one for thread in story.last.threads for one in thread.messages]
    assert {one["preview"] for one in messages if one["kind"] == "prompt"} <= said
    assert {turn["prompt"] for turn in story.last.turns if turn["prompt"]} <= said


def test_each_model_call_is_a_turn(story):
    tour, found = story.tour.saw, story.tour.understood.turns
    assert len(found) == tour.calls
    assert sum(turn["failure"] is not None for turn in found) == tour.refused == 1
    assert sum(not turn["isComplete"] for turn in found) == tour.cuts
    assert story.tour.understood.total("errorCount") == tour.refused + tour.cuts
    assert len(story.last.turns) == sum(stage.saw.calls for stage in story.stages)
    whole = [turn for turn in found if turn["isComplete"] and not turn["failure"]]
    assert all(turn["durationMs"] is not None for turn in whole)
    assert all(turn["clock"]["firstByteUs"] is not None for turn in whole)


def test_what_is_tried_again_names_what_failed(stack, story):
    """By equal bodies: a CLI that sends another one is not seen to try again."""
    clock = bars(stack, story.tour.session_id)
    again = [one for one in clock if one["retryOf"]]
    failed = {one["turnId"] for one in clock if one["failureType"] or not one["isComplete"]}
    assert len(again) == story.tour.saw.retries
    assert {one["retryOf"] for one in again} <= failed


def test_tokens_and_cost_are_the_providers(story):
    found = [turn for turn in story.last.turns if is_answered(turn)]
    assert Counter(map(used, found)) == Counter(map(tokens, story.answers))
    known = [one for one in map(tokens, story.answers) if one[1] is not None]
    assert story.last.total("inputTokens") == sum(one[1] for one in known)
    assert story.last.total("outputTokens") == sum(one[2] for one in known)
    assert story.last.total("cacheReadTokens") == sum(one[3] for one in known)
    cost = cost_usd(story.answers, story.journey.prices)
    priced = [turn for turn in found if turn["usage"]["costUsd"] is not None]
    assert bool(priced) is (cost is not None)
    assert story.last.total("costUsd") == pytest.approx(cost or 0.0, rel=1e-9)


def is_answered(turn):
    """Codex first sends its context without wanting an answer."""
    return turn["failure"] is None and turn["requestClass"] != "prewarm"


def test_each_tool_call_is_there_once_with_its_result(story):
    # Without an id the conversation is lost when its history is summed up.
    last = story.last if story.journey.has_id else story.resumed.understood
    stages = story.stages if story.journey.has_id else [story.tour, story.resumed]
    handed = [call for stage in stages for call in stage.saw.handed]
    found = {call["callId"]: call for call in last.calls}
    assert len(found) == len(last.calls)
    assert sorted(found) == sorted(call.call_id for call in handed)
    summed_up = {call.call_id for call in story.compacted.saw.handed} if story.compacted else set()
    for call in handed:
        own = found[call.call_id]
        # opencode sums up before it sends the result, which then stands in that text alone.
        if own["result"] is not None or call.call_id not in summed_up:
            check_call(story.journey, call, own)


def check_call(journey, call, found):
    assert (found["name"], found["arguments"]) == (call.name, call.arguments)
    # What a sub-agent of Gemini CLI hands over is no result of a tool.
    assert (found["result"] is None) is (call.name == "complete_task")
    if found["result"] is None:
        return
    # Of a sub-agent that runs beside its parent only the start is told.
    assert (found["durationMs"] is None) is found["isPending"]
    assert found["calledAt"] <= found["resultAt"]
    asked = str(call.arguments)
    if echoed := re.search(r"echo ([a-z0-9-]+)", asked):
        assert echoed[1] in found["result"]
    if FAILING in asked:
        expected = journey.failing
    elif MISSING in asked:
        expected = journey.missing
    else:
        assert found["isError"] is not True
        return
    assert found["isError"] is expected
    if FAILING in asked and expected:
        assert found["exitCode"] == 3


def test_parallel_calls_stand_in_one_answer(story):
    turns = {call["callId"]: call["turnId"] for call in story.tour.understood.calls}
    for answer in story.tour.saw.answers:
        own = {turns[call_id] for call_id, _ in answer.tool_calls if call_id in turns}
        assert len(own) == bool(answer.tool_calls and answer.accident is None)


def test_a_subagent_hangs_on_the_call_that_started_it(story):
    understood = story.tour.understood
    spawns = [call for call in story.tour.saw.handed if SUBAGENT_PROMPT in str(call.arguments)]
    assert len(understood.subagents) == len(spawns)
    for spawn, child in zip(spawns, understood.subagents, strict=True):
        call = next(one for one in understood.calls if one["callId"] == spawn.call_id)
        assert call["kind"] == "task"
        assert call["childConversationId"] == child.own["id"]
        assert call["conversationId"] == understood.root.own["id"]
        assert child.own["parentId"] == understood.root.own["id"]
        assert child.own["parentToolCallId"] == call["id"]
        assert child.own["summary"] == SUBAGENT_PROMPT
        assert child.own["agentVersion"] == version(story.journey)
        answered = [turn for turn in child.turns if is_answered(turn)]
        own = story.tour.saw.of_subagent()
        assert Counter(map(used, answered)) == Counter(map(tokens, own.answers))
        assert SUBAGENT_GREETING in child.messages[-1]["preview"]


def test_a_conversation_goes_on_in_another_session(story):
    before, understood = story.tour.understood, story.resumed.understood
    if not story.journey.has_id:
        assert [root.own["summary"] for root in before.roots] == [story.tour.prompt]
        talking = [one for one in understood.roots if one.prompts]
        assert [one.own["summary"] for one in talking] == [story.tour.prompt, story.resumed.prompt]
        return
    root = understood.root
    assert root.own["id"] == before.root.own["id"]
    assert root.own["sessionId"] == story.tour.session_id
    assert {turn["sessionId"] for turn in root.turns} == {
        story.tour.session_id,
        story.resumed.session_id,
    }
    old = [one["id"] for one in before.root.messages]
    assert [one["id"] for one in root.messages][: len(old)] == old
    assert len(root.branches) == story.journey.resumed_branches
    news = [one for one in root.messages[len(old) :] if not one["isInjected"]]
    if story.journey.resumed_branches == story.journey.tour_branches:
        assert [one["kind"] for one in news] == ["prompt", "answer"]
    assert story.resumed.prompt in news[-2]["preview"]


def test_what_sums_a_history_up_is_told_apart(story):
    if story.compacted is None:
        return
    done = [turn for turn in story.last.turns if turn["sessionId"] == story.compacted.session_id]
    asked = sum(answer.text.startswith("<analysis>") for answer in story.compacted.saw.answers)
    assert sum(turn["requestClass"] == "compaction" for turn in done) == asked >= 1
    if story.journey.has_id:
        root = story.last.root
        assert root.own["id"] == story.tour.understood.root.own["id"]
        assert any(is_summary(one) for one in root.messages)
        assert sum(branch["isCurrent"] for branch in root.branches) == 1


def is_summary(message):
    """Codex's is opaque; Copilot CLI puts the next prompt behind it in the same message."""
    told = [part["text"] or "" for part in message["parts"] if part["type"] == "text"]
    is_sent = message["role"] == "user" and not message["isAnswer"]
    return message["kind"] == "summary" or (is_sent and any(SUMMARY in text for text in told))


def test_the_task_list_is_the_agents(story):
    handed = [call.name for call in story.tour.saw.handed]
    has_list = any("todo" in name or name == "update_plan" for name in handed)
    found = [(task["subject"], task["status"]) for task in story.tour.understood.root.tasks]
    expected = list(zip(TOUR_TASKS, ("completed", "in_progress"), strict=True))
    assert sorted(found) == (sorted(expected) if has_list else [])


def test_only_what_was_cut_off_is_noted(story):
    cuts = sum(stage.saw.cuts for stage in story.stages)
    assert story.last.notes == Counter({"truncated-stream": cuts} if cuts else {})


@pytest.mark.parametrize(
    "journey", [one for one in JOURNEYS if one.dies_of_cut], ids=lambda journey: journey.name
)
def test_an_answer_that_an_agent_dies_of_is_kept(stack, provider, tmp_path, journey):
    prepare(journey.row, tmp_path / "home")
    traveller = Traveller(stack, provider, journey, tmp_path / "home")
    stage = traveller.go("death", f"ACCIDENT:cut:0 to the death, {journey.name}", is_dying=True)

    (answer,) = [one for one in stage.saw.answers if one.accident]
    root = stage.understood.root
    (turn,) = [turn for turn in root.turns if not turn["isComplete"]]
    assert used(turn) == tokens(answer)
    (partial,) = [one for one in root.messages if one["isPartial"]]
    assert answer.text.startswith(partial["preview"])
    assert stage.understood.notes == Counter({"truncated-stream": 1})
