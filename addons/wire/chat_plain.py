"""
The common shapes of chat in one step each, for speed: a message or a chunk with nothing unusual.

Whatever else it may be, None says that it is to be read field by field. Both ways give the same (a
test says so); this one takes a third of the time.
"""

from typing import Literal

import msgspec

from storage.decoded import Message, Part, TextPart, ThinkingPart, ToolCallPart, ToolResultPart


class _Exact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A field that is not named here is no matter of this module."""


# --- messages ------------------------------------------------------------------------------------


class _Text(_Exact, frozen=True):
    type: Literal["text"]
    text: str


class _Function(_Exact, frozen=True):
    name: str
    arguments: str


class _Call(_Exact, frozen=True):
    function: _Function
    id: str | None = None
    type: Literal["function"] | None = None
    index: int | None = None


class _Message(_Exact, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Text] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None


_MESSAGE = msgspec.json.Decoder(_Message)
_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)


def message(raw: bytes, digest: bytes) -> Message | None:
    """A message of a request."""
    try:
        said = _MESSAGE.decode(raw)
    except _ERRORS:
        return None
    if said.role == "tool":
        return _result(said, digest)
    return Message(role=said.role, parts=_parts(said), raw_digest=digest)


def _result(said: _Message, digest: bytes) -> Message | None:
    if said.tool_calls is not None or said.reasoning_content is not None:
        return None
    content = said.content
    text = content if isinstance(content, str) else "\n".join(each.text for each in content or ())
    part = ToolResultPart(call_id=said.tool_call_id or None, text=text)
    return Message(role="tool", parts=(part,), raw_digest=digest)


def _parts(said: _Message) -> tuple[Part, ...]:
    parts: list[Part] = []
    if said.reasoning_content:
        parts.append(ThinkingPart(text=said.reasoning_content))
    content = said.content
    if isinstance(content, str):
        if content:
            parts.append(TextPart(text=content))
    elif content:
        parts += [TextPart(text=each.text) for each in content]
    for call in said.tool_calls or ():
        name, arguments = call.function.name, call.function.arguments
        parts.append(ToolCallPart(call_id=call.id or None, name=name, arguments=arguments))
    return tuple(parts)


# --- chunks --------------------------------------------------------------------------------------


class _Piece(_Exact, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallPiece(_Exact, frozen=True):
    index: int
    function: _Piece
    id: str | None = None
    type: Literal["function"] | None = None


class Delta(_Exact, frozen=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[CallPiece, ...] | None = None
    refusal: None = None
    function_call: None = None
    audio: None = None


class _Choice(_Exact, frozen=True):
    delta: Delta
    index: int = 0
    finish_reason: None = None
    native_finish_reason: None = None
    logprobs: None = None


class _Chunk(_Exact, frozen=True):
    choices: tuple[_Choice]
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    obfuscation: str | None = None
    usage: None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


def delta(text: str) -> tuple[int, Delta] | None:
    """
    The index and the delta of a chunk that only goes on with what runs.

    What is around the choice is not looked at: the chunks before and behind say it too.
    """
    try:
        choice = _CHUNK.decode(text).choices[0]
    except _ERRORS:
        return None
    return choice.index, choice.delta


# --- Ollama's lines ------------------------------------------------------------------------------


class Said(_Exact, frozen=True):
    role: str | None = None
    content: str | None = None
    thinking: str | None = None


class _Line(_Exact, frozen=True):
    done: bool
    model: str = ""
    created_at: str = ""
    message: Said | None = None
    response: str | None = None
    thinking: str | None = None


_LINE = msgspec.json.Decoder(_Line)


def line(text: str) -> Said | None:
    """What a line of `/api/chat` or `/api/generate` says that only goes on."""
    try:
        found = _LINE.decode(text)
    except _ERRORS:
        return None
    if found.done:
        return None
    return found.message or Said(content=found.response, thinking=found.thinking)
