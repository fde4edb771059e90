"""
TLS for WebSocket clients of the tests that read in one thread and write in another.

An OpenSSL object is not made for two threads at once: on a loaded machine a write beside a waiting
read was seen to be lost, and a test that did nothing wrong waited for ever. Here the object is fed
by hand, one thread at a time, and only the raw socket is waited for.

    connect(url, sock=raw, ssl=guarded(context))
"""

import socket
import ssl
import threading
from typing import Any, cast

_PIECE = 65536


def guarded(context: ssl.SSLContext) -> ssl.SSLContext:
    """What passes for the context where only `wrap_socket` is asked of it."""
    return cast(ssl.SSLContext, _Guarded(context))


class _Guarded:
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> "GuardedSocket":
        return GuardedSocket(sock, self._context, server_hostname)


class GuardedSocket:
    """The part of a socket that a WebSocket client uses."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._raw = raw
        self._lock = threading.Lock()  # guards the OpenSSL object and the order of what it wrote
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        while not self._shaken():
            self._more()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def sendall(self, data: bytes) -> None:
        with self._lock:
            self._tls.write(data)
            self._raw.sendall(self._out.read())

    def recv(self, size: int) -> bytes:
        while True:
            with self._lock:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    self._flush()
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
            self._more()

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _more(self) -> None:
        data = self._raw.recv(_PIECE)
        with self._lock:
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()

    def _flush(self) -> None:
        written = self._out.read()
        if written:
            self._raw.sendall(written)
