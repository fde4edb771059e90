"""One provider, one proxy and one server for all agents; each agent has a HOME of its own."""

import subprocess
import sys

import pytest

from addons.scope import HOSTS
from tests.agents.install import install
from tests.agents.runner import command, environment, prepare
from tests.e2e.stack import Stack
from tests.provider import Provider, running

# Beside what is decrypted by default: Copilot asks GitHub who its user is before all else.
UPSTREAM_HOSTS = [
    *(host for host in HOSTS if not host.startswith(".")),
    "api.github.com",
    "api.githubcopilot.com",
    "api.individual.githubcopilot.com",
    "telemetry.individual.githubcopilot.com",
]


@pytest.fixture(scope="session")
def agents_installed():
    return install()


@pytest.fixture(scope="module")
def provider(agents_installed):
    with running(Provider()) as started:
        yield started


@pytest.fixture(scope="module")
def stack(tmp_path_factory, provider):
    upstreams = dict.fromkeys(UPSTREAM_HOSTS, provider.url)
    with Stack(tmp_path_factory.mktemp("stack"), upstreams=upstreams) as started:
        yield started


@pytest.fixture
def run_agent(stack, tmp_path):
    """Starts an agent through `wirescribe run`, as a user does; returns the finished process."""

    def start(agent, prompt, *options, name=None, before=()):
        home = tmp_path / f"home-{name or agent.name}"
        workdir = prepare(agent, home)
        asked = [sys.executable, "-P", "-m", "cli", "run", *options]
        if name:
            asked.append(f"--name={name}")
        return subprocess.Popen(
            [*asked, f"--data-dir={stack.datadir.root}", "--", *before, *command(agent, prompt)],
            env=environment(agent, home),
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
