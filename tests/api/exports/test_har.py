import json
import tracemalloc

import pytest

from addons.redaction import Redactor, known
from api.exports.captured import redactor
from storage.records import Cut
from tests.har.recording import JSON, MS, Recording
from tests.provider import deliver, seeded

FLAT_BYTES = 20 << 20


def test_an_empty_session_is_a_valid_har(recording):
    log = recording.export()["log"]

    assert (log["version"], log["creator"]["name"]) == ("1.2", "Wirescribe")
    assert log["_session"]["name"] == "Recorded"
    assert log["entries"] == []


def test_entries_of_every_kind_stand_oldest_first(recording):
    ids = [
        recording.http(closed_ns=400 * MS),
        recording.tunnel(),
        recording.websocket([(1, True, 1, b"hi")]),
        recording.http(closed_ns=None),
        recording.http(status=None, closed={"outcome": "refused"}),
    ]
    recording.ingest()

    entries = recording.export()["log"]["entries"]

    assert [entry["_id"] for entry in entries] == ids
    assert len(entries) == recording.session.traffic_count
    assert [entry["_kind"] for entry in entries] == ["http", "tunnel", "websocket", "http", "http"]
    assert [entry["_outcome"] for entry in entries] == [
        "complete",
        "complete",
        "complete",
        None,
        "refused",
    ]


def test_a_tunnel_says_what_it_is(recording):
    recording.tunnel(sent=700, received=5000)
    recording.ingest()

    (entry,) = recording.export()["log"]["entries"]

    assert (entry["request"]["method"], entry["response"]["status"]) == ("CONNECT", 0)
    assert entry["_tunnel"] == {"sentBytes": 700, "receivedBytes": 5000}
    assert "undecrypted" in entry["comment"]
    assert (entry["serverIPAddress"], entry["connection"]) == ("2001:db8::7", "443")


def test_what_the_proxy_cut_is_listed(recording):
    cut = Cut(
        part="request-header",
        name="x-api-key",
        index=0,
        offset_bytes=0,
        length_bytes=3,
        kind="api-key",
        hmac="ab" * 16,
    )
    entry = recording.http(request_headers=((b"x-api-key", b"***"),), cuts=(cut,))
    recording.ingest()

    assert recording.exported(entry)["_cuts"] == [
        {
            "part": "request-header",
            "name": "x-api-key",
            "index": 0,
            "offsetBytes": 0,
            "lengthBytes": 3,
            "kind": "api-key",
            "hmac": "ab" * 16,
        }
    ]


def test_marks_and_links(recording):
    first = recording.http(closed={"outcome": "continued"})
    second = recording.http(marks=("started_late",), continues=first)
    recording.ingest()

    found = recording.exported(second)

    assert found["_continues"] == first
    assert found["_marks"] == ["started_late"]


# --- credentials that the store was told to keep -------------------------------------------------

KEY = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWx"
TICKET = "ticket-0123456789abcdefghij"
TOKEN = "oauth-access-0123456789abcdef"


def secretive(recording):
    """A session with secrets in every place; the first entry holds what a later head reveals."""
    text = f'{{"note":"my key is {KEY}","cookie":"{TICKET}"}}'.encode()
    gzipped = deliver.encode(text * 20_000, "gzip")
    events = f"data: {KEY}\n\n".encode()
    recording.http(
        request=text,
        chunks=[(1, gzipped)],
        headers=(JSON, (b"content-encoding", b"gzip")),
    )
    recording.http(
        request_headers=(
            (b"X-Api-Key", KEY.encode()),
            (b"Cookie", b"sid=" + TICKET.encode()),
            JSON,
        ),
        target=b"/v1/messages?api_key=" + KEY.encode() + b"&beta=true",
        headers=((b"content-type", b"text/event-stream"), (b"set-cookie", b"s=" + TICKET.encode())),
        chunks=[(1, events[:12]), (2, events[12:])],
        closed={"error": f"refused {KEY}"},
    )
    recording.websocket([(1, True, 1, KEY.encode()), (2, False, 2, b"\0" + KEY.encode())])
    recording.http(
        host="platform.claude.com",
        target=b"/v1/oauth/token",
        chunks=[(1, f'{{"access_token":"{TOKEN}","token_type":"Bearer"}}'.encode())],
    )
    # Its coding is broken behind the first text: what it holds cannot be told.
    coded = deliver.encode_each([text, seeded(900)], "gzip")
    recording.http(
        chunks=[(1, coded[0] + coded[1] + b"\xff" * 900)],
        headers=(JSON, (b"content-encoding", b"gzip")),
    )
    recording.ingest()


def test_secrets_are_kept_where_nothing_else_is_asked(recording):
    secretive(recording)

    found = b"".join(recording.pieces())

    assert all(secret.encode() in found for secret in (KEY, TICKET, TOKEN))


def test_secrets_are_cut_on_the_way_out(recording):
    secretive(recording)

    raw = b"".join(recording.pieces(Redactor(b"k" * 32)))

    assert not any(secret.encode() in raw for secret in (KEY, TICKET, TOKEN))
    first, second, socket, oauth, broken = json.loads(raw)["log"]["entries"]
    stars = "*" * len(KEY)
    cut = f'{{"note":"my key is {stars}","cookie":"{"*" * len(TICKET)}"}}'
    assert first["request"]["postData"]["text"] == cut
    assert first["response"]["content"]["text"] == cut * 20_000
    assert second["request"]["url"].endswith(f"?api_key={stars}&beta=true")
    assert second["request"]["queryString"][0]["value"] == stars
    assert second["request"]["cookies"][0] == {"name": "sid", "value": "*" * len(TICKET)}
    assert second["response"]["_error"] == f"refused {stars}"
    assert [event["data"] for event in second["_eventSourceMessages"]] == [stars]
    assert socket["_webSocketMessages"][0]["data"] == stars
    assert oauth["response"]["content"]["text"] == (
        f'{{"access_token":"{"*" * len(TOKEN)}","token_type":"Bearer"}}'
    )
    assert broken["response"]["content"]["comment"].startswith("as captured: ")


def test_more_secrets_than_are_searched_for_at_once(recording, monkeypatch):
    monkeypatch.setattr(known, "MAX_VALUES", 2)
    keys = [f"{KEY}-{n}".encode() for n in range(3)]
    for key in keys:
        recording.http(request_headers=((b"x-api-key", key), JSON), request=b"say " + key)
    recording.ingest()

    raw = b"".join(recording.pieces(Redactor(b"k" * 32)))

    assert not any(key in raw for key in keys)


def test_secrets_of_an_entry_that_came_after_the_export_began(recording):
    pieces = recording.pieces(Redactor(b"k" * 32))
    headers = ((b"x-api-key", KEY.encode()), JSON)
    entry_id = recording.http(request_headers=headers, request=b"say " + KEY.encode())
    recording.ingest()

    raw = b"".join(pieces)

    assert entry_id.encode() in raw
    assert KEY.encode() not in raw


def test_cuts_on_the_way_out_are_listed_once(recording):
    secretive(recording)

    entries = recording.export(Redactor(b"k" * 32))["log"]["entries"]
    first, second, socket, _, broken = entries

    assert [cut["part"] for cut in first["_cuts"][:2]] == ["request-body"] * 2
    assert len(first["_cuts"]) == 2 + 40_000
    assert {cut["part"] for cut in second["_cuts"]} == {
        "request-target",
        "request-header",
        "response-header",
        "response-body",
        "error",
    }
    assert [cut["part"] for cut in socket["_cuts"]] == ["client-message", "server-message"]
    # What cannot be looked into to its end goes whole; the cuts of the text that is not exported
    # are not listed.
    parts = [(cut["part"], cut["kind"]) for cut in broken["_cuts"]]
    assert parts == [("response-body", "unscanned")]
    assert len({cut["hmac"] for cut in (*socket["_cuts"], first["_cuts"][0])}) == 1


def test_a_redactor_that_is_turned_off_cuts_nothing(recording):
    secretive(recording)

    assert KEY.encode() in b"".join(recording.pieces(Redactor(b"k" * 32, enabled=False)))


def test_what_the_proxy_cut_is_not_cut_again(recording):
    """A store without secrets: the same export, with or without a redactor."""
    scribe = Redactor(b"k" * 32)
    headers = (
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"cookie", b"sid=" + TICKET.encode() + b"; theme=dark"),
        (b"accept", b"*/*"),
        JSON,
    )
    head = scribe.request_head(b"/v1/oauth/token?key=" + KEY.encode() + b"&n=1", headers)
    body = scribe.body("response", content_type="application/json", is_credential=True)
    body.feed(f'{{"access_token":"{TOKEN}","scope":"a"}}'.encode())
    scanned = body.finish()
    recording.http(
        host="platform.claude.com",
        target=head.target,
        request_headers=head.headers,
        chunks=[(1, scanned.data)],
        cuts=head.cuts + scanned.cuts,
    )
    recording.http(request=b'{"text":"%s"}' % (b"*" * len(TOKEN)))
    recording.ingest()

    assert recording.export(redactor(b"k" * 32)) == recording.export()
    assert len(head.cuts) == 4
    assert len(scanned.cuts) == 1


# --- reading -------------------------------------------------------------------------------------


def test_a_short_body_is_read_once(recording):
    events = (b"content-type", b"text/event-stream")
    recording.http(request=b"[]", headers=(events,), chunks=[(1, b"data: 1\n\n")])
    recording.ingest()
    statements = []
    recording.conn.set_trace_callback(statements.append)

    (entry,) = recording.export()["log"]["entries"]

    assert entry["_eventSourceMessages"][0]["data"] == "1"
    # Both together with their entry, and not again for the events.
    assert sum("from entries" in statement for statement in statements) == 2  # none is behind it
    assert not any("recursive chain" in statement for statement in statements)


def test_no_snapshot_is_open_while_a_client_reads(recording):
    for chunks in ([(1, b"{}")], [(1, seeded(1 << 20, 7))]):
        recording.http(chunks=chunks)
    recording.ingest()

    assert not any(recording.conn.in_transaction for _ in recording.pieces())


def test_a_session_that_is_deleted_meanwhile(recording):
    first, *others = [recording.http(chunks=[(1, b"x" * 10_000)]) for _ in range(100)]
    recording.ingest()
    pieces = recording.pieces()
    begun = next(pieces)
    recording.delete_session()

    log = json.loads(begun + b"".join(pieces))["log"]

    assert log["entries"][0]["_id"] == first
    assert len(log["entries"]) < 1 + len(others)
    assert "was deleted" in log["comment"]


# --- memory --------------------------------------------------------------------------------------


def spent(pieces):
    """Bytes in all, the longest piece, and the most memory held at a time."""
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in pieces]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return sum(sizes), max(sizes), peak


def test_a_body_of_100_mb_is_never_held(recording):
    part = seeded(1 << 20, 7)
    recording.http(chunks=[(n, n.to_bytes(2) + part) for n in range(100)])
    recording.ingest()

    total, longest, peak = spent(recording.pieces())

    assert total > 130 << 20
    assert longest < 1 << 20
    assert peak < FLAT_BYTES


def test_a_coded_body_of_100_mb_is_never_held(recording):
    text = seeded(1 << 18, 7).hex().encode()
    coded = deliver.encode_each([b"%d " % n + text for n in range(200)], "zstd")
    recording.http(headers=(JSON, (b"content-encoding", b"zstd")), chunks=list(enumerate(coded)))
    recording.ingest()

    total, longest, peak = spent(recording.pieces())

    assert total > 100 << 20
    assert longest < 4 << 20  # one byte of this body stands for 4000
    assert peak < FLAT_BYTES


@pytest.mark.long
def test_a_session_of_10_000_entries_is_never_held(tmp_path):
    with Recording(tmp_path) as recording:
        for n in range(10_000):
            recording.http(chunks=[(1, b"%d" % n)])
        recording.ingest()

        total, longest, peak = spent(recording.pieces())

        assert recording.session.traffic_count == 10_000
        assert total > 5 << 20
        assert longest < 1 << 20
        assert peak < FLAT_BYTES
