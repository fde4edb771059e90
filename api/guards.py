"""
Who may call the API: checks before routing, on every request and WebSocket handshake.

Loopback alone protects nothing from a web page in the user's browser, which can send requests to
any port of this machine and, by DNS rebinding, under a name of its own. So the Host must be one
of ours, an Origin must be our own, a browser must not say that another site asks, and what changes
something must come as JSON, which no form can send. There are no CORS headers, ever. Other users
of the machine are kept out by the owner of their socket (api.peers) or by the token.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import peers
from api.errors import ApiError
from api.settings import ApiSettings

# An ASGI scope; its TypedDicts do not tell the kinds apart for a type checker.
Call = Mapping[str, Any]

# In scope["extensions"], from api.server: the connection that a request came over, and its target
# as it stood on the wire.
CONNECTION = "wirescribe.connection"
TARGET = "wirescribe.target"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_JSON = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?')
_FORM = re.compile(r'multipart/form-data\s*;\s*boundary=("[^"]{1,70}"|[^\s;"]{1,70})\s*')
# Where files are sent. A form of another site could do that too, but it carries an Origin, which
# is checked.
_TAKES_FILES = frozenset({"/api/import", "/api/har/import", "/api/har/validate"})
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
_PAGE = re.compile(r"/(ui(/.*)?|session/[^/]+)?")

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Connection:
    """What is known of one TCP connection; `is_stranger` is None until somebody asked."""

    __slots__ = ("is_stranger",)

    def __init__(self) -> None:
        self.is_stranger: bool | None = None


class Guard:
    """
    ASGI middleware around the whole application.

    `websockets` counts those that are open now.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self.websockets = 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, for those who may call it."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            call, send = cast("Call", scope), _with_security_headers(send)
            try:
                check(call, self._settings)
            except ApiError as error:
                await _refuse(call, send, error)
            else:
                await self._pass_on(app, scope, receive, send)

        return guarded

    async def _pass_on(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        count = 1 if cast("Call", scope)["type"] == "websocket" else 0
        self.websockets += count
        try:
            await app(scope, receive, send)
        finally:
            self.websockets -= count


def check(scope: Call, settings: ApiSettings) -> None:
    """Raises ApiError if this request may not be served."""
    headers = _Headers(scope["headers"])
    host = _check_host(headers, scope, settings)
    _check_origin(headers, host)
    _check_site(headers, scope)
    if settings.token is not None:
        _check_token(headers, settings.token)
    else:
        _check_peer(scope)
    if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
        _check_content_type(headers, scope["path"])


class _Headers:
    """Header values as text, all of one name; latin-1 decodes whatever comes."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = list(pairs)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._pairs if key.lower() == name]

    def one(self, name: bytes) -> str | None:
        """The value; None if the header is absent. Raises ApiError if it comes twice."""
        found = self.all(name)
        if len(found) > 1:
            raise ApiError(400, f"More than one {name.decode().title()} header", "INVALID_REQUEST")
        return found[0] if found else None


def _check_host(headers: _Headers, scope: Call, settings: ApiSettings) -> str:
    if not _extension(scope, TARGET, b"/").startswith((b"/", b"*")):
        raise ApiError(
            400,
            "This is the API, not the proxy: point HTTPS_PROXY at the proxy's port",
            "NOT_A_PROXY",
        )
    host = (headers.one(b"host") or "").lower()
    if not _HOST.fullmatch(host):
        raise ApiError(400, "The Host header is missing or malformed", "INVALID_HOST")
    if host not in _own_hosts(scope, settings):
        raise ApiError(
            403,
            "This Host is not allowed",
            "HOST_NOT_ALLOWED",
            f"{host}: start the server with `--allowed-host {host}` if that is its name",
        )
    return host


def _extension[T](scope: Call, name: str, default: T) -> T:
    """What api.server added to the scope; another server, or a test's client, adds nothing."""
    return cast("T", (scope.get("extensions") or {}).get(name, default))


def _own_hosts(scope: Call, settings: ApiSettings) -> set[str]:
    server = scope.get("server") or ("", None)
    port = server[1] if server[1] is not None else settings.port
    bound = f"[{settings.host}]" if ":" in settings.host else settings.host
    names = {*_LOCAL_NAMES, bound.lower()}
    names |= {name.lower() for name in settings.allowed_hosts}
    own = {f"{name}:{port}" for name in names}
    # A browser leaves the scheme's own port out; a name that the user allowed may stand behind
    # another server that forwards to us.
    own |= {name.lower() for name in settings.allowed_hosts}
    return own | names if port == 80 else own


def _check_origin(headers: _Headers, host: str) -> None:
    origin = headers.one(b"origin")
    if origin is None:
        return  # curl, CLIs; and browsers' own plain GETs, which Sec-Fetch-Site tells apart
    if origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise ApiError(403, "This Origin is not allowed", "ORIGIN_NOT_ALLOWED")


def _check_site(headers: _Headers, scope: Call) -> None:
    site = headers.one(b"sec-fetch-site")
    if site in (None, "same-origin", "none"):
        return
    # A link on another site may lead to one of our pages, as to any page of the web.
    navigates = (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and headers.one(b"sec-fetch-mode") == "navigate"
        and headers.one(b"sec-fetch-dest") == "document"
    )
    if not (navigates and _PAGE.fullmatch(scope["path"])):
        raise ApiError(403, "Another site may not call this API", "CROSS_SITE")


def _check_token(headers: _Headers, token: str) -> None:
    scheme, _, given = (headers.one(b"authorization") or "").partition(" ")
    sound = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not sound:
        raise ApiError(
            401,
            "A token is needed: send `Authorization: Bearer TOKEN`",
            "UNAUTHORIZED",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _check_peer(scope: Call) -> None:
    known = _extension(scope, CONNECTION, Connection())
    if known.is_stranger is None:
        client, server = scope.get("client"), scope.get("server")
        known.is_stranger = bool(
            client
            and server
            and server[1] is not None
            and peers.is_stranger(client, (server[0], server[1]))
        )
    if known.is_stranger:
        raise ApiError(
            403,
            "Only the user who runs this server may call it",
            "OTHER_USER",
            "start the server with `--auth token` to let other users of this machine in",
        )


def _check_content_type(headers: _Headers, path: str) -> None:
    content_type = headers.one(b"content-type")
    if content_type is None:
        empty = headers.one(b"content-length") in (None, "0") and not headers.all(
            b"transfer-encoding"
        )
        if empty:
            return
    elif _is_allowed(content_type.strip(), path):
        return
    raise ApiError(
        415,
        "Send JSON with `Content-Type: application/json`",
        "UNSUPPORTED_MEDIA_TYPE",
    )


def _is_allowed(content_type: str, path: str) -> bool:
    if path.rstrip("/") in _TAKES_FILES and _FORM.fullmatch(content_type):
        return True
    return _JSON.fullmatch(content_type.lower()) is not None


def _with_security_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            present = list(message.get("headers", ()))
            names = {name.lower() for name, _ in present}
            missing = [pair for pair in SECURITY_HEADERS if pair[0] not in names]
            message["headers"] = [*present, *missing]
        await send(message)

    return guarded


async def _refuse(call: Call, send: Send, error: ApiError) -> None:
    if call["type"] == "websocket":
        # Before the handshake is accepted, a close is answered as 403.
        await send(cast("Message", {"type": "websocket.close", "code": 1008, "reason": ""}))
        return
    body = msgspec.json.encode(error.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
