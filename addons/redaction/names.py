"""
Which names carry a credential: the lists of headers, query parameters and body fields.

Names are matched as whole words, never as substrings: `max_tokens`, `input_tokens`, `token_count`,
`tokenizer` and `stop_token` are the fields that a record of model calls is kept for.
"""

import functools
import re
from typing import Final

# Their value is cut whole; the ones with a shape of their own are in heads.py.
SECRET_HEADERS: Final = frozenset(
    {
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"anthropic-api-key",
        b"openai-api-key",
        b"x-auth-token",
        b"x-access-token",
        b"x-session-token",
        b"x-csrf-token",
        b"x-xsrf-token",
        b"authentication-info",
        b"proxy-authentication-info",
        b"x-amz-security-token",
        b"x-amz-signature",
        b"x-github-token",
        b"private-token",
        b"x-gitlab-token",
        b"x-vault-token",
        b"cf-access-jwt-assertion",
        b"cf-access-client-secret",
        b"x-forwarded-access-token",
        b"ocp-apim-subscription-key",
        b"x-functions-key",
    }
)
SECRET_HEADER_PREFIXES: Final = (b"x-ms-token-",)
AUTHORIZATION_HEADERS: Final = frozenset({b"authorization", b"proxy-authorization"})
URL_HEADERS: Final = frozenset(
    {b"location", b"content-location", b"referer", b"refresh", b"link", b"origin"}
)

# Query names, in the form that `plain_name` gives.
SECRET_QUERY: Final = frozenset(
    {
        "key",
        "api_key",
        "apikey",
        "access_token",
        "token",
        "id_token",
        "refresh_token",
        "code",
        "state",
        "client_secret",
        "assertion",
        "password",
        "sig",
        "signature",
        "x_amz_signature",
        "x_amz_credential",
        "x_amz_security_token",
        "x_goog_signature",
        "x_goog_credential",
        "session",
        "sid",
        "jwt",
        "samlrequest",
        "samlresponse",
        "code_verifier",
    }
)
# `?state=closed` and `?session=3` are filters of ordinary APIs: there only longer values are cut.
LOOSE_QUERY: Final = frozenset({"state", "session"})
LOOSE_QUERY_MIN_BYTES: Final = 8
# Azure's shared access signature: these three belong to the credential where `sig` stands by.
SAS_QUERY: Final = frozenset({"se", "sp", "sv"})
# Good for one request or one login; searching later traffic for them would find nothing but noise.
PASSING_QUERY: Final = SAS_QUERY | {
    "code",
    "state",
    "sig",
    "signature",
    "x_amz_signature",
    "x_amz_credential",
    "x_goog_signature",
    "x_goog_credential",
    "session",
    "samlrequest",
    "samlresponse",
    "code_verifier",
}

# Fields of a credential body (JSON or form) whose values are worth knowing later.
SECRET_FIELDS: Final = frozenset(
    {
        "access_token",
        "refresh_token",
        "id_token",
        "client_secret",
        "device_code",
        "password",
        "passwd",
        "secret",
        "api_key",
        "apikey",
        "private_key",
        "session_token",
        "session_key",
        "authorization",
        "credentials",
        "openai_api_key",
        "token",
    }
)
# The only string leaves of a credential body that are kept.
OPEN_FIELDS: Final = frozenset({"token_type", "scope", "expires_in", "error"})

_HEADER_WORD = re.compile(
    rb"(?:^|[-_])(?:token|secret|passw(?:or)?d|api[-_]?key|credential|signature)(?:$|[-_])"
)
_QUERY_WORD = re.compile(r"(?:^|_)(?:token|secret|passw(?:or)?d|api_?key|credential|signature)$")
# Counters, limits and cursors that have `token` as a whole word.
_HARMLESS = re.compile(
    r"(?:^|_)(?:max|min|stop|start|eos|bos|pad|unk|mask|page|next|cont|continuation|sync)_token$"
    r"|(?:^|_)token_(?:count|limit|usage|type|budget|bucket|rate|remaining|reset|length|size|index)"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain_name(name: str) -> str:
    """`accessToken`, `Access-Token` and `access_token` are one name: the last."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(".", "_").lower()


def is_secret_header(name: bytes) -> bool:
    """Is the whole value of this header (lower case) a credential?"""
    if name in SECRET_HEADERS or name.startswith(SECRET_HEADER_PREFIXES):
        return True
    return bool(_HEADER_WORD.search(name)) and not _is_harmless(name.decode("latin-1"))


def _is_harmless(name: str) -> bool:
    return bool(_HARMLESS.search(name.replace("-", "_")))


@functools.lru_cache(maxsize=1024)
def is_secret_query(name: str) -> bool:
    """Is the value of this query parameter (`plain_name` form) a credential?"""
    return name in SECRET_QUERY or (bool(_QUERY_WORD.search(name)) and not _is_harmless(name))
