"""What is understood of sessions: whose they are, what they are about, and their sums."""

import sqlite3
from collections.abc import Sequence

import msgspec

from storage import at_once, figures
from storage.figures import Figures
from storage.records import Record


class Understanding(Record, frozen=True, kw_only=True):
    """
    Of what conversations did in a session; the words are those of its first root, wherever that
    began.

    A session without any has counts of 0 and None for the rest.
    """

    summary: str | None = None
    cwd: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    model: str | None = None
    git_branch: str | None = None
    conversations: int = 0  # roots
    subagents: int = 0
    figures: Figures = Figures()


NOTHING = Understanding()
_WORDS = ("summary", "cwd", "agent", "agent_version", "model", "git_branch")


def of_sessions(
    conn: sqlite3.Connection, session_id: str | None = None, *, among: Sequence[str] | None = None
) -> dict[str, Understanding]:
    """By session: of one, of some, or of all that have any. One query, whatever their number."""
    # What stands first in `first` sorts first: roots that speak for themselves, oldest first. One
    # join, with the words of that one found by its id, takes a third of a window function's time.
    asked = [session_id] if session_id is not None else among
    where = "" if asked is None else "where s.session_id in (select value from json_each(:asked))"
    sums = [f"sum_{number}" for number in range(figures.WIDTH)]
    source = f"""
        with total (session_id, roots, subagents, {", ".join(sums)}, first) as materialized (
            select s.session_id,
                sum(k.parent_id is null and not k.is_subagent and k.thread_turns > 0),
                sum(k.parent_id is not null or k.is_subagent),
                {figures.SUMS.replace("c.", "s.")},
                min((k.parent_id is not null) || k.is_subagent || (k.thread_turns = 0)
                    || k.first_turn || ' ' || k.id) as first
            from shares s join conversations k on k.id = s.conversation_id {where}
            group by s.session_id
        )
        select t.*, f.summary, f.cwd, f.agent, f.agent_version, f.model, f.git_branch
        from total t join conversations f on f.id = substr(t.first, instr(t.first, ' ') + 1)
    """
    columns = [*_WORDS, "session_id", "roots", "subagents", *sums]
    found = at_once.rows(conn, columns, source, {"asked": msgspec.json.encode(asked).decode()})
    return {
        row[6]: Understanding(
            summary=row[0],
            cwd=row[1],
            agent=row[2],
            agent_version=row[3],
            model=row[4],
            git_branch=row[5],
            conversations=row[7],
            subagents=row[8],
            figures=figures.of_row(row[9:]),
        )
        for row in found
    }
