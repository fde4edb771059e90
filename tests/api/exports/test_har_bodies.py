import base64
import json

from storage.records import Gap
from tests.har.recording import JSON, MS
from tests.provider import deliver, seeded

OCTETS = (b"content-type", b"application/octet-stream")


def exported(recording, **http):
    entry = recording.http(**http)
    recording.ingest()
    return recording.exported(entry)


def test_text_both_ways(recording):
    entry = exported(recording, request='{"a":"ü"}'.encode(), chunks=[(1, '"世'.encode()[:-1])])

    assert entry["request"]["postData"] == {"mimeType": "application/json", "text": '{"a":"ü"}'}
    assert entry["request"]["bodySize"] == 10
    assert base64.b64decode(entry["response"]["content"]["text"]) == '"世'.encode()[:-1]
    assert entry["response"]["content"]["encoding"] == "base64"


def test_characters_cut_by_chunks(recording):
    text = "世界ü😀".encode()

    entry = exported(recording, chunks=[(n, bytes((byte,))) for n, byte in enumerate(text)])

    assert entry["response"]["content"] == {
        "mimeType": "application/json",
        "size": len(text),
        "text": "世界ü😀",
    }


def test_binary_both_ways(recording):
    sent, answered = seeded(1000, 1), seeded(3 << 20, 2)

    entry = exported(
        recording,
        request=sent,
        request_headers=(OCTETS,),
        headers=(OCTETS,),
        chunks=[(1, answered)],
    )

    post, content = entry["request"]["postData"], entry["response"]["content"]
    assert (post["encoding"], base64.b64decode(post["text"])) == ("base64", sent)
    assert (content["encoding"], base64.b64decode(content["text"])) == ("base64", answered)
    assert content["size"] == entry["response"]["bodySize"] == len(answered)


def test_coded_both_ways(recording):
    plain = b'{"messages":[]}' * 500
    coding = (b"content-encoding", b"zstd")
    coded = deliver.encode(plain, "zstd")

    entry = exported(
        recording,
        request=coded,
        request_headers=(JSON, coding),
        headers=(JSON, coding),
        chunks=[(1, coded)],
    )

    assert entry["request"]["postData"]["text"].encode() == plain
    assert entry["request"]["bodySize"] == entry["response"]["bodySize"] == len(coded)
    assert entry["response"]["content"] == {
        "mimeType": "application/json",
        "size": len(plain),
        "compression": len(plain) - len(coded),
        "text": plain.decode(),
    }


def test_empty_bodies(recording):
    entry = exported(recording, method="GET", headers=(), chunks=[])

    assert "postData" not in entry["request"]
    assert entry["response"]["content"] == {"mimeType": "x-unknown", "size": 0, "text": ""}


def test_no_answer(recording):
    entry = exported(
        recording, request=b"{}", status=None, closed={"outcome": "refused", "error": "no route"}
    )

    assert (entry["_outcome"], entry["response"]["_error"]) == ("refused", "no route")
    assert entry["response"]["status"] == 0
    assert entry["response"]["content"] == {"mimeType": "x-unknown", "size": 0, "text": ""}


def test_a_damaged_answer_is_left_out(recording):
    broken = recording.http(request=b"{}", chunks=[(1, seeded(700_000, 1))])
    sound = recording.http(chunks=[(1, b"sound")])
    recording.ingest()
    recording.damage(broken)

    entries = recording.export()["log"]["entries"]

    assert [entry["_id"] for entry in entries] == [broken, sound]
    content = entries[0]["response"]["content"]
    assert content["size"] == -1
    assert content["comment"].startswith("left out: body ")
    assert content["text"] == ""
    assert entries[0]["request"]["postData"]["text"] == "{}"
    assert entries[1]["response"]["content"]["text"] == "sound"


def test_a_damaged_request_is_left_out(recording):
    entry = recording.http(request=b"x" * 1000)
    recording.ingest()
    recording.damage(entry, "request")

    post = recording.exported(entry)["request"]["postData"]

    assert post["text"] == ""
    assert post["comment"].startswith("left out: body ")


def test_an_entry_deleted_before_its_body_is_read(recording):
    first = recording.http(chunks=[(1, b"long " * 80_000)])
    second = recording.http(request=b"asked", chunks=[(1, b"answered")], closed_ns=None)
    recording.ingest()
    made = recording.pieces()
    out = [next(made)]  # both were found, and the first is being written
    recording.forget(second)

    document = json.loads(b"".join((*out, *made)))

    whole, left = document["log"]["entries"]
    assert (whole["_id"], left["_id"]) == (first, second)
    assert whole["response"]["content"]["text"] == "long " * 80_000
    assert left["response"]["content"]["comment"].startswith("left out: ")


def test_an_entry_deleted_before_it_is_found(recording):
    first = recording.http(chunks=[(1, b"long " * 300_000)])
    second = recording.http(chunks=[(1, b"answered")])
    recording.ingest()
    made = recording.pieces()
    out = [next(made)]
    recording.forget(second)

    document = json.loads(b"".join((*out, *made)))

    assert [entry["_id"] for entry in document["log"]["entries"]] == [first]


def test_an_entry_deleted_while_its_body_is_read(recording):
    body = seeded(5 << 20).hex().encode()
    entry = recording.http(chunks=[(1, body)])
    recording.ingest()
    made = recording.pieces()
    out = []
    for piece in made:
        out.append(piece)
        if sum(map(len, out)) > 1 << 20:
            break
    recording.forget(entry)

    document = json.loads(b"".join(out + list(made)))

    content = document["log"]["entries"][0]["response"]["content"]
    assert body.startswith(content["text"].encode())
    assert 0 < len(content["text"]) < len(body)
    assert content["comment"].startswith("ends early: ")


def test_a_gap_stands_beside_what_there_is(recording):
    gap = Gap(reason="disk_low", size_bytes=700, started_ns=1_795_000_000_000_000_000)

    entry = exported(recording, gaps=(gap,), closed={"dropped_bytes": 700})

    assert entry["_outcome"] == "gap"
    assert entry["_gaps"] == [
        {
            "reason": "disk_low",
            "records": None,
            "sizeBytes": 700,
            "startedDateTime": "2026-11-18T11:06:40.000000Z",
            "endedDateTime": None,
            "detail": None,
        }
    ]


def test_the_time_of_a_body_does_not_matter_for_its_text(recording):
    chunks = [(40 * MS, b"one "), (20 * MS, b"two")]

    assert exported(recording, chunks=chunks)["response"]["content"]["text"] == "one two"
