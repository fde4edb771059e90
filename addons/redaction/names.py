"""
Which names carry a credential: the lists of headers, query parameters and body fields.

Names are matched as whole words, never as substrings: `max_tokens`, `input_tokens`, `token_count`,
`tokenizer` and `stop_token` are the fields that a record of model calls is kept for.
"""

import re
from collections.abc import Iterable
from typing import Final

# A name with one of these as a whole word is a secret: `x-amz-security-token`, `statsig-api-key`,
# `cf-access-client-secret`, `private-token`, `access_token`, `clientSecret` ...
SECRET_WORDS: Final = (
    "token",
    "secret",
    "password",
    "passwd",
    "api-key",
    "apikey",
    "credential",
    "signature",
)
# Headers whose whole value is cut and that no word gives away. Those with a shape of their own
# (cookies, Sec-WebSocket-Protocol) are in heads.py.
SECRET_HEADERS: Final = frozenset(
    {
        b"authentication-info",
        b"proxy-authentication-info",
        b"cf-access-jwt-assertion",
        b"ocp-apim-subscription-key",
        b"x-functions-key",
    }
)
AUTHORIZATION_HEADERS: Final = frozenset({b"authorization", b"proxy-authorization"})
URL_HEADERS: Final = frozenset({b"location", b"content-location", b"referer", b"refresh", b"link"})

# Query parameters that no word gives away, in the form that `plain_name` gives.
SECRET_QUERY: Final = frozenset(
    {
        "key",
        "code",
        "state",
        "assertion",
        "sig",
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


def _any_of(words: Iterable[str]) -> str:
    return "(?:" + "|".join(word.replace("-", "_") for word in words) + ")"


_HEADER_WORD = re.compile(rf"(?:^|_){_any_of(SECRET_WORDS)}(?:$|_)")
_QUERY_WORD = re.compile(rf"(?:^|_){_any_of(SECRET_WORDS)}$")
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
    plain = plain_name(name.decode("latin-1"))
    return name in SECRET_HEADERS or _has_word(_HEADER_WORD, plain)


def is_secret_query(name: str) -> bool:
    """Is the value of this query parameter (`plain_name` form) a credential?"""
    return name in SECRET_QUERY or _has_word(_QUERY_WORD, name)


def _has_word(pattern: re.Pattern[str], name: str) -> bool:
    return bool(pattern.search(name)) and not _HARMLESS.search(name)
