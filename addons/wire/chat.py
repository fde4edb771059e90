"""
OpenAI Chat Completions, and the many servers that speak it.

`POST .../chat/completions` behind any prefix (api.openai.com/v1, Azure's deployments,
api.githubcopilot.com, openrouter.ai/api/v1, DashScope's compatible mode, vLLM ...), JSON in, JSON
or `text/event-stream` out, the stream ended by `[DONE]`.
Sources, read 2026-11: platform.openai.com/docs/api-reference/chat, openai-python 3.54 `types/chat`
and `lib/streaming/chat`, openrouter.ai/docs (streaming, errors, reasoning tokens, usage
accounting), api-docs.deepseek.com, Azure OpenAI REST reference (`prompt_filter_results`).
Seen with: Qwen Code 0.24 (10 calls), Copilot CLI 1.0 with a provider of one's own.
"""

import re

from addons.wire import chat_request
from addons.wire.chat_answer import Answering
from addons.wire.contract import Head
from addons.wire.exchange import Exchange
from addons.wire.running import Builder, Notes, Sink
from storage.decoded import Asked, Message

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/chat/completions/?$")


class _Chat:
    """Decoder and Format."""

    name = "openai.chat"
    names_answers = False

    def matches(self, head: Head) -> bool:
        path = head.path.rstrip("/")
        return (
            head.method == "POST" and path.endswith("/chat/completions") and not head.is_websocket
        )

    def open(self, head: Head) -> Exchange:
        return Exchange(head, self)

    def message(self, raw: bytes) -> Message:
        return chat_request.MEMO.message(raw)

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        deployment = _DEPLOYMENT.search(head.path)
        return chat_request.asked(body, notes, deployment[1] if deployment else None)

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        return Answering(sink, notes, chat_request.wanted(asked))


DECODER = _Chat()
