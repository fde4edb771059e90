"""What `run` says at the end of an agent: what was recorded, and what to do if nothing was."""

import time
from typing import TYPE_CHECKING

import msgspec

from cli import hints, units
from storage.datadir import DataDir
from storage.errors import WirescribeError

if TYPE_CHECKING:
    from cli.client.http import HttpClient
    from cli.client.shapes import Session

# Goal 9 allows 0.3 s at the exit. The proxy writes what it gathered every 25 ms, the server reads
# it as often; a session that did not change for two looks is taken to be complete.
_PATIENCE_S = 0.25
_LOOK_S = 0.04


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The session as the agent found it."""

    datadir: DataDir
    server: "HttpClient"
    session: "Session"
    distrusting: int  # entries whose TLS the client refused


def begin(datadir: DataDir, server: "HttpClient", session: "Session") -> Start:
    distrusting = server.traffic_total(session.id, "tls_failed") if session.traffic_count else 0
    return Start(datadir=datadir, server=server, session=session, distrusting=distrusting)


def end(start: Start, command: str, *, is_base_url: bool) -> str:
    """One line, and a second one if the agent was not recorded. Never raises for a lost server."""
    server = start.server.hasty()
    try:
        session = _settled(server, start.session)
        distrusting = server.traffic_total(session.id, "tls_failed") - start.distrusting
    except WirescribeError as error:
        return f"wirescribe: what was recorded will be in {start.session.name!r}; {error}"
    entries = session.traffic_count - start.session.traffic_count
    size = units.size(session.total_bytes - start.session.total_bytes)
    told = [units.count(entries, "entry", "entries"), size, *understood(session, start.session)]
    what = "conversations" if session.conversation_count else "traffic"
    there = hints.data_dir(start.datadir)
    look = f"wirescribe {what} list{there} --session {hints.prefix(session.id)}"
    line = f"wirescribe: {session.name}: {', '.join(told)}; {look}"
    if session.turn_count > start.session.turn_count:
        distrusting = (
            0  # its model calls came through: what failed was a connection that it dropped
        )
    if advice := _advice(entries, distrusting, command, is_base_url=is_base_url):
        line += f"\nwirescribe: {advice}"
    return line


def understood(session: "Session", before: "Session") -> list[str]:
    """What the model calls of this run came to; nothing where there was none."""
    turns = session.turn_count - before.turn_count
    if turns <= 0:
        return []
    told = [units.count(turns, "model call", "model calls") + _failed(session, before, turns)]
    if session.error_count - before.error_count >= turns and not _moved(session, before):
        return told  # nobody said what they cost, so no zero
    if session.input_tokens is not None and session.output_tokens is not None:
        asked = session.input_tokens - (before.input_tokens or 0)
        answered = session.output_tokens - (before.output_tokens or 0)
        told.append(f"{units.short(asked)} tokens in, {units.short(answered)} out")
    if session.cost_usd is not None:
        cost = session.cost_usd - (before.cost_usd or 0.0)
        told.append(units.cost(cost, unpriced=session.unpriced_turns - before.unpriced_turns))
    return told


def _failed(session: "Session", before: "Session", turns: int) -> str:
    failed = session.error_count - before.error_count
    if failed <= 0:
        return ""
    return (
        " (failed)" if turns == 1 else " (all failed)" if failed >= turns else f" ({failed} failed)"
    )


def _moved(session: "Session", before: "Session") -> bool:
    """Whether the sums tell more than before."""
    return (session.input_tokens, session.output_tokens, session.cost_usd) != (
        before.input_tokens,
        before.output_tokens,
        before.cost_usd,
    )


def _settled(server: "HttpClient", before: "Session") -> "Session":
    """The session once it stopped growing, or as it is when patience ends."""
    deadline = time.monotonic() + _PATIENCE_S
    seen = before
    while True:
        time.sleep(_LOOK_S)
        session = server.get_session(before.id)
        same = _size(session) == _size(seen)
        if (same and session.traffic_count > before.traffic_count) or time.monotonic() > deadline:
            return session
        seen = session


def _size(session: "Session") -> tuple[int, int, int]:
    return session.traffic_count, session.total_bytes, session.turn_count


def _advice(entries: int, distrusting: int, command: str, *, is_base_url: bool) -> str | None:
    if entries <= 0:
        way = "follows its base URL" if is_base_url else "honours HTTPS_PROXY"
        other = "without --base-url" if is_base_url else "with --base-url"
        return (
            f"nothing came through the proxy. If {command} called a model: see whether it {way} "
            f"(its own settings may override it), or try {other}"
        )
    if distrusting <= 0:
        return None
    failed = "all" if distrusting >= entries else f"{distrusting}"
    return (
        f"{command} does not trust Wirescribe's certificate authority: {failed} of its connections "
        "failed. See which variable it takes a CA from (`wirescribe env` shows those that are "
        "set), or try with --base-url"
    )
