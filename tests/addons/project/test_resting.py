"""A turn with many messages is put down in several transactions, and shows whole or not at all."""

import itertools

import pytest

from addons import project
from addons.project import Projection, calls, chain, placing
from storage import (
    branches,
    conversations,
    database,
    removal,
    search,
    sessions,
    tool_calls,
    traffic,
)
from storage.errors import NotFound
from storage.messages import Query
from storage.projection import forgetting, keeping, rows
from tests.addons.project import test_joining as joining
from tests.addons.project import test_placing as placed
from tests.addons.project import test_quoting as quoting
from tests.addons.project.house import AGENT, ROOT, assistant, text, tool_result, tool_use, user

MAIN = (AGENT, (b"X-Claude-Code-Session-Id", ROOT.encode()))


@pytest.fixture
def resting(monkeypatch):
    """Work rests wherever it may."""
    monkeypatch.setattr(project, "_WORK_S", -1.0)
    for module in (calls, chain, placing):
        monkeypatch.setattr(module, "_BETWEEN_RESTS", 1)


def history(turns, words="thing"):
    """What is sent in the turn behind so many."""
    messages = [user(f"do the {words}")]
    for number in range(turns):
        messages += [
            assistant(text(f"step {number}"), tool_use(f"toolu_{number}", command=f"cat {number}")),
            user(tool_result(f"toolu_{number}", f"{words} says {quoting.prose(number)}")),
        ]
    return messages


def left(house):
    """What stands in the tables without its turn."""
    return house.one(
        """
        select (select count(*) from messages where turn not in (select number from turns)) +
            (select count(*) from tool_calls where turn_id not in (select id from turns)) +
            (select count(*) from stale)
        """
    )


def until_resting(house, steps=13):
    for _ in range(steps):
        assert house.projection.step(house.db)
    assert house.one("select unfinished is not null from stale")


def shown(house):
    """All that readers get."""
    conn = house.db.conn
    known = conversations.page(conn, conversations.Query(), limit=10).conversations
    return (
        quoting.shown(house),
        [(one.id, one.figures) for one in known],
        [branches.of_conversation(conn, one.id) for one in known],
        [(hit.message.id, hit.snippet) for hit in search.find(conn, "thing", Query()).hits],
        house.rows("select id, leaf from turns order by id"),
    )


RECORDS = {
    "run": placed.run,
    "subagent": placed.subagent,
    "quoting": quoting.run,
    "resumed": lambda house: [
        house.call(history(turns), [text("well")], headers=MAIN) for turns in (4, 5)
    ],
    "calls": lambda house: [
        joining.respond(house, "r1", [joining.output("c1")],
                        [joining.item("a", "assistant")], thread="t"),
        joining.respond(house, "r2", [joining.output("c2")],
                        [joining.item("b", "assistant")], thread="t"),
        joining.respond(house, "r3", [joining.item("on")],
                        [joining.shell("c2")], "r2", thread="t"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_the_same_rows_in_one_go_and_in_many(house, monkeypatch, record):
    record(house)
    house.project()
    expected = house.dump(), quoting.shown(house)
    numbers = house.rows("select number, id from messages order by 1")
    monkeypatch.setattr(project, "_WORK_S", -1.0)
    for module in (calls, chain, placing):
        monkeypatch.setattr(module, "_BETWEEN_RESTS", 1)
    orders = list(itertools.permutations(house.entries[-4:]))
    for order in (house.entries, *orders[1 :: max(1, len(orders) // 3)]):
        for (conversation,) in house.rows("select id from conversations"):
            forgetting.make_stale(keeping.sets(house.db)[0], conversation)
        while house.rows("select 1 from stale"):
            removal.sweep(house.db)
        house.project([*house.entries[:-4], *order])
        assert (house.dump(), quoting.shown(house)) == expected, order
        if order == house.entries:
            assert house.rows("select number, id from messages order by 1") == numbers
    assert house.rebuild().startswith("done")
    assert (house.dump(), quoting.shown(house)) == expected


@pytest.mark.parametrize("is_late", [False, True], ids=["in order", "late"])
def test_readers_see_a_turn_whole_or_not_at_all(house, resting, is_late):
    """Also one that takes messages from a later turn, which was read before it."""
    entries = [house.call(history(2, "other"), [text("thing")], session=None)]
    entries += [house.call(history(turns), [text("well")], headers=MAIN) for turns in (3, 5)]
    first, second = entries[1:]
    house.project([entries[0], second if is_late else first])
    with database.write(house.db):
        house.db.execute("delete from unprojected")
        keeping.sets(house.db)[0].enqueue(first if is_late else second)
    seen = [shown(house)]
    rests = 0
    while house.projection.step(house.db):
        rests += house.one("select count(*) from stale")
        now = shown(house)
        if now != seen[-1]:
            seen.append(now)
    assert rests > 5
    assert len(seen) == 2
    assert len(seen[1][4]) == len(seen[0][4]) + 1


def test_a_call_of_which_only_the_result_was_seen_shows_with_its_turn(house, resting):
    asked = [joining.output(f"c{number}") for number in range(4)]
    joining.respond(house, "r1", asked, [joining.item("a", "assistant")], thread="t")
    house.read()
    seen = set()
    while house.projection.step(house.db):
        found = tool_calls.page(house.db.conn, tool_calls.Query()).tool_calls
        seen.add((house.one("select count(*) from turns"), len(found)))
        if not found and (kept := house.rows("select id from tool_calls")):
            with pytest.raises(NotFound):
                tool_calls.get(house.db.conn, kept[0][0])
    assert seen == {(0, 0), (1, 4)}


@pytest.mark.parametrize("steps", [2, 13, 21])
def test_a_process_that_ends_begins_it_again(house, resting, steps):
    house.call(history(4), [text("well")], headers=MAIN)
    house.call(history(1, "other"), [text("well")])
    house.read()
    until_resting(house, steps)
    house.projection = Projection()
    house.project()
    assert left(house) == 0
    found = house.dump()
    assert len(found["turns"]) == 2
    assert house.rebuild(is_forced=True).startswith("done")
    assert house.dump() == found


@pytest.mark.parametrize("steps", [2, 13, 21])
@pytest.mark.parametrize("what", ["entry", "session"])
def test_what_is_deleted_meanwhile_leaves_nothing(house, resting, what, steps):
    entry_id = house.call(history(4), [text("well")], headers=MAIN)
    kept = sessions.create(house.db, name="kept", origin="run", is_recording=True).id
    house.call(history(1, "other"), [text("well")], session=kept)
    house.read()
    until_resting(house, steps)
    if what == "entry":
        with database.write(house.db):
            traffic.delete(house.db, entry_id)
    else:
        sessions.delete(house.db, house.session)
    house.project()
    assert left(house) == 0
    assert house.one("select count(*) from turns") == 1
    assert house.one("select count(*) from search where search match 'thing'") == 0
    assert house.one("select count(*) from search where search match 'other'") > 0


def test_it_begins_again_when_something_goes_that_it_goes_on_from(house, resting):
    """Between two of its transactions another conversation is made stale and swept."""
    gone = joining.respond(house, "r1", [joining.item("one")], [joining.item("a", "assistant")],
                           thread="t")  # fmt: skip
    joining.respond(house, "r2", [joining.item(str(number), role) for number in range(4)
                                  for role in ("user", "assistant")],
                    [joining.item("b", "assistant")], "r1", thread="u")  # fmt: skip
    house.read()
    while house.one("select count(*) from messages where conversation_id = 'u'") < 3:
        assert house.projection.step(house.db)
    with database.write(house.db):
        traffic.delete(house.db, gone)
    while removal.sweep(house.db):
        pass
    house.project()
    assert left(house) == 0
    assert house.one("select is_unjoined from turns") == 1
    joining.assert_as_a_rebuild(house)


def test_one_that_fails_half_way_leaves_a_note_and_the_others(house, resting, monkeypatch):
    broken = house.call(history(4), [text("well")], headers=MAIN)
    house.call(history(1, "other"), [text("well")])
    house.read()
    until_resting(house)

    def pack(parts, *_):
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "pack", pack)
        assert house.projection.step(house.db)
    house.project()
    assert house.rows("select turn_id, kind from notes") == [
        (f"{broken}.00000", "projection-failed")
    ]
    assert house.one("select count(*) from turns") == 1
    assert left(house) == 0


def test_a_rebuild_that_begins_meanwhile_has_it_too(house, resting):
    house.call(history(4), [text("well")], headers=MAIN)
    house.read()
    until_resting(house)
    with database.write(house.db):
        keeping.begin(house.db, is_forced=False)
    for _ in range(12):
        house.projection.step(house.db)
    with database.write(house.db):
        keeping.begin(house.db, is_forced=False)
    house.project()
    assert keeping.state(house.db.conn).result.startswith("done: 1 turns")
    assert left(house) == 0
