"""A HAR of records to measure, imported: the same entries come out of the next export."""

import gzip

from storage.records import Cut, Gap
from tests.har.again import check_same, exported_again
from tests.har.recording import JSON, MS

SSE = ((b"content-type", b"text/event-stream"),)
GZIP = (*SSE, (b"content-encoding", b"gzip"))


def test_what_went_wrong_while_it_was_recorded(recording, tmp_path):
    text = b"".join(b"data: %d\n\n" % number for number in range(100))
    # Hardly compressed: put on again, the coding is not longer than it was.
    coded = gzip.compress(text, 1, mtime=0)
    stars = Cut(part="response-body", offset_bytes=6, length_bytes=3, kind="known-value", hmac="ab")
    hidden = Cut(
        part="response-body", offset_bytes=10, length_bytes=len(coded) - 10, kind="coded", hmac="cd"
    )
    head = Cut(
        part="request-header", offset_bytes=7, length_bytes=8, kind="authorization", hmac="ef",
        name="authorization", index=0,
    )  # fmt: skip
    recording.http(
        headers=SSE,
        chunks=[(50 * MS, b"data: ***\n\n"), (50 * MS, b"data: b\n\nda"), (61 * MS, b"ta: c\n\n")],
        request_headers=((b"authorization", b"Bearer ********"),),
        cuts=(stars, head),
        gaps=(
            Gap(reason="queue_full", records=2, size_bytes=9, started_ns=1_795_000_000_000_001_000),
        ),
    )
    recording.http(
        headers=GZIP,
        chunks=[(50 * MS, coded[:10] + b"*" * (len(coded) - 10))],
        cuts=(hidden,),
        decoded=text,
        cut_coded=True,
    )
    recording.http(
        headers=(JSON, GZIP[1]),
        chunks=[(50 * MS, coded[:-8])],
        closed={"outcome": "upstream_error"},
    )
    recording.http(status=None, closed={"outcome": "upstream_error", "error": "refused"})
    recording.http(chunks=[], request=b"\xff\x00", closed={"outcome": "client_aborted"})
    recording.websocket(
        [(6 * MS, True, 1, b"hello"), (7 * MS, False, 2, b"\x00"), (8 * MS, True, 1, b"")]
    )
    recording.websocket([], outcome="continued", close_code=None, close_reason=None)
    recording.tunnel()
    recording.ingest()
    before = b"".join(recording.pieces())
    check_same(before, exported_again(tmp_path, before))
