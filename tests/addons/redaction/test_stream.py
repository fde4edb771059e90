import hmac
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.redaction import Redactor
from tests.addons.redaction.canary import KEY, drive, fingerprint, halves, pieces, redactor

VALUE = b"sk-ant-api03-aB3_dE9xYz"


def spans(cuts):
    return [(cut.offset_bytes, cut.length_bytes, cut.hmac) for cut in cuts]


def test_a_clean_chunk_is_let_go_as_it_is():
    body = redactor(VALUE).body("response")
    chunk = b'data: {"delta":"hello"}\n\n'
    done = body.feed(chunk)
    assert done.data is chunk
    assert done.cuts == ()
    assert body.finish().data == b""
    assert (body.cut_coded, body.unscanned, body.wire_hmac) == (False, None, None)


def test_only_a_tail_that_may_be_the_beginning_is_held_back():
    body = redactor(VALUE).body("response")
    assert body.feed(b"the key is sk-an").data == b"the key is "
    assert body.feed(b"t-").data == b""
    assert body.feed(b"eater.").data == b"sk-ant-eater."
    assert body.feed(b"sk-ant").data == b""
    assert body.finish().data == b"sk-ant"


def test_never_more_than_a_needle_is_held_back():
    value = bytes(range(33, 127)) * 100
    body = redactor(value).body("request")
    held = 0
    for chunk in pieces(b"." + value[:-1] + b"~" * 9, 37):
        held += len(chunk) - len(body.feed(chunk).data)
        assert held < 4096
    assert len(body.finish().data) == held


def test_values_inside_and_across_each_other():
    outer, inner, next_one = b"abcdefgh-12345678", b"defgh-123", b"5678-zyxwvu"
    text = b"<" + b"abcdefgh-12345678-zyxwvu" + b">"
    for at in range(len(text)):
        done = drive(redactor(outer, inner, next_one).body("request"), halves(text, at))
        assert done.data == b"<" + b"*" * 24 + b">"
        assert spans(done.cuts) == [(1, 17, fingerprint(outer)), (14, 11, fingerprint(next_one))]


def test_a_value_inside_one_that_is_already_reported_is_no_cut_of_its_own():
    outer, inner, longer = b"abcdefgh-1234xyzw", b"-1234xyz", b"-1234xyzw-and-more"
    text = b"<" + outer + b">"
    for at in range(len(text)):
        done = drive(redactor(outer, inner, longer).body("request"), halves(text, at))
        assert spans(done.cuts) == [(1, 17, fingerprint(outer))]
        assert done.data == b"<" + b"*" * 17 + b">"


def test_a_value_that_overlaps_itself_is_counted_from_the_left():
    value = b"ab1ab1ab1"
    text = b"ab1" * 7
    for size in (1, 2, 5, 30):
        done = drive(redactor(value).body("request"), pieces(text, size))
        assert done.data == b"*" * 18 + b"ab1"
        assert [span[:2] for span in spans(done.cuts)] == [(0, 9), (9, 9)]


def test_a_value_learnt_on_the_way_is_cut_from_then_on():
    redact = redactor()
    body = redact.body("response")
    assert body.feed(VALUE).data == VALUE
    redact.learn([VALUE])
    assert drive(body, [VALUE]).data == b"*" * len(VALUE)


def test_the_wire_hmac_pins_down_what_was_cut_and_does_not_depend_on_the_chunks():
    def wire_hmac(text, size):
        body = redactor(VALUE, b"other-value-1").body("request")
        drive(body, pieces(text, size))
        return body.wire_hmac

    text = b"a " + VALUE + b" b other-value-1"
    assert len(wire_hmac(text, 5)) == 64
    assert wire_hmac(text, 5) == wire_hmac(text, 100)
    assert wire_hmac(text, 5) != wire_hmac(b"b" + text, 5)
    assert wire_hmac(text, 5) != wire_hmac(text[:30], 5)


def test_messages_come_out_whole_each_by_itself():
    redact = redactor(VALUE)
    done = redact.message("response", 7, b"1" + VALUE + b"2" + VALUE)
    stars = b"*" * len(VALUE)
    assert done.data == b"1" + stars + b"2" + stars
    assert [(cut.part, cut.index, cut.offset_bytes) for cut in done.cuts] == [
        ("server-message", 7, 1),
        ("server-message", 7, 2 + len(VALUE)),
    ]
    # Spread over two messages it is not found: what the peer kept apart stays apart.
    assert redact.message("request", 8, b"x" + VALUE[:10]).data == b"x" + VALUE[:10]
    assert redact.message("request", 9, VALUE[10:]).data == VALUE[10:]
    assert redact.message("request", 9, VALUE).cuts[0].part == "client-message"


def test_a_message_with_a_value_inside_another_has_one_cut():
    redact = redactor(b"abcdefgh-12345678", b"defgh-123")
    (cut,) = redact.text(b"abcdefgh-12345678").cuts
    assert (cut.part, cut.length_bytes) == ("error", 17)


def test_the_hash_is_keyed():
    (cut,) = Redactor(b"another key").request_head(b"/?key=abc", ()).cuts
    assert cut.hmac == hmac.digest(b"another key", b"abc", "sha256")[:16].hex()
    (cut,) = Redactor(KEY).request_head(b"/?key=abc", ()).cuts
    assert cut.hmac == fingerprint(b"abc")


def test_turned_off_everything_goes_as_it_came():
    redact = Redactor(KEY, enabled=False)
    redact.learn([VALUE])
    headers = ((b"authorization", b"Bearer " + VALUE),)
    assert redact.request_head(b"/?key=x", headers).headers == headers
    assert redact.request_head(b"/?key=x", headers).target == b"/?key=x"
    assert redact.response_head(headers).cuts == ()
    assert not redact.is_credential("auth.openai.com", "/oauth/token")
    assert redact.message("request", 0, VALUE).data == VALUE
    assert redact.text(VALUE).data == VALUE
    body = b'{"access_token":"' + VALUE + b'"}'
    assert redact.credential_body("response", "application/json", None, body).data == body
    stream = redact.body("response", content_encoding="gzip", is_credential=True)
    assert drive(stream, pieces(body, 5)).data == body
    assert (stream.cut_coded, stream.unscanned, stream.wire_hmac) == (False, None, None)


@pytest.mark.parametrize("coding", ["identity", "", None, "UTF-8", "aws-chunked, identity"])
def test_codings_that_change_nothing_are_plain(coding):
    body = redactor(VALUE).body("response", content_encoding=coding)
    assert drive(body, [VALUE]).data == b"*" * len(VALUE)
    assert body.unscanned is None


def test_an_unknown_coding_is_scanned_as_it_is_and_marked():
    body = redactor(VALUE).body("response", content_encoding="x-rot13")
    assert drive(body, [VALUE]).data == b"*" * len(VALUE)
    assert body.unscanned == "unknown_coding"


NOISE = st.lists(
    st.sampled_from([b"ab1ab1ab1", b"ab1", b"a", b"b", b"1", b"xx-yy-zz1", b"yy-zz1ab1", b" "])
    | st.binary(max_size=4),
    max_size=30,
).map(b"".join)


@given(NOISE, st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=200, deadline=None)
def test_rechunking_changes_nothing(text, marks):
    values = (b"ab1ab1ab1", b"xx-yy-zz1", b"yy-zz1ab1")
    at_once = drive(redactor(*values).body("request"), [text])
    edges = [0, *sorted(min(mark, len(text)) for mark in marks), len(text)]
    chunks = [text[a:b] for a, b in itertools.pairwise(edges)]
    in_chunks = drive(redactor(*values).body("request"), chunks)
    assert in_chunks == at_once
    assert len(at_once.data) == len(text)
    assert not any(value in at_once.data for value in values)
    hidden = {
        at for cut in at_once.cuts
        for at in range(cut.offset_bytes, cut.offset_bytes + cut.length_bytes)
    }  # fmt: skip
    assert all(
        (was == now) if at not in hidden else now == ord("*")
        for at, (was, now) in enumerate(zip(text, at_once.data, strict=True))
    )
