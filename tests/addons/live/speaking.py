"""Model calls as the proxy spools them, piece by piece, and what the feed told of them."""

import asyncio
import time

import msgspec

from storage import ids
from storage.records import EntryOpened
from tests.addons.ingest.spooling import LoggedEntry

JSON = ((b"Content-Type", b"application/json"),)
SSE = ((b"Content-Type", b"text/event-stream"),)


class Spoken(LoggedEntry):
    """An entry that started now; each call makes a record one millisecond after the one before."""

    def __init__(
        self, log, session, *, headers, target, kind="http", ago_s=0, way="proxy", id=None
    ):
        self.raw = ids.raw(id) if id else ids.new_bytes()
        self.id = ids.text(self.raw)
        self.number = 0
        self.now_ns = 0
        self._log = log
        opened = EntryOpened(
            kind=kind, way=way, started_ns=time.time_ns() - ago_s * 1_000_000_000,
            session=session, client="127.0.0.1:5000",
            method="GET" if kind == "websocket" else "POST", scheme="https",
            host="api.example.com", port=443, target=target, http_version="HTTP/1.1",
            headers=headers,
        )  # fmt: skip
        self.pack("open", opened)

    def asks(self, body):
        data = msgspec.json.encode(body)
        return self.chunk("request", data).end("request", len(data)).response(headers=SSE)

    def sends(self, kind, **fields):
        """One event of an SSE stream."""
        data = msgspec.json.encode({"type": kind, **fields}).decode()
        return self.chunk("response", f"event: {kind}\ndata: {data}\n\n".encode())

    def ends(self):
        return self.end("response").close()


def claude(log, session, *messages, conversation="conv-1", agent=None, title=False, **options):
    """The request of a call of Claude Code, whole."""
    headers = [
        (b"Content-Type", b"application/json"),
        (b"User-Agent", b"claude-cli/2.1.330 (external, cli)"),
        (b"X-Claude-Code-Session-Id", conversation.encode()),
    ]
    if agent:
        headers += [
            (b"x-claude-code-agent-id", agent.encode()),
            (b"x-claude-code-agent-type", b"Explore"),
            (b"x-claude-code-request-class", b"subagent"),
        ]
    else:
        headers.append((b"x-claude-code-request-class", b"auxiliary" if title else b"main"))
    spoken = Spoken(
        log, session, headers=tuple(headers), target=b"/v1/messages?beta=true", **options
    )
    body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True}
    return spoken.asks(body | {"messages": messages, "tools": []})


def user(content):
    return {"role": "user", "content": content}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def use(call_id, name, **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id, text, **fields):
    return {"type": "tool_result", "tool_use_id": call_id, "content": text, **fields}


def begins(entry, id="msg_1"):
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {
        "id": id, "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [], "stop_reason": None, "usage": usage,
    }  # fmt: skip
    return entry.sends("message_start", message=message)


def says(entry, text, index=0, pieces=2):
    entry.sends("content_block_start", index=index, content_block={"type": "text", "text": ""})
    size = -(-len(text) // pieces)
    for at in range(0, len(text), size):
        delta = {"type": "text_delta", "text": text[at : at + size]}
        entry.sends("content_block_delta", index=index, delta=delta)
    return entry.sends("content_block_stop", index=index)


def calls(entry, block, index=0):
    """The model calls a tool: `block` as `use` makes it."""
    entry.sends("content_block_start", index=index, content_block={**block, "input": {}})
    text = msgspec.json.encode(block["input"]).decode()
    delta = {"type": "input_json_delta", "partial_json": text}
    entry.sends("content_block_delta", index=index, delta=delta)
    return entry.sends("content_block_stop", index=index)


def stops(entry, reason="end_turn"):
    entry.sends("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 5})
    return entry.sends("message_stop").ends()


# --- a socket of Codex ----------------------------------------------------------------------------


def codex(log, session, *, conversation="codex-1", **options):
    headers = (
        (b"User-Agent", b"codex_exec/0.169.0 (Debian 12.0.0; x86_64)"),
        (b"originator", b"codex_exec"),
        (b"session-id", conversation.encode()),
        (b"thread-id", conversation.encode()),
    )
    entry = Spoken(
        log, session, headers=headers, target=b"/v1/responses", kind="websocket", **options
    )
    return entry.response(status=101, headers=((b"Upgrade", b"websocket"),))


def creates(entry, *items, previous=None):
    body = {"type": "response.create", "model": "gpt-6.1-sol", "input": list(items)}
    if previous:
        body["previous_response_id"] = previous
    return entry.message(msgspec.json.encode(body))


def tells(entry, **event):
    return entry.message(msgspec.json.encode(event), from_client=False)


def responds(entry, response_id, *items):
    """A whole answer on a socket."""
    response = {"id": response_id, "model": "gpt-6.1-sol", "output": []}
    tells(entry, type="response.created", response=response | {"status": "in_progress"})
    for index, item in enumerate(items):
        tells(entry, type="response.output_item.added", output_index=index, item=item)
        tells(entry, type="response.output_item.done", output_index=index, item=item)
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    done = response | {"status": "completed", "output": list(items), "usage": usage}
    return tells(entry, type="response.completed", response=done)


def item(text, role="user"):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def shell(call_id, command):
    arguments = msgspec.json.encode({"cmd": command}).decode()
    return {
        "type": "function_call", "id": f"fc_{call_id}", "call_id": call_id,
        "name": "exec_command", "arguments": arguments, "status": "completed",
    }  # fmt: skip


def output(call_id, text):
    return {"type": "function_call_output", "call_id": call_id, "output": text}


# --- what was told --------------------------------------------------------------------------------


def told(feed, channel, about=None, since=0):
    """All events of a channel that are kept, as objects."""

    async def read():
        subscription = feed.subscribe(channel, about=about, since=since)
        return [msgspec.json.decode(event.data) for event in await subscription.next(0)]

    return asyncio.run(read())


def hooks(feed, **fields):
    """Names of the hooks so far, or the given fields of them."""
    return [event["hook_event_name"] for event in told(feed, "hooks", **fields)]


def types(feed, **fields):
    return [event["type"] for event in told(feed, "native", **fields)]
