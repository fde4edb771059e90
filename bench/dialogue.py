"""
Sessions as agents send them: the whole conversation again with every turn.

The text is real (standard library sources), the rest is seeded: `cache_control` marks move with
every turn, thinking carries random signatures, as it does on the wire.
"""

import base64
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec

_SYSTEM_BYTES = 48_000
_TOOLS = 24
_TURN_BYTES = 3_900  # of text, per turn


class Source:
    """Real text in pieces, each given once."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        self._random.shuffle(self._files)
        self._text = ""

    def text(self, size: int) -> str:
        while len(self._text) < size:
            self._text += self._files.pop().read_text("utf-8", "replace")
        taken, self._text = self._text[:size], self._text[size:]
        return taken

    def signature(self, size: int = 300) -> str:
        return base64.b64encode(self._random.randbytes(size)).decode()

    def about(self, size: int) -> int:
        return int(size * self._random.uniform(0.5, 1.5))


class Agent:
    """One conversation; each `turn` is a request body and the body of its answer."""

    def __init__(self, seed: int, *, model: str = "claude-sonnet-4-5", shared: int = 0) -> None:
        self._source = Source(seed)
        self._model = model
        # What sessions of one agent have in common comes from a source of its own.
        common = Source(shared)
        self._system = [
            {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
            {
                "type": "text",
                "text": common.text(_SYSTEM_BYTES),
                "cache_control": {"type": "ephemeral"},
            },
        ]
        self._tools = [
            {
                "name": f"tool_{number}",
                "description": common.text(1000),
                "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
            }
            for number in range(_TOOLS)
        ]
        self._messages: list[dict[str, object]] = [
            {"role": "user", "content": [{"type": "text", "text": self._source.text(2000)}]}
        ]
        self._number = 0

    def turn(self) -> tuple[bytes, bytes]:
        body = {
            "model": self._model,
            "max_tokens": 32000,
            "system": self._system,
            "tools": self._tools,
            "messages": self._marked(),
            "metadata": {"user_id": "user_0123456789abcdef"},
            "stream": True,
        }
        request = msgspec.json.encode(body)
        return request, self._answer()

    def compact(self) -> None:
        """Put a summary in the place of the conversation."""
        self._messages = [
            {"role": "user", "content": [{"type": "text", "text": self._source.text(6000)}]}
        ]

    def _marked(self) -> list[dict[str, object]]:
        """The last two messages of the user bear the mark, so it moves each time."""
        messages = list(self._messages)
        for index in [i for i, m in enumerate(messages) if m["role"] == "user"][-2:]:
            content = list(messages[index]["content"])  # type: ignore[call-overload]
            content[-1] = {**content[-1], "cache_control": {"type": "ephemeral"}}
            messages[index] = {**messages[index], "content": content}
        return messages

    def _answer(self) -> bytes:
        source = self._source
        self._number += 1
        thought = source.text(source.about(400))
        said = source.text(source.about(500))
        call = {"path": source.text(60), "old": source.text(source.about(300))}
        name = f"toolu_{source.signature(18)}"
        blocks = [
            {"type": "thinking", "thinking": thought, "signature": source.signature()},
            {"type": "text", "text": said},
            {"type": "tool_use", "id": name, "name": "tool_1", "input": call},
        ]
        result = source.text(source.about(_TURN_BYTES - 1800))
        self._messages += [
            {"role": "assistant", "content": blocks},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": name, "content": result}],
            },
        ]
        tokens = {"input_tokens": 4, "cache_creation_input_tokens": 1200 + self._number,
                  "cache_read_input_tokens": 20_000 + 1100 * self._number}  # fmt: skip
        message = {"id": f"msg_{source.signature(18)}", "type": "message", "role": "assistant",
                   "model": self._model, "content": [], "stop_reason": None,
                   "stop_sequence": None, "usage": {**tokens, "output_tokens": 1}}  # fmt: skip
        return b"".join(_events(message, blocks, len(thought + said) // 3))


def _events(
    message: dict[str, object], blocks: list[dict[str, object]], output_tokens: int
) -> Iterator[bytes]:
    """As the provider streams a message: https://docs.claude.com/en/api/messages-streaming."""
    yield _event("message_start", message=message)
    for index, block in enumerate(blocks):
        empty, deltas = _DELTAS[str(block["type"])](block)
        yield _event("content_block_start", index=index, content_block=empty)
        if not index:
            yield _event("ping")
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    yield _event("message_delta", delta=end, usage={"output_tokens": output_tokens})
    yield _event("message_stop")


def _event(name: str, **fields: object) -> bytes:
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


Block = dict[str, object]


def _thinking(block: Block) -> tuple[Block, list[Block]]:
    deltas = _pieces(block["thinking"], "thinking_delta", "thinking")
    deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return {"type": "thinking", "thinking": "", "signature": ""}, deltas


def _text(block: Block) -> tuple[Block, list[Block]]:
    return {"type": "text", "text": ""}, _pieces(block["text"], "text_delta", "text")


def _tool_use(block: Block) -> tuple[Block, list[Block]]:
    arguments = msgspec.json.encode(block["input"]).decode()
    return {**block, "input": {}}, _pieces(arguments, "input_json_delta", "partial_json")


def _pieces(text: object, kind: str, field: str) -> list[Block]:
    assert isinstance(text, str)
    return [{"type": kind, field: text[at : at + 12]} for at in range(0, len(text), 12)]


_DELTAS = {"thinking": _thinking, "text": _text, "tool_use": _tool_use}


def session(turns: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    agent = Agent(seed)
    for _ in range(turns):
        yield agent.turn()


def interleaved(turns: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """Two agents with prompts of their own, by turns."""
    agents = [Agent(seed), Agent(seed + 1, shared=7)]
    for number in range(turns):
        yield agents[number % 2].turn()


def compacted(turns: int, seed: int = 1, each: int = 80) -> Iterator[tuple[bytes, bytes]]:
    """A summary replaces the conversation now and then; small side calls between."""
    agent, side = Agent(seed), Agent(seed + 1, model="claude-haiku-4-5", shared=9)
    for number in range(turns):
        if number and number % each == 0:
            agent.compact()
        yield agent.turn()
        if number % 10 == 0:
            side.compact()
            yield side.turn()


def many(sessions: int, turns: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """One agent's sessions, one after the other, on different work."""
    for number in range(sessions):
        yield from session(turns, seed + number)
