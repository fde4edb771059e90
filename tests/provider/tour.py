"""
`SCENARIO:tour`: in one prompt all that agents do with tools, as far as each offers them.

    a shell command, two at once, one that fails, a missing file, a task list (begun, then done),
    a sub-agent that runs a shell command itself (and is waited for), then the text.

What an agent offers no tool for is left out, so that every round has a call. The shell commands
print `TOUR` lines, so that a result is known by its call.
"""

from . import tools
from .plan import Ask, Call

TOUR_TASKS = ("Look around", "Go home")
SUBAGENT_PROMPT = "SCENARIO:detour Run one command, greet and stop."
FAILING = "echo tour-fails; exit 3"
MISSING = "tour-is-missing.txt"


def rounds(ask: Ask) -> list[list[Call]]:
    """The calls of each round, in order."""
    wanted = [
        [tools.shell(ask, "echo tour-one")],
        [tools.shell(ask, "echo tour-two"), tools.shell(ask, "echo tour-three")],
        [tools.shell(ask, FAILING)],
        [tools.read(ask, MISSING)],
        [tools.todo(ask, TOUR_TASKS, done=0)],
        [tools.todo(ask, TOUR_TASKS, done=1)],
        [tools.spawn(ask, "counter", SUBAGENT_PROMPT)],
        [tools.wait(ask)],
    ]
    return _offered(wanted)


def detour(ask: Ask, text: str) -> list[list[Call]]:
    """The rounds of the sub-agent that the tour starts."""
    return _offered([[tools.shell(ask, "echo detour-one")], [tools.finish(ask, text)]])


def _offered(wanted: list[list[Call | None]]) -> list[list[Call]]:
    found = [[call for call in calls if call is not None] for calls in wanted]
    return [calls for calls in found if calls]
