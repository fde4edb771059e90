"""
HTTP to a Wirescribe server, for the command line.

`http.client`, for a command that starts an agent should not spend 0.4 s on loading an HTTP library,
and because it asks no proxy variable: inside a `wirescribe run` those name our own proxy.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec

from storage.errors import ConfigError, Conflict, NotFound, StoreError, WirescribeError

Query = Mapping[str, str | int | None]  # None: not given

_PIECE_BYTES = 1 << 18


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The API's error answer."""

    error: str = ""
    details: str | None = None


class Connection:
    """One server; each call is a connection of its own."""

    def __init__(self, url: str, token: str | None, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not the URL of a server, as in http://127.0.0.1:8889")
        self.url = url.rstrip("/")
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._authority, self._prefix = parts.netloc, parts.path.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s

    def call[T](
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
    ) -> T:
        """The JSON answer as `kind`. Raises WirescribeError, with the server's own text."""
        data = None if body is None else msgspec.json.encode(body)
        with self._answer(method, path, query, data) as answer:
            return self._decoded(kind, answer.read())

    def tell(self, method: str, path: str) -> None:
        """A call with nothing in it, whose answer says nothing either. Raises as `call`."""
        with self._answer(method, path, None, None):
            pass

    def upload[T](
        self, kind: type[T], path: str, file: Path, progress: Callable[[int, int], None]
    ) -> T:
        """
        Send a file as a form's field `file`; `progress` gets the bytes that went, and of how many.

        The answer is as that of `call`. Raises ConfigError if the file cannot be read.
        """
        boundary = secrets.token_hex(16)
        pieces, size_bytes = _form(file, boundary, progress)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(size_bytes),
        }
        with self._answer("POST", path, None, pieces, headers) as answer:
            return self._decoded(kind, answer.read())

    def _decoded[T](self, kind: type[T], body: bytes) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"the server {self.url} answers otherwise than this version expects ({error}): "
                "is it a Wirescribe server, and of the same version?"
            ) from error

    def stream(self, path: str, *, query: Query | None = None) -> Iterator[bytes]:
        """The answer's body in pieces."""
        with self._answer("GET", path, query, None) as answer:
            while piece := answer.read(_PIECE_BYTES):
                yield piece

    def live(self, path: str, *, query: Query | None = None) -> Iterator[bytes]:
        """The answer's body as it comes."""
        with self._answer("GET", path, query, None) as answer:
            while piece := answer.read1(_PIECE_BYTES):
                yield piece

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Query | None,
        data: bytes | Iterator[bytes] | None,
        more: Mapping[str, str] | None = None,
    ) -> Iterator[HTTPResponse]:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        target = f"{self._prefix}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if data is not None:
            headers["Content-Type"] = "application/json"
        headers |= more or {}
        connection = self._kind(self._authority, timeout=self._timeout_s)
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise self._error(answer.status, answer.read())
            yield answer
        except (OSError, HTTPException) as error:
            raise StoreError(
                f"no answer from the server {self.url} ({error}): does it run? "
                "`wirescribe up` starts one"
            ) from error
        finally:
            connection.close()

    def _error(self, status: int, body: bytes) -> WirescribeError:
        try:
            refusal = msgspec.json.decode(body, type=_Refusal)
        except msgspec.DecodeError:
            refusal = _Refusal()
        text = refusal.error or f"the server {self.url} answered with status {status}"
        if refusal.details:
            text += f": {refusal.details}"
        if status == 401:
            text += ". Set WIRESCRIBE_TOKEN to the token of that server"
        kinds: dict[int, type[WirescribeError]] = {404: NotFound, 409: Conflict}
        return kinds.get(status, StoreError)(text)


def _form(
    file: Path, boundary: str, progress: Callable[[int, int], None]
) -> tuple[Iterator[bytes], int]:
    """The pieces of a form with a file in it, and their length."""
    name = "".join(sign if sign.isprintable() and sign not in '"\\' else "_" for sign in file.name)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    try:
        opened = file.open("rb")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    total = os.fstat(opened.fileno()).st_size

    def pieces() -> Iterator[bytes]:
        yield head
        sent = 0
        with opened:
            # What is written to the file meanwhile is not sent.
            while piece := opened.read(min(_PIECE_BYTES, total - sent)):
                sent += len(piece)
                yield piece
                progress(sent, total)
        yield tail

    return pieces(), len(head) + total + len(tail)
