"""Entries that are made in one go are told as those that are made piece by piece."""

import itertools
import json

import pytest

from api.exports import captured, har, har_plain
from storage.records import Cut, Gap
from tests.har.recording import JSON

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
STREAM = [(1, b"data: \xc3\xbc\n\n: no"), (2, b"\r\n\r\nevent: e\nid: 7\ndata"), (3, b": last")]

PLAIN = {
    "nothing": {"chunks": []},
    "no answer": {"status": None, "closed": {"outcome": "refused", "error": "no way"}},
    "text": {"request": '{"a":"\u4e16\\"}'.encode(), "chunks": [(1, b'{"b":"\\u0000\x7f"}')]},
    "events": {"headers": (EVENTS,), "chunks": STREAM},
    "events without a chunk": {"headers": (EVENTS,), "chunks": []},
    "no type": {"request": b"x", "request_headers": (), "headers": ()},
    "cookies": {
        "request_headers": (JSON, (b"Cookie", b"a=b; c")),
        "headers": (JSON, (b"Set-Cookie", b"d=e; HttpOnly"), (b"Location", b"/there")),
    },
    "gaps": {"gaps": (Gap(reason="queue_full", records=2),)},
    "cuts": {
        "cuts": (
            Cut(part="request-body", offset_bytes=0, length_bytes=1, kind="known-value", hmac="a"),
            Cut(
                part="request-header",
                name="x-api-key",
                index=0,
                offset_bytes=0,
                length_bytes=3,
                kind="api-key",
                hmac="b",
            ),
        ),
        "request_headers": ((b"x-api-key", b"***"), JSON),
    },
    "a query": {"target": b"/v1?a=1&b", "marks": ("started_late",), "continues": "x"},
}
OTHERS = {
    "no text": {"chunks": [(1, b"\xff")]},
    "no text asked": {"request": b"\xff"},
    "open": {"closed_ns": None},
    "coded": {"headers": (JSON, (b"Content-Encoding", b"gzip"))},
    "coded bytes cut": {
        "cuts": (
            Cut(part="response-body", offset_bytes=1, length_bytes=1, kind="coded", hmac="ab"),
        )
    },
    "all bytes cut": {
        "cuts": (
            Cut(part="response-body", offset_bytes=0, length_bytes=1, kind="coded", hmac="ab"),
        )
    },
    "long": {"chunks": [(1, b"a" * 600_000)]},
}


SECRET = b"sk-ant-0123456789abcdef"
KEY = (b"x-api-key", SECRET)
CLEAR = {
    "a key in the head": {"request_headers": (KEY, JSON), "request": b"asked"},
    "a key in the query": {"target": b"/v1?key=" + SECRET},
    "events": {"request_headers": (KEY,), "headers": (EVENTS,), "chunks": STREAM},
}
MASKED = {
    "a key that is asked": {"request_headers": (KEY,), "request": b"say " + SECRET},
    "a key that is answered": {"request_headers": (KEY,), "chunks": [(1, b"say " + SECRET)]},
    "a login": {"target": b"/oauth/token", "request": b'{"a":"b"}'},
    "events of several lines": {"headers": (EVENTS,), "chunks": [(1, b"data: a\ndata: b\n\n")]},
}


@pytest.mark.parametrize("name", [*PLAIN, *OTHERS])
def test_as_piece_by_piece(recording, monkeypatch, name):
    is_plain = _is_as_piece_by_piece(recording, monkeypatch, (PLAIN | OTHERS)[name], None)
    assert is_plain == (name in PLAIN)


@pytest.mark.parametrize("name", [*CLEAR, *MASKED])
def test_as_piece_by_piece_with_credentials_cut(recording, monkeypatch, name):
    redactor = captured.redactor(b"k" * 32)
    is_plain = _is_as_piece_by_piece(recording, monkeypatch, (CLEAR | MASKED)[name], redactor)
    assert is_plain == (name in CLEAR)
    assert SECRET not in b"".join(recording.pieces(redactor))


def _is_as_piece_by_piece(recording, monkeypatch, fields, redactor):
    entry_id = recording.http(**fields)
    recording.ingest()
    made = []
    real = har_plain.entry

    def watched(*given):
        made.append(real(*given))
        return made[-1]

    monkeypatch.setattr(har.har_plain, "entry", watched)
    at_once = recording.exported(entry_id, redactor)
    monkeypatch.setattr(har.har_plain, "entry", lambda *given: None)
    in_pieces = recording.exported(entry_id, redactor)

    assert at_once == in_pieces
    assert list(at_once) == list(in_pieces)
    (found,) = made
    return found is not None


def test_damage_is_told_as_ever(recording):
    kept, damaged = (recording.http(chunks=[(1, bytes((n,)) * 5000)]) for n in (65, 66))
    recording.ingest()
    recording.damage(damaged)

    entries = json.loads(b"".join(recording.pieces()))["log"]["entries"]

    assert [entry["_id"] for entry in entries] == [kept, damaged]
    assert entries[0]["response"]["content"]["text"] == "A" * 5000
    assert "is damaged" in entries[1]["response"]["content"]["comment"]


def test_more_than_a_batch(recording):
    ids = [recording.http(chunks=[(1, b"%d" % n)]) for n in range(205)]
    recording.ingest()

    entries = recording.export()["log"]["entries"]

    assert [entry["_id"] for entry in entries] == ids
    texts = (entry["response"]["content"]["text"] for entry in entries)
    assert all(text == str(n) for n, text in zip(itertools.count(), texts, strict=False))
