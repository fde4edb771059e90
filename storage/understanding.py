"""What is understood of sessions: whose they are, what they are about, and their sums."""

import sqlite3
from collections.abc import Sequence

import msgspec

from storage import figures
from storage.figures import Figures
from storage.records import Record


class Understanding(Record, frozen=True, kw_only=True):
    """
    Of the conversations that began in a session; the words are those of its first root.

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


def of_sessions(
    conn: sqlite3.Connection, session_id: str | None = None, *, among: Sequence[str] | None = None
) -> dict[str, Understanding]:
    """By session: of one, of some, or of all that have any. One query, whatever their number."""
    asked = [session_id] if session_id is not None else among
    where = "" if asked is None else "where session_id in (select value from json_each(:asked))"
    rows = conn.execute(
        f"""
        with first as (
            select session_id, summary, cwd, agent, agent_version, model, git_branch,
                row_number() over (
                    partition by session_id order by parent_id is not null, is_subagent, first_turn
                ) as place
            from conversations {where}
        ), total as (
            select c.session_id, sum(c.parent_id is null and not c.is_subagent),
                sum(c.parent_id is not null or c.is_subagent), {figures.SUMS}
            from conversations c {where} group by c.session_id
        )
        select f.summary, f.cwd, f.agent, f.agent_version, f.model, f.git_branch, t.*
        from first f join total t on t.session_id = f.session_id where f.place = 1
        """,
        {"asked": msgspec.json.encode(asked).decode()},
    )
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
        for row in rows.fetchall()
    }
