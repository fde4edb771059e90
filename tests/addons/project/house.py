"""
A store with recorded model calls in it, and what the projection makes of them.

    house.call(messages, answer)     one Anthropic call, recorded; returns its entry id
    house.project()                  reads the spool and projects all that waits
    house.dump()                     all projected rows, without local row numbers
"""

import msgspec

from addons.ingest import Ingest
from addons.project import Projection
from storage import database, ids, messages, removal
from storage.contents import Contents
from storage.projection import keeping
from storage.records import EntryOpened
from tests.addons.ingest.spooling import Log, LoggedEntry
from tests.storage.empty import with_database

STARTED_NS = 1_795_348_800_000_000_000
# What only counts rows in this file, and is left out when two are compared.
LOCAL = {"turns": ("number",), "messages": ("number", "turn")}
ROWS = {"messages": "select m.*, t.id from messages m left join turns t on t.number = m.turn"}

AGENT = (b"user-agent", b"claude-cli/2.1.330 (external, cli)")
ROOT = "11111111-2222-4333-8444-555555555555"

TOOLS = [
    {"name": name, "description": "what it does", "input_schema": {"type": "object"}}
    for name in ("Agent", "Bash", "Read", "TodoWrite")
]


def text(words):
    return {"type": "text", "text": words}


def tool_use(call_id, name="Bash", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def tool_result(call_id, content="done", **more):
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def user(*content):
    """One text is sent as a string, anything else as a list of blocks."""
    is_text = len(content) == 1 and isinstance(content[0], str)
    return {"role": "user", "content": content[0] if is_text else list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


def sse(message_id, blocks, *, stop_reason="end_turn", usage=None):
    """An answer as a stream."""
    usage = {"input_tokens": 10, "output_tokens": 5, **(usage or {})}
    start = {"id": message_id, "type": "message", "role": "assistant", "model": "claude-opus-4-5",
             "content": [], "stop_reason": None, "usage": usage}  # fmt: skip
    events = [{"type": "message_start", "message": start}]
    for index, block in enumerate(blocks):
        empty, delta = _pieces(block)
        events += [
            {"type": "content_block_start", "index": index, "content_block": empty},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    delta = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}
    events += [delta, {"type": "message_stop"}]
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event))
        for event in events
    )


def _pieces(block):
    if block["type"] == "tool_use":
        arguments = msgspec.json.encode(block["input"]).decode()
        return {**block, "input": {}}, {"type": "input_json_delta", "partial_json": arguments}
    return {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}


class House:
    """Calls are a second apart, so that entry ids sort as they were made."""

    def __init__(self, datadir, session=None):
        self.datadir = datadir
        self.db = database.create(with_database(datadir).database)
        self.session = session
        self.log = Log(datadir)
        self.entries = []
        self.request_bytes = 0
        self._ingest = Ingest(datadir)
        self.projection = Projection()

    def call(self, messages, blocks=(), *, headers=(), status=200, response=None, after_s=None,
             body=None, cut=False, session=None, path=b"/v1/messages", media=b"text/event-stream",
             usage=None, stop_reason=None):  # fmt: skip
        """One recorded call; a second after the one before."""
        number = len(self.entries)
        blocks = list(blocks)
        if stop_reason is None:
            used = any(block["type"] == "tool_use" for block in blocks)
            stop_reason = "tool_use" if used else "end_turn"
        asked = {"model": "claude-opus-4-5", "max_tokens": 100, "stream": True, "tools": TOOLS}
        asked |= body or {}
        if messages is not None:
            asked["messages"] = messages
        answer = sse(f"msg_{number}", blocks, stop_reason=stop_reason, usage=usage)
        answer = response if response is not None else answer
        started_ns = STARTED_NS + int((number if after_s is None else after_s) * 1e9)
        entry = Call(self.log, session or self.session, started_ns, path, headers)
        self.entries.append(entry.id)
        sent = msgspec.json.encode(asked)
        self.request_bytes += len(sent)
        entry.chunk("request", sent).end("request")
        entry.response(status=status, headers=((b"content-type", media),))
        if cut:
            entry.chunk("response", answer[: len(answer) * 2 // 3])
            entry.close(outcome="client_aborted")
        else:
            entry.chunk("response", answer).end("response").close()
        return entry.id

    def read(self):
        """Bring what was recorded into the raw tables; project nothing."""
        self.log.append()
        while self._ingest.step(self.db) == 0.0:
            pass

    def project(self, order=None):
        """All that waits; `order`: entry ids in the order in which they are to be read."""
        self.read()
        for entry_id in order or ():
            with database.write(self.db):
                self.db.execute("delete from unprojected")
                keeping.sets(self.db)[0].enqueue(entry_id)
            self._settle()
        self._settle()

    def _settle(self):
        while True:
            if self.projection.step(self.db):
                continue
            if not removal.sweep(self.db) and not keeping.left(self.db.conn, ""):
                return

    def rebuild(self, *, is_forced=False):
        with database.write(self.db):
            keeping.begin(self.db, is_forced=is_forced)
        self._settle()
        return keeping.state(self.db.conn).result

    def rows(self, sql, *values):
        return self.db.conn.execute(sql, values).fetchall()

    def one(self, sql, *values):
        (row,) = self.rows(sql, *values)
        return row[0] if len(row) == 1 else row

    def messages(self):
        """All of them as readers get them, oldest first."""
        return messages.page(
            self.db.conn, messages.Query(track=None), limit=1000, order="oldest"
        ).messages

    def dump(self):
        """
        All projected rows by table, sorted; without what counts rows in this file, and with the
        parts of messages instead of how they are kept.
        """
        contents = Contents(self.db.conn)
        found = {}
        for name in ("turns", "conversations", "messages", "tool_calls", "touches", "tasks",
                     "notes", "shares", "quarters"):  # fmt: skip
            cursor = self.db.conn.execute(ROWS.get(name, f"select * from {name}"))
            columns = [column[0] for column in cursor.description]
            local = {columns.index(column) for column in LOCAL.get(name, ())}
            if name == "messages":
                own, content = columns.index("id"), columns.index("content")
                rows = [
                    (*row[:content], contents.parts(row[own], row[content]), *row[content + 1 :])
                    for row in cursor.fetchall()
                ]
            else:
                rows = cursor.fetchall()
            found[name] = sorted(
                (tuple(v for n, v in enumerate(row) if n not in local) for row in rows), key=repr
            )
        found["search"] = sorted(
            self.db.conn.execute(
                "select m.id, count(*) from search join messages m on m.number = search.rowid "
                "where search match 'e* or t* or a* or s* or l*' group by 1"
            ).fetchall()
        )
        return found


class Call(LoggedEntry):
    """A model call with heads of its own."""

    def __init__(self, log, session, started_ns, path, headers):
        self.raw = ids.new_bytes()
        self.id = ids.text(self.raw)
        self.number = 0
        self.now_ns = 0
        self._log = log
        opened = EntryOpened(
            kind="http", way="proxy", started_ns=started_ns, session=session,
            client="127.0.0.1:5000", method="POST", scheme="https", host="api.anthropic.com",
            port=443, target=path, http_version="HTTP/1.1",
            headers=((b"content-type", b"application/json"), *headers),
        )  # fmt: skip
        self.pack("open", opened)
