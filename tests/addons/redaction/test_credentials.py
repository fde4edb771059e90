import gzip

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.redaction import Redactor, credentials
from tests.addons.redaction.canary import (
    KEY,
    SECRET,
    drive,
    fingerprint,
    json_text,
    pieces,
    redactor,
    words,
)

TOKEN = b"aB3_dE9.Zx7mK0pQrStUv"
STARS = b"*" * len(TOKEN)
ENDPOINTS = (
    ("login.corp.test", "/oauth/token"),
    ("login.corp.test", "/x/oauth2/token?y=1"),
    ("login.corp.test", "/token/refresh/"),
    ("login.corp.test", "/v2/device/token"),
    ("App.Corp.test:8443", "/Login"),
    ("app.corp.test", "/v1/oauth/authorize"),
    ("auth.openai.com", "/api/accounts/deviceauth/usercode"),
    ("AUTH.OPENAI.COM.", "/x"),
    ("console.anthropic.com", "/v1/oauth/token"),
    ("platform.claude.com", "/v1/oauth/token"),
    ("api.anthropic.com", "/api/oauth/claude_cli/create_api_key"),
    ("oauth2.googleapis.com", "/token"),
    ("accounts.google.com", "/o/oauth2/auth"),
    ("login.microsoftonline.com", "/common/x"),
    ("github.com", "/login/oauth/access_token"),
    ("github.com", "/login/device/code"),
    ("api.github.com", "/copilot_internal/v2/token"),
    ("sts.eu-west-1.amazonaws.com", "/"),
    ("sts.amazonaws.com", "/"),
    ("cognito-idp.us-east-1.amazonaws.com", "/"),
)


@pytest.mark.parametrize(("host", "path"), ENDPOINTS)
def test_credential_endpoints(host, path):
    assert redactor().is_credential(host, path)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.anthropic.com", "/v1/messages?beta=true"),
        ("api.anthropic.com", "/api/hello"),
        ("api.openai.com", "/v1/responses"),
        ("api.github.com", "/copilot_internal/user"),
        ("github.com", "/openai/codex/logins"),
        ("chatgpt.com", "/backend-api/codex/responses?path=/oauth/token"),
        ("auth.openai.com.evil.test", "/x"),
        ("myauth.openai.com", "/x"),
        ("", ""),
    ],
)
def test_other_endpoints(host, path):
    assert not redactor().is_credential(host, path)


def test_endpoints_of_the_config():
    redact = Redactor(KEY, extra_endpoints=["sso.corp.test/Ticket*"])
    assert redact.is_credential("sso.corp.test", "/ticket/new")
    assert not redactor().is_credential("sso.corp.test", "/ticket/new")


def cut(body: bytes, content_type: str | None = "application/json", encoding=None, redact=None):
    redact = redact or redactor()
    return redact.credential_body("response", content_type, encoding, body)


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (
            b'{ "access_token" : "%b",\n "expires_in":3600, "token_type":"Bearer",'
            b'"scope":"a b","error":"no"}',
            b'{ "access_token" : "%b",\n "expires_in":3600, "token_type":"Bearer",'
            b'"scope":"a b","error":"no"}',
        ),
        (b'{"a":{"b":["%b",1,{"scope":["x"]},"%b"]},"c":"%b"}', None),
        (b'["%b",{"error":{"message":"%b"}},"%b"]', None),
        (b'"%b"', None),
        (b'{"a":"","b":null,"c":true,"d":[],"e":{}}', None),
        (b'{"error":["%b"],"x":[{"scope":"y"}]}', b'{"error":["%k"],"x":[{"scope":"y"}]}'),
        (b"null", None),
        (b"12", None),
    ],
)  # fmt: skip
def test_keys_stay_and_string_leaves_are_cut(body, clean):
    done = cut(body.replace(b"%b", TOKEN))
    clean = (clean or body).replace(b"%b", STARS).replace(b"%k", TOKEN)
    assert done.data == clean
    assert all(c.kind == "oauth-body" and c.hmac == fingerprint(TOKEN) for c in done.cuts)
    assert len(done.cuts) == clean.count(STARS)


def test_the_hash_is_of_what_the_string_says_and_the_span_of_what_stands_there():
    written = json_text(SECRET, ascii_only=True).encode()
    (found,) = cut(b'{"access_token":"' + written + b'"}').cuts
    assert (found.offset_bytes, found.length_bytes) == (17, len(written))
    assert found.hmac == fingerprint(SECRET)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", None, "text/plain"])
def test_forms(content_type):
    body = b"access_token=%b&scope=a+b&token_type=bearer&empty=&x=%b\n" % (TOKEN, TOKEN)
    done = cut(body, content_type)
    assert done.data == body.replace(TOKEN, STARS)
    assert [c.hmac for c in done.cuts] == [fingerprint(TOKEN)] * 2


def test_the_hash_of_a_form_value_is_of_what_it_says():
    (found,) = cut(b"code=a%2Fb+c", None).cuts
    assert found.hmac == fingerprint(b"a/b c")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>secret</html>", "text/html"),
        (b'{"access_token":"x"', "application/json"),
        (b"a=b", "application/json"),
        (b'{"a":"\xff"}', "application/json"),
        (b'{"a":"\\ud800"}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"token", None),
        (b"\x00\x01", None),
    ],
)
def test_what_cannot_be_read_is_cut_whole(body, content_type):
    done = cut(body, content_type)
    assert done.data == b"*" * len(body)
    (found,) = done.cuts
    assert (found.offset_bytes, found.length_bytes) == (0, len(body))
    assert (found.part, found.kind, found.hmac) == (
        "response-body", "oauth-body", fingerprint(body),
    )  # fmt: skip


def test_an_empty_body_has_nothing_to_cut():
    assert cut(b"").cuts == ()


def test_a_known_value_is_cut_out_of_the_fields_that_stay():
    done = cut(b'{"error":"bad key ' + TOKEN + b'"}', redact=redactor(TOKEN))
    assert done.data == b'{"error":"bad key ' + STARS + b'"}'
    assert done.cuts[0].kind == "known-value"


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress)])
def test_coded_bodies_are_hidden_and_their_cut_text_stands_beside(coding, encode):
    text = b'{"access_token":"' + TOKEN + b'","scope":"a"}'
    coded = encode(text)
    done = cut(coded, encoding=coding)
    assert done.data == b"*" * len(coded)
    assert done.decoded == text.replace(TOKEN, STARS)
    assert [(c.part, c.kind, c.hmac) for c in done.cuts] == [
        ("response-decoded", "oauth-body", fingerprint(TOKEN)),
        ("response-body", "coded", fingerprint(coded)),
    ]
    asked = redactor().credential_body("request", None, coding, coded)
    assert [c.part for c in asked.cuts] == ["request-decoded", "request-body"]


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        (gzip.compress(b" " * (credentials.MAX_BYTES + 1)), "gzip"),
        (b"{}", "x-rot13"),
    ],
    ids=["not coded", "twice", "bomb", "unknown"],
)
def test_coded_bodies_that_cannot_be_read_are_hidden(body, coding):
    done = cut(body, encoding=coding)
    assert done.data == b"*" * len(body)
    assert done.decoded is None


def test_a_body_as_it_comes_is_let_go_at_its_end():
    redact = redactor()
    text = b'{"access_token":"' + TOKEN + b'"}'
    body = redact.body("response", content_type="application/json", is_credential=True)
    assert body.feed(text[:10]).data == b""
    assert body.wire_hmac is None
    assert drive(body, [text[10:]]).data == text.replace(TOKEN, STARS)
    assert len(body.wire_hmac) == 64
    assert not body.cut_coded


def test_a_coded_body_as_it_comes():
    coded = gzip.compress(b'{"access_token":"' + TOKEN + b'"}')
    body = redactor().body("response", content_encoding="gzip", is_credential=True)
    done = drive(body, pieces(coded, 7))
    assert done.decoded == b'{"access_token":"' + STARS + b'"}'
    assert body.cut_coded


def test_a_body_without_secrets_has_no_hmac():
    body = redactor().body("response", is_credential=True)
    assert drive(body, [b'{"expires_in":1}']).data == b'{"expires_in":1}'
    assert body.wire_hmac is None


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_body_that_is_too_long_is_cut_whole_and_not_kept_in_memory(side):
    body = redactor().body(side, is_credential=True)
    assert body.feed(b"a" * credentials.MAX_BYTES).data == b""
    assert body.feed(b"bc").data == b"*" * (credentials.MAX_BYTES + 2)
    assert body.feed(b"d").data == b"*"
    (found,) = body.finish().cuts
    assert (found.part, found.length_bytes) == (f"{side}-body", credentials.MAX_BYTES + 3)
    assert found.hmac == fingerprint(b"a" * credentials.MAX_BYTES + b"bcd")
    assert body.unscanned == "too_large"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(words("a scope error access_token")) | st.text(max_size=4), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_any_json_keeps_its_shape(value, ascii_only, indent):
    import json

    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    done = cut(body)
    assert len(done.data) == len(body)

    def shape(before, after, name=""):
        if isinstance(before, dict):
            assert list(before) == list(after)
            for key in before:
                shape(before[key], after[key], key)
        elif isinstance(before, list):
            for one, other in zip(before, after, strict=True):
                shape(one, other, name)
        elif isinstance(before, str) and name not in ("token_type", "scope", "expires_in", "error"):
            assert set(after) <= {"*"}
        else:
            assert set(str(after)) <= {*str(before), "*"}

    shape(value, json.loads(done.data))


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([None, "gzip", "br", "zstd", "x"]))
def test_any_bytes_keep_their_length(body, coding):
    assert len(cut(body, None, coding).data) == len(body)


@pytest.mark.parametrize("body", [b'{"access_token": "*****", "a": ["*"]}', b"code=***", b"****"])
def test_stars_that_another_recorder_left_are_no_secret(body):
    assert redactor().credential_body("response", None, None, body).cuts == ()
