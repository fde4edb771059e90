"""
The agent CLIs as a table: how each is run headless, with what, and where its model is.

    home = tmp_path / "home"
    for agent in AGENTS:
        workdir = prepare(agent, home)
        asked = [*wirescribe_run, *command(agent, "hi")]
        subprocess.run(asked, env=environment(agent, home), cwd=workdir)
        calls = model_calls(agent, provider.requests)

The environment holds nothing of the machine's: an empty HOME, invented keys, the pinned CLIs and
their Node first on PATH. Proxy and CA variables are the business of `wirescribe run`.
Commands and variables as seen to work in November 2026 with the versions of package.json and, of
aider, install.AIDER.
"""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tests.provider import Exchange

from .install import install

_PROMPT = "{prompt}"


class AgentCli(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run one agent."""

    name: str  # of this row; the same as the command except for variants
    command: str
    arguments: tuple[str, ...]  # "{prompt}" stands for the prompt
    key: str  # the invented credential: it must be found in no record
    env: Mapping[str, str]  # besides HOME, PATH and the like
    home_files: Mapping[str, str] = {}  # path under HOME -> content
    hosts: frozenset[str]  # that its model calls go to
    path: str  # regular expression of the path of a model call
    websocket: bool = False  # its model calls are messages of one socket


_CLAUDE_KEY = "sk-ant-api03-invented-claude-5bq0vZ7mWc2Yp9LrX4Tn8KdF3sHj6GaE"
_OPENCODE_KEY = "sk-ant-api03-invented-opencode-7Rk2mXw9Vt4Lp6Zn3Qd8Yc5Hb1JsFgU"
_CODEX_KEY = "sk-proj-invented-codex-Gh7Tn2Wq9Xr4Mv6Kz3Lp8Yd5Bc1Fs0Ja"
_CODEX_SSE_KEY = "sk-proj-invented-codexsse-Vb3Kx8Nw5Rt2Qz7Lm4Hp9Yd6Cg1Fs0Je"
_QWEN_KEY = "sk-invented-qwen-Zx4Cv7Bn2Mq9Wk5Er8Ty3Up6Lh1Jg0Fd"
_AIDER_KEY = "sk-invented-aider-Hn5Rt8Yk3Wd6Vq1Xc9Zb4Mp7Lg2Js0Fa"
_GEMINI_KEY = "AIzaSyInventedGemini0Qw7Er4Ty2Ui9Op5As8"
_COPILOT_KEY = "github_pat_11INVENTED0aQ7wE4rT2yU9iO5pA8sD3fG6hJ1kL0zX4cV7bN2mQ9wE4rT2y"

_CODEX = ("exec", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check")
# A provider of one's own is spoken to by POST; the built-in one by WebSocket.
_CODEX_SSE = (
    'model_providers.sse={name="sse",base_url="https://api.openai.com/v1",'
    'env_key="CODEX_SSE_KEY",wire_api="responses"}'
)

# Nothing else over the network, and plain text on stdout.
_AIDER = (
    *("--yes-always", "--no-git", "--no-pretty", "--no-check-update", "--no-show-release-notes"),
    *("--analytics-disable", "--no-show-model-warnings"),
)

AGENTS: tuple[AgentCli, ...] = (
    AgentCli(
        name="claude",
        command="claude",
        arguments=("-p", _PROMPT, "--dangerously-skip-permissions"),
        key=_CLAUDE_KEY,
        # As root it refuses to skip permissions unless it is told that this is a sandbox.
        env={"ANTHROPIC_API_KEY": _CLAUDE_KEY, "IS_SANDBOX": "1"},
        hosts=frozenset({"api.anthropic.com"}),
        path=r"/v1/messages",
    ),
    AgentCli(
        name="codex",
        command="codex",
        arguments=(*_CODEX, _PROMPT),
        key=_CODEX_KEY,
        env={"CODEX_API_KEY": _CODEX_KEY},
        hosts=frozenset({"api.openai.com"}),
        path=r"/v1/responses",
        websocket=True,
    ),
    AgentCli(
        name="codex-sse",
        command="codex",
        arguments=(*_CODEX, "-c", "model_provider=sse", "-c", _CODEX_SSE, _PROMPT),
        key=_CODEX_SSE_KEY,
        env={"CODEX_SSE_KEY": _CODEX_SSE_KEY},
        hosts=frozenset({"api.openai.com"}),
        path=r"/v1/responses",
    ),
    AgentCli(
        name="gemini",
        command="gemini",
        arguments=("--yolo", "--skip-trust", "-p", _PROMPT),
        key=_GEMINI_KEY,
        env={"GEMINI_API_KEY": _GEMINI_KEY},
        home_files={
            ".gemini/settings.json": '{"security":{"auth":{"selectedType":"gemini-api-key"}}}'
        },
        hosts=frozenset({"generativelanguage.googleapis.com"}),
        path=r"/v1beta/models/[^/]+:(streamG|g)enerateContent",
    ),
    AgentCli(
        name="copilot",
        command="copilot",
        arguments=("-p", _PROMPT, "--allow-all-tools", "--allow-all-paths"),
        key=_COPILOT_KEY,
        env={"COPILOT_GITHUB_TOKEN": _COPILOT_KEY},
        hosts=frozenset({"api.githubcopilot.com"}),
        path=r"/(v1/messages|responses|chat/completions)",
    ),
    AgentCli(
        name="opencode",
        command="opencode",
        arguments=("run", "-m", "anthropic/claude-sonnet-4-5", _PROMPT),
        key=_OPENCODE_KEY,
        env={"ANTHROPIC_API_KEY": _OPENCODE_KEY},
        hosts=frozenset({"api.anthropic.com"}),
        path=r"/v1/messages",
    ),
    AgentCli(
        name="qwen",
        command="qwen",
        arguments=("--yolo", "-p", _PROMPT),
        key=_QWEN_KEY,
        env={
            "OPENAI_API_KEY": _QWEN_KEY,
            "OPENAI_BASE_URL": "https://api.openai.com/v1",
            "OPENAI_MODEL": "qwen3-coder-plus",
        },
        hosts=frozenset({"api.openai.com"}),
        path=r"/v1/chat/completions",
    ),
    AgentCli(
        name="aider",
        command="aider",
        arguments=("--model", "openai/gpt-4o", *_AIDER, "--message", _PROMPT),
        key=_AIDER_KEY,
        # Otherwise litellm fetches its price list first.
        env={"OPENAI_API_KEY": _AIDER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        hosts=frozenset({"api.openai.com"}),
        path=r"/v1/chat/completions",
    ),
)


def prepare(agent: AgentCli, home: Path) -> Path:
    """Make HOME with the agent's files, and in it an empty git repository to work in."""
    for name, content in agent.home_files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    workdir = home / "work"
    workdir.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q", str(workdir)], env=environment(agent, home), check=True)
    return workdir


def environment(agent: AgentCli, home: Path) -> dict[str, str]:
    """The whole environment of a run; nothing else may be in it."""
    programs = install().node.parent
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **agent.env,
    }


def command(agent: AgentCli, prompt: str) -> list[str]:
    """The command that asks one prompt and ends, the executable with its full path."""
    executable = str(install().agents[agent.command])
    return [executable, *(prompt if part == _PROMPT else part for part in agent.arguments)]


def is_model_call(agent: AgentCli, exchange: Exchange) -> bool:
    """Whether the provider was asked for a model's answer by this agent."""
    host = exchange.host.partition(":")[0]
    method = "GET" if agent.websocket else "POST"
    asked = (exchange.method, host in agent.hosts) == (method, True)
    return asked and re.fullmatch(agent.path, exchange.path) is not None


def model_calls(agent: AgentCli, exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Its model calls among all that the provider saw."""
    return [exchange for exchange in exchanges if is_model_call(agent, exchange)]
