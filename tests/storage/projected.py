"""
Rows of the projected tables, put in by hand, and a small story of an agent that they tell.

    tell(db, session_id) -> Story    one prompt, a shell call that fails, a subagent, an answer
"""

import itertools

import msgspec

from storage import ids
from storage.decoded import TextPart, ThinkingPart, ToolCallPart, ToolResultPart
from storage.projection import rows, tables
from storage.projection.indexing import SearchIndex
from storage.projection.rows import TurnDetail
from storage.projection.shapes import ShareRow

START_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000
_COUNT = itertools.count()


def make(db):
    """The tables, unless they are there."""
    found = db.execute("select 1 from sqlite_master where name = 'turns'").fetchone()
    if found is None:
        tables.create(db, "", 1)


def at(seconds):
    return START_NS + int(seconds * SECOND_NS)


def _insert(db, table, values):
    columns = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    db.execute(f"insert into {table} ({columns}) values ({places})", values)


_TOLD = {
    "agent": "claude-code",
    "wire": "anthropic.messages",
    "agent_version": "2.1.273",
    "host": "api.anthropic.com",
    "model_asked": "claude-opus-5",
    "model_served": "claude-opus-5",
    "stop_reason": "end_turn",
    "price_source": "genai-prices 0.2.3",
}


def turn(db, session_id, conversation_id, *, began=0.0, took=1.0, detail=None, **changes):
    """A turn that began so many seconds after START_NS; returns its id."""
    entry_id = changes.pop("entry_id", None) or ids.text(ids.at(at(began), next(_COUNT), "test"))
    number = changes.pop("number", 0)
    told = {name: changes.pop(name, value) for name, value in _TOLD.items()}
    values = {
        "id": f"{entry_id}.{number:05}",
        "session_id": session_id,
        "conversation_id": conversation_id,
        "version": 1,
        "request_class": "main",
        "is_complete": 1,
        "status": 200,
        "started_ns": at(began),
        "ended_ns": at(began + took),
        "sent_messages": 1,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 800,
        "cache_write_tokens": 0,
        "cost_usd": 0.01,
        "asked_offset_ns": 1_000_000,
        "first_byte_offset_ns": int(took * 0.2 * SECOND_NS),
        "first_content_offset_ns": int(took * 0.25 * SECOND_NS),
        "last_content_offset_ns": int(took * 0.75 * SECOND_NS),
        "ended_offset_ns": int(took * SECOND_NS),
        "longest_silence_ns": int(took * 0.1 * SECOND_NS),
        "request_digest": entry_id.encode(),
        "detail": rows.pack_detail(msgspec.structs.replace(detail or TurnDetail(), **told)),
    }
    _insert(db, "turns", values | changes)
    return values["id"]


def conversation(db, session_id, turns, conversation_id, **changes):
    """A conversation with the sums of its turns, whose ids are given in their order."""
    marks = ", ".join("?" * len(turns))
    sums = db.execute(
        f"""
        select count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
            coalesce(sum(cache_read_tokens), 0), coalesce(sum(cache_write_tokens), 0),
            coalesce(sum(reasoning_tokens), 0), coalesce(sum(cost_usd), 0),
            sum(input_tokens is null), sum(input_tokens is not null and cost_usd is null),
            min(started_ns), max(coalesce(ended_ns, started_ns)),
            sum(not is_complete or failure_type is not null)
        from turns where id in ({marks})
        """,
        turns,
    ).fetchone()
    values = {
        "id": conversation_id,
        "key": f"claude-code {conversation_id}",
        "agent": "claude-code",
        "agent_version": "2.1.273",
        "is_inferred": 0,
        "is_subagent": 0,
        "session_id": session_id,
        "first_turn": min(turns),
        "last_turn": max(turns),
        "started_ns": sums[9],
        "ended_ns": sums[10],
        "summary": "Make it work",
        "cwd": "/home/user/work.dir",
        "git_branch": "main",
        "model": "claude-opus-5",
        "marks": msgspec.msgpack.encode({}),
        "turn_count": sums[0],
        "thread_turns": sums[0],
        "prompt_count": 1,
        "message_count": 2,
        "tool_call_count": 0,
        "error_count": sums[11],
        "input_tokens": sums[1],
        "output_tokens": sums[2],
        "cache_read_tokens": sums[3],
        "cache_write_tokens": sums[4],
        "reasoning_tokens": sums[5],
        "cost_usd": sums[6],
        "unmetered_turns": sums[7],
        "unpriced_turns": sums[8],
    }
    values |= changes
    _insert(db, "conversations", values)
    share = {name: values[name] for name in ShareRow.__struct_fields__ if name in values}
    _insert(db, "shares", share | {"conversation_id": values["id"]})
    return conversation_id


def message(db, conversation_id, turn_id, parts, **changes):
    """A message with its row in the search index; returns its id."""
    parts = (TextPart(text=parts),) if isinstance(parts, str) else parts
    text = rows.words(parts)
    number = db.execute("select coalesce(max(number), 0) + 1 from messages").fetchone()[0]
    turn, at_ns = db.execute(
        "select number, started_ns from turns where id = ?", [turn_id]
    ).fetchone()
    (position,) = db.execute("select count(*) from messages where turn = ?", [turn]).fetchone()
    values = {
        "number": number,
        "id": f"message-{number:04}",
        "conversation_id": conversation_id,
        "parent_id": None,
        "depth": 0,
        "track": "main",
        "role": "user",
        "kind": "prompt",
        "hangs": 0,
        "is_partial": 0,
        "is_answer": 0,
        "turn": turn,
        "position": position,
        "at_ns": at_ns,
        "preview": " ".join(text.split())[:200],
        "content": rows.pack(parts),
    }
    _insert(db, "messages", values | changes)
    SearchIndex(db.conn, "").add(number, text)
    return values["id"]


def tool_call(db, conversation_id, turn_id, call_id, *, arguments="{}", result=None, **changes):
    values = {
        "id": f"{conversation_id}-{call_id}",
        "conversation_id": conversation_id,
        "call_id": call_id,
        "name": "Bash",
        "kind": "shell",
        "turn_id": turn_id,
        "part": 0,
        "called_ns": START_NS,
        "is_error_inferred": 0,
        "is_pending": 0,
        "arguments": rows.squeeze(arguments.encode()),
        "result": None if result is None else rows.squeeze(result.encode()),
    }
    _insert(db, "tool_calls", values | changes)
    return values["id"]


def task(db, conversation_id, key, turn_id, **changes):
    values = {
        "conversation_id": conversation_id,
        "key": key,
        "place": int(key),
        "subject": f"Task {key}",
        "status": "pending",
        "blocked_by": msgspec.msgpack.encode(()),
        "blocks": msgspec.msgpack.encode(()),
        "created_turn": turn_id,
        "updated_turn": turn_id,
    }
    _insert(db, "tasks", values | changes)


def note(db, turn_id, kind, *, decoder="anthropic.messages", detail=None, count=1):
    number = db.execute("select count(*) from notes where turn_id = ?", [turn_id]).fetchone()[0]
    _insert(
        db,
        "notes",
        {
            "turn_id": turn_id,
            "number": number,
            "decoder": decoder,
            "kind": kind,
            "detail": detail,
            "count": count,
        },
    )


class Story(msgspec.Struct, kw_only=True):
    session_id: str
    root: str
    child: str
    turns: list[str]  # root: asks, goes on, answers; child: one
    messages: list[str]
    calls: list[str]  # the shell call that fails, the call that starts the subagent


def tell(db, session_id, *, name="root", began=0.0, entry_id=None):
    """
    The user asks; the model thinks, runs a command that fails and starts a subagent, which
    answers; then the model answers. Beside it a title is made.
    """
    make(db)
    root, child = f"{name}-conversation", f"{name}-child"
    more = {"entry_id": entry_id} if entry_id else {}
    asks = turn(
        db,
        session_id,
        root,
        began=began,
        took=2.0,
        stop_reason="tool_use",
        prompt="Find the bug, please",
        leaf="",
        **more,
    )
    title = turn(
        db, session_id, root, began=began + 0.5, request_class="title", model_asked="claude-haiku-5"
    )
    works = turn(
        db,
        session_id,
        child,
        began=began + 2.5,
        request_class="subagent",
        prompt="Look into main.py",
    )
    answers = turn(db, session_id, root, began=began + 5, took=4.0, cost_usd=None)

    prompt = message(db, root, asks, "Find the bug, please", position=0)
    hint = message(
        db,
        root,
        asks,
        "<system-reminder>Be brief</system-reminder>",
        parent_id=prompt,
        depth=1,
        kind="context",
        hangs=1,
        position=1,
    )
    message(db, root, title, "Make a title", track="title", kind="instruction")
    thought = message(
        db,
        root,
        asks,
        (ThinkingPart(text="A shell will tell."),),
        parent_id=prompt,
        depth=1,
        role="assistant",
        kind="answer",
        hangs=1,
        is_answer=1,
        position=2,
        at_ns=at(began + 2),
    )
    uses = message(
        db,
        root,
        asks,
        (
            TextPart(text="I look at it."),
            ToolCallPart(call_id="call-1", name="Bash", arguments='{"command": "make test"}'),
            ToolCallPart(
                call_id="call-2", name="Task", arguments='{"prompt": "Look into main.py"}'
            ),
        ),
        parent_id=prompt,
        depth=1,
        role="assistant",
        kind="answer",
        is_answer=1,
        position=3,
        at_ns=at(began + 2),
    )
    task_prompt = message(db, child, works, "Look into main.py")
    found = message(
        db,
        child,
        works,
        "It is in line 7.",
        parent_id=task_prompt,
        depth=1,
        role="assistant",
        kind="answer",
        is_answer=1,
        at_ns=at(began + 3.5),
    )
    results = message(
        db,
        root,
        answers,
        (
            ToolResultPart(call_id="call-1", text="make: *** [test] Error 2", is_error=True),
            ToolResultPart(call_id="call-2", text="It is in line 7."),
        ),
        parent_id=uses,
        depth=2,
        kind="tool-results",
        position=0,
    )
    says = message(
        db,
        root,
        answers,
        "The bug is in line 7 of `main.py`.",
        parent_id=results,
        depth=3,
        role="assistant",
        kind="answer",
        is_answer=1,
        position=1,
        at_ns=at(began + 9),
    )
    db.execute("update turns set leaf = ?, asked_leaf = ? where id = ?", [uses, prompt, asks])
    db.execute("update turns set leaf = ?, asked_leaf = ? where id = ?", [says, results, answers])

    shell = tool_call(
        db,
        root,
        asks,
        "call-1",
        arguments='{"command": "make test"}',
        command="make test",
        description="Run the tests",
        result="make: *** [test] Error 2\nand more",
        message_id=uses,
        part=1,
        called_ns=at(began + 1.4),
        result_turn=answers,
        result_message=results,
        result_part=0,
        result_ns=at(began + 5),
        is_error=1,
        exit_code=2,
        stated_ms=742,
    )
    spawn = tool_call(
        db,
        root,
        asks,
        "call-2",
        name="Task",
        kind="task",
        arguments='{"prompt": "Look into main.py", "subagent_type": "Explore"}',
        result="It is in line 7.",
        message_id=uses,
        part=2,
        called_ns=at(began + 1.5),
        result_turn=answers,
        result_message=results,
        result_part=1,
        result_ns=at(began + 5),
        is_error=0,
        spawn_digest=b"digest",
    )
    conversation(
        db,
        session_id,
        [asks, title, answers],
        root,
        summary="Find the bug, please",
        message_count=4,
        tool_call_count=2,
    )
    conversation(
        db,
        session_id,
        [works],
        child,
        parent_id=root,
        parent_call=spawn,
        is_subagent=1,
        subagent_type="Explore",
        summary="Look into main.py",
    )
    return Story(
        session_id=session_id,
        root=root,
        child=child,
        turns=[asks, answers, works, title],
        messages=[prompt, hint, thought, uses, results, says, task_prompt, found],
        calls=[shell, spawn],
    )
