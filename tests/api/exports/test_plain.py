import gzip

import pytest

from addons.redaction import Redactor
from api.exports.captured import Captured
from api.exports.plain import Plain
from tests.har.recording import MS
from tests.provider import deliver, seeded

TEXT = ('{"text":"' + "grüße, 世界 " * 3000 + '"}').encode()


def plain_of(recording, entry_id, side="response"):
    return Plain(Captured(recording.conn, recording.entry(entry_id), None), side)


def answer(recording, body, coding=None, **more):
    headers = ((b"content-encoding", coding),) if coding is not None else ()
    entry = recording.http(headers=headers, chunks=[(50 * MS, body)], **more)
    recording.ingest()
    return plain_of(recording, entry)


def read(plain):
    return b"".join(plain.pieces())


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_codings_are_undone(recording, coding):
    coded = deliver.encode(TEXT, coding)

    plain = answer(recording, coded, coding.encode())

    assert read(plain) == TEXT
    assert (plain.size_bytes, plain.stored_bytes) == (len(TEXT), len(coded))
    assert (plain.is_text, plain.is_decoded, plain.comment) == (True, True, None)


def test_codings_on_top_of_each_other_and_in_two_headers(recording):
    coded = deliver.encode(deliver.encode(TEXT, "gzip"), "br")
    entry = recording.http(
        headers=((b"Content-Encoding", b"gzip"), (b"content-encoding", b"br")),
        chunks=[(1, coded)],
    )
    recording.ingest()

    assert read(plain_of(recording, entry)) == TEXT


def test_a_long_coded_body_is_made_twice_and_is_the_same(recording):
    data = seeded(3 << 20).hex().encode()

    plain = answer(recording, deliver.encode(data, "gzip"), b"gzip")

    pieces = list(plain.pieces())
    assert b"".join(pieces) == data
    assert plain.is_text
    assert max(map(len, pieces)) < 1 << 20


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        (b"", True),
        (b"plain", True),
        ("ü".encode("latin-1"), False),
        ("世界".encode()[:-1], False),
        (b"\x00\x01", True),  # odd, but it comes back byte by byte
        (seeded(5000), False),
        (b"a" * (2 << 20) + b"\xff", False),
        ("世界".encode() * 200_000, True),
    ],
)
def test_text_is_what_decodes(recording, data, is_text):
    plain = answer(recording, data)

    assert (plain.is_text, plain.is_decoded) == (is_text, False)
    assert read(plain) == data


def test_an_unknown_coding_stays(recording):
    plain = answer(recording, b"\x00\xffxyz", b"x-own")

    assert read(plain) == b"\x00\xffxyz"
    assert plain.comment == "as captured: the coding x-own is unknown"
    assert not plain.is_decoded


def test_a_body_that_is_not_in_its_coding_stays(recording):
    plain = answer(recording, b'{"error":"a proxy said no"}', b"gzip")

    assert read(plain) == b'{"error":"a proxy said no"}'
    assert plain.is_text
    assert plain.comment == "as captured: it is not in the coding gzip that it names"


def test_coded_bytes_that_break_in_the_middle_stay(recording):
    coded = bytearray(gzip.compress(seeded(3 << 20)))
    coded[2 << 20] ^= 0xFF

    plain = answer(recording, bytes(coded), b"gzip")

    assert read(plain) == bytes(coded)
    assert (plain.size_bytes, plain.is_decoded) == (len(coded), False)


def test_a_coded_stream_that_was_cut_off_is_what_it_held(recording):
    coded = b"".join(deliver.encode_each([b"first ", b"second "], "gzip")[:-1])

    plain = answer(recording, coded, b"gzip", closed={"outcome": "upstream_error"})

    assert read(plain) == b"first second "
    assert plain.comment == "the coded stream was cut off; this is what it held"


def test_a_body_that_still_grows(recording):
    entry = recording.http(chunks=[(1, b"half of "), (2, b"it")], closed_ns=None)
    recording.ingest()

    assert read(plain_of(recording, entry)) == b"half of it"


SECRET = b"sk-ant-api03-0123456789abcdefghijklmnop"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("before", [10, 300_000])
def test_a_cut_coded_body_is_the_text_beside_it(recording, coding, before):
    start, end = seeded(before).hex().encode(), b" and the rest " * 500
    coded = deliver.encode_each([start, b" key " + SECRET + b" ", end], coding)
    body = Redactor(b"k" * 32)
    body.learn([SECRET])
    scanner = body.body("response", content_encoding=coding)
    scans = [*(scanner.feed(part) for part in coded), scanner.finish()]
    assert scanner.cut_coded

    plain = answer(
        recording,
        b"".join(scan.data for scan in scans),
        coding.encode(),
        cuts=tuple(cut for scan in scans for cut in scan.cuts),
        decoded=b"".join(scan.decoded for scan in scans),
        cut_coded=True,
    )

    assert read(plain) == start + b" key " + b"*" * len(SECRET) + b" " + end
    assert plain.is_text
    assert "the text that was kept beside" in plain.comment


def test_what_could_not_be_looked_into_ends_there(recording):
    coded = deliver.encode_each([b"seen " * 2000, b"bomb"], "zstd")
    # Half a block at the end: what it holds is not known, so redaction cuts it.
    scanner = Redactor(b"k" * 32).body("response", content_encoding="zstd")
    scans = [scanner.feed(coded[0]), scanner.feed(coded[1][:-2]), scanner.finish()]
    cuts = tuple(cut for scan in scans for cut in scan.cuts)
    assert [cut.kind for cut in cuts] == ["unscanned"]

    plain = answer(recording, b"".join(s.data for s in scans), b"zstd", cuts=cuts)

    assert read(plain) == b"seen " * 2000
    assert "coded bytes were cut from byte" in plain.comment
