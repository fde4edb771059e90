"""What of a conversation happened in which session: a conversation may go on in another one."""

from collections.abc import Iterable

from addons.project import turns
from addons.project.reading import Decoded
from storage.projection.shapes import ShareRow, TurnRow
from storage.projection.writing import Tables


def add(
    tables: Tables,
    decoded: Decoded,
    turn: TurnRow,
    *,
    new: int,
    moved_from: Iterable[str],
    tool_calls: int,
) -> None:
    """
    Count a turn, and the messages that it brought into the thread.

    `moved_from` are turns that held a message of this one before it was known that this turn,
    being earlier, did: the message now counts in this session.
    """
    for turn_id in moved_from:
        session_id = tables.session_of(turn_id)
        if session_id is not None and session_id != turn.session_id:
            tables.add_share(
                ShareRow(
                    session_id=session_id,
                    conversation_id=turn.conversation_id,
                    message_count=-1,
                )
            )
            new += 1
    tables.add_share(
        ShareRow(
            session_id=turn.session_id,
            conversation_id=turn.conversation_id,
            turn_count=1,
            message_count=new,
            tool_call_count=tool_calls,
            error_count=int(turns.is_failed(decoded)),
            input_tokens=turn.input_tokens or 0,
            output_tokens=turn.output_tokens or 0,
            cache_read_tokens=turn.cache_read_tokens or 0,
            cache_write_tokens=turn.cache_write_tokens or 0,
            reasoning_tokens=turn.reasoning_tokens or 0,
            cost_usd=turn.cost_usd or 0.0,
            unmetered_turns=int(turns.is_unmetered(decoded)),
            unpriced_turns=int(turn.input_tokens is not None and turn.cost_usd is None),
        )
    )
