"""
What happens now: `/ws` in the words of document 001, `/api/live` in our own.

Both continue behind a `seq`. Events that are not kept any more are said to be missing before
anything else: `{"type": "gap", "since", "oldest_seq"}` on the socket, an event `gap` on the stream.
A consumer that does not keep up is let go: close code 1013, or a last event `dropped`.

Document 001 says nothing of filters and gaps; `session_id` of its events is a root conversation.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Router, WebSocket, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from api.access import Access, Reach
from api.errors import ApiError, documented
from storage import conversations, sessions
from storage.errors import Conflict, NotFound
from storage.feed import Ended, Event, Missed, Subscription

_KEEP_ALIVE_S = 15.0  # below what proxies and browsers wait for
_LAST_WORDS_S = 0.5  # for what is being sent when a consumer is let go
_CLOSING_S = 10.0  # for a slow consumer to read so far as to see why

_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013  # RFC 6455 and IANA's registry of close codes
_INVALID, _AMBIGUOUS = 4400, 4409

Since = Annotated[
    int | None, QueryParameter(ge=0, description="Continue behind the event with this `seq`")
]
Of = Annotated[
    str | None,
    QueryParameter(
        name="session",
        description="Only events of this capture session or conversation: an id or a prefix of one",
    ),
]
LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="As `since`, by EventSource")
]


@websocket("/ws", summary="Live events in the words of Claude Code's hooks")
async def watch_hooks(socket: WebSocket[Any, Any, Any], access: Reach) -> None:
    """What the client sends is ignored, and there is no greeting."""
    await socket.accept()
    try:
        since = _number(socket.query_params.get("since"))
        about = await _about(access, socket.query_params.get("session"))
    except ValueError:
        await socket.close(_INVALID, "since is no seq")
        return
    except Conflict as error:
        await socket.close(_AMBIGUOUS, str(error)[:100])
        return
    subscription = access.store.feed.subscribe("hooks", about=about, since=since)
    try:
        await _talk(socket, subscription)
    finally:
        subscription.close()


@get(
    "/api/live",
    operation_id="watchLive",
    summary="Live events, with the text of running turns as it comes (server-sent events)",
    media_type="text/event-stream",
    tags=["live"],
    responses=documented(409),
)
async def watch_live(
    access: Reach,
    of: Of = None,
    since: Since = None,
    last_event_id: LastEventId = None,
) -> Stream:
    """
    `event` is the `type` of the JSON object in `data`, `id` its `seq`.

    Types: `entry.opened`, `entry.closed`, `turn.begun`, `delta`, `part.done`, `turn.ended`,
    `turn.stored`, `session.created`, `session.updated`, `session.deleted`, `store.degraded`; and
    of the stream itself `gap`, `dropped`, `closing`.
    """
    try:
        behind = since if last_event_id is None else _number(last_event_id)
    except ValueError as error:
        raise ApiError(400, "Last-Event-ID is no seq", "INVALID_REQUEST") from error
    about = await _about(access, of)
    return Stream(_lines(access, about, behind), media_type="text/event-stream")


@post(
    "/api/sessions/{session_id:str}/run-ended",
    operation_id="endRun",
    summary="Say that the `wirescribe run` of a session is over",
    status_code=204,
    tags=["sessions"],
    responses=documented(404),
)
async def end_run(access: Reach, session_id: FromPath[str]) -> None:
    """Its conversations get their SessionEnd as soon as the last of their traffic was read."""
    found = sessions.get(access.read(), session_id)
    access.store.feed.run_ended(found.id)


ROUTER = Router("/", route_handlers=[watch_hooks, watch_live, end_run])


async def _about(access: Access, text: str | None) -> str | None:
    """Raises Conflict if several have this prefix. What is not known may still come."""
    if not text:
        return None
    return await access.in_thread(lambda conn: _id_of(conn, text))


def _id_of(conn: sqlite3.Connection, text: str) -> str:
    found: set[str] = set()
    for find in (sessions.find, conversations.find):
        with contextlib.suppress(NotFound):
            one = find(conn, text).id
            if one == text:
                return text
            found.add(one)
    if len(found) > 1:
        raise Conflict(f"{text!r} may be {' or '.join(sorted(found))}")
    return found.pop() if found else text


def _number(text: str | None) -> int | None:
    """Raises ValueError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(text)
    return int(text)


# --- the socket ----------------------------------------------------------------------------------


async def _talk(socket: WebSocket[Any, Any, Any], subscription: Subscription) -> None:
    """Until the client leaves, or is let go."""
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(_send(socket, subscription))
        listening = group.create_task(_listen(socket))
        ending = group.create_task(subscription.ended())
        tasks = [sending, listening, ending]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            await asyncio.wait([sending, listening], timeout=_LAST_WORDS_S)
        is_left = listening.done()
        for task in tasks:
            task.cancel()
    if is_left:
        return
    code = _TRY_AGAIN_LATER if subscription.reason == "too slow" else _GOING_AWAY
    with contextlib.suppress(TimeoutError, WebSocketDisconnect, OSError):
        async with asyncio.timeout(_CLOSING_S):
            await socket.close(code, subscription.reason)


async def _send(socket: WebSocket[Any, Any, Any], subscription: Subscription) -> None:
    with contextlib.suppress(Ended, WebSocketDisconnect, OSError):
        if subscription.missed is not None:
            await socket.send_text(_gap(subscription.missed, {}))
        while True:
            for event in await subscription.next(_KEEP_ALIVE_S):
                await socket.send_text(event.data.decode())


async def _listen(socket: WebSocket[Any, Any, Any]) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


# --- the stream ----------------------------------------------------------------------------------


async def _lines(access: Access, about: str | None, since: int | None) -> AsyncIterator[bytes]:
    subscription = access.store.feed.subscribe("native", about=about, since=since)
    try:
        yield b": live\n\n"
        if subscription.missed is not None:
            yield _block("gap", _gap(subscription.missed, {"oldest_seq": "oldestSeq"}))
        while True:
            events = await subscription.next(_KEEP_ALIVE_S)
            yield b"".join(map(_event, events)) or b":\n\n"
    except Ended as ended:
        name = "dropped" if ended.reason == "too slow" else "closing"
        data = msgspec.json.encode({"type": name, "reason": ended.reason})
        yield _block(name, data.decode())
    finally:
        subscription.close()


def _event(event: Event) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.name.encode(), event.data)


def _block(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _gap(missed: Missed, names: dict[str, str]) -> str:
    fields = {"since": missed.since, "oldest_seq": missed.oldest_seq}
    named = {names.get(name, name): value for name, value in fields.items()}
    return msgspec.json.encode({"type": "gap", **named}).decode()
