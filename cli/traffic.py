"""`wirescribe traffic`: what was recorded, entry by entry."""

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

import rich_click as click

from cli import hints, options, output, times, units
from cli.client import Client
from cli.errors import say
from storage.records import EntryKind, Outcome, Side

if TYPE_CHECKING:
    from cli.client.shapes import EntryBody
    from cli.client.understood import TurnPage

_WIDE = ("ENTRY", "TIME", "METHOD", "URL", "STATUS", "OUTCOME", "SENT", "RECEIVED", "TOOK")
_NARROW = ("ENTRY", "TIME", "METHOD", "URL", "ENDED", "SIZE", "TOOK")
_HINT = (
    "nothing matches; `wirescribe run -- claude` records an agent, `wirescribe sessions list` shows"
)


def _status(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[1-5]([0-9][0-9]|xx)", value.lower()):
        raise click.BadParameter(f"{value!r} is neither a status such as 404 nor a class as 4xx")
    return value.lower() if value else None


@click.group()
def traffic() -> None:
    """Traffic entries: requests and their responses, WebSockets, tunnels."""


@traffic.command("list")
@click.option("--session", metavar="ID_OR_NAME", help="Of this session alone.")
@click.option("--host", help="To this host.")
@click.option("--method", help="GET, POST ...")
@click.option("--status", metavar="CODE", callback=_status, help="200, or 4xx for a class.")
@click.option("--kind", type=click.Choice(get_args(EntryKind)), help="What they are.")
@click.option("--outcome", type=click.Choice(["open", *get_args(Outcome)]), help="How they ended.")
@click.option("--text", help="Part of host, path, query, content type or error.")
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option("--after", metavar="ID", help="Go on behind this entry: `next` of the page before.")
@options.as_json
@options.client
def list_page(
    client: Client,
    session: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
    **conditions: Any,
) -> None:
    """List entries, newest first."""
    from cli.client.shapes import TrafficFilter

    session_id = client.find_session(session).id if session else None
    asked = TrafficFilter(session_id=session_id, **conditions)
    page = client.page_traffic(asked, after=after, limit=limit)
    if as_json:
        output.json(page)
        return
    if not page.entries:
        say(_HINT)
        return
    is_narrow = output.is_terminal()
    output.table(
        _NARROW if is_narrow else _WIDE,
        map(_narrow_row if is_narrow else _wide_row, page.entries),
        right=("STATUS", "SENT", "RECEIVED", "SIZE", "TOOK"),
        elastic="URL",
    )
    if page.next:
        say(f"{len(page.entries)} of {page.total:,}; the next: --after {page.next}")


def _wide_row(entry: "EntryBody") -> tuple[object, ...]:
    return (
        entry.id,
        times.moment(entry.timestamp),
        entry.method,
        entry.url,
        entry.status or "-",
        entry.outcome or "open",
        units.size(entry.request_body_size),
        units.size(entry.response_body_size),
        times.duration(entry.duration),
    )


def _narrow_row(entry: "EntryBody") -> tuple[object, ...]:
    outcome = entry.outcome or "open"
    ended = entry.status if entry.status and outcome == "complete" else outcome
    return (
        hints.prefix(entry.id),
        times.of_day(entry.timestamp),
        entry.method,
        entry.url.removeprefix("https://"),
        ended,
        units.size(entry.request_body_size + entry.response_body_size),
        times.duration(entry.duration),
    )


@traffic.command()
@click.argument("entry")
@click.option("--request-body", "side", flag_value="request", help="The request's body alone.")
@click.option("--response-body", "side", flag_value="response", help="The response's body alone.")
@click.option("--decoded", "is_decoded", is_flag=True, help="Bodies without their content coding.")
@options.as_json
@options.client
def show(client: Client, entry: str, side: Side | None, is_decoded: bool, as_json: bool) -> None:
    """
    Show an entry, by its id or the beginning of it; of a model call also what was said.

    A body is written to stdout as it was captured, byte by byte; on a terminal without what
    could control it.
    """
    if as_json and side:
        raise click.UsageError("a body is bytes as they were captured, and no JSON")
    found = client.find_entry(entry)
    if side:
        _write(client.body(found.id, side, is_decoded=is_decoded))
    elif as_json:
        output.json(found)
    else:
        _show(found, client.understood.turns_of(found.id))


def _show(entry: "EntryBody", calls: "TurnPage") -> None:
    marks = ", ".join(entry.marks) or None
    output.facts(
        {
            "Entry": entry.id,
            "Session": entry.session_id,
            "Started": times.exact(entry.timestamp),
            "Took": times.duration(entry.duration),
            "Outcome": entry.outcome or "open",
            "Error": entry.error,
            "Way": entry.way,
            "From": entry.client_address,
            "To": entry.remote_address,
            "TLS": entry.tls_version,
            "Marks": marks,
            "Continues": entry.continues,
            "Messages": entry.frame_count,
            "Closed": _closing(entry),
            "Sent": units.size(entry.request_body_size),
            "Received": units.size(entry.response_body_size),
        }
    )
    if calls.turns:
        from cli import lines, turns

        click.echo()
        lines.show(turns.of_entry(calls.turns, calls.total))
    click.echo(f"\n{entry.method} {output.line(entry.url)} {entry.http_version or ''}".rstrip())
    _headers(entry.request_headers)
    if entry.status is not None:
        version, reason = entry.response_http_version or "", entry.status_text or ""
        click.echo("\n" + output.line(f"{version} {entry.status} {reason}".strip()))
        _headers(entry.response_headers or {})
    for name, body in (("request", entry.request_body), ("response", entry.response_body)):
        if body and output.is_terminal():
            say(f"its {name} body: wirescribe traffic show {entry.id} --{name}-body --decoded")


def _closing(entry: "EntryBody") -> str | None:
    if entry.close_code is None:
        return None
    return f"{entry.close_code} {entry.close_reason or ''}".strip()


def _headers(headers: dict[str, str | list[str]]) -> None:
    for name, values in headers.items():
        for value in [values] if isinstance(values, str) else values:
            click.echo(output.line(f"{name}: {value}"))


def _write(pieces: Iterator[bytes]) -> None:
    if output.is_terminal():
        for text in output.texts(pieces):
            sys.stdout.write(text)
        sys.stdout.write("\n")
        return
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
