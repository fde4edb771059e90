"""The bodies of a HAR entry: decoded, text or base64, in pieces when they are long."""

import base64
import codecs
import sqlite3
from collections.abc import Iterator

import msgspec

from addons.framing.codings import Decoder
from storage import bodies, traffic
from storage.bodies import BodyView
from storage.errors import StoreError
from storage.records import Entry, Headers, Side

_WHOLE = 1 << 20  # a body up to here is decoded once and held; a longer one is gone through twice
_STEP = 1 << 15  # fed to a decoder at a time: what it gives out is bounded with it

_encode = msgspec.json.encode


def request(conn: sqlite3.Connection, entry: Entry) -> Iterator[bytes]:
    """`,"postData":{...}` where the request has a body, else nothing."""
    if entry.kind != "http":
        return
    view = traffic.body(conn, entry, "request")
    if not view.size_bytes:
        return
    mime_type = _header(entry.request_headers, b"content-type") or ""
    yield b',"postData":' + _encode({"mimeType": mime_type, "params": []})[:-1]
    # HAR names no encoding for requests; Chrome and others leave such bodies out.
    yield from _content(conn, entry, "request", view, encoding_key="_encoding")
    yield b"}"


def response(conn: sqlite3.Connection, entry: Entry) -> Iterator[bytes]:
    """`,"content":{...}`; always there, as HAR wants it."""
    mime_type = _header(entry.response_headers or (), b"content-type") or "x-unknown"
    yield b',"content":' + _encode({"mimeType": mime_type})[:-1]
    if entry.kind == "http":
        view = traffic.body(conn, entry, "response")
        yield from _content(conn, entry, "response", view, encoding_key="encoding")
    else:
        yield b',"size":' + _encode(entry.response_bytes)
    yield b"}"


def _content(
    conn: sqlite3.Connection, entry: Entry, side: Side, view: BodyView, *, encoding_key: str
) -> Iterator[bytes]:
    try:
        plain = _Plain(conn, entry, side, view)
    except StoreError as error:
        yield b',"size":-1,"comment":' + _encode(f"damaged, left out: {error}")
        return
    fields: dict[str, object] = {"size": plain.size_bytes}
    if plain.compression_bytes and side == "response":
        fields["compression"] = plain.compression_bytes
    if not plain.is_text:
        fields[encoding_key] = "base64"
    if plain.comment:
        fields["comment"] = plain.comment
    yield b"," + _encode(fields)[1:-1]
    yield b',"text":"'
    yield from _as_text(plain.pieces()) if plain.is_text else _as_base64(plain.pieces())
    yield b'"'


class _Plain:
    """
    A body without its content coding: size, kind and bytes.

    Where the coding cannot be undone, the bytes as captured, and `comment` says why.
    Raises StoreError on damaged bytes.
    """

    def __init__(self, conn: sqlite3.Connection, entry: Entry, side: Side, view: BodyView) -> None:
        headers = entry.request_headers if side == "request" else entry.response_headers or ()
        kept = entry.request_decoded if side == "request" else entry.response_decoded
        self._view = view
        self._coding: bytes | None = _raw_header(headers, b"content-encoding")
        self.comment: str | None = None
        if kept is not None:
            self._view, self._coding = bodies.view(conn, kept.digest), None
            self.comment = "the coded bytes held a secret and were cut; this is the decoded text"
        self._held: bytes | None = None
        self._look()
        self.compression_bytes = self.size_bytes - view.size_bytes if self._coding else 0

    def pieces(self) -> Iterator[bytes]:
        if self._held is not None:
            yield self._held
        else:
            yield from self._decoded(Decoder(self._coding))

    def _look(self) -> None:
        decoder = Decoder(self._coding)
        utf8 = codecs.getincrementaldecoder("utf-8")()
        self.size_bytes, self.is_text = 0, True
        held: list[bytes] = []
        for piece in self._decoded(decoder):
            self.size_bytes += len(piece)
            if self.size_bytes <= _WHOLE:
                held.append(piece)
            self.is_text = self.is_text and _accepts(utf8, piece, final=False)
        decoder.finish()
        self.is_text = self.is_text and _accepts(utf8, b"", final=True)
        if not decoder.known or decoder.failed or decoder.capped:
            why = "unknown" if not decoder.known else "broken" if decoder.failed else "too long"
            name = (self._coding or b"").decode("latin-1")
            self.comment = f"as captured: the coding {name} is {why}"
            self._coding = None
            self._look_again()
            return
        if decoder.truncated:
            self.comment = "the coded stream was cut off; this is what it held"
        if self.size_bytes <= _WHOLE:
            self._held = b"".join(held)

    def _look_again(self) -> None:
        self.size_bytes, self.is_text = self._view.size_bytes, False

    def _decoded(self, decoder: Decoder) -> Iterator[bytes]:
        for block in self._view.stream():
            if not decoder.coded:
                yield block
                continue
            for at in range(0, len(block), _STEP):
                yield decoder.feed(block[at : at + _STEP])


def _accepts(utf8: codecs.IncrementalDecoder, piece: bytes, *, final: bool) -> bool:
    try:
        utf8.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _as_text(pieces: Iterator[bytes]) -> Iterator[bytes]:
    utf8 = codecs.getincrementaldecoder("utf-8")()
    for piece in pieces:
        yield _encode(utf8.decode(piece))[1:-1]


def _as_base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        piece = rest + piece
        whole = len(piece) // 3 * 3
        yield base64.b64encode(piece[:whole])
        rest = piece[whole:]
    yield base64.b64encode(rest)


def _raw_header(headers: Headers, name: bytes) -> bytes | None:
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


def _header(headers: Headers, name: bytes) -> str | None:
    value = _raw_header(headers, name)
    return value.decode("latin-1") if value is not None else None
