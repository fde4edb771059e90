"""`wirescribe tail`: what happens now, one line each."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

from addons.framing import sse
from cli import client as clients
from cli import lines, options, output, times, token
from cli.errors import say
from cli.lines import Line
from storage.datadir import DataDir

if TYPE_CHECKING:
    from cli.client.http import HttpClient

_TEXT_SIGNS = 160  # of a text or a tool's arguments in a line


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    kind: str
    text: str | None = None
    name: str | None = None
    arguments: str | None = None
    is_error: bool | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of the server's events, what a line shows."""

    type: str
    seq: int | None = None
    at: int | None = None
    agent: str | None = None
    conversation_id: str | None = None
    is_subagent: bool = False
    is_complete: bool = True
    request_class: str | None = None
    model: str | None = None
    prompt: str | None = None
    part: _Part | None = None
    stop_reason: str | None = None
    failure: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    name: str | None = None
    session_id: str | None = None
    reason: str | None = None  # of a deletion: the limit that it was for
    degraded: str | None = None
    oldest_seq: int | None = None


_EVENT = msgspec.json.Decoder(_Event)


@click.command()
@click.option("--session", metavar="ID", help="Only of this session or conversation.")
@click.option("--since", metavar="SEQ", type=int, help="Go on behind this event.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print all events, one JSON object a line.")
@options.server_url
@options.data_dir
def tail(
    datadir: DataDir,
    server_url: str | None,
    session: str | None,
    since: int | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """
    Watch what agents do, as it happens: prompts, answers, tool calls. Ends with ^C.

    Needs a server that runs. With --json also the text of answers while it comes, and `seq`, from
    which --since continues.
    """
    server = _server(datadir, server_url)
    shown = 0
    for data in _events(server, session, since):
        line = None if as_json else _line(_EVENT.decode(data))
        if as_json:
            output.json_line(data)
        elif line is not None:
            lines.show([line])
        shown += as_json or line is not None
        if shown == limit:
            return


def _server(datadir: DataDir, url: str | None) -> "HttpClient":
    from cli.client.http import HttpClient

    return HttpClient(url, os.environ.get(token.VARIABLE)) if url else clients.of_server(datadir)


def _events(server: "HttpClient", session: str | None, since: int | None) -> Iterator[str]:
    """The data of all events. Whoever reads too slowly is let go by the server, and comes back."""
    while True:
        decoder, is_dropped = sse.Decoder(), False
        for piece in server.watch(session, since):
            for event in decoder.feed(piece):
                if event.name == "closing":
                    say("the server stops")
                    return
                is_dropped = is_dropped or event.name == "dropped"
                if event.name == "dropped":
                    continue
                since = _EVENT.decode(event.data).seq or since
                yield event.data
        if not is_dropped:
            say("the server has gone")
            return


def _line(event: _Event) -> Line | None:
    """None: this one is for programs."""
    match event.type:
        case "turn.begun":
            return _begun(event)
        case "part.done" if event.part is not None:
            return _part(event, event.part)
        case "turn.ended":
            return _ended(event)
        case "session.created" | "session.updated" | "session.deleted":
            what = event.type.partition(".")[2]
            why = f" by {event.reason}" if event.reason else ""
            return Line(text=f"session {event.name or event.session_id} {what}{why}", tone="faint")
        case "store.degraded":
            text = f"degraded: {event.degraded}" if event.degraded else "recording is well again"
            return Line(text=text, tone="bad" if event.degraded else "good")
        case "gap":
            return Line(text="events before this one are not kept any more", tone="bad")
    return None


def _begun(event: _Event) -> Line:
    if event.prompt is not None:
        return _of_turn(event, f"> {_short(event.prompt)}", "user")
    what = "" if event.request_class in ("main", None) else f" ({event.request_class})"
    return _of_turn(event, f"asks {event.model or 'a model'}{what}", "faint")


def _part(event: _Event, part: _Part) -> Line | None:
    if part.kind == "tool-call":
        return _of_turn(event, f"calls {part.name} {_short(part.arguments or '')}", "tool")
    if part.kind == "tool-result":
        return _of_turn(event, f"result: {_short(part.text or '')}", "tool")
    if part.kind == "thinking":
        return _of_turn(event, f"thinks {_short(part.text)}", "thought") if part.text else None
    return _of_turn(event, f"says {_short(part.text)}", "model") if part.text else None


def _ended(event: _Event) -> Line:
    if event.failure is not None:
        return _of_turn(event, f"failed: {_short(event.failure)}", "bad")
    if not event.is_complete:
        return _of_turn(event, "was cut off", "bad")
    counts = [
        f"{count:,} tokens {way}"
        for count, way in ((event.input_tokens, "in"), (event.output_tokens, "out"))
        if count is not None
    ]
    how = f"ended {event.stop_reason or ''}".strip()
    return _of_turn(event, ", ".join([how, *counts]), "faint")


def _of_turn(event: _Event, text: str, tone: lines.Tone) -> Line:
    at = times.of_day(event.at) if event.at is not None else ""
    return Line(text=f"{at}  {event.agent}  {text}", tone=tone)


def _short(text: str) -> str:
    """On one line, and no longer than one looks at."""
    joined = " ".join(text.split())
    return joined if len(joined) <= _TEXT_SIGNS else joined[: _TEXT_SIGNS - 1].rstrip() + "…"
