"""
Base-URL mode: a client that cannot trust our authority talks plain HTTP to the proxy's own port.

    http://127.0.0.1:8888/@<session>:<word>/<host>[:port]/<path of the provider's API>
    http://127.0.0.1:8888/@:<common word>/<host>[:port]/...         without a session tag
    http://127.0.0.1:8888/@<session>:<word>/http:<host>[:port]/...  provider without TLS

Any page in a browser can send requests to this port. So the address must be a loopback one, the
word must be right, and an `Origin` must be loopback too; whoever fails gets the same 404.
"""

import hashlib
import hmac
import ipaddress
import re
from urllib.parse import unquote, urlsplit

import msgspec

from addons.assignment import Tag

_FORM = re.compile(r"/(?:@|%40)([^/:%]*)(?::|%3A)([^/:%]+)/(http(?::|%3A))?([^/?#]+)(.*)", re.I)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.I)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """What a base-URL request is for. `tag.session` is "" in the form without a session."""

    tag: Tag
    scheme: str
    host: str
    port: int
    path: str  # of the provider, with query; begins with "/"

    @property
    def host_header(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return shown if self.port == default else f"{shown}:{self.port}"


def common_word(key: bytes) -> str:
    """The word of the form without a session: one per data dir, derived from its HMAC key."""
    return hmac.digest(key, b"wirescribe base-url", hashlib.sha256).hex()[:24]


def url(origin: str, tag: Tag, host: str) -> str:
    """The base URL to give to a client; `host` as in the form above, `http:` in front if plain."""
    return f"{origin}/@{tag.session}:{tag.word}/{host}"


def parse(path: str) -> Address | None:
    """The address in an origin-form path, unproved; None if it has another form."""
    found = _FORM.fullmatch(path)
    if found is None:
        return None
    session, word, plain, authority, rest = found.groups()
    host = _HOST.fullmatch(unquote(authority))
    if host is None or int(host[2] or 1) not in range(1, 65536):
        return None
    scheme = "http" if plain else "https"
    return Address(
        tag=Tag(session, word),
        scheme=scheme,
        host=host[1].strip("[]").lower(),
        port=int(host[2] or (443 if scheme == "https" else 80)),
        path=rest if rest.startswith("/") else f"/{rest}",
    )


def from_this_machine(host_header: str | None, origin: str | None) -> bool:
    """Whether `Host` is a loopback name and `Origin`, if there is one, as well."""
    if not host_header or not is_loopback(urlsplit(f"//{host_header}").hostname or ""):
        return False
    return origin is None or is_loopback(urlsplit(origin).hostname or "")


def is_loopback(host: str) -> bool:
    """Whether the name or literal address means this machine by convention; asks no DNS."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
