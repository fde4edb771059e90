"""
Heads: the slots where a credential stands by the rules of HTTP, and what is known anywhere else.

Of an Authorization the scheme word stays, of cookies the names, of Set-Cookie the attributes, of
a URL all but the values of secret query parameters and the userinfo.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from addons.redaction import names, stream
from addons.redaction.cuts import (
    STAR,
    Fingerprint,
    Kind,
    Part,
    Place,
    Span,
    outermost,
    starred,
)
from addons.redaction.known import Known
from storage.records import Cut, Header, Headers, Side


class Slot(NamedTuple):
    """A secret in a value: where it is, and what of it is worth knowing elsewhere."""

    span: Span
    learn: tuple[bytes, ...] = ()
    name: str | None = None  # of the query parameter, for the record of a target


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A head without its secrets."""

    headers: Headers
    target: bytes = b""
    cuts: tuple[Cut, ...] = ()


Rule = Callable[[bytes], list[Slot]]

# Cookies hold flags and language names as well; only what is long enough to be a ticket is known.
MIN_COOKIE_BYTES: Final = 16

_SCHEME = re.compile(rb"[ \t]*[A-Za-z][A-Za-z0-9-]{0,31}[ \t]+(?=\S)")
_COMMON_SCHEME = re.compile(rb"[ \t]*(?:bearer|basic|token|apikey)[ \t]+(?=\S)", re.IGNORECASE)
_USERINFO = re.compile(rb"://([^/?#\s<>\"]+)@")
# A `;` parts two parameters only where a name and `=` follow it.
_TARGET_PAIR = re.compile(rb"[?&;#]([^=&;#?\s]*)=((?:[^&;#\s]|;(?![^=&;#\s]*=))*)")
_URL_PAIR = re.compile(rb"[?&;#]([^=&;#?\s]*)=((?:[^&;#\s<>\"]|;(?![^=&;#\s]*=))*)")
_KEY_ITEM = re.compile(
    rb"((?:[\w-]+\.)*?[\w-]*(?:key|token|bearer|secret|auth|authorization|jwt)\.)(.+)",
    re.IGNORECASE,
)
_KEY_WORD = re.compile(rb"[\w.-]*(?:key|token|bearer|secret|auth|authorization|jwt)", re.IGNORECASE)


# --- one rule for each shape ---------------------------------------------------------------------


def authorization(value: bytes) -> list[Slot]:
    return _credentials(value, _SCHEME.match(value), "authorization")


def whole_value(value: bytes) -> list[Slot]:
    return _credentials(value, _COMMON_SCHEME.match(value), "api-key")


def _credentials(value: bytes, scheme: re.Match[bytes] | None, kind: Kind) -> list[Slot]:
    start = scheme.end() if scheme else len(value) - len(value.lstrip())
    secret = value[start:].rstrip()
    if not secret:
        return []
    # Signed requests (AWS, Digest) carry a list that is good for one request.
    learn: tuple[bytes, ...] = () if re.search(rb"[\s,]", secret) else (secret,)
    if scheme and scheme[0].strip().lower() == b"basic":
        learn += _basic(secret)
    return [Slot(Span(start, start + len(secret), kind, secret), learn)]


def _basic(secret: bytes) -> tuple[bytes, ...]:
    """The password of `user:password`, or the user where that is the key (`key:`)."""
    try:
        user, _, password = base64.b64decode(secret, validate=True).partition(b":")
    except binascii.Error:
        return ()
    return (password or user,)


def cookie(value: bytes) -> list[Slot]:
    slots: list[Slot] = []
    at = 0
    for pair in value.split(b";"):
        slots += _cookie_pair(pair, at)
        at += len(pair) + 1
    return slots


def set_cookie(value: bytes) -> list[Slot]:
    return _cookie_pair(value.partition(b";")[0], 0)


def _cookie_pair(pair: bytes, at: int) -> list[Slot]:
    quoted = pair[pair.find(b"=") + 1 :]
    secret = quoted.strip(b' \t"')
    if not secret:
        return []
    start = at + len(pair) - len(quoted.lstrip(b' \t"'))
    learn = (secret,) if len(secret) >= MIN_COOKIE_BYTES else ()
    return [Slot(Span(start, start + len(secret), "cookie", secret), learn)]


def websocket_protocol(value: bytes) -> list[Slot]:
    """`openai-insecure-api-key.KEY`, `...bearer.authorization.k8s.io.KEY`, or `bearer, KEY`."""
    slots: list[Slot] = []
    at, after_word = 0, False
    for item in value.split(b","):
        text = item.strip()
        start = at + len(item) - len(item.lstrip())
        marked = _KEY_ITEM.fullmatch(text)
        if marked or (after_word and text):
            start += marked.start(2) if marked else 0
            secret = marked[2] if marked else text
            span = Span(start, start + len(secret), "websocket-protocol", secret)
            slots.append(Slot(span, (secret,)))
        after_word = not marked and bool(_KEY_WORD.fullmatch(text))
        at += len(item) + 1
    return slots


def request_target(value: bytes) -> list[Slot]:
    return _url(value, _TARGET_PAIR)


def url(value: bytes) -> list[Slot]:
    """A header value that holds URLs, perhaps in <> or quotes."""
    return _url(value, _URL_PAIR)


def _url(value: bytes, pair: re.Pattern[bytes]) -> list[Slot]:
    slots = [_userinfo(match) for match in _USERINFO.finditer(value)]
    if b"=" not in value:
        return slots
    pairs = [(names.plain_name(_unquoted(match[1])), match) for match in pair.finditer(value)]
    signed = any(name == "sig" for name, _ in pairs)
    for name, match in pairs:
        if match[2] and (names.is_secret_query(name) or (signed and name in names.SAS_QUERY)):
            slots += _query(name, match)
    return slots


def _userinfo(match: re.Match[bytes]) -> Slot:
    secret = unquote_to_bytes(match[1])
    return Slot(Span(*match.span(1), "url-userinfo", secret), (secret.partition(b":")[2],))


def _query(name: str, match: re.Match[bytes]) -> list[Slot]:
    secret = unquote_to_bytes(match[2])
    if name in names.LOOSE_QUERY and len(secret) < names.LOOSE_QUERY_MIN_BYTES:
        return []
    learn = () if name in names.PASSING_QUERY else (secret,)
    return [Slot(Span(*match.span(2), "query", secret), learn, _unquoted(match[1]))]


def _unquoted(name: bytes) -> str:
    return unquote_to_bytes(name).decode("utf-8", "replace")


# --- a head --------------------------------------------------------------------------------------

_SHAPED: Final[dict[bytes, Rule]] = {
    **dict.fromkeys(names.AUTHORIZATION_HEADERS, authorization),
    b"cookie": cookie,
    b"set-cookie": set_cookie,
    b"sec-websocket-protocol": websocket_protocol,
    **dict.fromkeys(names.URL_HEADERS, url),
}
_CACHED_NAMES: Final = 4096


class Heads:
    """The rules with the user's own header names added."""

    def __init__(
        self, known: Known, fingerprint: Fingerprint, extra_headers: Iterable[str] = ()
    ) -> None:
        self._known = known
        self._fingerprint = fingerprint
        self._extra = frozenset(name.strip().lower().encode() for name in extra_headers)
        self._rules: dict[bytes, Rule | None] = {}

    def redact(self, side: Side, target: bytes, headers: Sequence[Header]) -> Head:
        """The head without its secrets; they are known from here on."""
        cuts: list[Cut] = []
        if slots := request_target(target):
            target = self._slots_out(target, slots, Place("request-target"), cuts)
        values = [value for _, value in headers]
        rules = self._rules
        for number, (name, value) in enumerate(headers):
            rule = rules[name] if name in rules else self._remember(name)
            if rule and (slots := rule(value)):
                place = _place(side, name, number)
                values[number] = self._slots_out(value, slots, place, cuts)
        # One search over all of them finds nothing in nearly every head.
        if self._known.index().present(b"\n".join((target, *values))):
            target = self._known_out(target, Place("request-target"), cuts)
            for number, (name, _) in enumerate(headers):
                place = _place(side, name, number)
                values[number] = self._known_out(values[number], place, cuts)
        clean = tuple((name, value) for (name, _), value in zip(headers, values, strict=True))
        return Head(headers=clean, target=target, cuts=tuple(cuts))

    def _slots_out(self, value: bytes, slots: list[Slot], place: Place, cuts: list[Cut]) -> bytes:
        # Stars alone are what another recorder, or an import's first one, has left of a secret.
        slots = [slot for slot in slots if slot.span.secret.strip(STAR)]
        named = {slot.span: slot.name for slot in slots}
        for slot in slots:
            for secret in slot.learn:
                self._known.learn(secret)
        spans = outermost(named)
        for span in spans:
            exact = Place(place.part, place.name or named[span], place.index)
            cuts.append(self._fingerprint.cut(exact, span))
        return starred(value, spans)

    def _known_out(self, value: bytes, place: Place, cuts: list[Cut]) -> bytes:
        scanned = stream.whole(value, self._known, self._fingerprint, place)
        cuts += scanned.cuts
        return scanned.data

    def _remember(self, name: bytes) -> Rule | None:
        if len(self._rules) >= _CACHED_NAMES:
            self._rules.clear()
        lower = name.strip().lower()
        secret = lower in self._extra or names.is_secret_header(lower)
        rule = _SHAPED.get(lower) or (whole_value if secret else None)
        self._rules[name] = rule
        return rule


def _place(side: Side, name: bytes, number: int) -> Place:
    part: Part = "request-header" if side == "request" else "response-header"
    return Place(part, name.decode("latin-1").lower(), number)
