import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.redaction import Redactor
from tests.addons.redaction.canary import KEY, fingerprint, redactor

TOKEN = b"aB3_dE9.Zx7mK0pQrStUv"


def cut_value(name: bytes, value: bytes, **options) -> bytes:
    return Redactor(KEY, **options).request_head(b"/", ((name, value),)).headers[0][1]


@pytest.mark.parametrize(
    ("name", "value", "clean"),
    [
        (b"Cookie", b"a=1; b=22;c=333", b"a=*; b=**;c=***"),
        (b"Cookie", b"a=; ; b", b"a=; ; *"),
        (b"Cookie", b'a="x=y"', b'a="***"'),
        (b"Set-Cookie", b"a=; Path=/; Max-Age=0", b"a=; Path=/; Max-Age=0"),
        (b"Authorization", b"", b""),
        (b"Authorization", b"   ", b"   "),
        (b"Authorization", b"Bearer ", b"****** "),  # then this is all there is
        (b"Authorization", b" Bearer\tabc ", b" Bearer\t*** "),
        (
            b"Authorization",
            b"AWS4-HMAC-SHA256 Credential=AK/x, Signature=ff",
            b"AWS4-HMAC-SHA256 *****************************",
        ),
        (b"Authorization", b"no_scheme here", b"**************"),
        (b"X-Api-Key", b"my secret", b"*********"),
        (b"Sec-WebSocket-Protocol", b"graphql-ws, chat", b"graphql-ws, chat"),
        (b"Sec-WebSocket-Protocol", b"bearer, , abc", b"bearer, , abc"),
        (
            b"Sec-WebSocket-Protocol",
            b"base64url.bearer.authorization.k8s.io.dG9r",
            b"base64url.bearer." + b"*" * 25,
        ),
        (b"Location", b"/next?page=2", b"/next?page=2"),
        (b"Location", b"/next?token=", b"/next?token="),
        (b"Location", b"/next", b"/next"),
        (b"User-Agent", b"claude-cli/2.1.330 (external, cli)", None),
    ],
)
def test_values_of_every_shape(name, value, clean):
    assert cut_value(name, value) == (value if clean is None else clean)


@pytest.mark.parametrize(
    ("target", "clean"),
    [
        (b"/v1/messages?beta=true", b"/v1/messages?beta=true"),
        (b"/issues?state=closed&session=3", b"/issues?state=closed&session=3"),
        (b"/cb?state=0123456789", b"/cb?state=**********"),
        (b"/m:stream?alt=sse&key=AIza;x", b"/m:stream?alt=sse&key=******"),
        (b"/x?max_tokens=100&token_count=5", b"/x?max_tokens=100&token_count=5"),
        (b"/x?token", b"/x?token"),
        (b"/x?se=2030&sp=r&sv=1&sig=ab%2Bc", b"/x?se=****&sp=*&sv=*&sig=******"),
        (b"/x?se=2030&sp=r&sv=1", b"/x?se=2030&sp=r&sv=1"),
        (b"/mail?to=a@b.test", b"/mail?to=a@b.test"),
        (b'/x?token=a<b>"c', b"/x?token=******"),
        (b"*", b"*"),
        (b"", b""),
    ],
)
def test_targets(target, clean):
    assert redactor().request_head(target, ()).target == clean


def test_the_hash_is_of_the_secret_itself_however_it_is_written():
    redact = redactor()
    head = redact.request_head(
        b"/x?key=a%2Fb%2B0123456", ((b"x-api-key", b"a/b+0123456"), (b"cookie", b"k=a/b+0123456"))
    )
    assert {cut.hmac for cut in head.cuts} == {fingerprint(b"a/b+0123456")}


@pytest.mark.parametrize(
    ("user_and_password", "found"),
    [(b"me:" + TOKEN, TOKEN), (TOKEN + b":", TOKEN)],
)
def test_the_password_of_basic_credentials_is_known_afterwards(user_and_password, found):
    redact = redactor()
    header = b"Basic " + base64.b64encode(user_and_password)
    redact.request_head(b"/", ((b"Authorization", header),))
    assert redact.text(b"is " + found).data == b"is " + b"*" * len(found)


def test_basic_credentials_that_are_no_base64_are_cut_all_the_same():
    assert cut_value(b"authorization", b"Basic !!!") == b"Basic ***"


def test_signatures_of_one_request_and_short_cookies_are_not_searched():
    redact = redactor()
    redact.request_head(
        b"/",
        (
            (b"authorization", b"Digest username=abcdefgh1, response=ff"),
            (b"cookie", b"lang=en-US-12345; sid=" + TOKEN),
        ),
    )
    text = b"username=abcdefgh1, response=ff en-US-12345 " + TOKEN
    assert redact.text(text).data == text.replace(TOKEN, b"*" * len(TOKEN))


def test_a_known_value_is_cut_out_of_any_header_and_of_the_target():
    redact = redactor(TOKEN)
    head = redact.request_head(b"/v1/" + TOKEN + b"/x", ((b"a", b"1"), (b"x-note", b"=" + TOKEN)))
    stars = b"*" * len(TOKEN)
    assert head.target == b"/v1/" + stars + b"/x"
    assert head.headers == ((b"a", b"1"), (b"x-note", b"=" + stars))
    assert [(cut.part, cut.name, cut.index, cut.offset_bytes) for cut in head.cuts] == [
        ("request-target", None, None, 4),
        ("request-header", "x-note", 1, 1),
    ]


def test_a_response_head_has_its_own_part():
    (cut,) = redactor().response_head(((b"Set-Cookie", b"a=b; Path=/"),)).cuts
    assert (cut.part, cut.name, cut.index, cut.offset_bytes) == (
        "response-header",
        "set-cookie",
        0,
        2,
    )


def test_headers_of_the_config_are_cut_too():
    assert cut_value(b"X-Corp-Ticket", b"abc", extra_headers=(" x-corp-ticket",)) == b"***"
    assert cut_value(b"X-Corp-Ticket", b"abc") == b"abc"


def test_the_memory_of_names_is_bounded():
    redact = redactor()
    for number in range(5000):
        redact.request_head(b"/", ((b"x-%d" % number, b"v"),))
    assert redact.request_head(b"/", ((b"x-api-key", b"v"),)).headers == ((b"x-api-key", b"*"),)


@settings(deadline=None)
@given(
    st.binary(max_size=80),
    st.lists(
        st.tuples(
            st.sampled_from(
                b"authorization cookie set-cookie x-api-key location accept "
                b"sec-websocket-protocol \xff".split()
            ),
            st.binary(max_size=80) | st.text(';=, ?&:/@.%"abctoken', max_size=40).map(str.encode),
        ),
        max_size=4,
    ),
)
def test_any_head_keeps_its_length_and_a_second_pass_finds_only_stars(target, headers):
    redact = redactor()
    head = redact.request_head(target, headers)
    assert len(head.target) == len(target)
    assert [(n, len(v)) for n, v in head.headers] == [(n, len(v)) for n, v in headers]
    for cut in head.cuts:
        value = target if cut.part == "request-target" else headers[cut.index][1]
        clean = head.target if cut.part == "request-target" else head.headers[cut.index][1]
        end = cut.offset_bytes + cut.length_bytes
        assert end <= len(value)
        assert clean[cut.offset_bytes : end] == b"*" * cut.length_bytes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Authorization", b"Bearer *********************"),
        (b"X-Api-Key", b"************************"),
        (b"Cookie", b"a=*****************; b=**"),
        (b"Set-Cookie", b"a=*****************; Path=/"),
        (b"Location", b"/x?token=*****************"),
    ],
)
def test_stars_that_another_recorder_left_are_no_secret(name, value):
    found = redactor()
    head = found.request_head(b"/?key=********************", ((name, value),))
    assert head.headers == ((name, value),)
    assert head.cuts == ()
    text = b"** " + b"*" * 40 + b" **"
    assert found.text(text).cuts == ()
