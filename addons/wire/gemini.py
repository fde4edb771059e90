"""
Gemini: generateContent, streamGenerateContent and countTokens, and the Code Assist envelope.

Endpoints: POST {prefix}/models/{model}:{method}, versions v1, v1beta and v1alpha; on Vertex
.../projects/P/locations/L/publishers/google/models/{model}:{method}, .../endpoints/{id}:{method};
Code Assist (Google login) cloudcode-pa.googleapis.com/v1internal:{method}, the request inside
{model, project, user_prompt_id, request} and the answer inside {"response": ...}.
Content types: application/json; text/event-stream with `alt=sse`, else a stream is a JSON array.
Sources, read 2026-11: ai.google.dev/api/generate-content, /api/caching (Content, Part) and
/api/tokens; cloud.google.com/vertex-ai/generative-ai/docs/reference/rest (GenerateContentResponse);
Code Assist has no documentation: from Gemini CLI 0.61.0's own converter.
Agents seen: Gemini CLI 0.61.0, with an API key (SSE; its router call is plain JSON).
"""

import re
from urllib.parse import unquote

from addons.wire.contract import Fold, Head
from addons.wire.exchange import Exchange
from addons.wire.gemini_answer import AnswerBuilder, CountBuilder
from addons.wire.gemini_request import MESSAGES, read_request
from addons.wire.running import Builder, Notes, Sink
from storage.decoded import Asked, Message

_TARGET = re.compile(
    r"(?:/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+(?::[^/:]+)?)|/v1internal)"
    r":(?P<method>generateContent|streamGenerateContent|countTokens)"
)


class Gemini:
    """A Decoder, and the Format of its exchanges."""

    name = "google.gemini"
    names_answers = False

    def matches(self, head: Head) -> bool:
        return head.method == "POST" and not head.is_websocket and _target(head) is not None

    def open(self, head: Head) -> Fold:
        return Exchange(head, self)

    def message(self, raw: bytes) -> Message:
        return MESSAGES.message(raw)

    def asked(self, head: Head, body: bytes, notes: Notes) -> Asked:
        target = _target(head)
        model, method = (target["model"], target["method"]) if target else (None, "")
        return read_request(body, model, method, notes)

    def builder(self, head: Head, asked: Asked, sink: Sink, notes: Notes) -> Builder:
        if asked.operation == "count":
            return CountBuilder(notes)
        return AnswerBuilder(sink, notes)


def _target(head: Head) -> re.Match[str] | None:
    # Some clients escape the colon before the method.
    path = unquote(head.path) if "%" in head.path else head.path
    found = _TARGET.search(path)
    return found if found and found.end() == len(path.rstrip("/")) else None


DECODER = Gemini()
