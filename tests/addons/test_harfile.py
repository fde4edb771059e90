"""HAR files of DevTools' and mitmproxy's making, imported and asked for again."""

import base64
import contextlib
import gzip
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.framing import codings
from addons.harfile import HarFile
from addons.importing.document import LONG_BYTES
from addons.importing.exchange import Exchange
from storage.errors import Unreadable
from tests.addons.importing.house import House
from tests.addons.importing.samples import STARTED_NS, har, har_entry

with warnings.catch_warnings():
    # mitmproxy uses names that pyparsing has deprecated; nothing of ours does.
    warnings.simplefilter("ignore", DeprecationWarning)
    import mitmproxy.addons.savehar as savehar
    import mitmproxy.test.tflow as make

MS = 1_000_000
TEXT = 'grüße, 世界 😀\r\n"\\ \u0001'


@pytest.fixture
def house(tmp_path):
    with House(tmp_path) as opened:
        yield opened


def content(text, **more):
    return {"size": len(text), "mimeType": "text/plain", "text": text, **more}


# --- one entry -----------------------------------------------------------------------------------


def test_an_entry_of_devtools(house):
    entry = house.one(
        har(
            har_entry(
                headers=[(":authority", "x"), ("Content-Type", "text/plain"), ("X-Ü", "ü")],
                post={"mimeType": "text/plain", "text": TEXT},
                answer_headers=[("content-type", "text/plain")],
                content=content(TEXT),
                serverIPAddress="[2001:db8::7]",
                connection="4711",
                _resourceType="fetch",
            )
        )
    )
    assert (entry.kind, entry.way, entry.outcome) == ("http", "import", "complete")
    assert (entry.method, entry.scheme, entry.host, entry.port, entry.target) == (
        "POST", "https", "api.example.com", 443, b"/v1/messages?a=b",
    )  # fmt: skip
    assert entry.request_headers == (
        (b"Content-Type", b"text/plain"),
        ("X-Ü".encode(), b"\xc3\xbc"),
    )
    assert house.body(entry, "request") == house.body(entry) == TEXT.encode()
    assert (entry.status, entry.reason, entry.started_ns) == (200, b"OK", STARTED_NS)
    assert entry.server == "[2001:db8::7]:443"
    assert (entry.client, entry.marks, house.gaps(entry)) == ("", (), [])
    timing = entry.timing
    assert (timing.connect_started_ns, timing.connected_ns, timing.tls_done_ns) == (
        3 * MS, 4 * MS, 7 * MS,
    )  # fmt: skip
    assert timing.request_done_ns == 12 * MS
    assert timing.response_head_ns == 32 * MS
    assert timing.closed_ns == 50 * MS
    assert (timing.first_byte_ns, timing.last_byte_ns) == (None, None)


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", " GZIP "])
def test_a_body_gets_its_coding_again(house, coding):
    entry = house.one(
        har(
            har_entry(
                headers=[("Content-Encoding", coding)],
                post={"mimeType": "text/plain", "text": TEXT},
                answer_headers=[("content-encoding", coding)],
                content=content(TEXT * 100),
                body_size=77,
            )
        )
    )
    assert (entry.marks, entry.response_bytes) == (("recoded",), 77)
    for side, text in (("request", TEXT), ("response", TEXT * 100)):
        raw = house.body(entry, side)
        assert raw != text.encode()
        assert codings.decode(raw, coding.encode()) == text.encode()


def test_of_an_unknown_coding_nothing_can_be_looked_into(house):
    entry = house.one(
        har(har_entry(answer_headers=[("content-encoding", "aes")], content=content(TEXT)))
    )
    assert (house.body(entry), entry.marks, entry.response_bytes) == (
        TEXT.encode(),
        ("unscanned",),
        26,
    )


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe\xfd", bytes(range(256)) * 9])
def test_base64(house, data):
    text = base64.b64encode(data).decode()
    entry = house.one(har(har_entry(content=content(text, encoding="base64"))))
    assert house.body(entry) == data


@pytest.mark.parametrize("text", ["QUJD\nREVG", "QUJDREVG=", "QUJDREV", "Q U J D", "!!!!", "Q"])
def test_broken_base64_is_what_can_be_read_of_it(house, text):
    entry = house.one(har(har_entry(content=content(text, encoding="base64"))))
    assert b"ABCDEF".startswith(house.body(entry))


@pytest.mark.parametrize(
    ("mime_type", "stored"),
    [
        ("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe"),
        ("text/plain; charset=Windows-1252", b"gr\xfc\xdfe"),
        ("text/plain; charset=utf-16", "grüße".encode()),
        ("text/plain; charset=nonsense", "grüße".encode()),
        ("text/plain", "grüße".encode()),
    ],
)
def test_the_charset_that_a_foreign_writer_undid(house, mime_type, stored):
    entry = house.one(har(har_entry(content=content("grüße", mimeType=mime_type))))
    assert house.body(entry) == stored


def test_a_body_that_is_not_in_the_file_is_a_gap(house):
    entry = house.one(har(har_entry(content={"size": 4000, "mimeType": "image/png"})))
    assert entry.outcome == "gap"
    assert [gap.reason for gap in house.gaps(entry)] == ["not_in_file"]


def test_a_form_may_stand_in_parts(house):
    params = [{"name": "a b", "value": "1&2"}, {"name": "c"}]
    post = {"mimeType": "application/x-www-form-urlencoded", "params": params}
    assert house.body(house.one(har(har_entry(post=post))), "request") == b"a+b=1%262&c="


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("net::ERR_ABORTED", "client_aborted"),
        ("net::ERR_BLOCKED_BY_CLIENT", "blocked"),
        ("net::ERR_CONNECTION_REFUSED", "upstream_error"),
        (None, "upstream_error"),
    ],
    ids=["aborted", "blocked", "refused", "unsaid"],
)
def test_what_got_no_answer(house, error, outcome):
    more = {"_error": error} if error else {}
    entry = house.one(har(har_entry(status=0, content={"size": 0}, response=more)))
    assert (entry.outcome, entry.error, entry.status) == (outcome, error, None)
    assert entry.response_headers is None


def test_events_have_the_times_that_the_file_gives_them(house):
    body = ": hi\n\ndata: a\n\ndata: b\n\ndata: c\n\ndata: d"
    first = STARTED_NS / 1e9 + 0.035
    times = [first, first, first + 0.010, first + 0.012]
    events = [{"time": at, "eventName": "message", "data": "x"} for at in times]
    entry = house.one(
        har(
            har_entry(
                answer_headers=[("content-type", "text/event-stream")],
                content=content(body),
                _eventSourceMessages=events,
            )
        )
    )
    assert house.body(entry) == body.encode()
    found = [(round(offset / MS), size) for offset, size in house.chunks(entry)]
    assert found == [(35, 24), (45, 9), (47, 7)]


def test_events_that_do_not_fit_the_body_say_nothing_of_time(house):
    entry = house.one(
        har(
            har_entry(
                answer_headers=[("content-type", "text/event-stream")],
                content=content("data: a\n\n"),
                _eventSourceMessages=[{"time": 1.0}, {"time": 2.0}],
            )
        )
    )
    assert (house.body(entry), house.chunks(entry)) == (b"data: a\n\n", [])


def test_messages_of_a_websocket(house):
    start = STARTED_NS / 1e9
    messages = [
        {"type": "send", "time": start + 0.1, "opcode": 1, "data": "grüß"},
        {"type": "receive", "time": start + 0.2, "opcode": 2, "data": "AP8="},
        {"type": "receive", "time": start + 0.15, "opcode": 1, "data": ""},
    ]
    entry = house.one(
        har(
            har_entry(
                url="wss://api.example.com:8443/v1/realtime",
                method="GET",
                status=101,
                _webSocketMessages=messages,
            )
        )
    )
    assert (entry.kind, entry.scheme, entry.port) == ("websocket", "https", 8443)
    assert [(round(at / MS), *rest) for at, *rest in house.messages(entry)] == [
        (100, True, 1, "grüß".encode()),
        (200, False, 2, b"\x00\xff"),
        (200, False, 1, b""),
    ]
    assert round(entry.timing.closed_ns / MS) == 200


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://a.example", ("http", "a.example", 80, b"/")),
        ("http://a.example?q=1", ("http", "a.example", 80, b"/?q=1")),
        ("HTTPS://user:pass@a.example:8443/p#frag", ("https", "a.example", 8443, b"/p")),
        ("http://[::1]:81/x?y=[z]:1", ("http", "::1", 81, b"/x?y=[z]:1")),
        ("http://[::1]/", ("http", "::1", 80, b"/")),
        ("http://a.example/ü?ü", ("http", "a.example", 80, "/ü?ü".encode())),
    ],
)
def test_urls(house, url, found):
    entry = house.one(har(har_entry(url=url)))
    assert (entry.scheme, entry.host, entry.port, entry.target) == found


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("url", "chrome-extension://abc/x.js", "its URL is not of HTTP or WebSocket"),
        ("url", "https://", "its URL names no host"),
        ("url", "https://a:b/", "its URL names no host"),
        ("url", "https://a:99999/", "its URL names no port"),
        ("started", "1850-01-01T00:00:00Z", "its startedDateTime is out of range"),
        ("started", "9999-01-01T00:00:00Z", "its startedDateTime is out of range"),
        ("started", "soon", "its startedDateTime is no time"),
        ("status", "200", "it is no HAR entry"),
        ("timings", "none", "it is no HAR entry"),
        ("_outcome", "splendid", "it is no HAR entry"),
    ],
)
def test_an_entry_that_is_none_costs_itself_alone(house, part, value, reason):
    found = house.bring(har(har_entry(**{part: value}), har_entry()))
    assert (found.imported, found.total, found.fault) == (1, 2, None)
    (skipped,) = found.skipped
    assert skipped.number == 0
    assert skipped.reason.startswith(reason)


def test_long_texts_stay_in_the_file(house):
    text = 'aü\n\\"😀' * (LONG_BYTES // 8)
    data = bytes(range(256)) * (LONG_BYTES // 128)
    coded = base64.b64encode(data).decode()
    message = {"type": "receive", "time": STARTED_NS / 1e9, "opcode": 1, "data": text}
    found = house.bring(
        har(
            har_entry(
                post={"mimeType": "", "text": text}, content=content(coded, encoding="base64")
            ),
            har_entry(url="wss://a.example/", _webSocketMessages=[message]),
        )
    )
    first, second = house.entries(found)
    assert house.body(first, "request") == text.encode()
    assert house.body(first) == data
    assert house.messages(second)[0][-1] == text.encode()


def test_halves_of_surrogate_pairs(house):
    """mitmproxy puts them for bytes that are no UTF-8."""
    whole = har(har_entry(content=content("A"))).replace(
        b'"text": "A"', rb'"text": "\udcff\ud83d\ude00\\udcff"'
    )
    assert house.body(house.one(whole)) == "\ufffd😀\\udcff".encode()


def test_order_of_parts_and_a_bom_do_not_matter(house):
    entry = json.dumps(har_entry())
    text = (
        f'\ufeff {{"x": [1, {{"entries": 3}}], "log": {{"entries": [{entry}], "version": "1.2"}}}} '
    )
    assert house.bring(text.encode()).imported == 1
    facts = house.importer.har_facts(house.put(text.encode()))
    assert (facts.version, facts.creator, facts.entry_count) == ("1.2", "", 1)


def test_compressed_files(house):
    whole = har(har_entry())
    assert house.bring(gzip.compress(whole), "a.har.gz").imported == 1


def test_what_mitmproxy_saves(house):
    flows = [make.tflow(resp=make.tresp(content=b"hello")), make.twebsocketflow()]
    flows[0].response.headers["content-type"] = "text/plain"
    made = savehar.SaveHar().make_har(flows)
    http, socket = house.entries(house.bring(json.dumps(made).encode()))
    assert (http.host, house.body(http), http.outcome) == ("address", b"hello", "complete")
    assert [data for *_, data in house.messages(socket)] == [
        b"hello binary", b"hello text", b"it's me",
    ]  # fmt: skip


SMALL = har(har_entry(post={"mimeType": "", "text": "a"}), har_entry())


def test_a_file_that_is_cut_anywhere_keeps_what_stands_before(tmp_path):
    path = tmp_path / "a.har"
    first_ends = SMALL.index(b'}, {"startedDateTime') + 1
    for at in range(1, len(SMALL), 17):
        path.write_bytes(SMALL[:at])
        try:
            items = list(HarFile(path).items())
        except Unreadable:
            assert at < first_ends
            continue
        assert len(items) == 1 + (at >= first_ends) + (at > len(SMALL) - 3)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, len(SMALL) - 1), put=st.binary(max_size=3), drop=st.integers(0, 9))
def test_no_damage_raises_anything_else(tmp_path_factory, at, put, drop):
    path = tmp_path_factory.getbasetemp() / "damaged.har"
    path.write_bytes(SMALL[:at] + put + SMALL[at + drop :])
    with contextlib.suppress(Unreadable):
        for item in HarFile(path).items():
            if isinstance(item, Exchange):
                assert all(piece.data is not None for piece in item.response.pieces)
