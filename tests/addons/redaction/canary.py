"""
The canary matrix: every slot a credential can stand in, and every form it can come back in.

Written from the list of rules, not from the code: a slot is a template with one NUL where the
secret goes, and says how the secret is written there.
"""

import base64
import hmac
import json
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from addons.redaction import Redactor, Scanned

KEY = b"0123456789abcdef0123456789abcdef"
# With every kind of byte that some form writes differently.
SECRET = 'cnry+aB3/"q\\9~Zx=é7&mK'.encode()
TOKEN = b"cnry-aB3_dE9.Zx7mK0pQrStUv"  # where HTTP allows no more than this


class Slot(NamedTuple):
    """Where a secret stands in a head."""

    part: str
    name: str
    template: bytes
    kind: str
    secret: bytes = SECRET
    write: Callable[[bytes], bytes] = bytes
    hashed: Callable[[bytes], bytes] = bytes  # what the hash is of, from what is written
    learnt: bool = True  # is it searched elsewhere afterwards?

    @property
    def id(self) -> str:
        return f"{self.part}:{self.name}:{self.template.decode().replace(chr(0), '*')}"

    @property
    def written(self) -> bytes:
        return self.write(self.secret)

    @property
    def value(self) -> bytes:
        return self.template.replace(b"\0", self.written)

    @property
    def starred(self) -> bytes:
        return self.template.replace(b"\0", b"*" * len(self.written))


def url_quoted(secret: bytes) -> bytes:
    return quote(secret, safe="").encode()


def _basic(secret: bytes) -> bytes:
    return base64.b64encode(b"user:" + secret)


def words(text: str) -> list[str]:
    return text.split()


WHOLE_HEADERS = words(
    """
    x-api-key api-key x-goog-api-key anthropic-api-key openai-api-key x-auth-token
    x-access-token x-session-token x-csrf-token x-xsrf-token authentication-info
    proxy-authentication-info x-amz-security-token x-amz-signature x-github-token
    private-token x-gitlab-token x-vault-token cf-access-jwt-assertion
    cf-access-client-secret x-forwarded-access-token x-ms-token-aad-access-token
    ocp-apim-subscription-key x-functions-key statsig-api-key x-client-secret x-password
    x-user-passwd x-aws-credential x-hub-signature x_auth_token x-apikey
    copilot-session-token
    """
)
QUERIES = words(
    """
    key api_key apikey access_token token id_token refresh_token client_secret password jwt
    assertion sid X-Amz-Security-Token accessToken apiKey github_token api%5Fkey my-api-key
    """
)
PASSING_QUERIES = words(
    """
    code state sig signature X-Amz-Signature X-Amz-Credential X-Goog-Signature
    X-Goog-Credential session SAMLRequest SAMLResponse code_verifier
    """
)


def _slots() -> Iterable[Slot]:
    for name in WHOLE_HEADERS:
        yield Slot("request-header", name, b"\0", "api-key")
        yield Slot("response-header", name.upper(), b"\0", "api-key")
    for scheme in (b"Bearer ", b"token ", b"DPoP ", b"ApiKey  ", b""):
        for name in ("Authorization", "proxy-authorization"):
            yield Slot("request-header", name, scheme + b"\0", "authorization")
    yield Slot("request-header", "authorization", b"Basic \0", "authorization",
               write=_basic, hashed=_basic)  # fmt: skip
    yield Slot("request-header", "x-api-key", b"Bearer \0", "api-key")
    yield Slot("request-header", "cookie", b"\0", "cookie", secret=TOKEN)
    for template in (b"sid=\0", b'a=; sid="\0"; ', b"a=; sid= \0 ;b="):
        yield Slot("request-header", "Cookie", template, "cookie")
    for template in (b"sid=\0", b"sid=\0; Path=/; HttpOnly; SameSite=Lax", b'sid="\0"; Secure'):
        yield Slot("response-header", "Set-Cookie", template, "cookie")
    for template in (
        b"realtime, openai-insecure-api-key.\0, openai-beta.realtime-v1",
        b"bearer, \0",
        b"access_token, \0, v1",
        b"chat, my.token.\0",
    ):
        yield Slot("request-header", "sec-websocket-protocol", template, "websocket-protocol",
                   secret=TOKEN)  # fmt: skip
    for name in QUERIES + PASSING_QUERIES:
        template = b"/v1/x?alt=sse&" + name.encode() + b"=\0&max_tokens=5"
        yield Slot("request-target", name, template, "query", write=url_quoted,
                   learnt=name in QUERIES)  # fmt: skip
    for name in ("se", "sp", "sv"):
        template = b"/blob?a=1&" + name.encode() + b"=\0&sig="
        yield Slot("request-target", name, template, "query", write=url_quoted, learnt=False)
    for template in (b"/x?a;key=\0;b=2", b"/x#key=\0", b"http://api.test/x?key=\0"):
        yield Slot("request-target", "key", template, "query", write=url_quoted)
    for name, template in (
        ("location", b"https://app.test/done?ok=1&access_token=\0&ok=2"),
        ("location", b"https://app.test/done#access_token=\0&token_type=bearer"),
        ("referer", b"https://app.test/?token=\0"),
        ("content-location", b"/x?token=\0"),
        ("refresh", b"0; url=https://app.test/?token=\0"),
        ("link", b'<https://app.test/?page=2&token=\0>; rel="next"'),
    ):
        yield Slot("response-header", name, template, "query", write=url_quoted)
    for template in (b"http://user:\0@api.test/x?q=1@2", b"http://\0@api.test/"):
        yield Slot("request-target", "", template, "url-userinfo", write=url_quoted,
                   learnt=b":\0" in template)  # fmt: skip
    yield Slot("response-header", "location", b"https://user:\0@app.test/", "url-userinfo",
               write=url_quoted)  # fmt: skip


SLOTS = tuple(_slots())

JSON_FIELDS = words(
    """
    access_token refresh_token id_token client_secret device_code password passwd secret
    api_key apiKey private_key session_token sessionKey authorization credentials
    OPENAI_API_KEY token
    """
)


# A space, too, which no header token may have.
ODD_SECRET = "cnry+aB3/\"q\\9~Zx=é7& <mK!'9".encode()


class Form(NamedTuple):
    """How a secret is written in a body; of `before + written + after` only the middle is one."""

    name: str
    written: Callable[[bytes], tuple[bytes, bytes, bytes]]


def _as(write: Callable[[bytes], bytes]) -> Callable[[bytes], tuple[bytes, bytes, bytes]]:
    return lambda secret: (b"", write(secret), b"")


def _base64(before: int, after: bytes, *, urlsafe: bool = False) -> Form:
    """The characters that depend on the secret alone; those shared with neighbours stay."""

    def written(secret: bytes) -> tuple[bytes, bytes, bytes]:
        encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
        whole = encode(b"u:"[:before] + secret + after)
        start, end = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        return whole[:start], whole[start:end], whole[end:]

    return Form(f"base64-{before}-{len(after)}{'-urlsafe' if urlsafe else ''}", written)


def json_text(secret: bytes, *, ascii_only: bool = False) -> str:
    return json.dumps(secret.decode(), ensure_ascii=ascii_only)[1:-1]


def go_escaped(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c")


FORMS = (
    Form("plain", _as(bytes)),
    *(_base64(before, after) for before in range(3) for after in (b"", b"x", b"xyz")),
    *(_base64(before, b"--", urlsafe=True) for before in range(3)),
    Form("url", _as(url_quoted)),
    Form("url-lower", _as(lambda s: b"%".join(
        part if not at else part[:2].lower() + part[2:]
        for at, part in enumerate(url_quoted(s).split(b"%"))))),
    Form("url-path", _as(lambda s: quote(s, safe="/").encode())),
    Form("url-component", _as(lambda s: quote(s, safe="!'()*").encode())),
    Form("url-lenient", _as(lambda s: quote(s, safe="/:@+=,;!$&'()*").encode())),
    Form("url-plus", _as(lambda s: quote_plus(s).encode())),
    Form("json", _as(lambda s: json_text(s).encode())),
    Form("json-slash", _as(lambda s: json_text(s).replace("/", "\\/").encode())),
    Form("json-ascii", _as(lambda s: json_text(s, ascii_only=True).encode())),
    Form("json-upper", _as(lambda s: json_text(s, ascii_only=True).replace("e9", "E9").encode())),
    Form("json-go", _as(lambda s: go_escaped(json_text(s)).encode())),
    Form("json-php", _as(lambda s: go_escaped(
        json_text(s, ascii_only=True)).replace("'", "\\u0027").encode())),
    Form("json-in-json", _as(lambda s: json_text(json_text(s).encode()).encode())),
)  # fmt: skip


def fingerprint(secret: bytes) -> str:
    return hmac.digest(KEY, secret, "sha256")[:16].hex()


def drive(body, chunks: Iterable[bytes]) -> Scanned:
    """Everything that a body lets go, in one."""
    parts = [body.feed(chunk) for chunk in chunks]
    parts.append(body.finish())
    return Scanned(
        b"".join(part.data for part in parts),
        tuple(cut for part in parts for cut in part.cuts),
        b"".join(part.decoded for part in parts),
    )


def redactor(*values: bytes) -> Redactor:
    made = Redactor(KEY)
    made.learn(values)
    return made


def halves(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
