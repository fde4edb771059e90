"""
Canaries: values that must be found in no file, and exchanges through the proxy that carry them.

Each canary is one value in one slot. All begin and end with the same signs (`FIRST`, `LAST`), so
that a file can be searched for any of them at once, as they are and in base64.
"""

import asyncio
import gzip
import hashlib
import http.client
import itertools
import time
import zlib

import brotli
import zstandard

from tests.addons.redaction.canary import FORMS

HOST = "api.anthropic.com"
FIRST, LAST = b"cnry7Qz", b"mK0Vw8e"
USAGE = b'{"max_tokens": 4096, "usage": {"input_tokens": 12, "cache_read_input_tokens": 9}} '
CODINGS = {
    None: bytes,
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
}

_fresh = itertools.count()


def secret(*, token=False):
    """A new canary; a `token` has only signs that may stand anywhere in a head."""
    # No `e`: one of the forms makes capitals of all that looks like the escape of an é.
    word = hashlib.sha256(b"%d" % next(_fresh)).hexdigest()[:8].replace("e", "x").encode()
    middle = b"-" + word + b"_d9." if token else b"+" + word + '/"q\\9~Z=é7&'.encode()
    return FIRST + middle + LAST


def needles():
    """The ends of every canary, and what of them in base64 depends on no neighbour."""
    for end in (FIRST, LAST):
        yield end
        for form in FORMS:
            if form.name.startswith("base64"):
                yield form.written(end)[1]


def flushed(coding, pieces):
    """The pieces in a coding, each so that it can be decoded when it has come; the end at last."""
    if coding == "gzip":
        deflate = zlib.compressobj(wbits=31)
        yield from (deflate.compress(one) + deflate.flush(zlib.Z_SYNC_FLUSH) for one in pieces)
        yield deflate.flush()
    elif coding == "br":
        squeeze = brotli.Compressor()
        yield from (squeeze.process(one) + squeeze.flush() for one in pieces)
        yield squeeze.finish()
    elif coding == "zstd":
        frame = zstandard.ZstdCompressor().compressobj()
        block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        yield from (frame.compress(one) + frame.flush(block) for one in pieces)
        yield frame.flush()
    else:
        yield from pieces


class Text:
    """A body with values in all their forms, and how it looks without them."""

    def __init__(self, *secrets):
        forms = [form.written(one) for one in secrets for form in FORMS]
        self.wire = USAGE + b" | ".join(b"".join(form) for form in forms) + b" the end"
        masked = [before + b"*" * len(one) + after for before, one, after in forms]
        self.clean = USAGE + b" | ".join(masked) + b" the end"


class Case:
    """
    One exchange: what is sent and answered, and what is to be on record of both bodies, decoded.

    Of a body a Text may be given instead of bytes. `pieces` and `reply_pieces` are (bytes as they
    cross, pause behind them in seconds); without them the bodies are cut up somewhere.
    """

    def __init__(self, target="/x", **more):
        self.target = target
        self.host = more.pop("host", HOST)
        self.headers = more.pop("headers", [])
        self.coding = more.pop("coding", None)
        self.body, self.clean_body = _both(more, "body", b"")
        self.reply_headers = more.pop("reply_headers", [])
        self.reply, self.clean_reply = _both(more, "reply", USAGE)
        self.slot = more.pop("slot", None)
        self.pieces = more.pop("pieces", None)
        self.reply_pieces = more.pop("reply_pieces", None)
        self.trailers = more.pop("trailers", None)
        self.raw_reply = more.pop("raw_reply", None)  # all of the answer, head included
        self.is_cut_off = more.pop("is_cut_off", False)  # the provider stops before its end
        assert not more, more
        encode = CODINGS[self.coding]
        self.sent = _joined(self.pieces) if self.pieces else encode(self.body)
        self.answered = _joined(self.reply_pieces) if self.reply_pieces else encode(self.reply)
        self.number = None
        self.received = None
        self.received_headers = None


def _both(more, name, default):
    """What crosses, and what is to be on record."""
    given = more.pop(name, default)
    if isinstance(given, Text):
        return given.wire, given.clean
    return given, more.pop(f"clean_{name}", given)


def _joined(pieces):
    return b"".join(piece for piece, _ in pieces)


class Wire:
    """Both ends of the proxy: sends cases, answers them as they say, and keeps what came."""

    def __init__(self, provider, stack):
        self.provider, self.stack = provider, stack
        self.cases = []
        self._connections = {}
        for prefix in ("/", "http://"):  # targets in absolute form as well
            provider.handle(prefix, self._answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in list(self._connections):
            self._drop(host)

    def run(self, case, *, fresh=False):
        """Over the connection to its host, or over a new one."""
        case.number = len(self.cases)
        self.cases.append(case)
        if fresh:
            self._drop(case.host)
        if case.host not in self._connections:
            self._connections[case.host] = self._connection(case.host)
        connection = self._connections[case.host]
        self._send(connection, case)
        answer = connection.getresponse()
        case.received_headers = answer.getheaders()
        try:
            case.received = answer.read()
        except http.client.IncompleteRead as error:
            case.received = error.partial
        if case.is_cut_off or case.raw_reply:
            self._drop(case.host)

    def exchange(self, case):
        """What the provider saw of it."""
        number = str(case.number)
        return next(one for one in self.provider.requests if one.header("x-case") == number)

    def _drop(self, host):
        if connection := self._connections.pop(host, None):
            connection.close()

    def _connection(self, host):
        made = http.client.HTTPSConnection(
            "127.0.0.1", self.stack.proxy_port, context=self.stack.trust(), timeout=60
        )
        made.set_tunnel(host, 443)
        return made

    def _send(self, connection, case):
        connection.putrequest("POST", case.target, skip_host=True, skip_accept_encoding=True)
        headers = [("host", case.host.encode()), ("x-case", b"%d" % case.number)]
        if case.coding:
            headers.append(("content-encoding", case.coding.encode()))
        framing = ("content-length", b"%d" % len(case.sent))
        if case.pieces:
            framing = ("transfer-encoding", b"chunked")
        for name, value in [*headers, framing, *case.headers]:
            connection.putheader(name, value)
        connection.endheaders()
        if not case.pieces:
            connection.send(case.sent)
            return
        for piece, pause_s in case.pieces:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(pause_s)
        connection.send(b"0\r\n\r\n")

    async def _answer(self, request, reply):
        await request.read()
        case = self.cases[int(request.exchange.header("x-case"))]
        if case.raw_reply:
            await reply.raw(case.raw_reply)
            await reply.cut()
            return
        headers = [(name, value.decode("latin-1")) for name, value in case.reply_headers]
        if case.coding:
            headers.append(("content-encoding", case.coding))
        if case.is_cut_off:
            headers.append(("content-length", str(len(case.answered) + 10)))
        await reply.head(200, headers)
        size = max(1, len(case.answered) // 5)
        parts = [(case.answered[at : at + size], 0) for at in range(0, len(case.answered), size)]
        for piece, pause_s in case.reply_pieces or parts:
            await reply.chunk(piece)
            await asyncio.sleep(pause_s)
        await (reply.cut() if case.is_cut_off else reply.end(case.trailers))
