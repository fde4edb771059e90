"""
What the provider answers: scenarios, chosen by a keyword in the user's last text.

`SCENARIO:<keyword>[:<argument>]`. Every scenario ends with a final text that holds `GREETING`.
Add one: a function `(Ask, argument) -> Plan` and a line in SCENARIOS.
"""

import secrets
import string
from collections.abc import Callable

import msgspec

from . import tools, tour
from .plan import Ask, Call, Part, Plan, Refusal, Summary, Text, Thinking
from .records import Usage

GREETING = "Hello from the scripted provider."
SUBAGENT_GREETING = "Hello from the sub-agent."
SUMMARY = "Scripted summary: the user looked around."

type Script = Callable[[Ask], Plan | None]

_LETTERS = string.ascii_letters + string.digits


def _text(
    text: str, *, pause_ms: float = 0, fault: str | None = None, coding: str | None = None
) -> Plan:
    return Plan(parts=[Text(text=text)], pause_ms=pause_ms, fault=fault, coding=coding)


def _hello(ask: Ask, argument: str) -> Plan:
    return _text(GREETING)


def _thinking(ask: Ask, argument: str) -> Plan:
    return Plan(parts=[Thinking(text="The user wants a greeting."), Text(text=GREETING)])


def _tool(ask: Ask, argument: str) -> Plan:
    """One shell command, then the text."""
    return _turns(ask, "1")


def _parallel(ask: Ask, argument: str) -> Plan:
    """Two shell commands in one answer, then the text."""
    if ask.steps:
        return _final()
    return _calling(tools.shell(ask, "echo parallel one"), tools.shell(ask, "echo parallel two"))


def _turns(ask: Ask, argument: str) -> Plan:
    """As many rounds of one shell command each as the argument says, then the text."""
    if ask.steps >= int(argument or "3"):
        return _final()
    return _calling(tools.shell(ask, f"echo scripted step {ask.steps + 1}"))


def _subagent(ask: Ask, argument: str) -> Plan:
    """Start a sub-agent, wait for it, then the text."""
    if ask.steps == 0:
        return _calling(tools.spawn(ask, "counter", "SCENARIO:sub Greet and stop."))
    waiting = tools.wait(ask)
    return _calling(waiting) if waiting and ask.steps == 1 else _final()


def _sub(ask: Ask, argument: str) -> Plan:
    """The sub-agent's own answer."""
    done = tools.finish(ask, SUBAGENT_GREETING)
    return _calling(done) if done and not ask.steps else _text(SUBAGENT_GREETING)


def _tour(ask: Ask, argument: str) -> Plan:
    """All that agents do with tools, see module tour."""
    rounds = tour.rounds(ask)
    return _calling(*rounds[ask.steps]) if ask.steps < len(rounds) else _final()


def _detour(ask: Ask, argument: str) -> Plan:
    """The sub-agent of the tour."""
    rounds = tour.detour(ask, SUBAGENT_GREETING)
    return _calling(*rounds[ask.steps]) if ask.steps < len(rounds) else _text(SUBAGENT_GREETING)


def _compaction(ask: Ask, argument: str) -> Plan:
    """A summary in the form that each agent looks for in it."""
    goal = f"<overall_goal>{SUMMARY}</overall_goal>"
    return Plan(
        parts=[
            Summary(
                text=f"<analysis>Scripted.</analysis>\n<summary>{SUMMARY}</summary>\n"
                f"<state_snapshot>{goal}</state_snapshot>"
            )
        ]
    )


def _slow(ask: Ask, argument: str) -> Plan:
    """That many milliseconds between two events (100)."""
    return _text(GREETING, pause_ms=float(argument or "100"))


def _big(ask: Ask, argument: str) -> Plan:
    """A text of that many characters (100000)."""
    size = int(argument or "100000")
    return _text(f"{GREETING} " + "Lorem ipsum dolor sit amet. " * (size // 28 + 1))


def _coded(ask: Ask, argument: str) -> Plan:
    """An answer in the content coding of the argument, if the client accepts it."""
    return _text(GREETING, coding=argument or "gzip")


def _error400(ask: Ask, argument: str) -> Plan:
    return Plan(refusal=Refusal(status=400, message="Scripted: the request is invalid."))


def _final() -> Plan:
    return _text(f"All scripted steps are done. {GREETING}")


def _calling(*calls: Call | None) -> Plan:
    wanted = [call for call in calls if call is not None]
    if not wanted:  # the agent offers no such tool
        return _final()
    thinking: list[Part] = [Thinking(text="I take the next scripted step.")]
    return Plan(parts=[*thinking, Text(text="A scripted step."), *wanted])


SCENARIOS: dict[str, Callable[[Ask, str], Plan]] = {
    "hello": _hello,
    "thinking": _thinking,
    "tool": _tool,
    "parallel": _parallel,
    "turns": _turns,
    "subagent": _subagent,
    "sub": _sub,
    "tour": _tour,
    "detour": _detour,
    "compaction": _compaction,
    "slow": _slow,
    "big": _big,
    "coded": _coded,
    "error400": _error400,
}

# Each happens to the first call with a prompt, and the next such call of that wire succeeds.
ONCE: dict[str, Plan] = {
    "error429": Plan(
        refusal=Refusal(status=429, message="Scripted: rate limit.", retry_after_seconds=1)
    ),
    "error500": Plan(refusal=Refusal(status=500, message="Scripted: internal error.")),
    "error529": Plan(
        refusal=Refusal(status=529, message="Scripted: overloaded.", retry_after_seconds=1)
    ),
    "reset": _text(GREETING, fault="reset"),
    "cut": _text(GREETING, fault="cut"),
    # The context is as good as full: agents then sum it up by themselves.
    "heavy": Plan(parts=[Text(text=GREETING)], more_tokens=900_000),
}


class Scripts:
    """A provider's memory of what it answered, and where a test puts scripts of its own."""

    def __init__(self, *, slow_ms: float = 0) -> None:
        self.script: Script | None = None  # asked first; None from it: the scenarios decide
        self._slow_ms = slow_ms
        self._failing: set[tuple[str, str]] = set()
        self._happened: set[tuple[str, str, int, str]] = set()
        self._serial = 0

    def plan(self, ask: Ask) -> Plan:
        """The answer to one model call."""
        own = self.script(ask) if self.script else None
        plan = own or self._accident(ask) or self._scenario(ask)
        return msgspec.structs.replace(plan, pause_ms=plan.pause_ms or self._slow_ms)

    def _scenario(self, ask: Ask) -> Plan:
        if ask.schema is not None:
            return _text(msgspec.json.encode(sample(ask.schema)).decode())
        keyword, argument = ask.scenario
        once = ONCE.get(keyword)
        if once is None:
            return SCENARIOS.get(keyword, _hello)(ask, argument)
        call = (ask.wire, ask.prompt)
        if call in self._failing:
            self._failing.remove(call)
            return _final()
        self._failing.add(call)
        return once

    def _accident(self, ask: Ask) -> Plan | None:
        """What goes wrong in this round, once; an answer that breaks off is the round's own."""
        for name in ask.accidents:
            place = (ask.wire, ask.prompt, ask.steps, name)
            if place not in self._happened:
                break
        else:
            return None
        self._happened.add(place)
        once = ONCE[name]
        if once.refusal:
            return once
        plan = self._scenario(ask)
        return msgspec.structs.replace(plan, fault=once.fault, more_tokens=once.more_tokens)

    def usage(self, ask: Ask, plan: Plan) -> Usage:
        """Counts of a plausible size. `output` and `input` differ from every other answer's."""
        self._serial += 1
        read = max(1000, ask.request_bytes // 4000 * 1000)
        cached = read // 2 if ask.steps else 0
        return Usage(
            input=read + self._serial + plan.more_tokens,
            cached=cached,
            cache_write=read // 4,
            output=10 * self._serial + 20 + len(plan.parts),
            reasoning=7 if any(isinstance(part, Thinking) for part in plan.parts) else 0,
        )


def new_id(prefix: str, length: int = 22) -> str:
    """A fresh id of the provider's look."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))


def sample(schema: object) -> object:
    """A small value that a JSON schema allows (as far as the agents' side calls need it)."""
    if not isinstance(schema, dict):
        return "scripted"
    if choices := schema.get("enum"):
        return "user" if "user" in choices else choices[0]
    kind = str(schema.get("type", "string")).lower()
    if kind == "object":
        return {key: sample(value) for key, value in schema.get("properties", {}).items()}
    simple: dict[str, object] = {"array": [], "integer": 50, "number": 50, "boolean": False}
    return simple.get(kind, "Scripted greeting")
