"""
Ollama's own API.

`POST /api/chat` and `POST /api/generate`, behind any prefix; JSON in, `application/x-ndjson` out,
or one JSON object with `"stream": false`. Streaming is the default. Calls have arguments as objects
and, but for the newest servers, no ids; counts and durations come with the line that has
`"done": true`.
Sources, read 2026-11: github.com/ollama/ollama docs/api.md and api/types.go, docs.ollama.com
(streaming, thinking, tool calling). No agent of the corpus speaks it; aider and opencode can.
"""

from addons.wire import chat_request, ollama_request
from addons.wire.contract import Head
from addons.wire.exchange import Exchange
from addons.wire.ollama_answer import Answering
from addons.wire.running import Builder, Notes, Sink
from storage.decoded import Asked, Message


class _Ollama:
    """Decoder and Format."""

    name = "ollama"
    names_answers = False

    def matches(self, head: Head) -> bool:
        """
        Web applications have an `/api/chat` too, mostly; what a page or a form sends is theirs.

        curl sends `x-www-form-urlencoded` by default and Ollama does not look, so that one is let
        in, as the documentation's own examples send it.
        """
        if head.method != "POST" or head.is_websocket:
            return False
        if not head.path.endswith(("/api/chat", "/api/generate")):
            return False
        sent = (head.header("content-type") or "").partition(";")[0].strip().lower()
        wanted = (head.header("accept") or "").lower()
        return not (sent.startswith(("multipart/", "text/")) or "text/html" in wanted)

    def open(self, head: Head) -> Exchange:
        return Exchange(head, self)

    def message(self, raw: bytes) -> Message:
        return chat_request.MEMO.message(raw)

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        if head.path.endswith("/api/chat"):
            return ollama_request.chat(body, notes)
        return ollama_request.generate(body, notes)

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        return Answering(sink, notes)


DECODER = _Ollama()
