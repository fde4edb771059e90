"""The outcome of an entry, from the facts at its end."""

import pytest

from addons import endings
from addons.endings import Ending

DAY = 86_400_000_000_000
GONE = "Client disconnected."
CUT = "HTTP/1 protocol error: peer closed connection without sending complete message body"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"error": GONE, "client_left": True}, "client_aborted"),
        ({"error": GONE, "client_left": True, "draining": True}, "proxy_killed"),
        ({"error": GONE, "client_left": True, "silent_ns": DAY, "timeout_ns": DAY}, "idle_timeout"),
        ({"error": GONE, "client_left": True, "silent_ns": 1, "timeout_ns": DAY}, "client_aborted"),
        ({"error": CUT, "client_left": True}, "client_aborted"),
        ({"error": CUT, "client_left": False}, "upstream_error"),
        ({"error": CUT, "client_left": False, "draining": True}, "upstream_error"),
        ({"error": "server closed connection", "client_left": False}, "upstream_error"),
        ({"error": "any", "client_left": False, "tls_failed": True}, "tls_failed"),
        (
            {
                "error": "Received x from client, refusing to prevent request smuggling attacks. y",
                "client_left": False,
            },
            "refused",
        ),
        ({"error": "invalid content-length header", "client_left": True}, "refused"),
        ({"error": "Connection killed.", "client_left": False}, "blocked"),
        (
            {"error": "stream reset by client (CANCEL)", "client_left": False,
             "client_is_http2": True},
            "client_aborted",
        ),
        ({"error": "stream reset by client (CANCEL)", "client_left": False}, "upstream_error"),
    ],
)  # fmt: skip
def test_of_a_request(facts, expected):
    assert endings.outcome(Ending(**facts)) == expected


@pytest.mark.parametrize(
    ("code", "facts", "expected"),
    [
        (1000, {"client_left": True}, "complete"),
        (1011, {"client_left": False}, "complete"),
        (1006, {"client_left": True}, "client_aborted"),
        (1006, {"client_left": False}, "upstream_error"),
        (None, {"client_left": True, "draining": True}, "proxy_killed"),
        (1006, {"client_left": True, "silent_ns": DAY, "timeout_ns": DAY}, "idle_timeout"),
    ],
)
def test_of_a_websocket(code, facts, expected):
    assert endings.socket_outcome(code, Ending(error="", **facts)) == expected
