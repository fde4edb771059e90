"""The bodies of a HAR entry: decoded, text or base64, in pieces when they are long."""

from collections.abc import Iterator

import msgspec

from api.exports import har_heads, strings
from api.exports.captured import Captured
from api.exports.plain import Plain
from storage.records import Side

_encode = msgspec.json.encode


def request(captured: Captured) -> Iterator[bytes]:
    """`,"postData":{...}` where the request has a body, else nothing."""
    if captured.entry.kind != "http":
        return
    plain, fault = _plain(captured, "request")
    if plain is not None and not plain.stored_bytes:
        return
    mime_type = har_heads.mime_type(captured.entry.request_headers) or ""
    yield b',"postData":' + _open_object({"mimeType": mime_type})
    if plain is None:
        # Some readers fall over a text that is not there; Chrome makes "undefined" of it.
        yield b',"text":""'
    else:
        # HAR names no encoding for requests. Playwright reads this one.
        yield b"" if plain.is_text else b',"encoding":"base64"'
        yield b',"text":'
        fault = yield from strings.quoted(plain.pieces(), is_text=plain.is_text)
    yield _comment(plain, fault) + b"}"


def response(captured: Captured) -> Iterator[bytes]:
    """`,"content":{...}`; always there, as HAR wants it."""
    mime_type = har_heads.content_type(captured.entry)
    yield b',"content":' + _open_object({"mimeType": mime_type})
    if captured.entry.kind != "http":
        yield b',"size":0,"text":""}'
        return
    plain, fault = _plain(captured, "response")
    if plain is None:
        yield b',"size":-1,"text":""'
    else:
        yield b',"size":' + _encode(plain.size_bytes)
        if plain.is_decoded:
            yield b',"compression":' + _encode(plain.size_bytes - plain.stored_bytes)
        yield b"" if plain.is_text else b',"encoding":"base64"'
        yield b',"text":'
        fault = yield from strings.quoted(plain.pieces(), is_text=plain.is_text)
    yield _comment(plain, fault) + b"}"


def _plain(captured: Captured, side: Side) -> tuple[Plain | None, str | None]:
    """The body, or why it cannot be read."""
    try:
        return Plain(captured, side), None
    except strings.UNREADABLE as error:
        return None, str(error)


def _comment(plain: Plain | None, fault: str | None) -> bytes:
    said = f"left out: {fault}" if plain is None else f"ends early: {fault}" if fault else None
    said = said or (plain.comment if plain else None)
    return b',"comment":' + _encode(said) if said else b""


def _open_object(fields: dict[str, object]) -> bytes:
    return _encode(fields)[:-1]
