"""Pages of entries, one entry, its bodies and frames, and deleting them."""

import random

import pytest

from storage import bodies, clocks, database, ids, removal, sessions, traffic
from storage.chunks.blocks import BLOCK_BYTES
from storage.errors import Conflict, NotFound
from storage.records import Cut, Gap, Timing
from storage.traffic import Query
from tests.storage import plans, recording


@pytest.fixture
def session(db):
    return recording.session(db)


def pages(conn, query, **options):
    """Ids of all pages one after the other."""
    found, after = [], None
    while True:
        page = traffic.page(conn, query, after=after, **options)
        found.append([entry.id for entry in page.entries])
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize(
    "changes",
    [{"outcome": "gap"}, {"outcome": None}, {"way": "import"}],
    ids=["gap", "open", "import"],
)
def test_of_what_may_not_be_whole_the_stored_size_is_told(db, session, changes):
    entry_id = recording.entry(
        db, session.id, request=b"abc", response=b"de", request_bytes=5, response_bytes=7, **changes
    )
    found = traffic.get(db.conn, entry_id)

    assert (found.request_body.size_bytes, found.response_body.size_bytes) == (3, 2)


class TestPage:
    def test_totals_are_those_of_the_session_and_of_all(self, db, session):
        made = [recording.entry(db, session.id) for _ in range(2)]
        recording.entry(db, recording.session(db, "two").id)

        with plans.of(db) as plan:
            page = traffic.page(db.conn, Query(session_id=session.id), limit=1)

        assert ([entry.id for entry in page.entries], page.total) == (made[1:], 2)
        assert "SCAN sessions" not in plan.text
        assert traffic.page(db.conn, Query(), limit=1).total == 3

    def test_keyset_pages_cover_all_once(self, db, session):
        made = [recording.entry(db, session.id) for _ in range(7)]

        assert pages(db.conn, Query(), limit=3) == [
            made[:3:-1],
            made[3:0:-1],
            made[:1],
        ]
        assert pages(db.conn, Query(), limit=3, newest_first=False) == [
            made[:3],
            made[3:6],
            made[6:],
        ]
        assert pages(db.conn, Query(), limit=7) == [made[::-1]]

    def test_new_entries_do_not_shift_later_pages(self, db, session):
        made = [recording.entry(db, session.id) for _ in range(4)]
        first = traffic.page(db.conn, Query(), limit=2)
        recording.entry(db, session.id)

        second = traffic.page(db.conn, Query(), limit=2, after=first.next)

        assert [entry.id for entry in second.entries] == made[1::-1]
        assert second.next is None

    def test_entries_of_a_deleted_session_are_out_of_sight_before_they_are_swept(self, db, session):
        kept = recording.entry(db, session.id)
        doomed = recording.session(db)
        gone = recording.entry(db, doomed.id)
        sessions.delete(db, doomed.id)

        assert pages(db.conn, Query()) == [[kept]]
        assert pages(db.conn, Query(session_id=doomed.id)) == [[]]
        assert traffic.page(db.conn, Query(method="POST")).total == 1
        for find in (traffic.get, traffic.find):
            with pytest.raises(NotFound):
                find(db.conn, gone)
        assert traffic.find(db.conn, gone[:4]).id == kept

    def test_of_nothing(self, db):
        page = traffic.page(db.conn, Query())
        assert (page.entries, page.total, page.next) == ([], 0, None)
        assert traffic.page(db.conn, Query(session_id="nobody")).total == 0

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (Query(), "abcdef"),
            (Query(host="api.openai.com"), "b"),
            (Query(host="API.OpenAI.com"), "b"),
            (Query(host="openai.com"), ""),
            (Query(method="get"), "c"),
            (Query(status=404), "c"),
            (Query(status=4), "cd"),
            (Query(status=5), ""),
            (Query(status=2), "abf"),
            (Query(kind="websocket"), "e"),
            (Query(outcome="client_aborted"), "d"),
            (Query(outcome="open"), "e"),
            (Query(text="RESPONSES"), "b"),
            (Query(text="openai"), "b"),
            (Query(text="event-stream"), "abde"),
            (Query(text="reset by peer"), "d"),
            (Query(text="100%_"), "f"),
            (Query(text="o'; drop"), ""),
            (Query(text=""), "abcdef"),
            (Query(text="messages", status=4), "d"),
            (Query(text="messages", status=4, method="PUT"), ""),
        ],
    )
    def test_filters(self, db, session, query, expected):
        other = recording.session(db, "other")
        made = {
            "a": recording.entry(db, session.id),
            "b": recording.entry(
                db, session.id, host="api.openai.com", target=b"/v1/responses", status=200
            ),
            "c": recording.entry(
                db, session.id, method="GET", status=404, target=b"/x", content_type=None
            ),
            "d": recording.entry(
                db, session.id, status=429, outcome="client_aborted", error="Reset by peer"
            ),
            "e": recording.socket(db, session.id, [], status=101, outcome=None),
            "f": recording.entry(
                db, session.id, target=b"/100%_\xff\xfe", content_type="text/plain"
            ),
        }
        recording.entry(db, other.id, target=b"/of/another/session", status=599)
        query = Query(
            **{name: getattr(query, name) for name in query.__struct_fields__}
            | {"session_id": session.id}
        )

        page = traffic.page(db.conn, query, newest_first=False)

        assert [entry.id for entry in page.entries] == [made[name] for name in expected]
        assert page.total == len(expected)

    def test_total_is_of_all_pages(self, db, session):
        other = recording.session(db, "other")
        for number in range(5):
            recording.entry(db, session.id, status=200 + number % 2)
        recording.entry(db, other.id)

        for query, total in [
            (Query(), 6),
            (Query(session_id=session.id), 5),
            (Query(status=200), 4),
            (Query(session_id=session.id, status=2), 5),
        ]:
            first = traffic.page(db.conn, query, limit=2)
            second = traffic.page(db.conn, query, limit=2, after=first.next)
            assert first.total == second.total == total

    @pytest.mark.parametrize(
        ("query", "index"),
        [
            (Query(session_id="s"), "entries_session"),
            (Query(host="h"), "entries_host"),
            (Query(), "sqlite_autoindex_entries"),
        ],
    )
    def test_the_first_page_sorts_nothing(self, db, query, index):
        seen = []
        db.conn.set_trace_callback(seen.append)
        traffic.page(db.conn, query)
        db.conn.set_trace_callback(None)
        plan = " ".join(row[3] for row in db.execute(f"explain query plan {seen[0]}"))
        assert index in plan
        assert "TEMP B-TREE" not in plan


class TestGet:
    def test_every_field(self, db, session):
        entry_id = recording.entry(
            db,
            session.id,
            request=b"question",
            response=b"answer",
            marks=recording.pack(["started_late"]),
            continues="before",
            duration_ns=5,
        )
        decoded = bodies.put(db, b"decoded")
        db.execute(
            """
            update entries set response_decoded = :d, request_hmac = 'h1', response_hmac = 'h2',
                server = '203.0.113.5:443', tls_version = 'TLSv1.3', close_code = 1000,
                close_reason = 'bye', message_count = 3, error = 'none'
            """,
            {"d": decoded.digest},
        )

        entry = traffic.get(db.conn, entry_id)

        assert entry.id == entry_id
        assert entry.session_id == session.id
        assert (entry.kind, entry.way, entry.client) == ("http", "proxy", "127.0.0.1:5000")
        assert (entry.method, entry.scheme, entry.host, entry.port) == (
            "POST", "https", "api.anthropic.com", 443,
        )  # fmt: skip
        assert entry.target == b"/v1/messages?beta=true"
        assert entry.request_headers == ((b"content-type", b"application/json"),)
        assert entry.response_headers == ((b"content-type", b"text/event-stream"),)
        assert (entry.marks, entry.continues) == (("started_late",), "before")
        assert (entry.status, entry.reason) == (200, b"OK")
        assert (entry.http_version, entry.response_http_version) == ("HTTP/1.1", "HTTP/1.1")
        assert (entry.outcome, entry.error) == ("complete", "none")
        assert (entry.request_bytes, entry.response_bytes) == (8, 6)
        assert entry.request_body.size_bytes == 8
        assert entry.response_body.size_bytes == 6
        assert entry.request_decoded is None
        assert entry.response_decoded == decoded
        assert (entry.request_wire_hmac, entry.response_wire_hmac) == ("h1", "h2")
        assert entry.timing == Timing(request_done_ns=1, closed_ns=2)
        assert (entry.server, entry.tls_version) == ("203.0.113.5:443", "TLSv1.3")
        assert (entry.close_code, entry.close_reason, entry.message_count) == (1000, "bye", 3)

    def test_an_open_one_says_unknown(self, db, session):
        nothing = dict.fromkeys(
            ["status", "reason", "response_version", "response_headers", "outcome", "duration_ns"]
        )
        entry = traffic.get(db.conn, recording.entry(db, session.id, **nothing))
        assert (entry.status, entry.response_headers, entry.outcome) == (None, None, None)
        assert (entry.request_body, entry.response_body) == (None, None)

    def test_unknown(self, db):
        with pytest.raises(NotFound, match=r"^Traffic entry not found$"):
            traffic.get(db.conn, ids.new())


class TestFind:
    def test_by_prefix(self, db, session):
        one = recording.entry(db, session.id, id="0190aaaa-0000-7000-8000-000000000001")
        recording.entry(db, session.id, id="0190aaab-0000-7000-8000-000000000001")
        for text in (one, one.upper(), "0190aaaa", " 0190aaaa- "):
            assert traffic.find(db.conn, text).id == one

    def test_several_are_named(self, db, session):
        made = [
            recording.entry(db, session.id, id=f"0190aaaa-0000-7000-8000-00000000000{n}")
            for n in range(8)
        ]
        with pytest.raises(Conflict) as caught:
            traffic.find(db.conn, "0190")
        assert [entry_id in str(caught.value) for entry_id in made] == [True] * 5 + [False] * 3

    @pytest.mark.parametrize("text", ["", "019", "ffff", "0190aaaa-0000-7000-8000-0000000000011"])
    def test_nothing(self, db, session, text):
        recording.entry(db, session.id, id="0190aaaa-0000-7000-8000-000000000001")
        with pytest.raises(NotFound):
            traffic.find(db.conn, text)


class TestEach:
    def test_oldest_first_over_many_pages(self, db, session):
        other = recording.session(db, "other")
        made = []
        with database.write(db):
            for _ in range(250):
                made.append(recording.entry(db, session.id))
                recording.entry(db, other.id)
        assert [entry.id for entry in traffic.each(db.conn, session.id)] == made

    def test_holds_no_snapshot(self, datadir, db, session):
        for _ in range(3):
            recording.entry(db, session.id)
        conn = database.reader(datadir.database)
        try:
            entries = traffic.each(conn, session.id)
            next(entries)
            assert database.truncate_log(db)
        finally:
            conn.close()

    def test_of_nobody(self, db):
        assert list(traffic.each(db.conn, "nobody")) == []


class TestBody:
    def test_both_sides(self, db, session):
        response = random.Random(1).randbytes(BLOCK_BYTES + 1)
        entry_id = recording.entry(db, session.id, request=b"question", response=response)
        entry = traffic.get(db.conn, entry_id)
        assert traffic.body(db.conn, entry, "request").read() == b"question"
        assert traffic.body(db.conn, entry, "response").read() == response

    def test_none_is_empty(self, db, session):
        entry = traffic.get(db.conn, recording.entry(db, session.id))
        view = traffic.body(db.conn, entry, "response")
        assert (view.size_bytes, view.digest, view.read()) == (0, None, b"")

    def test_while_it_grows_and_when_it_has_ended_meanwhile(self, db, session):
        entry_id = recording.entry(db, session.id, outcome=None)
        entry = traffic.get(db.conn, entry_id)
        growing = bodies.Growing(entry_id, "response")
        growing.append(b"data: 1\n\n")
        growing.flush(db)
        view = traffic.body(db.conn, entry, "response")
        assert (view.size_bytes, view.digest) == (9, None)
        assert view.read() == b"data: 1\n\n"

        growing.append(b"data: 2\n\n")
        body = growing.finish(db)
        db.execute("update entries set response_digest = ?", [body.digest])

        assert view.read() == b"data: 1\n\n"  # a view of before
        assert traffic.body(db.conn, entry, "response").read() == b"data: 1\n\ndata: 2\n\n"

    def test_of_an_entry_that_was_deleted(self, db, session):
        entry_id = recording.entry(db, session.id, outcome=None)
        entry = traffic.get(db.conn, entry_id)
        growing = bodies.Growing(entry_id, "response")
        growing.append(b"data: 1\n\n")
        growing.flush(db)
        view = traffic.body(db.conn, entry, "response")
        traffic.delete(db, entry_id)
        while removal.sweep(db):
            pass
        with pytest.raises(NotFound):
            view.read()
        with pytest.raises(NotFound):
            traffic.body(db.conn, entry, "response")


class TestFrames:
    def test_messages_in_order_of_both_sides(self, db, session):
        sent = [("request", b"hi"), ("response", b""), ("response", b"x" * 1000)]
        entry_id = recording.socket(db, session.id, sent)

        frames = traffic.frames(db.conn, entry_id)

        assert [(frame.number, frame.side, frame.size_bytes) for frame in frames] == [
            (0, "request", 2),
            (1, "response", 0),
            (2, "response", 1000),
        ]
        assert [(frame.opcode, frame.offset_ns, frame.at_bytes) for frame in frames] == [
            (1, 0, None),
            (1, 1000, None),
            (1, 2000, None),
        ]
        assert frames[1].body is None
        assert bodies.view(db.conn, frames[2].body.digest).read() == b"x" * 1000
        assert traffic.frames(db.conn, entry_id, side="request") == frames[:1]
        assert traffic.frames(db.conn, entry_id, after=0, limit=1) == frames[1:2]

    def test_chunks_lie_one_behind_the_other_in_their_body(self, db, session):
        entry_id = recording.entry(db, session.id)
        source = random.Random(5)
        chunks = [(number * 1000 + 7, source.randrange(1, 500)) for number in range(1000)]
        recording.clock(db, entry_id, "response", chunks)
        recording.clock(db, entry_id, "request", [(5, 11)])

        frames = traffic.frames(db.conn, entry_id)

        assert [(frame.offset_ns, frame.size_bytes) for frame in frames] == chunks
        assert [frame.number for frame in frames] == list(range(1000))
        at_bytes = 0
        for frame in frames:
            assert frame.at_bytes == at_bytes
            at_bytes += frame.size_bytes
        assert traffic.frames(db.conn, entry_id, side="request")[0].offset_ns == 5
        for after, limit in [(0, 3), (clocks.RUN_CHUNKS - 2, 4), (clocks.RUN_CHUNKS - 1, 1)]:
            found = traffic.frames(db.conn, entry_id, after=after, limit=limit)
            assert found == frames[after + 1 : after + 1 + limit]
        assert traffic.frames(db.conn, entry_id, after=999) == []

    def test_of_an_unknown_entry(self, db):
        assert traffic.frames(db.conn, ids.new()) == []


class TestCutsAndGaps:
    def test_are_told_in_order(self, db, session):
        entry_id = recording.entry(db, session.id)
        for number in (3, 1):
            db.execute(
                "insert into cuts values (?, ?, 'request-header', 'x-api-key', 2, 0, ?, 'k', 'h')",
                [entry_id, number, number],
            )
        db.execute(
            "insert into gaps values (?, 'w', ?, ?, 'queue_full', 4, null, 1, 2, 'why')",
            [ids.new(), entry_id, session.id],
        )
        cut = {"part": "request-header", "name": "x-api-key", "index": 2, "offset_bytes": 0,
               "kind": "k", "hmac": "h"}  # fmt: skip
        assert traffic.cuts(db.conn, entry_id) == [
            Cut(length_bytes=1, **cut),
            Cut(length_bytes=3, **cut),
        ]
        assert traffic.gaps(db.conn, entry_id) == [
            Gap(reason="queue_full", records=4, started_ns=1, ended_ns=2, detail="why")
        ]
        assert traffic.cuts(db.conn, "other") == traffic.gaps(db.conn, "other") == []


class TestDelete:
    def test_takes_it_out_of_sight_and_of_the_counters(self, db, session):
        kept = recording.entry(db, session.id, request=b"12345")
        gone = recording.entry(db, session.id, request=b"123", response=b"4567")
        db.execute("update sessions set updated_ms = 1")

        traffic.delete(db, gone)

        after = sessions.get(db.conn, session.id)
        assert (after.traffic_count, after.total_bytes) == (1, 5)
        assert after.updated_ms > 1
        page = traffic.page(db.conn, Query(session_id=session.id))
        assert ([entry.id for entry in page.entries], page.total) == ([kept], 1)
        with pytest.raises(NotFound):
            traffic.delete(db, gone)


class TestClear:
    def test_in_slices_until_nothing_is_left(self, db, session):
        other = recording.session(db, "other")
        with database.write(db):
            for _ in range(30):
                recording.entry(db, session.id, request=b"x")
        recording.entry(db, other.id, request=b"x")
        removed = 0
        while count := traffic.clear(db, session.id):
            removed += count

        assert removed == 30
        after = sessions.get(db.conn, session.id)
        assert (after.traffic_count, after.total_bytes) == (0, 0)
        assert sessions.get(db.conn, other.id).traffic_count == 1

    def test_of_nobody(self, db):
        with pytest.raises(NotFound, match="Session not found"):
            traffic.clear(db, "nobody")
