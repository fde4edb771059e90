"""Native events, ends without a record, sessions, and what is not followed."""

import logging

import pytest

from addons.background import Background
from addons.live import entries, following
from storage import database, drops, sessions, traffic
from storage.decoded import Delta
from storage.feed import Feed
from storage.records import BodyEnd, EntryOpened
from tests.addons.live.speaking import (
    Spoken,
    assistant,
    begins,
    calls,
    claude,
    codex,
    creates,
    hooks,
    item,
    responds,
    result,
    says,
    stops,
    told,
    types,
    use,
    user,
)


@pytest.fixture
def quick_run(monkeypatch):
    monkeypatch.setattr("addons.live._LOOK_S", 0)
    monkeypatch.setattr("addons.live._SETTLED_S", 0)


def test_a_turn_from_its_begin_to_the_tables(log, session, feed, go):
    entry = claude(log, session, user("go"))
    go()
    assert types(feed) == ["entry.opened", "turn.begun"]
    says(begins(entry), "Hello there.", pieces=3)
    go()
    assert types(feed)[2:] == ["delta", "part.done"]
    stops(entry)
    go()
    assert types(feed)[4:] == ["turn.ended", "entry.closed", "turn.stored"]

    opened, begun, delta, part, ended, closed, stored = told(feed, "native")
    assert opened["path"] == "/v1/messages"
    turn = {
        "sessionId": session,
        "entryId": entry.id,
        "conversationId": "conv-1",
        "rootId": "conv-1",
        "turnId": f"{entry.id}.00000",
        "agent": "claude-code",
    }
    for event in (begun, delta, part, ended, stored):
        assert turn.items() <= event.items()
    assert begun["prompt"] == "go"
    assert begun["requestClass"] == "main"
    assert delta["text"] == "Hello there."
    assert part["part"] == {"kind": "text", "text": "Hello there."}
    assert ended["isComplete"]
    assert (ended["stopReason"], ended["outputTokens"]) == ("end_turn", 5)
    assert (closed["outcome"], closed["status"]) == ("complete", 200)


def test_what_comes_in_one_step_is_told_in_its_order(log, session, feed, go):
    socket = codex(log, session)
    for number in range(2):
        creates(socket, item("say it"))
        responds(socket, f"resp_{number}", item("hello", "assistant"))
    socket.close()
    go()
    turn = ["turn.begun", "part.done", "turn.ended"]
    assert types(feed) == ["entry.opened", *turn, *turn, "entry.closed", *["turn.stored"] * 2]
    assert hooks(feed) == ["SessionStart", "Stop", "Stop"]


def test_texts_of_one_step_are_joined_and_others_are_not():
    said = enumerate([(0, "a"), (0, "b"), (1, "c"), (0, "d"), (0, "e")])
    merged = following.merged(
        Delta(number=0, index=index, kind="text", text=text, at_ns=at) for at, (index, text) in said
    )
    assert [(one.index, one.text, one.at_ns) for one in merged] == [
        (0, "ab", 0), (1, "c", 2), (0, "de", 3),
    ]  # fmt: skip


def test_traffic_that_is_no_model_call_is_only_opened_and_closed(log, session, feed, db, go):
    entry = Spoken(log, session, headers=(), target=b"/api/event_logging")
    entry.exchange()
    tunnel = Spoken(log, session, headers=(), target=b"", kind="tunnel")
    go()
    assert types(feed) == ["entry.opened", "entry.closed", "entry.opened"]
    _, closed, opened = told(feed, "native")
    assert (closed["entryId"], closed["status"], closed["responseBytes"]) == (entry.id, 200, 6)
    assert (opened["entryId"], opened["kind"]) == (tunnel.id, "tunnel")


def test_a_backlog_and_an_import_cost_nothing(log, session, feed, go):
    for options in ({"ago_s": 3600}, {"way": "import"}):
        stops(says(begins(claude(log, session, user("go"), **options)), "Hello."))
    go()
    assert types(feed) == []
    assert hooks(feed) == []


def test_an_old_socket_is_followed_once_its_backlog_is_read(log, session, feed, go):
    socket = codex(log, session, ago_s=3600)
    creates(socket, item("first"))
    responds(socket, "resp_1", item("hello", "assistant"))
    go()
    assert types(feed) == []
    socket.now_ns = 3600 * 1_000_000_000
    creates(socket, item("second"), previous="resp_1")
    go()
    assert types(feed) == ["turn.begun"]
    assert told(feed, "native")[0]["turnId"] == f"{socket.id}.00001"


def test_a_coded_body_that_was_cut_is_left_to_the_projection(log, session, feed, go):
    entry = begins(claude(log, session, user("go")))
    go()
    entry.cut(part="response-body", kind="coded")
    says(entry, "***").decoded("response", b"data: {}\n\n")
    entry.pack("response-end", BodyEnd(size_bytes=1, cut_coded=True))
    entry.close()
    go()
    assert types(feed) == ["entry.opened", "turn.begun", "entry.closed"]


def test_an_entry_whose_proxy_died_ends(log, session, feed, go, quick_run, monkeypatch):
    monkeypatch.setattr(entries, "_SILENT_S", 0)
    says(begins(claude(log, session, user("go"))), "Hello")
    go()
    log.end()
    go()
    (closed,) = (event for event in told(feed, "native") if event["type"] == "entry.closed")
    assert closed["outcome"] == "proxy_killed"
    (ended,) = (event for event in told(feed, "native") if event["type"] == "turn.ended")
    assert not ended["isComplete"]


def test_nothing_is_told_of_a_session_that_was_deleted(log, session, db, feed, go):
    entry = begins(claude(log, session, user("go")))
    go()
    with database.write(db):
        sessions.delete(db, session)
    go()
    assert types(feed) == ["session.deleted"]
    assert told(feed, "native")[0]["reason"] is None
    assert hooks(feed) == []
    says(entry, "secret")
    stops(entry)
    go()
    assert types(feed) == ["session.deleted"]


def test_changes_of_sessions(db, session, feed, go, log):
    go()
    with database.write(db):
        made = sessions.create(db, name="other", now_ms=2).id
        sessions.update(db, session, name="new name")
    go()
    created, updated = sorted(told(feed, "native"), key=lambda event: event["type"])
    assert (created["type"], created["sessionId"], created["name"]) == (
        "session.created", made, "other",
    )  # fmt: skip
    assert (updated["type"], updated["name"]) == ("session.updated", "new name")


def test_a_session_that_retention_dropped_goes_with_its_reason(session, db, feed, go):
    go()
    with database.write(db):
        sessions.update(db, session, is_pinned=True)
    go()
    (pinned,) = told(feed, "native")
    assert (pinned["type"], pinned["pinned"]) == ("session.updated", True)
    with database.write(db):
        drops.add(db, sessions.get(db.conn, session), "retention.days", 1)
        sessions.delete(db, session)
    go()
    (gone,) = told(feed, "native")
    assert (gone["type"], gone["reason"]) == ("session.deleted", "retention.days")


def test_sessions_that_ingest_makes_show(log, feed, go, db):
    go()
    stops(says(begins(claude(log, None, user("go"))), "Hello."))
    go()
    go()
    assert "session.created" in types(feed)
    stored = next(event for event in told(feed, "native") if event["type"] == "turn.stored")
    assert stored["sessionId"] == traffic.get(db.conn, stored["entryId"]).session_id


def test_a_run_that_is_over_ends_its_conversations(log, session, feed, go, quick_run):
    stops(says(begins(claude(log, session, user("go"))), "Hello."))
    still = begins(claude(log, session, user("go"), conversation="conv-2"))
    feed.run_ended(session)
    go()
    assert hooks(feed) == ["SessionStart", "Stop", "SessionStart", "SessionEnd"]
    end = told(feed, "hooks")[-1]
    assert (end["session_id"], end["reason"]) == ("conv-1", "exit")
    assert "inferred" not in end
    stops(says(still, "Bye."))
    go()
    assert hooks(feed)[4:] == ["Stop", "SessionEnd"]


def test_silence_ends_a_conversation_and_a_new_turn_resumes_it(
    log, session, db, datadir, go, quick_run
):
    feed = Feed(idle_minutes=1e-9)
    background = Background(datadir, feed)
    says(begins(entry := claude(log, session, user("go"))), "Hello.")
    go(background)
    go(background)
    assert hooks(feed) == ["SessionStart"]  # a turn runs
    stops(entry)
    go(background)
    go(background)
    assert hooks(feed) == ["SessionStart", "Stop", "SessionEnd"]
    end = told(feed, "hooks")[-1]
    assert (end["reason"], end["inferred"]) == ("idle", True)
    stops(says(begins(claude(log, session, user("go"))), "Hello."))
    go(background)
    resumed = told(feed, "hooks")[3]
    assert (resumed["hook_event_name"], resumed["source"]) == ("SessionStart", "resume")


def test_a_server_that_starts_again_starts_no_conversation_again(log, session, datadir, go, feed):
    block = use("toolu_1", "Bash", command="ls")
    stops(calls(begins(claude(log, session, user("go"))), block), "tool_use")
    go()
    feed = Feed()
    background = Background(datadir, feed)
    history = [user("go"), assistant(block), user([result("toolu_1", "a")])]
    stops(says(begins(claude(log, session, *history)), "Hello."))
    go(background)
    assert hooks(feed) == ["PostToolUse", "Stop"]
    assert told(feed, "hooks")[0]["tool_input"] == {"command": "ls"}


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "running"])
def test_a_server_that_starts_again_goes_on_with_an_open_answer(log, session, datadir, go, is_over):
    entry = says(begins(claude(log, session, user("go"))), "I look.")
    go()
    feed = Feed()
    background = Background(datadir, feed)
    calls(entry, use("toolu_1", "Bash", command="ls"), index=1)
    if not is_over:
        go(background)
        assert types(feed) == ["delta", "part.done"]
    stops(entry, "tool_use")
    go(background)
    assert types(feed) == ["delta", "part.done", "turn.ended", "entry.closed", "turn.stored"]
    assert hooks(feed) == ["PreToolUse"]
    (closed,) = (event for event in told(feed, "native") if event["type"] == "entry.closed")
    assert (closed["outcome"], closed["status"]) == ("complete", 200)


def test_an_answer_too_long_to_be_read_again_is_left_to_the_projection(
    log, session, datadir, go, monkeypatch
):
    monkeypatch.setattr(entries, "_MAX_CATCH_UP_BYTES", 10)
    entry = begins(claude(log, session, user("go")))
    go()
    feed = Feed()
    background = Background(datadir, feed)
    says(entry, "Hello.")
    go(background)
    stops(entry)
    go(background)
    assert types(feed) == []
    assert not background.live._entries._left_out


def test_trouble_of_the_store_is_a_notification(background, feed, go, log, quick_run):
    trouble = ["disk full"]
    background.live.degraded = lambda: trouble[0]
    go()
    go()
    trouble[0] = None
    go()
    first, second = told(feed, "hooks", about="whatever")
    assert first["hook_event_name"] == "Notification"
    assert "disk full" in first["message"]
    assert "well again" in second["message"]
    assert [event["degraded"] for event in told(feed, "native")] == ["disk full", None]


def test_what_fails_in_here_stops_neither_ingest_nor_the_others(
    log, session, db, feed, go, monkeypatch, caplog
):
    real = following.Following.take

    def take(self, record):
        if self.entry.id == broken.id:
            raise RuntimeError("broken")
        return real(self, record)

    monkeypatch.setattr(following.Following, "take", take)
    broken = claude(log, session, user("go"), conversation="broken")
    sound = stops(says(begins(claude(log, session, user("go"))), "Hello."))
    stops(says(begins(broken), "Hello."))
    with caplog.at_level(logging.ERROR):
        go()
    assert hooks(feed) == ["SessionStart", "Stop"]
    assert [record.message for record in caplog.records] == [f"entry {broken.id} is not followed"]
    for entry in (broken, sound):
        assert traffic.get(db.conn, entry.id).outcome == "complete"


def test_records_in_the_quarantine_are_not_told(log, session, db, feed, go):
    entry = begins(claude(log, session, user("go")))
    entry.pack("open", EntryOpened(kind="http", way="proxy", started_ns=1, session=None, client="",
                                   method="GET", scheme="", host="", port=1))  # fmt: skip
    entry.pack("response-chunk", "no chunk")
    stops(says(entry, "Hello."))
    go()
    assert db.conn.execute("select count(*) from quarantine").fetchone()[0] == 2
    assert "entry.closed" in types(feed)
