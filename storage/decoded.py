"""
What decoders make of bytes: a model call as asked and answered, one shape for all wire formats.

Pure types without storage: `addons.wire` fills them, `addons.agents` reads them, the projection
stores them. None means that the wire did not say; an empty tuple, that it said nothing of the kind.
JSON that is kept as it came is `bytes` in a field named `*_json`.
"""

from typing import Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool"]
Media = Literal["image", "document", "audio", "video"]

# What a model call is for. `side` is one that is none of the others.
RequestClass = Literal[
    "main",
    "subagent",
    "title",
    "compaction",
    "count",
    "quota",
    "classifier",
    "router",
    "prewarm",
    "memory",
    "summary",
    "side",
]
ToolKind = Literal[
    "read",
    "write",
    "edit",
    "shell",
    "search",
    "web",
    "task",
    "todo",
    "skill",
    "mcp",
    "plan",
    "ask",
    "memory",
    "tool-search",
    "other",
]

TaskStatus = Literal["pending", "in_progress", "completed", "cancelled", "deleted"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all types here."""


# --- parts ---------------------------------------------------------------------------------------


class _Part(Value, frozen=True, kw_only=True, tag_field="kind", tag=""):
    """Of what a message is made. `kind` tells parts apart in their JSON."""


class TextPart(_Part, frozen=True, kw_only=True, tag="text"):
    """Text. `citations_json` is an array, `extra_json` an object of fields that are not known."""

    text: str
    citations_json: bytes | None = None
    extra_json: bytes | None = None


class ThinkingPart(_Part, frozen=True, kw_only=True, tag="thinking"):
    """Reasoning. `text` is "" where only an opaque form crossed (redacted, encrypted)."""

    text: str
    is_redacted: bool = False
    extra_json: bytes | None = None


class ToolCallPart(_Part, frozen=True, kw_only=True, tag="tool-call"):
    """
    A tool use that the model asked for.

    `arguments` is the text as it came: JSON for functions, free text where `is_custom`; a stream
    that was cut off leaves what there was. `on_server`: the provider runs it itself.
    """

    call_id: str | None
    name: str
    namespace: str | None = None  # Responses: "functions", "collaboration"; of an MCP server
    arguments: str
    is_custom: bool = False
    on_server: bool = False
    extra_json: bytes | None = None


class ToolResultPart(_Part, frozen=True, kw_only=True, tag="tool-result"):
    """
    What came back of a tool call: its texts joined by newlines, and other media beside.

    `is_error` None: the wire does not say. `name` where the wire has it (Gemini).
    """

    call_id: str | None
    text: str
    is_error: bool | None = None
    name: str | None = None
    media: tuple["MediaPart", ...] = ()
    on_server: bool = False
    extra_json: bytes | None = None


class MediaPart(_Part, frozen=True, kw_only=True, tag="media"):
    """An image, a document or a sound. Its bytes stay in the raw body."""

    media: Media
    media_type: str | None = None
    size_bytes: int | None = None  # of the data, decoded
    digest: bytes | None = None  # SHA-256 of the base64 text, or of the URL's text
    url: str | None = None
    name: str | None = None
    extra_json: bytes | None = None


class CompactionPart(_Part, frozen=True, kw_only=True, tag="compaction"):
    """The wire format's own mark that history was replaced by a summary. `text` "": opaque."""

    text: str = ""
    extra_json: bytes | None = None


class RefusalPart(_Part, frozen=True, kw_only=True, tag="refusal"):
    text: str


class OtherPart(_Part, frozen=True, kw_only=True, tag="other"):
    """A block that is not known, kept whole."""

    type: str
    json: bytes


type Part = (
    TextPart
    | ThinkingPart
    | ToolCallPart
    | ToolResultPart
    | MediaPart
    | CompactionPart
    | RefusalPart
    | OtherPart
)


# --- messages ------------------------------------------------------------------------------------


class Message(Value, frozen=True, kw_only=True):
    """
    One message in the wire format's own unit: an Anthropic or chat message, a Responses item, a
    Gemini content. `raw_digest` is BLAKE2b-16 of its JSON as it was sent; None in answers.

    `labels_json`: what the sender says of it beside the content (Codex: provenance and kinds).
    """

    role: Role
    parts: tuple[Part, ...]
    id: str | None = None  # the provider's
    name: str | None = None
    labels_json: bytes | None = None
    raw_digest: bytes | None = None
    extra_json: bytes | None = None


class Tool(Value, frozen=True, kw_only=True):
    """A tool that the request offers."""

    name: str
    namespace: str | None = None
    description: str | None = None
    schema_json: bytes | None = None
    type: str | None = None  # the wire's own word: "function", "custom", "web_search_20250305"
    size_bytes: int  # of its JSON in the request


class Usage(Value, frozen=True, kw_only=True):
    """
    Token counts as the provider reports them for one turn, brought to one meaning.

    `input_tokens` is everything that went in, cached parts included, in every wire format
    (Anthropic reports the three parts apart: they are summed, as `input_tokens` of the total).
    `output_tokens` includes reasoning. `raw_json` is the provider's object as it came last.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None  # all lifetimes together
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None  # only where the provider reports it
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    service_tier: str | None = None
    provider_cost_usd: float | None = None  # OpenRouter reports what it charges
    raw_json: bytes | None = None


class Note(Value, frozen=True, kw_only=True):
    """
    Something that a decoder could not read or that a user should know: `unknown-block`.

    `detail` names what (the block's type); equal notes of a turn are counted.
    """

    kind: str
    detail: str | None = None
    count: int = 1


class Failure(Value, frozen=True, kw_only=True):
    """An error that the provider answered with, in a body or in the middle of a stream."""

    type: str | None  # "overloaded_error", "rate_limit_exceeded"
    message: str | None
    status: int | None = None  # HTTP


# --- one call ------------------------------------------------------------------------------------


class Asked(Value, frozen=True, kw_only=True):
    """
    The request of one model call.

    `system` are the parts of the system prompt where the wire has them apart from the messages.
    `fields_json` is a JSON object: every top-level field except model, system, messages and tools
    as it came (metadata, prompt_cache_key, diagnostics ...); agents read their marks there.
    """

    model: str | None
    system: tuple[Part, ...] = ()
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    is_stream: bool | None = None
    max_tokens: int | None = None
    effort: str | None = None  # reasoning effort, thinking budget as text
    temperature: float | None = None
    previous_id: str | None = None  # Responses: `previous_response_id`
    generates: bool = True  # False: no answer is asked for (Codex's prewarm, count_tokens)
    operation: str = "generate"  # "generate", "count", "compact", "embed" ...: the endpoint's kind
    fields_json: bytes = b"{}"


class Answer(Value, frozen=True, kw_only=True):
    """
    The response of one model call, as far as it came.

    `messages` has one message, except Responses: one for each output item. With several choices
    (chat) there is one message for each, in their order, and only the first goes on in history.
    """

    id: str | None = None  # "msg_...", "resp_..."
    model: str | None = None  # that served
    messages: tuple[Message, ...] = ()
    stop_reason: str | None = None  # the wire's own word
    usage: Usage | None = None
    failure: Failure | None = None
    counted_tokens: int | None = None  # of a call that only counts
    fields_json: bytes | None = None  # other top-level fields worth keeping; an object


class TurnTiming(Value, frozen=True, kw_only=True):
    """Monotonic nanoseconds from the entry's start; None: it did not happen or is not known."""

    asked_ns: int | None = None  # the whole request was there (a socket: its message)
    first_byte_ns: int | None = None  # of the answer
    first_content_ns: int | None = None  # first text, thinking or tool call in the answer
    last_content_ns: int | None = None
    ended_ns: int | None = None
    longest_silence_ns: int | None = None  # between two arrivals while this answer ran
    silence_from_ns: int | None = None  # where that began
    silence_side: Literal["provider", "client"] | None = None  # who kept silent


class Turn(Value, frozen=True, kw_only=True):
    """
    One model call. `number` counts the turns of its entry from 0.

    `is_complete` false: the answer was cut off, `answer` holds what came.
    """

    number: int
    wire: str  # "anthropic.messages": the decoder's name
    asked: Asked
    answer: Answer
    is_complete: bool
    timing: TurnTiming = TurnTiming()
    notes: tuple[Note, ...] = ()


# --- what a fold says while it is fed ------------------------------------------------------------


class TurnBegun(Value, frozen=True, kw_only=True, tag="turn-begun"):
    """The request is whole and read."""

    number: int
    asked: Asked
    at_ns: int


class Delta(Value, frozen=True, kw_only=True, tag="delta"):
    """More text of a running part. `index` counts the answer's parts as they begin."""

    number: int
    index: int
    kind: Literal["text", "thinking", "arguments", "refusal"]
    text: str
    at_ns: int


class PartDone(Value, frozen=True, kw_only=True, tag="part-done"):
    """A part of the answer is whole, before the answer ends."""

    number: int
    index: int
    part: Part
    at_ns: int


class TurnEnded(Value, frozen=True, kw_only=True, tag="turn-ended"):
    turn: Turn
    at_ns: int


type Change = TurnBegun | Delta | PartDone | TurnEnded
