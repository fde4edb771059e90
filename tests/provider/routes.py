"""Which built-in handler answers: by path, and by Host where a path alone says too little."""

import re

from . import anthropic, chat, gemini, ollama, raw, responses, side
from .records import Exchange
from .request import Handler

_MODEL: list[tuple[str, str, Handler]] = [
    ("POST", r"/v1/messages", anthropic.messages),
    ("POST", r"/v1/messages/count_tokens", anthropic.count_tokens),
    ("POST|GET", r"(/v1|/backend-api/codex)?/responses", responses.responses),
    ("POST", r"(/v1)?/chat/completions", chat.completions),
    ("POST", r"/v1(beta)?/models/[^:/]+:\w+", gemini.generate),
    ("POST", r"/v1internal:(streamG|g)enerateContent", gemini.generate),
    ("POST", r"/api/(chat|generate)", ollama.generate),
]


def find(exchange: Exchange) -> Handler:
    """The handler, and `exchange.kind` set to what it is."""
    if exchange.path.startswith("/raw/"):
        exchange.kind = "raw"
        return raw.answer
    for methods, path, handler in _MODEL:
        if exchange.method in methods.split("|") and re.fullmatch(path, exchange.path):
            exchange.kind = "model" if handler is not anthropic.count_tokens else "side"
            return handler
    known = side.find(exchange)
    if known is not None:
        exchange.kind = "side"
        return known
    return side.unknown
