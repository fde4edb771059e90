"""A body that falls silent with a tail held back: it is let go, and the secret is found anyway."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.redaction import Redactor

SECRET = b"sk-ant-api03-Zx81kdUwqp93LmnB"


def body(**more):
    redactor = Redactor(b"k" * 32)
    redactor.request_head(b"/", ((b"X-Api-Key", SECRET),))
    return redactor.body("response", **more)


class Written:
    """What got to the spool, as its reader sees it."""

    def __init__(self, body):
        self.body = body
        self.data, self.cuts = b"", []

    def add(self, scanned):
        self.data += scanned.data
        self.cuts += scanned.cuts

    def feed(self, chunk):
        self.add(self.body.feed(chunk))

    def settle(self):
        self.add(self.body.settle())

    def finish(self):
        self.add(self.body.finish())


def test_nothing_is_held_of_ordinary_text():
    written = Written(body())
    written.feed(b"data: hello\n\n")
    assert not written.body.holds
    written.settle()
    assert written.data == b"data: hello\n\n"


@pytest.mark.parametrize("shown", range(1, 8))
def test_short_beginning_is_shown_and_the_rest_is_cut(shown):
    written = Written(body())
    written.feed(b"text " + SECRET[:shown])
    assert written.body.holds
    assert written.data == b"text "
    written.settle()
    assert written.data == b"text " + SECRET[:shown]
    assert written.cuts == []
    assert not written.body.holds
    written.feed(SECRET[shown:] + b" more")
    written.finish()
    assert written.data == b"text " + SECRET[:shown] + b"*" * (len(SECRET) - shown) + b" more"
    (cut,) = written.cuts
    assert (cut.offset_bytes, cut.length_bytes) == (5 + shown, len(SECRET) - shown)
    assert written.body.wire_hmac


@pytest.mark.parametrize("held", range(8, len(SECRET)))
def test_long_beginning_is_cut_at_once_and_so_is_the_rest(held):
    written = Written(body())
    written.feed(b"text " + SECRET[:held])
    written.settle()
    assert written.data == b"text " + b"*" * held
    written.feed(SECRET[held:] + b" more")
    written.finish()
    assert written.data == b"text " + b"*" * len(SECRET) + b" more"
    assert [(cut.offset_bytes, cut.length_bytes) for cut in written.cuts] == [
        (5, held),
        (5 + held, len(SECRET) - held),
    ]


@pytest.mark.parametrize("shown", [3, 12])
def test_beginning_of_something_else_goes_on_as_it_is(shown):
    written = Written(body())
    written.feed(SECRET[:shown])
    written.settle()
    written.feed(b"!other text")
    written.finish()
    begun = SECRET[:shown] if shown < 8 else b"*" * shown
    assert written.data == begun + b"!other text"


@given(
    st.lists(
        st.one_of(
            st.just(None),
            st.sampled_from(
                [SECRET, SECRET[:5], SECRET[5:], SECRET[:12], SECRET[12:], b"sk-", b"\n"]
            ),
            st.binary(max_size=6),
        ),
        max_size=14,
    )
)
def test_any_pauses_in_any_text(steps):
    """`None` is a pause. As long as it was, and never eight bytes of the secret in a row."""
    written = Written(body())
    for step in steps:
        if step is None:
            written.settle()
            assert len(written.data) == written.body.at
        else:
            written.feed(step)
    written.finish()
    text = b"".join(step for step in steps if step is not None)
    assert len(written.data) == len(text)
    assert all(a in (b, ord("*")) for a, b in zip(written.data, text, strict=True))
    start = text.find(SECRET)
    while start >= 0:
        cut = written.data[start : start + len(SECRET)]
        assert len(cut.rstrip(b"*")) < 8, cut
        start = text.find(SECRET, start + len(SECRET))
    starred = {at for at, byte in enumerate(written.data) if byte == ord("*") != text[at]}
    told = {
        at
        for cut in written.cuts
        for at in range(cut.offset_bytes, cut.offset_bytes + cut.length_bytes)
    }
    assert starred <= told
    if None not in steps:
        other = Written(body())
        other.feed(text)
        other.finish()
        assert (other.data, other.cuts) == (written.data, written.cuts)


def flushed(*texts):
    """The pieces of one gzip stream, each flushed."""
    coder = zlib.compressobj(wbits=31)
    return [coder.compress(text) + coder.flush(zlib.Z_SYNC_FLUSH) for text in texts]


def test_coded_events_are_let_go_in_a_pause():
    # The text's last byte may begin the secret, and coded bytes look like anything.
    pieces = flushed(b"data: one s", b"data: two sk-", b"data: three\n\n")
    written = Written(body(content_encoding="gzip"))
    total = b""
    for piece in pieces:
        written.feed(piece)
        written.settle()
        total += piece
        assert written.data == total
        assert not written.body.holds
    assert zlib.decompressobj(31).decompress(written.data).endswith(b"three\n\n")


def test_coded_beginning_that_is_too_long_to_show_waits():
    first, second = flushed(b"text " + SECRET[:12], SECRET[12:] + b" more")
    written = Written(body(content_encoding="gzip"))
    written.feed(first)
    written.settle()
    assert written.data == b""
    written.feed(second)
    written.finish()
    assert SECRET[:8] not in written.data
    assert written.body.cut_coded


def test_every_other_body_settles_to_nothing():
    open_body = Redactor(b"k" * 32, enabled=False).body("response")
    credential = body(is_credential=True)
    credential.feed(b'{"access_token":"x"}')
    blind = body(content_encoding="gzip, br")
    blind.feed(gzip.compress(b"x"))
    for each in (open_body, credential, blind):
        assert not each.holds
        assert each.settle().data == b""
