import base64

import pytest

from storage.records import Cut
from tests.har.recording import MS, STARTED_NS
from tests.provider import deliver, seeded

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


def seconds(offset_ns):
    return pytest.approx((STARTED_NS + offset_ns) / 1e9, abs=1e-6)


def messages(recording, *made):
    entry = recording.websocket(list(made))
    recording.ingest()
    return recording.exported(entry)["_webSocketMessages"]


def events(recording, chunks, *headers, **more):
    entry = recording.http(headers=(EVENTS, *headers), chunks=chunks, **more)
    recording.ingest()
    return recording.exported(entry)["_eventSourceMessages"]


# --- WebSocket -----------------------------------------------------------------------------------


def test_messages_of_both_sides_in_their_order(recording):
    found = messages(
        recording,
        (6 * MS, True, 1, '{"type":"response.create","ü":1}'.encode()),
        (7 * MS, False, 2, b"\x00\xff"),
        (9 * MS, False, 1, b""),
    )

    assert found == [
        {
            "type": "send",
            "time": seconds(6 * MS),
            "opcode": 1,
            "data": '{"type":"response.create","ü":1}',
        },
        {"type": "receive", "time": seconds(7 * MS), "opcode": 2, "data": "AP8="},
        {"type": "receive", "time": seconds(9 * MS), "opcode": 1, "data": ""},
    ]


def test_more_messages_than_a_page(recording):
    found = messages(recording, *((n, n % 2 == 0, 1, b"%d" % n) for n in range(2500)))

    assert [int(message["data"]) for message in found] == list(range(2500))


@pytest.mark.parametrize("opcode", [1, 2])
def test_a_long_message(recording, opcode):
    data = seeded(2 << 20).hex().encode()

    (found,) = messages(recording, (1, True, opcode, data))

    assert data == (base64.b64decode(found["data"]) if opcode == 2 else found["data"].encode())


def test_a_damaged_message_is_left_out(recording):
    entry = recording.websocket([(1, True, 1, b"first " * 100), (2, True, 1, b"second")])
    recording.ingest()
    recording.damage(entry)

    first, second = recording.exported(entry)["_webSocketMessages"]

    assert first["data"] == ""
    assert first["_comment"].startswith("damaged: body ")
    assert second["data"] == "second"


def test_a_socket_that_closed(recording):
    entry = recording.websocket([], close_code=1001, close_reason="going away")
    recording.ingest()

    found = recording.exported(entry)

    assert found["_close"] == {"code": 1001, "reason": "going away"}
    assert found["_webSocketMessages"] == []
    assert found["_resourceType"] == "websocket"


# --- server-sent events --------------------------------------------------------------------------


def test_events_have_the_time_of_the_chunk_that_ended_them(recording):
    chunks = [
        (50 * MS, b"event: message_start\nid: 1\ndata: {}\n\ndata: sa"),
        (70 * MS, b"me\ndata: two\n"),
        (80 * MS, "\ndata: 世".encode()),
        (90 * MS, b"\n\n"),
    ]

    assert events(recording, chunks) == [
        {"time": seconds(50 * MS), "eventName": "message_start", "eventId": "1", "data": "{}"},
        {"time": seconds(80 * MS), "eventName": "message", "eventId": "1", "data": "same\ntwo"},
        {"time": seconds(90 * MS), "eventName": "message", "eventId": "1", "data": "世"},
    ]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_coded_events_keep_their_times(recording, coding):
    parts = deliver.encode_each([b"data: %d\n\n" % n for n in range(20)], coding)
    chunks = [((50 + n) * MS, part) for n, part in enumerate(parts)]

    found = events(recording, chunks, (b"content-encoding", coding.encode()))

    assert [event["data"] for event in found] == [str(n) for n in range(20)]
    assert [event["time"] for event in found] == [seconds((50 + n) * MS) for n in range(20)]


def test_an_event_that_a_cut_left_unfinished(recording):
    chunks = [(50 * MS, b"data: whole\n\ndata: ha")]

    found = events(recording, chunks, closed={"outcome": "upstream_error"})

    assert [event["data"] for event in found] == ["whole", "ha"]


def test_more_chunks_than_a_page_and_than_a_block(recording):
    texts = [seeded(200, n).hex() for n in range(1500)]
    chunks = [(n * MS, f"data: {text}\n\n".encode()) for n, text in enumerate(texts)]

    found = events(recording, chunks, closed_ns=2000 * MS)

    assert [event["data"] for event in found] == texts
    assert [event["time"] for event in found] == [seconds(n * MS) for n in range(1500)]


def test_a_stream_that_still_grows(recording):
    found = events(recording, [(50 * MS, b"data: one\n\n")], closed_ns=None)

    assert [event["data"] for event in found] == ["one"]


def test_a_damaged_stream_says_so_in_its_body(recording):
    entry = recording.http(headers=(EVENTS,), chunks=[(1, b"data: one\n\n" * 100)])
    recording.ingest()
    recording.damage(entry)

    found = recording.exported(entry)

    assert found["_eventSourceMessages"] == []
    assert found["response"]["content"]["comment"].startswith("left out: ")


def test_events_whose_times_are_not_known_are_left_to_the_reader(recording):
    # The coded bytes were cut: the text stands beside its chunks.
    cut = Cut(part="response-body", offset_bytes=0, length_bytes=30, kind="coded", hmac="00")
    entry = recording.http(
        headers=(EVENTS, (b"content-encoding", b"gzip")),
        chunks=[(1, b"*" * 30)],
        cuts=(cut,),
        decoded=b"data: ***\n\n",
        cut_coded=True,
    )
    recording.ingest()

    found = recording.exported(entry)

    assert "_eventSourceMessages" not in found
    assert found["response"]["content"]["text"] == "data: ***\n\n"


def test_the_type_of_a_stream_has_no_charset(recording):
    entry = recording.http(headers=(EVENTS,), chunks=[(1, b"data: one\n\n")])
    recording.ingest()

    response = recording.exported(entry)["response"]

    assert response["content"]["mimeType"] == "text/event-stream"
    assert response["headers"][0]["value"] == "text/event-stream; charset=utf-8"


def test_no_events_in_other_answers(recording):
    entry = recording.http(chunks=[(1, b"data: one\n\n")])
    recording.ingest()

    assert "_eventSourceMessages" not in recording.exported(entry)
