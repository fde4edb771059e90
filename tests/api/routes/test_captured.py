"""Bodies in any range, as captured and decoded; frames, clock and cuts."""

import base64
import gzip
import hashlib
import random
import zlib

import brotli
import pytest
import zstandard

from storage.records import Cut, Gap, ResponseHead, Timing
from tests.api import records

# Beyond two blocks, and not compressible: what is stored is what is read.
LONG = random.Random(1).randbytes(700_001)


@pytest.fixture
def session(store):
    return records.session(store, name="one")


def coded(coding):
    return ResponseHead(status=200, headers=tuple((b"Content-Encoding", c) for c in coding))


def url(entry_id, what="response-body"):
    return f"/api/traffic/{entry_id}/{what}"


@pytest.mark.parametrize("size", [1, 1000, 262_144, 262_145, 700_001])
def test_a_body_comes_back_as_it_was(client, store, session, size):
    data = LONG[:size]
    made = records.entry(store, session.id, request=data[::-1], response=data)

    whole = client.get(url(made))

    assert whole.status_code == 200
    assert whole.content == data
    assert whole.headers["content-length"] == str(size)
    assert whole.headers["etag"] == f'"sha256:{hashlib.sha256(data).hexdigest()}"'
    assert client.get(url(made, "request-body")).content == data[::-1]
    assert client.get(url(made[:-2], "request-body")).content == data[::-1]


def test_no_browser_runs_a_body(client, store, session):
    page = b"<script>alert(1)</script>"
    made = records.entry(
        store,
        session.id,
        response=page,
        answer=ResponseHead(status=200, headers=((b"Content-Type", b"text/html"),)),
        target=b'/a"\r\nX-Evil: 1\r\n.html',
    )

    for query in ("", "?decoded=1"):
        headers = client.get(url(made) + query).headers
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"] == (
            f'attachment; filename="{made}-response-body.bin"'
        )
        assert headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 700_001),
        ("bytes=5-9", 5, 10),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=100-600000", 100, 600_001),
        ("bytes=700000-", 700_000, 700_001),
        ("bytes=700000-999999999", 700_000, 700_001),
        ("bytes=-1", 700_000, 700_001),
        ("bytes=-262145", 437_856, 700_001),
        ("bytes=-9999999", 0, 700_001),
        ("Bytes= 1-2 ", 1, 3),
    ],
)
def test_a_range(client, store, session, asked, start, stop):
    made = records.entry(store, session.id, response=LONG)

    part = client.get(url(made), headers={"Range": asked})

    assert part.status_code == 206
    assert part.content == LONG[start:stop]
    assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/700001"
    assert part.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=700001-", "bytes=999999999999-", "bytes=-0"])
def test_a_range_that_is_not_there(client, store, session, asked):
    made = records.entry(store, session.id, response=LONG)

    missing = client.get(url(made), headers={"Range": asked})

    assert missing.status_code == 416
    assert missing.headers["content-range"] == "bytes */700001"
    assert missing.json()["code"] == "RANGE_NOT_SATISFIABLE"


@pytest.mark.parametrize(
    "asked", ["items=0-1", "bytes=9-5", "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=a-b", "x",
              "bytes=1-99999999999999999999999"]
)  # fmt: skip
def test_what_is_no_single_range_gets_the_whole(client, store, session, asked):
    made = records.entry(store, session.id, response=b"0123456789")

    whole = client.get(url(made), headers={"Range": asked})

    assert (whole.status_code, whole.content) == (200, b"0123456789")


def test_conditions(client, store, session):
    made = records.entry(store, session.id, response=b"0123456789")
    tag = client.get(url(made)).headers["etag"]

    for known in (tag, f'"other", W/{tag}', "*"):
        unchanged = client.get(url(made), headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == tag
    assert client.get(url(made), headers={"If-None-Match": '"other"'}).status_code == 200
    ranged = {"Range": "bytes=0-1"}
    assert client.get(url(made), headers=ranged | {"If-Range": tag}).status_code == 206
    assert client.get(url(made), headers=ranged | {"If-Range": '"other"'}).status_code == 200


def test_an_empty_body(client, store, session):
    made = records.entry(store, session.id)

    for query in ("", "?decoded=1"):
        empty = client.get(url(made) + query)
        assert (empty.status_code, empty.content) == (200, b"")
        assert "etag" not in empty.headers
    assert client.get(url(made), headers={"Range": "bytes=0-"}).status_code == 416


def test_a_body_that_still_grows(client, store, session):
    made = records.entry(store, session.id, outcome=None, response=LONG)

    growing = client.get(url(made))

    assert growing.content == LONG
    assert "etag" not in growing.headers
    assert client.get(url(made), headers={"Range": "bytes=-3"}).content == LONG[-3:]


@pytest.mark.parametrize("kind", ["websocket", "tunnel"])
def test_what_has_no_body(client, store, session, kind):
    made = records.entry(store, session.id, kind=kind)

    for side in ("request-body", "response-body"):
        missing = client.get(url(made, side))
        assert missing.status_code == 404
        assert missing.json()["code"] == "NO_BODY"


TEXT = b"data: event\n\n" * 60_000
CODED = {
    "gzip": ((b"gzip",), gzip.compress(TEXT)),
    "two members": ((b"x-gzip",), gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:])),
    "deflate": ((b"Deflate",), zlib.compress(TEXT)),
    "br": ((b"br",), brotli.compress(TEXT)),
    "zstd": ((b"zstd",), zstandard.compress(TEXT[:9]) + zstandard.compress(TEXT[9:])),
    "a chain": ((b"gzip, br",), brotli.compress(gzip.compress(TEXT))),
    "a chain in two headers": ((b"gzip", b"br"), brotli.compress(gzip.compress(TEXT))),
}


@pytest.mark.parametrize("case", CODED)
def test_decoded(client, store, session, case):
    coding, data = CODED[case]
    made = records.entry(store, session.id, response=data, answer=coded(coding))

    plain = client.get(url(made), params={"decoded": "1"})

    assert plain.content == TEXT
    assert plain.headers["wirescribe-decoding"] == "whole"
    assert plain.headers["content-length"] == str(len(TEXT))
    part = client.get(url(made), params={"decoded": "1"}, headers={"Range": "bytes=-500000"})
    assert (part.status_code, part.content) == (206, TEXT[-500_000:])
    assert client.get(url(made)).content == data
    assert client.get(url(made), params={"decoded": "0"}).content == data


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (299_990, 300_010), (650_000, 700_001)])
def test_a_range_of_what_decodes_in_several_pieces(client, store, session, start, stop):
    made = records.entry(
        store, session.id, response=zlib.compress(LONG), answer=coded([b"deflate"])
    )

    part = client.get(
        url(made), params={"decoded": "1"}, headers={"Range": f"bytes={start}-{stop - 1}"}
    )

    assert (part.status_code, part.content) == (206, LONG[start:stop])


def test_decoded_as_far_as_it_goes(client, store, session):
    whole = zlib.compress(LONG)
    for data, coding, state in [
        (whole[:-100_000], b"deflate", "truncated"),
        (whole[:300_000] + b"\0" * 100 + whole[300_100:], b"deflate", "failed"),
    ]:
        made = records.entry(store, session.id, response=data, answer=coded([coding]))

        plain = client.get(url(made), params={"decoded": "1"})

        assert plain.headers["wirescribe-decoding"] == state
        assert plain.status_code == 200
        assert len(plain.content) > 200_000
        assert plain.content[:200_000] == LONG[:200_000]


def test_a_bomb_ends_at_the_cap(client, store, session):
    bomb = zstandard.compress(b"\0" * (200 << 20))
    made = records.entry(store, session.id, response=bomb, answer=coded([b"zstd"]))

    plain = client.get(url(made), params={"decoded": "1"}, headers={"Range": "bytes=-5"})

    assert plain.headers["wirescribe-decoding"] == "capped"
    assert plain.headers["content-range"] == f"bytes {(64 << 20) - 5}-{(64 << 20) - 1}/{64 << 20}"


@pytest.mark.parametrize(
    ("coding", "state"), [((), "none"), ((b"identity",), "none"), ((b"exi",), "unknown-coding")]
)
def test_nothing_to_decode(client, store, session, coding, state):
    made = records.entry(store, session.id, response=b"as it is", answer=coded(coding))

    plain = client.get(url(made), params={"decoded": "1"})

    assert plain.content == b"as it is"
    assert plain.headers["wirescribe-decoding"] == state


def test_a_cut_coded_body_has_its_text_beside_it(client, store, session):
    made = records.entry(
        store, session.id, response=b"\x1f\x8b****", answer=coded([b"gzip"]), decoded=b"key=****"
    )

    assert client.get(url(made)).content == b"\x1f\x8b****"
    plain = client.get(url(made), params={"decoded": "1"})
    assert plain.content == b"key=****"
    assert plain.headers["wirescribe-decoding"] == "whole"


def test_messages(client, store, session):
    long = "ü".encode() * 200_000
    made = records.entry(
        store,
        session.id,
        kind="websocket",
        started_ns=1_795_000_000_000_000_000,
        messages=[
            ("request", 1, 1_000_000, '{"a":"ü"}'.encode()),
            ("response", 2, 2_500_000, b"\0\xff"),
            ("response", 1, 3_000_000, long),
            ("request", 1, 4_000_000, b"\xff no text"),
            ("response", 1, 5_000_000, b""),
        ],
    )

    page = client.get(url(made, "frames")).json()
    frames = page["frames"]

    assert page["next"] is None
    assert [frame["number"] for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0] == {
        "number": 0,
        "side": "request",
        "direction": "client-to-server",
        "timestamp": 1_795_000_000_001,
        "offsetUs": 1000,
        "size": 10,
        "opcode": 1,
        "isBinary": False,
        "text": '{"a":"ü"}',
        "base64": None,
        "url": f"/api/traffic/{made}/frames/0",
        "at": None,
    }
    assert (frames[1]["text"], frames[1]["isBinary"]) == (None, True)
    assert base64.b64decode(frames[1]["base64"]) == b"\0\xff"
    assert (frames[2]["text"], frames[2]["base64"], frames[2]["size"]) == (None, None, len(long))
    assert client.get(frames[2]["url"]).content == long
    assert base64.b64decode(frames[3]["base64"]) == b"\xff no text"
    assert frames[4]["text"] == ""
    assert client.get(frames[4]["url"]).content == b""
    of_client = client.get(url(made, "frames"), params={"side": "request"}).json()["frames"]
    assert [frame["number"] for frame in of_client] == [0, 3]
    for unknown in (5, 10**30):
        missing = client.get(url(made, f"frames/{unknown}"))
        assert (missing.status_code, missing.json()["code"]) == (404, "FRAME_NOT_FOUND")


def test_pages_of_messages_are_bounded_in_number_and_bytes(client, store, session):
    small = [("request", 1, n, b"x") for n in range(5)]
    big = [("response", 2, 10 + n, LONG[n : n + 250_000]) for n in range(20)]
    made = records.entry(store, session.id, kind="websocket", messages=small + big)

    seen, after, pages = [], None, 0
    while True:
        params = {"limit": 3 if after is None else 1000} | (
            {} if after is None else {"after": after}
        )
        page = client.get(url(made, "frames"), params=params)
        assert len(page.content) < 8_000_000
        seen += [frame["number"] for frame in page.json()["frames"]]
        pages += 1
        after = page.json()["next"]
        if after is None:
            break
    assert seen == list(range(25))
    assert pages == 3


def test_chunks(client, store, session):
    sizes = [3] * 600
    made = records.entry(
        store,
        session.id,
        response=b"abc" * 600,
        chunks=[(n * 1_000, size) for n, size in enumerate(sizes)],
    )

    first = client.get(url(made, "frames"), params={"limit": 2}).json()
    last = client.get(url(made, "frames"), params={"after": 597}).json()

    assert first["next"] == 1
    assert [(f["number"], f["at"], f["size"], f["offsetUs"]) for f in first["frames"]] == [
        (0, 0, 3, 0),
        (1, 3, 3, 1),
    ]
    chunk = first["frames"][0]
    assert [chunk[key] for key in ("opcode", "isBinary", "text", "base64", "url")] == [None] * 5
    assert [f["number"] for f in last["frames"]] == [598, 599]
    assert last["next"] is None
    assert client.get(url(made, "frames"), params={"side": "request"}).json()["frames"] == []
    assert client.get(url(made, "frames/0")).status_code == 404


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 1001}, {"after": "x"}, {"after": 10**30}, {"side": "both"}]
)
def test_bad_pages_of_frames(client, store, session, params):
    made = records.entry(store, session.id)

    assert client.get(url(made, "frames"), params=params).status_code == 400


def test_timing(client, store, session):
    made = records.entry(
        store,
        session.id,
        started_ns=1_795_000_000_123_456_789,
        timing=Timing(connected_ns=1_999, first_byte_ns=2_000, closed_ns=5_000_000, reused=True),
    )

    assert client.get(url(made, "timing")).json() == {
        "timestamp": 1_795_000_000_123,
        "startedUs": 1_795_000_000_123_456,
        "reused": True,
        "connectStartedUs": None,
        "connectedUs": 1,
        "tlsDoneUs": None,
        "requestDoneUs": None,
        "responseHeadUs": None,
        "firstByteUs": 2,
        "lastByteUs": None,
        "closedUs": 5000,
    }


def test_cuts_and_gaps(client, store, session):
    cut = Cut(
        part="request-header", offset_bytes=7, length_bytes=20, kind="authorization", hmac="ab",
        name="authorization", index=3,
    )  # fmt: skip
    gap = Gap(reason="queue_full", records=2, started_ns=1_795_000_000_000_999_999)
    made = records.entry(store, session.id, cuts=[cut], gaps=[gap])

    assert client.get(url(made, "cuts")).json() == {
        "cuts": [
            {
                "part": "request-header",
                "name": "authorization",
                "index": 3,
                "offset": 7,
                "length": 20,
                "kind": "authorization",
                "hmac": "ab",
            }
        ],
        "gaps": [
            {
                "reason": "queue_full",
                "records": 2,
                "size": None,
                "startedAt": 1_795_000_000_000,
                "endedAt": None,
                "detail": None,
            }
        ],
    }


@pytest.mark.parametrize(
    "what", ["request-body", "response-body", "frames", "frames/0", "timing", "cuts"]
)
def test_of_an_unknown_entry(client, what):
    missing = client.get(url("0190aaaa", what))

    assert missing.status_code == 404
    assert missing.json()["code"] == "TRAFFIC_ENTRY_NOT_FOUND"


def test_a_damaged_body_is_an_error_and_no_other_bytes(client, store, session):
    made = records.entry(store, session.id, response=b"abc" * 100)
    store.call(lambda db: db.execute("update packed set data = x'00'") and None).result()

    damaged = client.get(url(made))

    assert damaged.status_code == 500
    assert damaged.json()["code"] == "STORE_FAILED"
