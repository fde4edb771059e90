"""
OpenAI Responses.

Endpoints, by the end of the path (servers with a base URL of their own put prefixes before it):
- `POST .../responses`: one answer, as `text/event-stream` or `application/json`;
- `GET .../responses` upgraded to a WebSocket: many answers, one for each `response.create`;
- `POST .../responses/compact`: a shorter history instead of an answer;
- `POST .../responses/input_tokens`: only counts.

Documentation: https://platform.openai.com/docs/api-reference/responses and the types of the
`openai` package 3.54, which hold the socket's events too; read 2026-11.
Seen of: Codex 0.169 (socket on api.openai.com; SSE when a server refuses that), Codex 0.104 with
a ChatGPT login (SSE on chatgpt.com/backend-api/codex/responses, request coded with zstd), Copilot
CLI 1.0.102 (api.githubcopilot.com/responses) and opencode 1.18.33 with models of OpenAI.
"""

from addons.wire.contract import Fold, Head
from addons.wire.exchange import Exchange
from addons.wire.responses_answer import Builder
from addons.wire.responses_request import message_of, read_request
from addons.wire.responses_socket import Turns
from addons.wire.running import Notes, Sink
from addons.wire.socket import Socket
from storage.decoded import Asked, Message

_OPERATIONS = {
    "/responses": "generate",
    "/responses/compact": "compact",
    "/responses/input_tokens": "count",
}


class Responses:
    """The decoder, and what it brings for calls over HTTP."""

    name = "openai.responses"
    names_answers = True

    def matches(self, head: Head) -> bool:
        operation = _operation(head)
        if head.is_websocket:
            return operation == "generate"
        return operation is not None and head.method.upper() == "POST"

    def open(self, head: Head) -> Fold:
        if head.is_websocket:
            return Socket(head, Turns(self.name))
        return Exchange(head, self)

    def message(self, raw: bytes) -> Message:
        return message_of(raw)

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        return read_request(body, _operation(head) or "generate", notes)

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        return Builder(sink, notes, asked.operation)


def _operation(head: Head) -> str | None:
    path = head.path.rstrip("/")
    return next((kind for end, kind in _OPERATIONS.items() if path.endswith(end)), None)


DECODER = Responses()
