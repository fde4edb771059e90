"""
The whole corpus through the projection: in any order, by a rebuild, the same rows.

The cases of one client were cut from several runs; each is an entry of one session here, a second
after the one before it.
"""

import random

import pytest

from storage import ids, removal, spool
from storage.projection import forgetting, keeping
from storage.records import BodyEnd, EntryClosed, EntryOpened, ResponseHead
from tests.addons.project.house import STARTED_NS
from tests.corpus import cases


def record(house, case, number):
    """A case as the proxy would have spooled it; its entry id."""
    entry, head = ids.new_bytes(), case.head
    records = Records(house, entry)
    opened = EntryOpened(
        kind=case.facts.kind, way="proxy", started_ns=STARTED_NS + number * 10**9,
        session=house.session, client="127.0.0.1:5000", method=head.method, scheme="https",
        host=head.host, port=443, target=f"{head.path}?{head.query}".rstrip("?").encode(),
        http_version="HTTP/1.1", headers=head.headers,
    )  # fmt: skip
    records.put("open", 0, opened)
    end_ns = _messages(records, case) if case.messages else _bodies(records, case)
    records.put("close", end_ns, EntryClosed(outcome=case.facts.outcome))
    return ids.text(entry)


def _bodies(records, case):
    records.chunk("request", 0, case.request)
    records.put("request-end", 1, BodyEnd(size_bytes=len(case.request)))
    answer, end_ns = case.answer_head, 2
    if answer is not None:
        records.put("response", 1, ResponseHead(status=answer.status, headers=answer.headers))
        for offset_ns, data in case.recorded():
            records.chunk("response", offset_ns, data)
            end_ns = max(end_ns, offset_ns)
        if case.facts.outcome == "complete":
            records.put("response-end", end_ns, BodyEnd(size_bytes=len(case.response)))
    return end_ns


def _messages(records, case):
    answer = case.answer_head
    records.put("response", 0, ResponseHead(status=answer.status, headers=answer.headers))
    for message in case.messages:
        records.message(message)
    return case.messages[-1].offset_ns


class Records:
    """The records of one entry, numbered."""

    def __init__(self, house, entry):
        self._log, self._entry, self._number = house.log, entry, 0

    def put(self, kind, offset_ns, content):
        self._add(spool.pack(self._entry, self._number, kind, offset_ns, content))

    def chunk(self, side, offset_ns, data):
        kind = f"{side}-chunk"
        self._add(spool.pack_chunk(self._entry, self._number, kind, offset_ns, len(data), data))

    def message(self, message):
        self._add(
            spool.pack_message(
                self._entry, self._number, message.offset_ns, message.text.encode(),
                from_client=message.side == "request", opcode=1, final=True,
            )
        )  # fmt: skip

    def _add(self, packed):
        self._log.records.append(packed)
        self._number += 1


def forget(house):
    """Throw all projected rows away; the entries stay."""
    for (conversation,) in house.rows("select id from conversations"):
        forgetting.make_stale(keeping.sets(house.db)[0], conversation)
    while house.rows("select 1 from stale"):
        removal.sweep(house.db)
    house.db.execute("delete from notes")


AGENTS = sorted({name.partition("/")[0] for name in cases.names()})


@pytest.fixture(params=AGENTS)
def recorded(request, house):
    """A client's cases in one session, histories in their order; entry ids by case name."""
    found = {}
    loaded = [cases.load(name) for name in cases.names() if name.startswith(request.param)]
    for number, case in enumerate(sorted(loaded, key=lambda case: len(case.request))):
        found[case.name] = record(house, case, number)
    house.read()
    return found


def test_any_order_and_a_rebuild_give_the_same_rows(house, recorded):
    house.project()
    expected = house.dump()
    assert len(expected["turns"]) >= len(recorded)
    assert house.one("select count(*) from notes where kind = 'projection-failed'") == 0
    shuffled = list(recorded.values())
    random.Random(7).shuffle(shuffled)
    for order in (list(reversed(recorded.values())), shuffled):
        forget(house)
        assert house.rows("select count(*) from messages") == [(0,)]
        house.project(order)
        assert house.dump() == expected
    assert house.rebuild().startswith("done: ")
    assert house.dump() == expected


def test_every_turn_is_placed(house, recorded):
    house.project()
    counted = dict(house.rows("select substr(id, 1, 36), count(*) from turns group by 1"))
    for name, entry_id in recorded.items():
        assert counted[entry_id] == len(cases.expected(name)), name
    orphans = """
        select t.id from turns t left join messages m on m.id = t.asked_leaf
        where t.asked_leaf is not null and m.id is null
    """
    assert house.rows(orphans) == []
    elsewhere = """
        select m.id from messages m join turns t on t.number = m.turn
        where t.conversation_id <> m.conversation_id
        union all
        select c.id from tool_calls c join turns t on t.id = c.turn_id
        where t.conversation_id <> c.conversation_id
    """
    assert house.rows(elsewhere) == []
    lost = "select id from tool_calls where turn_id is null and result_turn is null"
    assert house.rows(lost) == []


def test_rows_hold_what_the_answers_say(house, recorded):
    """Every tool call of an expected turn is a row, with its arguments' words in its message."""
    house.project()
    for name, entry_id in recorded.items():
        for number, turn in enumerate(cases.expected(name)):
            called = [
                (part["call_id"], part["name"])
                for message in turn["answer"].get("messages", ())
                for part in message["parts"]
                if part["kind"] == "tool-call" and not part.get("on_server")
            ]
            for call_id, tool in called:
                found = house.rows(
                    "select name from tool_calls where call_id = ? and made = 1", call_id
                )
                assert (tool,) in found, (name, number, call_id, entry_id)
