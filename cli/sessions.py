"""`wirescribe sessions`: capture sessions."""

from typing import TYPE_CHECKING, Literal

import rich_click as click

from cli import options, output, times, units
from cli.client import Client
from cli.errors import say
from storage.errors import NotFound

if TYPE_CHECKING:
    from cli.client.shapes import Session

_SHORT = 8
_HINT = (
    "there is no session yet: `wirescribe run -- claude` makes one, or `wirescribe sessions create`"
)


@click.group()
def sessions() -> None:
    """Capture sessions: named containers of traffic."""


@sessions.command("list")
@options.as_json
@options.client
def list_all(client: Client, as_json: bool) -> None:
    """List all sessions, newest first."""
    found = client.list_sessions()
    if as_json:
        output.json({"sessions": found, "total": len(found)})
        return
    if not found:
        say(_HINT)
        return
    created = times.of_day if output.is_terminal() else times.moment
    output.table(
        ("SESSION", "NAME", "STATE", "ENTRIES", "SIZE", "CREATED"),
        [
            (
                shown_id,
                session.name,
                _state(session),
                session.traffic_count,
                units.size(session.total_bytes),
                created(session.created_at),
            )
            for session, shown_id in zip(found, _shown_ids(found), strict=True)
        ],
        right=("ENTRIES", "SIZE"),
        elastic="NAME",
    )


@sessions.command()
@options.session_argument
@options.as_json
@options.client
def show(client: Client, session: str, as_json: bool) -> None:
    """Show one session."""
    found = client.find_session(session)
    if as_json:
        output.json(found)
        return
    output.facts(
        {
            "Session": found.id,
            "Name": found.name,
            "State": _state(found),
            "Origin": found.origin,
            "Entries": f"{found.traffic_count:,}",
            "Size": units.size(found.total_bytes),
            "Created": times.moment(found.created_at),
            "Updated": times.moment(found.updated_at),
            "Prompt": found.summary and " ".join(found.summary.split())[:300],
            "Project": found.project,
            "Agent": found.agent,
            "Model": found.model,
            **(_figures(found) if found.turn_count else {}),
        }
    )


def _figures(found: "Session") -> dict[str, str]:
    return {
        "Conversations": f"{found.conversation_count:,}",
        "Model calls": f"{found.turn_count:,}",
        "Errors": f"{found.error_count:,}",
        "Tool calls": f"{found.tool_call_count:,}",
        "Tokens": f"{units.short(found.input_tokens)} in, {units.short(found.output_tokens)} out",
        "Cost": units.cost(found.cost_usd, unpriced=found.unpriced_turns),
    }


@sessions.command()
@click.argument("name", required=False)
@click.option("--activate", "is_activated", is_flag=True, help="Make it the active one.")
@options.as_json
@options.client
def create(client: Client, name: str | None, is_activated: bool, as_json: bool) -> None:
    """Create a session, and print its id. Without NAME it gets one with the time."""
    made = client.create_session(name)
    if is_activated:
        made = client.activate_session(made.id)
    _tell(made, as_json=as_json, text=f"created {made.name!r}, {_state(made)}", is_id_data=True)


@sessions.command()
@options.session_argument
@options.as_json
@options.client
def activate(client: Client, session: str, as_json: bool) -> None:
    """Make a session the active one: untagged traffic goes there. It records then."""
    changed = client.activate_session(client.find_session(session).id)
    _tell(changed, as_json=as_json, text=f"{changed.name!r} is active and recording")


@sessions.command()
@options.session_argument
@click.argument("name")
@options.as_json
@options.client
def rename(client: Client, session: str, name: str, as_json: bool) -> None:
    """Give a session another name."""
    changed = client.change_session(client.find_session(session).id, name=name)
    _tell(changed, as_json=as_json, text=f"renamed to {changed.name!r}")


@sessions.command()
@click.argument("state", type=click.Choice(["on", "off"]), metavar="on|off")
@click.argument("session", required=False)
@options.as_json
@options.client
def record(client: Client, state: Literal["on", "off"], session: str | None, as_json: bool) -> None:
    """Turn recording of a session on or off; of the active one if none is named."""
    chosen = client.find_session(session) if session else _active(client)
    changed = client.change_session(chosen.id, is_recording=state == "on")
    _tell(changed, as_json=as_json, text=f"{changed.name!r} is {_state(changed)}")


@sessions.command()
@options.session_argument
@options.as_json
@options.client
def pin(client: Client, session: str, as_json: bool) -> None:
    """Keep a session whatever `retention.days` and `retention.max_gb` say."""
    changed = client.change_session(client.find_session(session).id, is_pinned=True)
    _tell(changed, as_json=as_json, text=f"{changed.name!r} is pinned")


@sessions.command()
@options.session_argument
@options.as_json
@options.client
def unpin(client: Client, session: str, as_json: bool) -> None:
    """Let retention drop a session again, when it is old enough counted from now."""
    changed = client.change_session(client.find_session(session).id, is_pinned=False)
    _tell(changed, as_json=as_json, text=f"{changed.name!r} is not pinned")


@sessions.command()
@click.option("--clear", "is_clearing", is_flag=True, help="Forget them, names and all.")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="How many at most."
)
@options.as_json
@options.client
def dropped(client: Client, is_clearing: bool, limit: int, as_json: bool) -> None:
    """List the sessions that retention dropped, newest first."""
    if is_clearing:
        cleared = client.clear_drops()
        if as_json:
            output.json({"cleared": cleared})
        else:
            say(f"forgot {units.count(cleared, 'dropped session', 'dropped sessions')}")
        return
    found = client.dropped_sessions(limit=limit)
    if as_json:
        output.json(found)
        return
    if not found.drops:
        say("retention has dropped nothing")
        return
    output.table(
        ("SESSION", "NAME", "LIMIT", "ENTRIES", "SIZE", "LAST USED", "DROPPED"),
        [
            (
                drop.session_id,
                drop.name,
                drop.reason,
                drop.traffic_count,
                units.size(drop.total_bytes),
                times.moment(drop.updated_at),
                times.moment(drop.dropped_at),
            )
            for drop in found.drops
        ],
        right=("ENTRIES", "SIZE"),
        elastic="NAME",
    )
    if found.total > len(found.drops):
        say(f"{found.total - len(found.drops):,} more: --limit shows them")


@sessions.command()
@options.session_argument
@options.yes
@options.client
def delete(client: Client, session: str, yes: bool) -> None:
    """Delete a session and all that it recorded, for good."""
    found = client.find_session(session)
    entries = units.count(found.traffic_count, "entry", "entries")
    question = f"Delete {output.line(found.name)!r} with {entries}, for good?"
    options.confirm(question, yes=yes)
    is_gone = client.delete_session(found.id)
    say(f"deleted {found.name!r}")
    if not is_gone:
        say("some of its bytes are still on the disk: the next `wirescribe up` or `serve` goes on")


def _active(client: Client) -> "Session":
    active = next((one for one in client.list_sessions() if one.is_active), None)
    if active is None:
        raise NotFound("no session is active: name one, or `wirescribe sessions activate` it")
    return active


def _tell(session: "Session", *, as_json: bool, text: str, is_id_data: bool = False) -> None:
    if as_json:
        output.json(session)
        return
    if is_id_data:
        click.echo(session.id)
    say(text)


def _state(session: "Session") -> str:
    words = [
        word
        for word, is_so in (("active", session.is_active), ("recording", session.is_recording))
        if is_so
    ]
    words = words or ["stopped"]
    return ", ".join([*words, "pinned"] if session.is_pinned else words)


def _shown_ids(found: "list[Session]") -> list[str]:
    """Whole where a program may read them, else as short as tells them apart."""
    ids = [session.id for session in found]
    if not output.is_terminal():
        return ids
    length = _SHORT
    while len({one[:length] for one in ids}) < len(ids):
        length += 1
    return [one[:length] for one in ids]
