"""
The environment of a child that goes through the proxy, and of nothing else on the machine.

Which client reads which variable was tried with the real ones: Claude Code 2.1.330, Codex 0.169,
Gemini CLI, Qwen Code, opencode and Copilot CLI all take their proxy from HTTPS_PROXY in either
case; some take HTTP_PROXY for everything, and ALL_PROXY makes some calls of Claude Code go another
way, so it is removed.
"""

from collections.abc import Mapping

import msgspec

from addons.scope import Scope

# A child's calls to its own servers go straight there.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_NO_PROXY = ("NO_PROXY", "no_proxy")
_REMOVED = ("ALL_PROXY", "all_proxy")
NAMES = (*_PROXY, *_NO_PROXY)  # all that `through_proxy` sets beside the trust
_SECRET = ("WIRESCRIBE_TOKEN",)  # the API's; an agent has no business with it


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from the environment that the child would have had."""

    variables: dict[str, str]
    removed: tuple[str, ...] = ()

    def applied(self, environ: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in environ.items()
            if name not in self.removed and name not in _SECRET
        }
        return kept | self.variables


def through_proxy(
    proxy_url: str, trust: Mapping[str, str], scope: Scope, environ: Mapping[str, str]
) -> Changes:
    """`proxy_url` with the session's tag, `trust` as `certs.trust.child_environment` has it."""
    variables = dict.fromkeys(_PROXY, proxy_url) | direct(scope, environ) | dict(trust)
    return Changes(variables=variables, removed=_REMOVED)


def direct(scope: Scope, environ: Mapping[str, str]) -> dict[str, str]:
    """
    NO_PROXY: loopback and what the user has there, without what is to be recorded.

    `scope` is that of agents also when all is decrypted: what else is exempt is the user's wish.
    """
    found = ",".join(environ.get(name, "") for name in _NO_PROXY)
    users = [entry for part in found.split(",") for entry in part.split()]
    kept = [entry for entry in users if not _exempts_recorded(entry, scope)]
    return dict.fromkeys(_NO_PROXY, ",".join(dict.fromkeys((*LOOPBACK, *kept))))


def _exempts_recorded(entry: str, scope: Scope) -> bool:
    """Whether a NO_PROXY entry covers a host that is decrypted, or lies below one."""
    name = entry.partition(":")[0].lower().removeprefix("*").removeprefix(".")
    if entry == "*":
        return True
    return scope.matches(name) or any(
        host == name or host.endswith(f".{name}") for host in scope.certificate_names() or ()
    )
