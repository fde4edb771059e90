"""
Bodies that are credentials as a whole: token endpoints and logins.

Keys stay, string leaves are cut. The spans are found in the bytes as they crossed, so all the
rest, white space included, is untouched. What can be read neither as JSON nor as a form is cut
whole.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from addons.redaction import decoders, names, stream
from addons.redaction.cuts import STAR, Fingerprint, Place, Scanned, Span, starred
from addons.redaction.known import Known
from storage.records import Cut, Side

# Host and path, lower case, `*` for anything. Extended by the config, never shortened.
ENDPOINTS: Final = (
    "*/oauth/token",
    "*/oauth2/token",
    "*/token/refresh",
    "*/device/token",
    "*/login",
    "*/v1/oauth/*",
    "auth.openai.com/*",
    "api.anthropic.com/api/oauth/*",
    "oauth2.googleapis.com/*",
    "accounts.google.com/*",
    "login.microsoftonline.com/*",
    "github.com/login/oauth/*",
    "github.com/login/device/code",
    "api.github.com/copilot_internal/*token*",
    "sts.*.amazonaws.com/*",
    "sts.amazonaws.com/*",
    "cognito-idp.*/*",
)
# Answers of these endpoints are some KB; a longer one is cut whole, so memory stays bounded.
MAX_BYTES: Final = 256 << 10

_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_TOKEN = re.compile(_STRING + rb"|([\[\]{}:,])")
_FORM = re.compile(rb"[^\s<>\"{}=&]*=[^\s<>\"{}]*")
_FIELD = re.compile(rb"(?:^|&)([^=&]*)=([^&]*)")


class Leaf(NamedTuple):
    """A string value: its name, the span of its contents, and what it says."""

    name: str
    start: int
    end: int
    value: bytes


class Endpoints:
    """Which requests and answers are credentials as a whole."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        patterns = (*ENDPOINTS, *(pattern.lower() for pattern in extra))
        self._match = re.compile("|".join(map(fnmatch.translate, patterns)))

    def match(self, host: str, target: str) -> bool:
        """`host` with or without a port; `target` as in the request line."""
        path = re.split(r"[?#;]", target, maxsplit=1)[0].rstrip("/")
        name = re.sub(r":\d*$", "", host.strip().lower()).rstrip(".")
        return self._match.match(f"{name}/{path.lstrip('/').lower()}") is not None


# --- leaves --------------------------------------------------------------------------------------


def leaves(content_type: str | None, body: bytes) -> list[Leaf] | None:
    """The string leaves of a JSON or form body; None if it is neither."""
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        if _FORM.fullmatch(body.strip()) and "json" not in (content_type or ""):
            return list(_form_leaves(body))
        return None
    return list(_json_leaves(body))


def _json_leaves(body: bytes) -> Iterator[Leaf]:
    """Of JSON that is known to be sound. An item of a list has the name that the list has."""
    name, expects_key = "", False
    path: list[tuple[str, bool]] = []  # the containers: the name they have, and is it an object?
    for token in _TOKEN.finditer(body):
        sign = token[2]
        if sign is None:
            if expects_key:
                name, expects_key = _text(token[1]).decode("utf-8", "replace"), False
            else:
                yield Leaf(name, *token.span(1), _text(token[1]))
        elif sign in b"{[":
            path.append((name, sign == b"{"))
            expects_key = sign == b"{"
        elif sign in b"}]":
            name, _ = path.pop()
        elif sign == b",":
            expects_key = path[-1][1]


def _text(escaped: bytes) -> bytes:
    return msgspec.json.decode(b'"' + escaped + b'"', type=str).encode()


def _form_leaves(body: bytes) -> Iterator[Leaf]:
    for field in _FIELD.finditer(body.rstrip()):
        name, value = (unquote_to_bytes(part.replace(b"+", b" ")) for part in field.groups())
        yield Leaf(name.decode("utf-8", "replace"), *field.span(2), value)


# --- bodies --------------------------------------------------------------------------------------


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A credential body without its secrets; `decoded` is its cut text where it was coded."""

    data: bytes
    cuts: tuple[Cut, ...] = ()
    decoded: bytes | None = None


class Credentials:
    """Cuts the bodies of credential endpoints, and knows their tokens afterwards."""

    def __init__(self, known: Known, fingerprint: Fingerprint) -> None:
        self._known = known
        self._fingerprint = fingerprint

    def cut(
        self, side: Side, content_type: str | None, content_encoding: str | None, body: bytes
    ) -> Result:
        raw = Place("request-body" if side == "request" else "response-body")
        codings = decoders.codings(content_encoding)
        if not codings:
            return self._text(raw, content_type, body)
        whole = Span(0, len(body), "coded", body)
        hidden = Result(data=STAR * len(body), cuts=(self._fingerprint.cut(raw, whole),))
        text = decoders.decoded(codings, body, MAX_BYTES)
        if text is None:
            return hidden
        place = Place("request-decoded" if side == "request" else "response-decoded")
        inner = self._text(place, content_type, text)
        return Result(data=hidden.data, cuts=(*inner.cuts, *hidden.cuts), decoded=inner.data)

    def _text(self, place: Place, content_type: str | None, body: bytes) -> Result:
        found = leaves(content_type, body)
        if found is None:
            spans = [Span(0, len(body), "oauth-body", body)] if body.strip(STAR) else []
        else:
            # Stars alone were cut before, and are no secret (see heads).
            found = [leaf for leaf in found if leaf.value.strip(STAR)]
            spans = [
                Span(leaf.start, leaf.end, "oauth-body", leaf.value)
                for leaf in found
                if leaf.end > leaf.start and leaf.name not in names.OPEN_FIELDS
            ]
            for leaf in found:
                if names.plain_name(leaf.name) in names.SECRET_FIELDS:
                    self._known.learn(leaf.value)
        cuts = tuple(self._fingerprint.cut(place, span) for span in spans)
        rest = stream.whole(starred(body, spans), self._known, self._fingerprint, place)
        return Result(data=rest.data, cuts=(*cuts, *rest.cuts))


class CredentialBody:
    """A credential body as it comes: it is kept back whole and let go, cut, at its end."""

    def __init__(
        self,
        credentials: Credentials,
        fingerprint: Fingerprint,
        side: Side,
        content_type: str | None,
        content_encoding: str | None,
    ) -> None:
        self.cut_coded = False
        self.unscanned: str | None = None
        self._credentials = credentials
        self._fingerprint = fingerprint
        self._side = side
        self._content_type = content_type
        self._content_encoding = content_encoding
        self._held = bytearray()
        self._size = 0
        self._hidden = fingerprint.running()

    @property
    def wire_hmac(self) -> str | None:
        return self._hidden.hex()

    def feed(self, chunk: bytes) -> Scanned:
        self._size += len(chunk)
        if self._size <= MAX_BYTES:
            self._held += chunk
            return Scanned()
        return self._stars(chunk)

    holds = False  # nothing that may be let go before the end

    def settle(self) -> Scanned:
        return Scanned()

    def finish(self) -> Scanned:
        if self._size > MAX_BYTES:
            return Scanned(cuts=(self._whole(),))
        body = bytes(self._held)
        result = self._credentials.cut(self._side, self._content_type, self._content_encoding, body)
        self.cut_coded = result.decoded is not None
        if result.cuts:
            self._hidden.update(body)
        return Scanned(result.data, result.cuts, result.decoded or b"")

    def _stars(self, chunk: bytes) -> Scanned:
        self.unscanned = "too_large"
        hidden = bytes(self._held) + chunk
        self._held.clear()
        self._hidden.update(hidden)
        return Scanned(STAR * len(hidden))

    def _whole(self) -> Cut:
        return Cut(
            part="request-body" if self._side == "request" else "response-body",
            offset_bytes=0,
            length_bytes=self._size,
            kind="oauth-body",
            hmac=(self._hidden.hex() or "")[:32],
        )
