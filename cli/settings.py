"""
Settings: flags, then WIRESCRIBE_* variables, then config.toml in the data dir, then defaults.

    host = "127.0.0.1"          WIRESCRIBE_HOST
    proxy_port = 8888           WIRESCRIBE_PROXY_PORT
    hosts = ["llm.example"]     WIRESCRIBE_HOSTS="llm.example,other.example"

    [upstream]                  WIRESCRIBE_UPSTREAM="api.anthropic.com=http://127.0.0.1:9000,..."
    "api.anthropic.com" = "http://127.0.0.1:9000"

    [disk]                      WIRESCRIBE_DISK_MIN_FREE_MB
    min_free_mb = 512

    [retention]                 WIRESCRIBE_RETENTION_DAYS, WIRESCRIBE_RETENTION_MAX_GB
    days = 30
    max_gb = 20

No configuration is ever read from the current directory.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from addons import upstream
from storage.activity import IDLE_MINUTES
from storage.datadir import DataDir
from storage.errors import ConfigError

PREFIX = "WIRESCRIBE_"
Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: one that is free
Scope = Literal["agents", "all"]


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Capture(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    automatic: bool = True  # rule 3 of architecture.md: sessions made by themselves


class Disk(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    min_free_mb: Annotated[int, Meta(ge=0)] = 512  # 0: no limit; so too below


class Live(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    idle_minutes: Annotated[float, Meta(gt=0)] = IDLE_MINUTES  # then a conversation has ended


class Retention(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """None: kept for ever, or as much as there is."""

    days: Annotated[float, Meta(gt=0, le=36_500)] | None = None  # since a session's last activity
    max_gb: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None  # of the database


class Spool(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_gb: Annotated[float, Meta(ge=0)] = 8.0


class Settings(_Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that can be set, with the values in force. Its defaults are Wirescribe's."""

    host: str = "127.0.0.1"
    proxy_port: Port = 8888
    port: Port = 8889
    scope: Scope = "agents"
    hosts: tuple[str, ...] = ()  # decrypted beside the known ones
    upstream: dict[str, str] = {}  # host -> URL that its traffic goes to instead
    upstream_ca: str | None = None  # PEM file, trusted beside the public roots
    http2: bool = False
    record_secrets: bool = False
    secret_headers: tuple[str, ...] = ()  # cut beside the known ones
    credential_endpoints: tuple[str, ...] = ()  # `host/path` whose bodies are cut as a whole
    auth: Literal["none", "token"] = "none"
    allowed_hosts: tuple[str, ...] = ()  # that the API answers to, beside its own
    capture: Capture = Capture()
    disk: Disk = Disk()
    live: Live = Live()
    retention: Retention = Retention()
    spool: Spool = Spool()


_TABLES: dict[str, type[_Settings]] = {
    "capture": Capture,
    "disk": Disk,
    "live": Live,
    "retention": Retention,
    "spool": Spool,
}
_LISTS = ("hosts", "allowed_hosts", "secret_headers", "credential_endpoints")


def load(datadir: DataDir, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """
    The settings in force; a flag that is None was not given.

    Raises ConfigError that names the file or variable, the key and what was expected.
    """
    merged = msgspec.to_builtins(_from_file(datadir))
    for key, value in _from_environment(environ).items():
        if isinstance(value, dict) and key in _TABLES:
            merged[key] |= value
        else:
            merged[key] = value
    rules = merged["upstream"] | dict(flags.get("upstream") or {})
    lists = {key: (*merged[key], *(flags.get(key) or ())) for key in _LISTS}
    given = {key: value for key, value in flags.items() if value is not None}
    merged |= given | lists | {"upstream": rules}
    return _checked(msgspec.convert(merged, Settings))


def _from_file(datadir: DataDir) -> Settings:
    try:
        text = datadir.config.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ConfigError(f"{datadir.config} cannot be read: {error.strerror}") from error
    try:
        return msgspec.toml.decode(text, type=Settings)
    except msgspec.DecodeError as error:  # of TOML itself or of its types; both say where
        raise ConfigError(
            f"config.toml: {error}. Mend or remove that line of {datadir.config}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{datadir.config} is not UTF-8: {error.reason}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        if table := _TABLES.get(field.name):
            inner = {
                part.name: value
                for part in msgspec.structs.fields(table)
                if (value := _variable(environ, f"{field.name}_{part.name}", part.type)) is not None
            }
            if inner:
                found[field.name] = inner
        elif (value := _variable(environ, field.name, field.type)) is not None:
            found[field.name] = value
    return found


def _variable(environ: Mapping[str, str], key: str, kind: Any) -> Any:
    """The value of a key's variable; None if it is not set or empty."""
    name = PREFIX + key.upper()
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        if key == "upstream":
            return dict(split_upstream(part) for part in text.replace(",", " ").split())
        if key in _LISTS:
            return text.replace(",", " ").split()
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}={text}: {error}. Set it otherwise or unset it") from error


def split_upstream(argument: str) -> tuple[str, str]:
    """Host and URL of `HOST=URL`. Raises ConfigError."""
    host, equals, url = argument.partition("=")
    if not equals:
        raise ConfigError(
            f"{argument} is not HOST=URL, as in api.anthropic.com=http://127.0.0.1:9000"
        )
    return upstream.to(host, url).host, url


def _checked(settings: Settings) -> Settings:
    for host, url in settings.upstream.items():
        upstream.to(host, url)
    if settings.port == settings.proxy_port != 0:
        raise ConfigError(
            f"proxy and server cannot both listen on port {settings.port}: "
            "choose another with --port or --proxy-port"
        )
    return settings
