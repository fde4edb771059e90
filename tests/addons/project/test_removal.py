"""What a deletion takes along, also of things that other entries hold."""

import pytest

from addons.wire import anthropic
from storage import database, removal, sessions, traffic
from storage.projection import keeping
from tests.addons.project.house import AGENT, ROOT, text, tool_use, user

SESSION = (b"X-Claude-Code-Session-Id", ROOT.encode())
MAIN = (AGENT, SESSION)
TASK = "count the files of this directory"


def subagent(number):
    return (*MAIN, (b"x-claude-code-agent-id", b"a7dad518ce05c8b3%d" % number),
            (b"x-claude-code-request-class", b"subagent"))  # fmt: skip


def spawn(house, call_id, kind):
    call = tool_use(call_id, "Agent", prompt=TASK, description="count", subagent_type=kind)
    return house.call([user(f"how many, {kind}?")], [call], headers=MAIN)


def delete(house, entry_id):
    with database.write(house.db):
        traffic.delete(house.db, entry_id)
    house.project()


def children(house):
    return house.rows(
        """
        select c.subagent_type, t.call_id from conversations c
        left join tool_calls t on t.id = c.parent_call where c.is_subagent = 1 order by c.id
        """
    )


def test_a_subagent_outlives_the_call_that_started_it(house):
    called = spawn(house, "c1", "Explore")
    house.call([user(TASK)], [text("7")], headers=subagent(1))
    house.project()
    assert children(house) == [("Explore", "c1")]
    delete(house, called)
    assert children(house) == [(None, None)]
    assert house.rows("select parent_call from conversations") == [(None,)]


def test_equal_tasks_find_their_calls_again(house):
    spawn(house, "c1", "Explore")
    spawn(house, "c2", "Plan")
    first = house.call([user(TASK)], [text("7")], headers=subagent(1))
    house.call([user(TASK)], [text("8")], headers=subagent(2))
    house.project()
    assert children(house) == [("Explore", "c1"), ("Plan", "c2")]
    delete(house, first)
    assert children(house) == [("Explore", "c1")]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_more_subagents_than_calls(house, order):
    spawn(house, "c1", "Explore")
    for number in (1, 2):
        house.call([user(TASK)], [text("7")], headers=subagent(number))
    house.project([house.entries[place] for place in order])
    assert children(house) == [("Explore", "c1"), (None, None)]


@pytest.fixture
def broken(house, monkeypatch):
    """An entry that a decoder failed on, with its words in the note; yields what mends it."""
    with monkeypatch.context() as patched:

        def open_(_self, _head):
            raise ZeroDivisionError("a secret word")

        patched.setattr(type(anthropic.DECODER), "open", open_)
        house.call([user("one")], [text("a")], headers=MAIN)
        house.project()
    assert house.rows("select kind from notes") == [("projection-failed",)]
    return house.entries[0]


def test_the_note_of_an_entry_that_could_not_be_read_goes_with_it(house, broken):
    delete(house, broken)
    assert house.rows("select * from notes") == []


def test_the_note_of_an_entry_that_can_be_read_now_goes(house, broken):
    with database.write(house.db):
        keeping.requeue_session(house.db, house.session)
    house.project()
    assert house.rows("select kind from notes") == []
    assert house.one("select count(*) from turns") == 1


def test_a_deletion_waits_for_the_set_that_was_swapped_out(house):
    """Nothing is called swept while the words still stand in tables of another name."""
    house.call([user("zebracanary")], [text("a")], headers=MAIN)
    house.project()
    house.log.end()
    house.read()
    with database.write(house.db):
        keeping.begin(house.db, is_forced=False)
    while keeping.state(house.db.conn).is_building:
        house.projection.step(house.db)
    assert keeping.has_old(house.db.conn)
    with database.write(house.db):
        sessions.delete(house.db, house.session)
    for _ in range(2000):
        if not removal.sweep(house.db):
            break
    assert house.one("select swept from tombstones") == 1
    for path in house.datadir.root.rglob("*"):
        assert not path.is_file() or b"zebracanary" not in path.read_bytes(), path


def test_time_that_runs_out_leaves_entries_in_the_queue(house, monkeypatch):
    monkeypatch.setattr("addons.project._WORK_S", 0.0)
    for number in range(3):
        house.call([user(f"number {number}")], [text("a")], headers=MAIN)
    house.read()
    counts = []
    while house.projection.step(house.db):
        counts.append(house.one("select count(*) from turns"))
    assert counts == [1, 2, 3]
