"""Every coding: whole, byte by byte, cut off, several members, bombs, and the wrong label."""

import gzip
import resource
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from addons.framing.codings import Decoder, decode


def zstd_streamed(data):
    """As a server streams it: frames without a content size, flushed in between."""
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    half = len(data) // 2
    return (
        writer.compress(data[:half])
        + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        + writer.compress(data[half:])
        + writer.flush()
    )


def raw_deflate(data):
    writer = zlib.compressobj(wbits=-15)
    return writer.compress(data) + writer.flush()


CODERS = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"X-GZip", gzip.compress),
    "gzip of two members": (b"gzip", lambda d: gzip.compress(d[:7]) + gzip.compress(d[7:])),
    "padded gzip": (b"gzip", lambda d: gzip.compress(d) + b"\0\0\0"),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
    "br": (b"br", brotli.compress),
    "zstd": (b"zstd", zstandard.compress),
    "streamed zstd": (b"zstd", zstd_streamed),
    "zstd of two frames": (b"zstd", lambda d: zstandard.compress(d[:7]) + zstd_streamed(d[7:])),
    "chain": (b"gzip, br", lambda d: brotli.compress(gzip.compress(d))),
    "identity": (b"identity", bytes),
    "none": (None, bytes),
}
TEXT = b'data: {"type":"ping"}\n\n' * 50 + bytes(range(256))


def run(name, chunks, **options):
    decoder = Decoder(name, **options)
    plain = b"".join(decoder.feed(chunk) for chunk in chunks)
    decoder.finish()
    return plain, decoder


@pytest.mark.parametrize(("name", "code"), CODERS.values(), ids=CODERS)
def test_whole_byte_by_byte_and_cut(name, code):
    coded = code(TEXT)

    assert decode(coded, name) == TEXT
    plain, decoder = run(name, [bytes((byte,)) for byte in coded])
    assert plain == TEXT
    assert (decoder.truncated, decoder.failed, decoder.capped) == (False, False, False)
    for at in range(0, len(coded), 11):
        plain, _ = run(name, [coded[:at], coded[at:]])
        assert plain == TEXT


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate", "br", "zstd", "chain"])
def test_a_cut_stream_gives_what_it_held(name):
    label, code = CODERS[name]
    coded = code(TEXT)

    plain, decoder = run(label, [coded[:-3]])

    assert TEXT.startswith(plain)
    assert decoder.truncated
    assert decode(coded[:-3], label) is None


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_no_truncated_one(name):
    assert decode(b"", CODERS[name][0]) == b""


def test_an_unknown_coding_passes_through_and_says_so():
    plain, decoder = run(b"x-own", [b"abc"])

    assert (plain, decoder.known) == (b"abc", False)
    assert decode(b"abc", b"x-own") is None


@pytest.mark.parametrize("name", [b"gzip", b"br", b"zstd"])
def test_the_wrong_label_fails_without_an_error(name):
    plain, decoder = run(name, [b"this is no such thing" * 20, b"more"])

    assert plain == b""
    assert decoder.failed


def bomb(name):
    """Of 128 MB: more than twice what the test allows its decoder."""
    if name == b"zstd":
        return zstandard.compress(bytes(1 << 27))
    if name == b"br":
        return brotli.compress(bytes(1 << 27), quality=5)
    return gzip.compress(bytes(1 << 27), 6)


@pytest.mark.parametrize("name", [b"gzip", b"br", b"zstd"])
def test_a_bomb_ends_at_the_cap_with_little_memory(name):
    coded = bomb(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decoder = Decoder(name, cap_bytes=1 << 20)

    size = sum(len(decoder.feed(coded[at : at + 65536])) for at in range(0, len(coded), 65536))

    assert size == 1 << 20
    assert decoder.capped
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KB


@given(
    st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"gzip, zstd"]),
    st.lists(st.binary(max_size=200), max_size=6),
)
def test_garbage_never_raises(name, chunks):
    run(name, chunks)


@given(st.sampled_from(list(CODERS)), st.binary(max_size=2000), st.integers(1, 300))
def test_any_bytes_in_any_chunks(name, data, size):
    label, code = CODERS[name]
    coded = code(data)

    plain, decoder = run(label, [coded[at : at + size] for at in range(0, len(coded), size)])

    assert plain == data
    assert not decoder.truncated


@pytest.mark.parametrize(("name", "code"), CODERS.values(), ids=CODERS)
def test_what_expands_far_comes_whole_at_once(name, code):
    text = b"data: event\n\n" * 60_000

    plain, decoder = run(name, [code(text)])

    assert plain == text
    assert not decoder.truncated
