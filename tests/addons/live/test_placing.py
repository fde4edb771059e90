"""Turns of an open socket are in the tables at once, and come out as if they had waited."""

import pytest

from addons import project
from addons.background import Background
from addons.ingest import Ingest
from addons.project import Projection, calls, chain, placing, reading
from storage import conversations, database, messages, quotes, sessions, traffic, turns
from storage.contents import Contents
from storage.datadir import DataDir
from storage.feed import Feed
from storage.projection import keeping, tables
from storage.projection import rows as packing
from tests.addons.ingest.spooling import Log
from tests.addons.live.speaking import (
    codex,
    creates,
    item,
    output,
    responds,
    shell,
    tells,
    types,
)
from tests.addons.project import house


def turn_ids(db):
    return [row[0] for row in db.conn.execute("select id from turns order by id")]


def projected(db):
    """All rows of the projected tables, in an order of their own; parts as readers get them."""
    found = {}
    contents = Contents(db.conn)
    for name in tables.NAMES:
        if name == "search":
            found[name] = db.conn.execute(
                "select rowid from search where search match 'l* or a* or f*' order by 1"
            ).fetchall()
            continue
        cursor = db.conn.execute(house.ROWS.get(name, f"select * from {name}"))
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        if name == "messages":
            own, content = names.index("id"), names.index("content")
            rows = [
                (*row[:content], contents.parts(row[own], row[content]), *row[content + 1 :])
                for row in rows
            ]
        local = house.LOCAL.get(name, ())
        kept = [place for place, column in enumerate(names) if column not in local]
        found[name] = sorted([tuple(row[place] for place in kept) for row in rows], key=repr)
    return found


def conversation(socket):
    creates(socket, item("list the files"))
    responds(socket, "resp_1", shell("call_1", "ls"), shell("call_2", "pwd"))
    yield
    creates(socket, output("call_1", "a.txt"), output("call_2", "/"), previous="resp_1")
    responds(socket, "resp_2", item("One file.", "assistant"))
    yield
    creates(socket, item("and now?"), previous="resp_2")
    tells(socket, type="response.created", response={"id": "resp_3", "model": "gpt-6.1-sol"})
    yield


def test_turns_show_while_the_socket_is_open(log, session, db, feed, go):
    socket = codex(log, session)
    for count, _ in enumerate(conversation(socket), 1):
        go()
        assert turn_ids(db) == [f"{socket.id}.{n:05d}" for n in range(min(count, 2))]
    found = conversations.get(db.conn, "codex-1")
    assert found.figures.turns == 2
    assert types(feed).count("turn.stored") == 2
    socket.close()
    go()
    assert len(turn_ids(db)) == 3
    assert not turns.get(db.conn, turn_ids(db)[2]).is_complete


def test_the_same_rows_come_out_as_from_replay_alone(tmp_path, datadir, db, session, log, go):
    socket = codex(log, session)
    logged = []
    for _ in conversation(socket):
        logged += log.records
        go()
    socket.close()
    logged += log.records
    go()
    live = projected(db)
    assert live["turns"]

    other = DataDir(tmp_path / "other").prepare()
    with database.create(other.database) as db:
        sessions.create(db, name="mine", is_recording=True, now_ms=1)
        db.conn.execute("update sessions set id = ?", [session])
        again = Log(other)
        again.records = logged
        again.append()
        background = Background(other, Feed())
        while background.step(db) == 0.0:
            pass
        assert projected(db) == live


def test_a_server_that_starts_again_goes_on_with_an_open_socket(log, session, db, datadir, go):
    socket = codex(log, session)
    steps = conversation(socket)
    next(steps)
    go()
    creates(socket, output("call_1", "a.txt"), output("call_2", "/"), previous="resp_1")
    tells(socket, type="response.created", response={"id": "resp_2", "model": "gpt-6.1-sol"})
    go()
    assert len(turn_ids(db)) == 1

    feed = Feed()
    background = Background(datadir, feed)
    response = {"id": "resp_2", "model": "gpt-6.1-sol", "status": "completed", "output": []}
    tells(socket, type="response.completed", response=response)
    go(background)
    assert len(turn_ids(db)) == 2
    assert types(feed) == ["turn.ended", "turn.stored"]
    socket.close()
    go(background)
    assert len(turn_ids(db)) == 2


def test_a_message_in_pieces_over_a_restart_is_waited_for(log, session, db, datadir, go):
    socket = codex(log, session)
    creates(socket, item("list the files"))
    socket.message(b'{"type": "response.created", "resp', from_client=False, final=False)
    go()
    background = Background(datadir, Feed())
    socket.message(b'onse": {"id": "resp_1", ', from_client=False, final=False)
    go(background)
    socket.message(b'"model": "gpt"}}', from_client=False)
    responds(socket, "resp_1", item("hello", "assistant"))
    go(background)
    (found,) = turn_ids(db)
    assert turns.get(db.conn, found).answer_id == "resp_1"


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed"])
def test_a_rebuild_beside_an_open_socket_loses_nothing(log, session, db, go, is_open):
    socket = codex(log, session)
    for _ in conversation(socket):
        go()
    if not is_open:
        socket.close()
        go()
    before = turn_ids(db)
    with database.write(db):
        keeping.begin(db, is_forced=False)
    go()
    assert not keeping.state(db.conn).is_building
    assert keeping.state(db.conn).result.startswith("done")
    assert turn_ids(db) == before


def test_traffic_that_no_session_was_active_for_waits(log, db, go):
    socket = codex(log, None)
    for _ in conversation(socket):
        go()
    assert turn_ids(db) == []
    socket.close()
    go()
    assert len(turn_ids(db)) == 3


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "replay"])
def test_rows_quote_the_messages_of_their_socket(log, session, db, go, is_live):
    words = [" ".join(f"{name}{number}" for number in range(200)) for name in "abc"]
    socket = codex(log, session)
    creates(socket, item(words[0]))
    responds(socket, "resp_1", shell("call_1", words[1]), item("short", "assistant"))
    if is_live:
        go()
        assert len(turn_ids(db)) == 1
    creates(socket, output("call_1", words[2]), previous="resp_1")
    responds(socket, "resp_2", item(words[0], "assistant"))
    socket.close()
    go()
    kept = db.conn.execute("select content from messages order by turn, position").fetchall()
    assert [quotes.is_quoted(content) for (content,) in kept] == [True, True, False, True, True]
    assert max(len(content) for (content,) in kept) < 150
    found = messages.page(db.conn, messages.Query(), order="oldest").messages
    texts = [packing.words(one.parts) for one in found]
    assert texts[0] == texts[4] == words[0]
    assert words[1] in texts[1]
    assert texts[3] == words[2]


@pytest.fixture
def resting(monkeypatch):
    """Work rests wherever it may."""
    monkeypatch.setattr(project, "_WORK_S", -1.0)
    for module in (calls, chain, placing):
        monkeypatch.setattr(module, "_BETWEEN_RESTS", 1)


def long_turn(socket, answer="resp_1"):
    creates(socket, *(item(f"words {n}", ("user", "assistant")[n % 2]) for n in range(6)))
    responds(socket, answer, shell("call_1", "ls"))


def test_a_long_turn_shows_while_the_socket_is_open(log, session, db, feed, go, resting):
    socket = codex(log, session)
    long_turn(socket)
    creates(socket, output("call_1", "a.txt"), previous="resp_1")
    responds(socket, "resp_2", item("One file.", "assistant"))
    go()
    assert turn_ids(db) == [f"{socket.id}.0000{n}" for n in range(2)]
    assert types(feed).count("turn.stored") == 2
    live = projected(db)
    assert live["stale"] == []
    with database.write(db):
        keeping.begin(db, is_forced=False)
    go()
    assert keeping.state(db.conn).result.startswith("done: 2 turns")
    assert projected(db) == live


@pytest.mark.parametrize("what", ["deleted", "restarted"])
def test_a_long_turn_of_an_open_socket_that_is(log, session, db, datadir, go, resting, what):
    socket = codex(log, session)
    long_turn(socket)
    log.append()
    background = Background(datadir, Feed())
    while not db.conn.execute("select 1 from stale").fetchone():
        background.step(db)
    for _ in range(12):
        background.step(db)
    assert db.conn.execute("select 1 from messages").fetchone()
    if what == "deleted":
        with database.write(db):
            traffic.delete(db, socket.id)
        go(background)
    else:
        go()
        assert turn_ids(db) == []
        socket.close()
        go()
    assert len(turn_ids(db)) == (what == "restarted")
    found = "select (select count(*) from messages), (select count(*) from stale)"
    assert db.conn.execute(found).fetchone() == ((7, 0) if what == "restarted" else (0, 0))


@pytest.fixture
def failing(monkeypatch):
    """A message that is not to be put down: `words 4` of a long turn."""
    real = packing.pack

    def pack(parts, *more):
        if packing.words(parts) == "words 4":
            raise ZeroDivisionError("a bug")
        return real(parts, *more)

    monkeypatch.setattr(packing, "pack", pack)


def test_a_socket_with_a_long_turn_that_fails_half_way_is_left_alone(
    log, session, db, datadir, resting, failing
):
    """Its first turn goes too: it would bring the entry into the queue for ever."""
    socket = codex(log, session)
    creates(socket, item("hello"))
    responds(socket, "resp_1", item("well", "assistant"))
    long_turn(socket, "resp_2")
    socket.close()
    log.append()
    ingest, projection = Ingest(datadir), Projection()
    while ingest.step(db) == 0.0:
        pass
    for _ in range(150):
        is_busy = projection.step(db)
        ingest.step(db)
    assert not is_busy
    assert turn_ids(db) == []
    counts = "select (select count(*) from messages), (select count(*) from unprojected)"
    assert db.conn.execute(counts).fetchone() == (0, 0)
    assert db.conn.execute("select kind from notes").fetchall() == [("projection-failed",)]


@pytest.mark.parametrize("what", ["a rest", "no rest", "reading"])
def test_a_socket_that_fails_when_it_closes_is_as_after_a_rebuild(
    log, session, db, go, failing, request, monkeypatch, what
):
    """The turns that were put down while it was open go, and nothing else of their conversation."""
    if what == "a rest":
        request.getfixturevalue("resting")
    before = codex(log, session)
    creates(before, item("hello"))
    responds(before, "resp_0", item("you", "assistant"))
    before.close()
    socket = codex(log, session)
    creates(socket, item("and now?"), previous="resp_0")
    responds(socket, "resp_1", item("well", "assistant"))
    go()
    assert len(turn_ids(db)) == 2
    if what != "reading":
        long_turn(socket, "resp_2")
    else:
        real = reading.decode

        def decode(conn, entry):
            if entry.id == socket.id:
                raise ZeroDivisionError("a bug")
            return real(conn, entry)

        monkeypatch.setattr(reading, "decode", decode)
    socket.close()
    go()
    assert turn_ids(db) == [f"{before.id}.00000"]
    found = projected(db)
    assert found["stale"] == []
    with database.write(db):
        keeping.begin(db, is_forced=True)
    go()
    assert keeping.state(db.conn).result.startswith("done: 1 turns")
    assert projected(db) == found


@pytest.mark.parametrize("begins", [1, 2])
def test_a_rebuild_has_a_turn_of_an_open_socket_that_is_given_up_meanwhile(
    log, session, db, background, go, resting, begins
):
    gone = codex(log, session)
    creates(gone, item("hello"))
    responds(gone, "resp_0", item("you", "assistant"))
    gone.close()
    go()
    socket = codex(log, session)
    long_turn(socket)
    log.append()
    while not db.conn.execute("select 1 from stale").fetchone():
        background.step(db)
    for _ in range(begins):
        with database.write(db):
            keeping.begin(db, is_forced=True)
    with database.write(db):
        traffic.delete(db, gone.id)
    go()
    assert not keeping.state(db.conn).is_building
    assert turn_ids(db) == [f"{socket.id}.00000"]


def test_a_socket_that_closes_while_its_turns_are_put_down_again(
    log, session, db, background, go, resting
):
    """What came last is not among the turns that were read when it was still open."""
    socket = codex(log, session)
    long_turn(socket)
    go()
    with database.write(db):
        keeping.begin(db, is_forced=True)
    while not db.conn.execute("select 1 from next_stale").fetchone():
        background.step(db)
    creates(socket, output("call_1", "a.txt"), previous="resp_1")
    responds(socket, "resp_2", item("One file.", "assistant"))
    socket.close()
    go()
    assert keeping.state(db.conn).result.startswith("done: 2 turns")
    assert turn_ids(db) == [f"{socket.id}.0000{n}" for n in range(2)]
