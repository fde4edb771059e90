"""
What each agent CLI is put through, in several runs of the same HOME, and where it is special.

    tour        one prompt with all that it does with tools, a refused call and a cut answer
    resumed     another process goes on with that conversation
    compacted   its history is summed up: at a command, or because the context is full
    after       another prompt behind that, where a command alone does nothing else

Seen to work in November 2026 with the versions of package.json. Not to be had headless: a
compaction of aider (it sums up with its weak model when its history is long), slash commands of
Gemini CLI (`-p "/compress"` is sent to the model as a prompt).
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests.e2e.stack import Stack

from .runner import AGENTS, AgentCli, command, environment

_PROMPT = "{prompt}"
BRANCH = "feature/tour"
_FINISH_S = 180

# The context is full after the first call, which an agent with room to spare then sums up.
_FULL = "SCENARIO:tool ACCIDENT:heavy:0 sum up, {name}"


_OPENCODE_LIMIT = (
    '{"provider":{"anthropic":{"models":{"claude-sonnet-4-5":'
    '{"limit":{"context":200000,"output":8192}}}}}}'
)


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """`agent`: its name in the tables. `package`: of package.json; None: it tells no version."""

    cli: str
    agent: str
    package: str | None
    accidents: str
    resume: tuple[str, ...]  # arguments; "{prompt}" stands for the prompt
    compact: str | None = None  # the prompt that makes it sum up
    goes_on: bool = False  # only a run behind that one shows what it goes on from
    env: Mapping[str, str] = {}  # beside the row's own
    prices: str  # the provider in genai-prices
    has_id: bool = True  # the wire tells which conversation it is
    tells_place: bool = True  # the wire has the working directory
    tells_branch: bool = False
    mode: str | None = None
    # Where the CLI sends another history than before, by which run; the note beside says why.
    tour_branches: int = 1
    resumed_branches: int = 1
    dies_of_cut: bool = False  # so that its cut answer has a run of its own
    failing: bool | None = True  # what is known of the command that fails
    missing: bool | None = True  # ... and of the file that is not there

    @property
    def row(self) -> AgentCli:
        row = next(row for row in AGENTS if row.name == self.cli)
        return msgspec.structs.replace(row, env={**row.env, **self.env})

    @property
    def name(self) -> str:
        return self.cli


def _codex(*options: str) -> tuple[str, ...]:
    row = next(row for row in AGENTS if row.name == "codex")
    return (*row.arguments[:-1], *options, "resume", "--last", _PROMPT)


def _codex_sse() -> tuple[str, ...]:
    row = next(row for row in AGENTS if row.name == "codex-sse")
    return (*row.arguments[:-1], "resume", "--last", _PROMPT)


def _with(name: str, *options: str, at: int = 0) -> tuple[str, ...]:
    """The row's own arguments with options put in."""
    own = next(row for row in AGENTS if row.name == name).arguments
    return (*own[:at], *options, *own[at:])


JOURNEYS: tuple[Journey, ...] = (
    Journey(
        cli="claude",
        agent="claude-code",
        package="@anthropic-ai/claude-code",
        accidents="ACCIDENT:error529:0 ACCIDENT:cut:2",
        resume=_with("claude", "-c"),
        compact="/compact",
        goes_on=True,
        prices="anthropic",
        tells_branch=True,
        mode="bypassPermissions",
    ),
    Journey(
        cli="codex",
        agent="codex",
        package="@openai/codex",
        accidents="ACCIDENT:error500:0 ACCIDENT:cut:2",
        resume=_codex(),
        compact=_FULL,
        prices="openai",
        mode="danger-full-access",
    ),
    Journey(
        cli="codex-sse",
        agent="codex",
        package="@openai/codex",
        accidents="ACCIDENT:error500:0 ACCIDENT:cut:2",
        resume=_codex_sse(),
        compact=_FULL,
        prices="openai",
        mode="danger-full-access",
    ),
    Journey(
        cli="gemini",
        agent="gemini-cli",
        package="@google/gemini-cli",
        accidents="ACCIDENT:error500:0",
        resume=_with("gemini", "--resume", "latest"),
        compact=_FULL,
        prices="google",
        has_id=False,
        mode="yolo",
        dies_of_cut=True,
    ),
    Journey(
        cli="copilot",
        agent="copilot-cli",
        package="@github/copilot",
        accidents="ACCIDENT:error500:0 ACCIDENT:cut:2",
        resume=_with("copilot", "--continue"),
        # When the context is full it sums up beside the conversation and does not use it at once.
        compact="/compact",
        goes_on=True,
        prices="github-copilot",
        # It sends another text for the file that was missing than before.
        resumed_branches=2,
        missing=None,
    ),
    Journey(
        cli="opencode",
        agent="opencode",
        package="opencode-ai",
        accidents="ACCIDENT:error529:0 ACCIDENT:cut:2",
        resume=_with("opencode", "-c", at=1),
        compact=_FULL,
        # Its list of models, where sizes of contexts stand, is not to be had here.
        env={"OPENCODE_CONFIG_CONTENT": _OPENCODE_LIMIT},
        prices="anthropic",
        failing=None,
    ),
    Journey(
        cli="qwen",
        agent="qwen-code",
        package="@qwen-code/qwen-code",
        accidents="ACCIDENT:error500:0 ACCIDENT:cut:2",
        resume=_with("qwen", "--continue"),
        compact="/compress",
        goes_on=True,
        prices="openai",
        tells_branch=True,
        # It asks for the rest of the cut answer, and then sends both as one.
        tour_branches=2,
        resumed_branches=2,
    ),
    Journey(
        cli="aider",
        agent="aider",
        package=None,
        accidents="ACCIDENT:error500:0 ACCIDENT:cut:0",
        resume=_with("aider", "--restore-chat-history"),
        prices="openai",
        has_id=False,
        tells_place=False,
        mode="code",
    ),
)


def go(stack: Stack, row: AgentCli, home: Path, prompt: str, name: str, *arguments: str) -> int:
    """Run it once through `wirescribe run`, in a session of that name; its exit code."""
    asked = [sys.executable, "-P", "-m", "cli", "run", f"--name={name}"]
    own = command(row, prompt)
    if arguments:
        own = [own[0], *(prompt if part == _PROMPT else part for part in arguments)]
    done = subprocess.run(
        [*asked, f"--data-dir={stack.datadir.root}", "--", *own],
        env=environment(row, home),
        cwd=home / "work",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FINISH_S,
        check=False,
    )
    sys.stdout.write(f"{name}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.returncode
