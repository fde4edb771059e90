"""The rules of seed document 002 and of architecture.md for capture sessions."""

import functools
import time
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from sqlite_utils import Database

from storage import session_control, sessions
from storage.errors import Conflict, NotFound
from storage.schema import migrations
from tests.storage import plans

UNKNOWN = "00000000-0000-7000-8000-000000000000"


def state(db, session):
    now = sessions.get(db.conn, session.id)
    return now.is_active, now.is_recording


class TestCreate:
    def test_is_neither_active_nor_recording_and_empty(self, db):
        session = sessions.create(db, name="Login Flow Testing")

        assert session.name == "Login Flow Testing"
        assert (session.is_active, session.is_recording) == (False, False)
        assert (session.traffic_count, session.total_bytes) == (0, 0)
        assert session.created_ms == session.updated_ms
        assert session.origin == "user"
        assert abs(session.created_ms - time.time() * 1000) < 60_000

    @pytest.mark.parametrize("name", [None, "", "  \t"])
    def test_without_a_name_gets_the_automatic_one(self, db, name):
        session = sessions.create(db, name=name, now_ms=1_709_132_400_000)

        local = datetime.fromtimestamp(1_709_132_400, tz=UTC).astimezone()
        assert session.name == sessions.default_name(local)

    def test_has_a_word_of_its_own(self, db):
        words = {sessions.create(db).word for _ in range(20)}
        assert len(words) == 20
        assert all(len(word) == 16 and word.isalnum() for word in words)

    def test_refuses_a_second_session_of_a_key(self, db):
        first = sessions.create(db, key="claude/1", origin="automatic", is_recording=True)

        assert first.is_recording
        assert sessions.by_key(db.conn, "claude/1") == first
        assert sessions.by_key(db.conn, "claude/2") is None
        with pytest.raises(Conflict, match="claude/1"):
            sessions.create(db, key="claude/1")


@pytest.mark.parametrize(
    ("now", "name"),
    [
        (datetime(2026, 2, 28, 15, 0, 0, tzinfo=UTC), "Session 2/28/2026, 3:00:00 PM"),
        (datetime(2026, 12, 1, 0, 5, 9, tzinfo=UTC), "Session 12/1/2026, 12:05:09 AM"),
        (datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC), "Session 12/1/2026, 12:00:00 PM"),
        (datetime(2026, 7, 4, 11, 59, 59, tzinfo=UTC), "Session 7/4/2026, 11:59:59 AM"),
    ],
)
def test_default_name(now, name):
    assert sessions.default_name(now) == name


class TestList:
    def test_newest_first_then_by_id(self, db):
        old = sessions.create(db, name="old", now_ms=1000)
        twins = [sessions.create(db, name="twin", now_ms=2000) for _ in range(3)]

        expected = [*sorted((twin.id for twin in twins), reverse=True), old.id]
        assert [session.id for session in sessions.list_all(db.conn)] == expected

    @pytest.mark.parametrize("limit", [1, 2, 3, 4])
    def test_pages_hold_each_once(self, db, limit):
        for number in range(3):
            sessions.create(db, name=str(number), now_ms=1000 + number // 2)
        found, after = [], None
        while True:
            page = sessions.page(db.conn, after=after, limit=limit)
            assert page.total == 3
            assert len(page.sessions) <= limit
            found += page.sessions
            after = page.next
            if after is None:
                break
        assert found == sessions.list_all(db.conn)

    def test_a_page_goes_on_behind_a_deleted_session(self, db):
        made = [sessions.create(db, now_ms=number) for number in (1, 2, 3)]
        after = sessions.page(db.conn, limit=2).next
        sessions.delete(db, made[1].id)
        assert sessions.page(db.conn, after=after, limit=2).sessions == [made[0]]

    def test_a_page_is_read_off_an_index(self, db):
        with plans.of(db) as plan:
            sessions.page(db.conn, after=(1, "x"), limit=2)
        assert "sessions_created ((created_ms,id)<(?,?))" in plan.text
        assert "TEMP B-TREE" not in plan.text

    def test_of_nothing_is_empty(self, db):
        assert sessions.list_all(db.conn) == []
        assert sessions.page(db.conn, limit=5) == sessions.Page(sessions=[], total=0, next=None)
        assert sessions.active(db.conn) is None


class TestUpdate:
    """Each rule: state before (active, recording), change, state after."""

    @pytest.mark.parametrize(
        ("before", "change", "after"),
        [
            ((False, False), {}, (False, False)),
            ((True, True), {}, (True, True)),
            ((False, False), {"is_active": True}, (True, True)),
            ((True, False), {"is_active": True}, (True, True)),
            ((False, False), {"is_active": True, "is_recording": False}, (True, False)),
            ((True, True), {"is_active": False}, (False, True)),
            ((True, False), {"is_active": False}, (False, False)),
            ((True, True), {"is_active": False, "is_recording": False}, (False, False)),
            ((False, True), {"is_active": False}, (False, True)),
            ((True, True), {"is_recording": False}, (True, False)),
            ((True, False), {"is_recording": True}, (True, True)),
            ((False, False), {"is_recording": True}, (False, True)),
            ((True, True), {"name": "new"}, (True, True)),
        ],
    )
    def test_rule(self, db, before, change, after):
        session = sessions.create(db, name="one")
        if before[0]:
            sessions.activate(db, session.id)
        sessions.update(db, session.id, is_recording=before[1])
        assert state(db, session) == before

        changed = sessions.update(db, session.id, **change)

        assert (changed.is_active, changed.is_recording) == after
        assert changed == sessions.get(db.conn, session.id)
        assert changed.name == change.get("name", "one")
        assert sessions.active(db.conn) == (changed if after[0] else None)

    def test_every_change_touches_updated_ms_and_nothing_else(self, db):
        session = sessions.create(db, name="one", now_ms=1000)

        changed = sessions.update(db, session.id)

        assert changed.updated_ms > session.updated_ms
        assert changed.created_ms == 1000

    def test_updated_ms_never_goes_back(self, db):
        session = sessions.create(db, now_ms=9_999_999_999_999)
        assert sessions.update(db, session.id, name="n").updated_ms == 9_999_999_999_999

    @pytest.mark.parametrize("blank", ["", "   "])
    def test_a_blank_name_asks_for_the_automatic_one(self, db, blank):
        session = sessions.create(db, name="one")
        assert sessions.update(db, session.id, name=blank).name.startswith("Session ")

    def test_active_false_of_another_session_leaves_the_active_one(self, db):
        one, two = sessions.create(db), sessions.create(db)
        sessions.activate(db, one.id)

        sessions.update(db, two.id, is_active=False)

        assert state(db, one) == (True, True)

    def test_unknown(self, db):
        with pytest.raises(NotFound, match=r"^Session not found$"):
            sessions.update(db, UNKNOWN, name="x")


class TestActivate:
    def test_the_old_one_loses_both(self, db):
        one, two = sessions.create(db, now_ms=1000), sessions.create(db)
        sessions.activate(db, one.id)
        db.execute("update sessions set updated_ms = 1000")

        sessions.activate(db, two.id)

        assert state(db, one) == (False, False)
        assert state(db, two) == (True, True)
        assert sessions.get(db.conn, one.id).updated_ms > 1000

    def test_the_old_one_goes_on_recording_while_an_agent_is_tagged_with_it(self, db):
        one, two = sessions.create(db), sessions.create(db)
        sessions.activate(db, one.id)

        sessions.activate(db, two.id, used=[one.id])

        assert state(db, one) == (False, True)

    def test_being_used_does_not_start_a_stopped_one(self, db):
        one, two = sessions.create(db), sessions.create(db)
        sessions.activate(db, one.id)
        sessions.update(db, one.id, is_recording=False)

        sessions.activate(db, two.id, used=[one.id])

        assert state(db, one) == (False, False)

    def test_a_third_session_that_records_is_left_alone(self, db):
        one, two = sessions.create(db), sessions.create(db)
        tagged = sessions.create(db, is_recording=True)
        sessions.activate(db, one.id)
        sessions.activate(db, two.id)

        assert state(db, tagged) == (False, True)

    def test_an_unknown_id_changes_nothing(self, db):
        one = sessions.activate(db, sessions.create(db).id)

        with pytest.raises(NotFound):
            sessions.activate(db, UNKNOWN)

        assert sessions.get(db.conn, one.id) == one


class TestDelete:
    def test_of_the_active_one_leaves_none_active(self, db):
        one, two = sessions.create(db), sessions.create(db)
        sessions.activate(db, one.id)

        sessions.delete(db, one.id)

        assert sessions.active(db.conn) is None
        assert [session.id for session in sessions.list_all(db.conn)] == [two.id]
        with pytest.raises(NotFound):
            sessions.get(db.conn, one.id)

    def test_unknown(self, db):
        with pytest.raises(NotFound):
            sessions.delete(db, UNKNOWN)


class TestFind:
    def test_by_id_name_and_prefix(self, db):
        one = sessions.create(db, name="Bug")
        two = sessions.create(db, name="Feature")
        different = next(i for i in range(36) if one.id[:i] != two.id[:i])
        prefix = one.id[: max(different, 4)]

        for text in (one.id, one.id.upper(), "Bug", f" {one.id} ", prefix):
            assert sessions.find(db.conn, text) == one

    @pytest.mark.parametrize("text", ["", "bug", "0", UNKNOWN])
    def test_nothing(self, db, text):
        sessions.create(db, name="Bug")
        with pytest.raises(NotFound, match=r"^Session not found$"):
            sessions.find(db.conn, text)

    def test_an_id_is_looked_up(self, db):
        one = sessions.create(db)
        sessions.create(db)
        with plans.of(db) as plan:
            sessions.find(db.conn, one.id)
        assert plan.texts == ["SEARCH sessions USING PRIMARY KEY (id=?)"]

    def test_three_characters_are_no_prefix(self, db):
        session = sessions.create(db)
        with pytest.raises(NotFound):
            sessions.find(db.conn, session.id[:3])

    def test_several_are_named(self, db):
        twins = [sessions.create(db, name="Bug") for _ in range(7)]

        with pytest.raises(Conflict) as caught:
            sessions.find(db.conn, "Bug")

        assert sum(twin.id in str(caught.value) for twin in twins) == 5
        assert "2 more" in str(caught.value)
        with pytest.raises(Conflict):
            sessions.find(db.conn, twins[0].id[:4])

    def test_a_name_beats_a_prefix(self, db):
        one = sessions.create(db)
        named = sessions.create(db, name=one.id[:8])
        assert sessions.find(db.conn, one.id[:8]) == named


@functools.cache
def _empty():
    with Database(memory=True, execute_plugins=False) as db:
        migrations.apply(db)
        return db.conn.serialize()


class OneActive(RuleBasedStateMachine):
    """Whatever is done: at most one session is active, and what 002 says of the rest holds."""

    known = Bundle("known")

    def __init__(self):
        super().__init__()
        self.db = Database(memory=True, execute_plugins=False)
        self.db.conn.deserialize(_empty())
        self.states: dict[str, tuple[bool, bool]] = {}

    def teardown(self):
        self.db.close()

    @rule(target=known)
    def create(self):
        session = sessions.create(self.db)
        self.states[session.id] = (False, False)
        return session.id

    @rule(session_id=known, used=st.lists(known))
    def activate(self, session_id, used):
        sessions.activate(self.db, session_id, used=used)
        self._expect_active(session_id, used)

    @rule(
        session_id=known,
        is_active=st.sampled_from([None, True, False]),
        is_recording=st.sampled_from([None, True, False]),
        used=st.lists(known),
    )
    def update(self, session_id, is_active, is_recording, used):
        sessions.update(
            self.db, session_id, is_active=is_active, is_recording=is_recording, used=used
        )
        if is_active:
            self._expect_active(session_id, used)
        active, recording = self.states[session_id]
        self.states[session_id] = (
            active if is_active is None else is_active,
            recording if is_recording is None else is_recording,
        )

    @rule(session_id=consumes(known))
    def delete(self, session_id):
        sessions.delete(self.db, session_id)
        del self.states[session_id]

    @invariant()
    def agrees(self):
        found = sessions.list_all(self.db.conn)
        assert {s.id: (s.is_active, s.is_recording) for s in found} == self.states
        assert sum(session.is_active for session in found) <= 1
        told = session_control.read(self.db.conn)
        assert told.active == next((key for key, value in self.states.items() if value[0]), None)

    def _expect_active(self, session_id, used):
        for other, (active, recording) in self.states.items():
            if active and other != session_id:
                self.states[other] = (False, recording and other in used)
        self.states[session_id] = (True, True)


TestOneActive = OneActive.TestCase
TestOneActive.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_who_watches_learns_which_were_changed(db):
    one = sessions.create(db)
    changed = sessions.watch(db, "test")
    two = sessions.create(db)
    sessions.update(db, one.id, name="new")
    assert changed == {one.id, two.id}
    changed.clear()
    db.execute("update sessions set traffic_count = traffic_count + 1")
    assert not changed
    sessions.delete(db, one.id)
    assert changed == {one.id}
    again = sessions.watch(db, "test")
    sessions.activate(db, two.id)
    assert again == {two.id}
