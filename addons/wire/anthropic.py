"""
Anthropic Messages.

- `POST .../v1/messages`, answered with `text/event-stream` or `application/json`, and
  `POST .../v1/messages/count_tokens`, answered with JSON. The path may have a prefix (base-URL
  servers, OpenRouter-like gateways) and any host. Batches (`.../v1/messages/batches`) are no model
  call: their answers come hours later from another path.
- Documentation: https://platform.claude.com/docs/en/api/messages and
  https://platform.claude.com/docs/en/build-with-claude/streaming; the official SDK 2.12
  (`anthropic.types`, `anthropic.types.beta`). Read 2026-11.
- Seen from Claude Code 2.1.330 and 2.1.197 (`api.anthropic.com`, `?beta=true`), opencode 1.18.33
  (`api.anthropic.com`), Copilot CLI 1.0.102 with Claude models (`api.githubcopilot.com`).
"""

from addons.wire import anthropic_request
from addons.wire.anthropic_answer import Reply
from addons.wire.contract import Fold, Head
from addons.wire.exchange import Exchange
from addons.wire.running import Builder, Notes, Sink
from storage.decoded import Asked, Message

_MESSAGES = "/v1/messages"
_COUNT = "/v1/messages/count_tokens"


class Anthropic:
    """The Decoder, and the Format of its exchanges."""

    name = "anthropic.messages"
    names_answers = False

    def matches(self, head: Head) -> bool:
        is_call = head.path.endswith((_MESSAGES, _COUNT))
        return head.method == "POST" and is_call and not head.is_websocket

    def open(self, head: Head) -> Fold:
        return Exchange(head, self)

    def message(self, raw: bytes) -> Message:
        return anthropic_request.message(raw)

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        return anthropic_request.asked(body, notes, is_count=head.path.endswith(_COUNT))

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        return Reply(sink, notes, is_count=head.path.endswith(_COUNT))


DECODER = Anthropic()
