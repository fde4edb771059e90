"""A stored entry passes once more: order, moments, bytes."""

import random

import pytest

from storage import bodies, replay, traffic
from storage.chunks.blocks import BLOCK_BYTES
from storage.errors import NotFound
from storage.replay import Passed
from tests.storage import recording


@pytest.fixture
def session(db):
    return recording.session(db)


def passed(db, entry_id):
    return list(replay.passed(db.conn, traffic.get(db.conn, entry_id)))


def data(side, offset_ns, content):
    return Passed(what="data", side=side, offset_ns=offset_ns, data=content)


def test_chunks_heads_and_ends_come_in_their_order(db, session):
    made = recording.entry(
        db,
        session.id,
        request=b"ask me",
        response=b"first second",
        timing=recording.pack(
            {"request_done_ns": 20, "response_head_ns": 30, "last_byte_ns": 50, "closed_ns": 60}
        ),
    )
    recording.clock(db, made, "request", [(5, 3), (15, 3)])
    recording.clock(db, made, "response", [(40, 6), (50, 6)])

    assert passed(db, made) == [
        data("request", 5, b"ask"),
        data("request", 15, b" me"),
        Passed(what="ended", side="request", offset_ns=20),
        Passed(what="answered", side="response", offset_ns=30),
        data("response", 40, b"first "),
        data("response", 50, b"second"),
        Passed(what="ended", side="response", offset_ns=50),
    ]


def test_an_answer_that_comes_before_the_request_ended_stands_before_its_end(db, session):
    made = recording.entry(
        db,
        session.id,
        request=b"ab",
        response=b"no",
        timing=recording.pack({"request_done_ns": 90, "response_head_ns": 30, "last_byte_ns": 40}),
    )
    recording.clock(db, made, "request", [(10, 1), (80, 1)])
    recording.clock(db, made, "response", [(40, 2)])

    assert [(one.what, one.side) for one in passed(db, made)] == [
        ("data", "request"),
        ("answered", "response"),
        ("data", "response"),
        ("ended", "response"),
        ("data", "request"),
        ("ended", "request"),
    ]


def test_a_body_without_a_clock_comes_at_its_first_byte(db, session):
    made = recording.entry(
        db,
        session.id,
        request=b"a",
        response=b"b",
        timing=recording.pack(
            {"request_done_ns": 7, "response_head_ns": 8, "first_byte_ns": 9, "last_byte_ns": 11}
        ),
    )
    assert data("request", 7, b"a") in passed(db, made)
    assert data("response", 9, b"b") in passed(db, made)


@pytest.mark.parametrize("outcome", [None, "client_aborted", "gap"])
def test_what_did_not_end_has_no_end(db, session, outcome):
    made = recording.entry(
        db, session.id, response=b"half", outcome=outcome, timing=recording.pack({})
    )
    assert "ended" not in [one.what for one in passed(db, made)]


def test_an_entry_without_an_answer_has_none(db, session):
    made = recording.entry(db, session.id, request=b"ask", status=None, response_headers=None)
    assert [one.what for one in passed(db, made)] == ["data", "ended"]


def test_long_bodies_are_cut_where_they_were_and_nothing_is_lost(db, session):
    content = random.Random(1).randbytes(2 * BLOCK_BYTES + 1234)
    sizes = [1, BLOCK_BYTES - 2, 5, BLOCK_BYTES, 200]
    made = recording.entry(db, session.id, response=content)
    recording.clock(db, made, "response", [(at, size) for at, size in enumerate(sizes)])

    chunks = [one.data for one in passed(db, made) if one.what == "data"]
    assert b"".join(chunks) == content
    assert [len(chunk) for chunk in chunks[: len(sizes)]] == sizes


def test_a_clock_that_steps_back_is_held(db, session):
    made = recording.entry(db, session.id, response=b"abc")
    recording.clock(db, made, "response", [(50, 1), (40, 1), (60, 1)])
    assert [one.offset_ns for one in passed(db, made) if one.what == "data"] == [50, 50, 60]


def test_the_text_of_a_body_that_was_cut_comes_at_its_last_moment(db, session):
    text = bodies.put(db, b"decoded ***")
    made = recording.entry(
        db,
        session.id,
        response=b"\x1f\x8b******",
        response_decoded=text.digest,
        response_headers=recording.pack([(b"Content-Encoding", b"gzip"), (b"a", b"b")]),
    )
    recording.clock(db, made, "response", [(40, 2), (50, 6)])

    assert [one for one in passed(db, made) if one.what == "data"] == [
        data("response", 40, b""),
        data("response", 50, b""),
        data("response", 50, b"decoded ***"),
    ]
    entry = traffic.get(db.conn, made)
    assert replay.readable(entry).response_headers == ((b"a", b"b"),)
    assert replay.readable(entry).request_headers == entry.request_headers


def test_a_body_that_is_only_coded_keeps_its_head(db, session):
    made = recording.entry(
        db, session.id, response_headers=recording.pack([(b"content-encoding", b"gzip")])
    )
    entry = traffic.get(db.conn, made)
    assert replay.readable(entry) == entry


def test_messages_of_a_socket_come_in_order(db, session):
    made = recording.socket(
        db,
        session.id,
        [("request", b"one"), ("response", b""), ("response", b"two")],
        status=101,
        timing=recording.pack({"response_head_ns": 4}),
    )
    assert passed(db, made) == [
        Passed(what="answered", side="response", offset_ns=4),
        data("request", 0, b"one"),
        data("response", 1000, b""),
        data("response", 2000, b"two"),
    ]


def test_an_entry_that_was_deleted_meanwhile_is_not_found(db, session):
    made = recording.entry(db, session.id, response=b"abc", response_digest=None, outcome=None)
    entry = traffic.get(db.conn, made)
    traffic.delete(db, made)
    with pytest.raises(NotFound):
        list(replay.passed(db.conn, entry))
