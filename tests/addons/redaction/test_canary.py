"""Every slot and every form of tests.addons.redaction.canary."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from addons.redaction import rejoined
from tests.addons.redaction.canary import (
    FORMS,
    JSON_FIELDS,
    ODD_SECRET,
    SLOTS,
    Form,
    Slot,
    drive,
    fingerprint,
    halves,
    pieces,
    redactor,
)

NEIGHBOURS = ((b"Host", b"api.test"), (b"max_tokens", b"4096"))
CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def head(redact, slot: Slot):
    """The head of the slot as redacted, with the value that stood in the slot."""
    if slot.part == "request-target":
        done = redact.request_head(slot.value, NEIGHBOURS)
        return done, done.target
    headers = (NEIGHBOURS[0], (slot.name.encode(), slot.value), NEIGHBOURS[1])
    if slot.part == "request-header":
        done = redact.request_head(b"/v1/messages?beta=true", headers)
    else:
        done = redact.response_head(headers)
    return done, done.headers[1][1]


@pytest.mark.parametrize("slot", SLOTS, ids=[slot.id for slot in SLOTS])
def test_each_slot_of_a_head_is_cut_and_nothing_else(slot):
    done, value = head(redactor(), slot)
    (cut,) = done.cuts
    assert (cut.part, cut.kind) == (slot.part, slot.kind)
    assert slot.value[cut.offset_bytes :][: cut.length_bytes].endswith(slot.written)
    assert value == slot.value.replace(
        slot.value[cut.offset_bytes :][: cut.length_bytes], b"*" * cut.length_bytes
    )
    if slot.kind != "url-userinfo":  # there the user is cut with the password
        assert value == slot.starred
        assert cut.hmac == fingerprint(slot.hashed(slot.secret))
    assert done.headers[0] == NEIGHBOURS[0]
    assert done.headers[-1] == NEIGHBOURS[1]
    if slot.part != "request-target":
        assert (cut.name, cut.index) == (slot.name.lower(), 1)


@pytest.mark.parametrize("slot", SLOTS, ids=[slot.id for slot in SLOTS])
def test_what_stood_in_a_slot_is_found_in_later_traffic(slot):
    redact = redactor()
    head(redact, slot)
    text = b'{"echo": "' + slot.secret + b'", "max_tokens": 5}'
    clean = text.replace(slot.secret, b"*" * len(slot.secret)) if slot.learnt else text
    assert drive(redact.body("response"), [text]).data == clean
    assert redact.message("response", 3, text).data == clean
    assert redact.text(text).data == clean
    later = redact.request_head(b"/", ((b"x-note", text),))
    assert later.headers == ((b"x-note", clean),)
    for coding, encode in CODINGS.items():
        coded = encode(text)
        done = drive(redact.body("response", content_encoding=coding), pieces(coded, 9))
        assert len(done.data) == len(coded)
        if slot.learnt:
            at = next(cut.offset_bytes for cut in done.cuts if cut.kind == "coded")
            assert rejoined(coding, done.data[:at], done.decoded) == clean
        else:
            assert done.data == coded


@pytest.mark.parametrize("field", JSON_FIELDS)
def test_tokens_of_a_credential_body_are_found_in_later_traffic(field):
    redact = redactor()
    secret = b"cnry-aB3_dE9.Zx7mK0pQrStUv"
    body = b'{"' + field.encode() + b'":"' + secret + b'"}'
    result = redact.credential_body("response", "application/json", None, body)
    assert result.data == body.replace(secret, b"*" * len(secret))
    assert redact.message("response", 0, b"see " + secret).data == b"see " + b"*" * len(secret)


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
@pytest.mark.parametrize("secret", [ODD_SECRET, b"sk-ant-api03-" + b"aB3_dE-9xYz?" * 8])
def test_each_form_is_cut_at_its_exact_place_wherever_the_chunks_part(form: Form, secret: bytes):
    redact = redactor(secret)
    before, written, after = form.written(secret)
    prefix, suffix = b'{"a":"' + before, after + b'","usage":{"input_tokens":12}}'
    text = prefix + written + suffix
    clean = prefix + b"*" * len(written) + suffix
    for at in range(len(text) + 1):
        done = drive(redact.body("request"), halves(text, at))
        assert done.data == clean
        (cut,) = done.cuts
        assert (cut.part, cut.kind) == ("request-body", "known-value")
        assert (cut.offset_bytes, cut.length_bytes) == (len(prefix), len(written))
        assert cut.hmac == fingerprint(secret)
    assert drive(redact.body("request"), pieces(text, 1)).data == clean


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
@pytest.mark.parametrize("coding", CODINGS)
def test_no_form_survives_in_a_coded_body(coding, form: Form):
    secret = ODD_SECRET
    before, written, after = form.written(secret)
    text = b"a harmless beginning " * 20 + before + written + after + b" and an end"
    clean = text.replace(written, b"*" * len(written))
    coded = CODINGS[coding](text)
    # The text is found by the scanner of plain bodies; at every offset for one form of each kind.
    everywhere = form.name in ("plain", "base64-1-3", "url", "json-ascii")
    for at in range(0, len(coded) + 1, 1 if everywhere else 41):
        body = redactor(secret).body("response", content_encoding=coding)
        done = drive(body, halves(coded, at))
        assert body.cut_coded
        assert len(done.data) == len(coded)
        start = next(cut.offset_bytes for cut in done.cuts if cut.kind == "coded")
        assert done.data[:start] == coded[:start]
        assert done.data[start:] == b"*" * (len(coded) - start)
        assert rejoined(coding, done.data[:start], done.decoded) == clean
        found = [cut for cut in done.cuts if cut.part == "response-decoded"]
        assert [(cut.offset_bytes, cut.length_bytes, cut.hmac) for cut in found] == [
            (text.index(written), len(written), fingerprint(secret))
        ]
