"""How to point a command, or a shell, at the proxy that runs: what `run` and `env` share."""

from collections.abc import Mapping

from addons import baseurl
from addons.assignment import Tag
from addons.scope import Scope
from cli import agents, environment, running
from cli.environment import Changes
from cli.settings import Settings
from storage import control
from storage.datadir import DataDir
from storage.errors import ConfigError, StoreError
from storage.processes import Process


def tag(datadir: DataDir, session_id: str) -> Tag:
    """The session's tag. Raises StoreError if the proxy has not been told of it."""
    known = control.ControlReader(datadir.control).current().sessions.get(session_id)
    if known is None:
        raise StoreError(
            f"session {session_id} is not in {datadir.control}: is that data dir right?"
        )
    return Tag(session_id, known.word)


def by_proxy(
    datadir: DataDir,
    proxy: Process,
    tagged: Tag | None,
    settings: Settings,
    environ: Mapping[str, str],
) -> Changes:
    """The forward proxy, and trust in its authority. Raises ConfigError if there is none yet."""
    from certs import authority, trust

    found = authority.load(datadir.ca)
    if found is None:
        raise ConfigError(
            f"there is no certificate authority in {datadir.ca}: `wirescribe ca renew`"
        )
    user = f"{tagged.session}:{tagged.word}@" if tagged else ""
    return environment.through_proxy(
        f"http://{user}{running.authority(proxy)}",
        trust.child_environment(found, environ),
        _scope(settings),
        environ,
    )


def through(datadir: DataDir, proxy: Process, tagged: Tag | None) -> agents.Through:
    """Turns a provider's URL into one that leads to it through the proxy's own port."""
    used = tagged or Tag("", baseurl.common_word(datadir.hmac_key()))
    return lambda url: baseurl.url(running.url(proxy), used, agents.provider(url))


def by_base_url(
    variables: Mapping[str, str], settings: Settings, environ: Mapping[str, str]
) -> Changes:
    """A proxy that the user has goes on being used, but not to reach ours."""
    return Changes(variables=environment.direct(_scope(settings), environ) | dict(variables))


def _scope(settings: Settings) -> Scope:
    return Scope((*settings.hosts, *settings.upstream))
