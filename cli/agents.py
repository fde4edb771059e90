"""
Base-URL mode: how each agent is told to call the proxy itself instead of its provider.

For clients that cannot be made to trust our authority. It costs identity (an agent sends less about
itself to a host that is not its provider's), so `run` uses the forward proxy unless asked. What
each agent takes was tried with the real ones: Claude Code 2.1.330, Codex 0.169 (its environment
variable OPENAI_BASE_URL is ignored), Gemini CLI, Qwen Code, opencode, Copilot CLI.
"""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from storage.errors import ConfigError

# Gives the proxy's URL for a provider's: https://api.openai.com/v1 -> http://127.0.0.1:8888/@...
Through = Callable[[str], str]

_ANTHROPIC = "https://api.anthropic.com"
_OPENAI = "https://api.openai.com/v1"
_GOOGLE = "https://generativelanguage.googleapis.com"
_VARIABLES = {
    "ANTHROPIC_BASE_URL": _ANTHROPIC,
    "OPENAI_BASE_URL": _OPENAI,
    "GOOGLE_GEMINI_BASE_URL": _GOOGLE,
}
_BY_AGENT = {
    "claude": ("ANTHROPIC_BASE_URL",),
    "gemini": ("GOOGLE_GEMINI_BASE_URL",),
    "qwen": ("OPENAI_BASE_URL",),
}
_OPENCODE = "OPENCODE_CONFIG_CONTENT"
NAMES = (*_VARIABLES, _OPENCODE)  # all that `every` sets
_OPENCODE_PROVIDERS = {
    "anthropic": f"{_ANTHROPIC}/v1",
    "openai": _OPENAI,
    "google": f"{_GOOGLE}/v1beta",
}
COPILOT_REFUSAL = (
    "Copilot CLI has no setting for the address of GitHub's service, so base-URL mode cannot reach "
    "it: leave --base-url out, its traffic then goes through the forward proxy"
)


class BaseUrls(msgspec.Struct, frozen=True, kw_only=True):
    """What to set for one command. `known` is false if no agent goes by its name."""

    variables: dict[str, str]
    arguments: tuple[str, ...] = ()  # right behind the command's name
    known: bool = True


def base_urls(command: str, through: Through, environ: Mapping[str, str]) -> BaseUrls:
    """
    For the agent that `command` names; a provider that the user has set already is kept.

    Raises ConfigError for Copilot CLI.
    """
    check(command)
    name = PurePath(command).name
    if name == "codex":
        return BaseUrls(variables={}, arguments=codex_arguments(through))
    if name == "opencode":
        return BaseUrls(variables={_OPENCODE: _opencode(through, environ)})
    names = _BY_AGENT.get(name)
    variables = _variables(names or tuple(_VARIABLES), through, environ)
    return BaseUrls(variables=variables, known=names is not None)


def check(command: str) -> None:
    """Raises ConfigError if the agent that `command` names has no base URL to set."""
    if PurePath(command).name == "copilot":
        raise ConfigError(COPILOT_REFUSAL)


def every(through: Through, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of all agents at once, for a shell that may start any of them."""
    variables = _variables(tuple(_VARIABLES), through, environ)
    return variables | {_OPENCODE: _opencode(through, environ)}


def codex_arguments(through: Through) -> tuple[str, ...]:
    """Codex has an option where the others have a variable. The value is TOML."""
    return ("-c", f'openai_base_url="{through(_OPENAI)}"')


def provider(url: str) -> str:
    """What stands behind the tag in a base-URL address: `host[:port]/path`, `http:` if plain."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{url!r} is no provider's address: expected https://HOST/...")
    plain = "http:" if parts.scheme == "http" else ""
    return f"{plain}{parts.netloc}{parts.path.rstrip('/')}"


def _variables(
    names: tuple[str, ...], through: Through, environ: Mapping[str, str]
) -> dict[str, str]:
    return {name: through(environ.get(name) or _VARIABLES[name]) for name in names}


def _opencode(through: Through, environ: Mapping[str, str]) -> str:
    """Its configuration as JSON: the user's own, with the addresses replaced."""
    config = _object(environ.get(_OPENCODE))
    providers = config.setdefault("provider", {})
    for name, default in _OPENCODE_PROVIDERS.items():
        options = providers.setdefault(name, {}).setdefault("options", {})
        options["baseURL"] = through(options.get("baseURL") or default)
    return msgspec.json.encode(config).decode()


def _object(text: str | None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{_OPENCODE} is not a JSON object: {error}") from error
