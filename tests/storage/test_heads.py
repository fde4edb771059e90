"""Headers and timings come back as they were, from rows of every version."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import heads
from storage.records import Timing

HEADERS = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=300)), max_size=6).map(
    tuple
)
MOMENTS = st.none() | st.integers(0, 2**63 - 1)
TIMINGS = st.builds(
    Timing,
    **dict.fromkeys(set(Timing.__struct_fields__) - {"reused"}, MOMENTS),
    reused=st.booleans(),
)
SENT = (
    (b"Host", b"api.anthropic.com"),
    (b"User-Agent", b"claude-cli/2.1.331 (external, cli)"),
    (b"X-Claude-Code-Session-Id", b"162f0b2e-cfae-424d-b00e-375df2baac54"),
    (b"x-api-key", b"*" * 108),
    (b"anthropic-version", b"2023-06-01"),
    (b"Content-Type", b"application/json"),
)


def test_what_rows_are_read_against_has_not_changed():
    known = "4cdc264f8db24697ae8302cf3d7f8f040a4d5d219e2a912552327e34bf964abc"
    assert hashlib.sha256(heads.KNOWN).hexdigest() == known


@given(headers=HEADERS)
def test_headers_come_back(headers):
    assert heads.unpack(heads.pack(headers)) == headers


@given(headers=HEADERS)
def test_headers_of_earlier_rows_are_read(headers):
    assert heads.unpack(msgspec.msgpack.encode(headers)) == headers


def test_what_heads_often_hold_takes_little():
    plain = msgspec.msgpack.encode(SENT)
    assert len(heads.pack(SENT)) < len(plain) / 3


def test_a_head_that_was_stored_once_is_still_read():
    content = bytes.fromhex(
        "02604800350200840296312431363266306232652d636661652d343234642d623030652d3337356466326261"
        "616335346c090048e606aa0807e21e18406fd1d6f1c4843600ef8a493144065f01"
    )
    assert heads.unpack(content) == SENT


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x02", b"\x02\x20", b"\x07abc"], ids=bytes.hex)
def test_a_damaged_head_is_told(content):
    with pytest.raises((ValueError, msgspec.DecodeError)):
        heads.unpack(content)


@given(timing=TIMINGS)
def test_a_timing_comes_back(timing):
    assert heads.unpack_timing(heads.pack_timing(timing)) == timing


@given(timing=TIMINGS)
def test_a_timing_of_an_earlier_row_is_read(timing):
    assert heads.unpack_timing(msgspec.msgpack.encode(timing)) == timing


def test_a_timing_takes_little():
    timing = Timing(
        connect_started_ns=10, connected_ns=20_000_000, tls_done_ns=50_000_000, reused=True,
        request_done_ns=60_000_000, response_head_ns=900_000_000, first_byte_ns=900_100_000,
        last_byte_ns=3_000_000_000, closed_ns=3_000_100_000,
    )  # fmt: skip
    assert len(heads.pack_timing(timing)) < 40


def test_a_damaged_timing_is_told():
    content = heads.pack_timing(Timing(closed_ns=1 << 40))
    for keep in range(len(content)):
        with pytest.raises(msgspec.DecodeError):
            heads.unpack_timing(content[:keep])
