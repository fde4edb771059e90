"""
Credentials through the real proxy into spool and tables: found in no file, whole on the wire.

The slots and the forms in which a value comes back are those of tests.addons.redaction.canary,
each with a value of its own. While the traffic passes no server runs, so that the spool can be
searched as well; the tests look at what the server made of it later.
"""

import json
import socket

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.addons.redaction.canary import FORMS, JSON_FIELDS, SLOTS
from tests.e2e import traces
from tests.e2e.canaries import CODINGS, HOST, USAGE, Case, Text, Wire, flushed, needles, secret
from tests.e2e.stack import Stack
from tests.guarded_tls import guarded
from tests.provider import Provider, running

OTHER = "api.openai.com"
CREDENTIAL_ENDPOINTS = [
    ("auth.openai.com", "/oauth/token"),
    ("auth.openai.com", "/anything"),
    ("console.anthropic.com", "/v1/oauth/token"),
    ("platform.claude.com", "/v1/oauth/token"),
    (HOST, "/api/oauth/profile"),
    (HOST, "/oauth2/token"),
    (HOST, "/x/token/refresh?a=1"),
    (HOST, "/device/token"),
    (HOST, "/login"),
    ("oauth2.googleapis.com", "/token"),
    ("accounts.google.com", "/o/oauth2/v2/auth"),
    ("login.microsoftonline.com", "/common/oauth2/v2.0/token"),
    ("github.com", "/login/oauth/access_token"),
    ("github.com", "/login/device/code"),
    ("api.github.com", "/copilot_internal/v2/token"),
    ("sts.eu-west-1.amazonaws.com", "/"),
    ("cognito-idp.eu-west-1.amazonaws.com", "/"),
]
SSE = [("content-type", b"text/event-stream")]


# --- what goes through ---------------------------------------------------------------------------


def head_slots(wire):
    """Every slot of a head; what is known from it comes back in bodies of every coding."""
    for slot in SLOTS:
        if (slot.part, slot.kind) == ("request-target", "url-userinfo"):
            continue  # mitmproxy refuses such a target
        own = slot._replace(secret=secret(token=slot.secret.startswith(b"cnry-")))
        text = Text(own.secret) if own.learnt else USAGE
        for coding in CODINGS if own.learnt else (None,):
            more = {"slot": own, "coding": coding, "reply": text}
            if own.part == "request-target":
                wire.run(Case(own.value.decode(), body=text, **more))
            elif own.part == "request-header":
                wire.run(Case(headers=[(own.name, own.value)], body=text, **more))
            else:
                wire.run(Case(reply_headers=[(own.name, own.value)], **more))


def split_at_every_offset(wire):
    """A value in two chunks, both ways, and a stream that falls silent in the middle of it."""
    one = secret()
    wire.run(Case(headers=[("x-api-key", one)]))
    pieces = []
    for at in range(1, len(one)):
        pieces += [(b"data: " + one[:at], 0.002), (one[at:] + b"\n\n", 0)]
    whole = b"".join(piece for piece, _ in pieces)
    clean = whole.replace(one, b"*" * len(one))
    wire.run(Case(body=whole, clean_body=clean, pieces=pieces), fresh=True)
    for coding in (None, "gzip", "br", "zstd"):
        parts = list(flushed(coding, [piece for piece, _ in pieces]))
        pauses = [pause for _, pause in pieces] + [0] * (len(parts) - len(pieces))
        case = Case(
            coding=coding,
            reply_headers=SSE,
            reply=whole,
            clean_reply=clean,
            reply_pieces=list(zip(parts, pauses, strict=True)),
        )
        wire.run(case, fresh=True)
    # Silence is longer than what is held back waits for the rest: five signs are shown then.
    silent = [(b"data: " + one[:5], 0.6), (one[5:] + b"\n\ndata: " + one[:20], 0.6), (one[20:], 0)]
    case = Case(
        reply_headers=SSE,
        reply=b"data: " + one + b"\n\ndata: " + one,
        clean_reply=b"data: " + one[:5] + b"*" * (len(one) - 5) + b"\n\ndata: " + b"*" * len(one),
        reply_pieces=silent,
    )
    wire.run(case, fresh=True)


def json_body(values):
    """A token answer with all its fields; those that are no secret stay."""
    kept = {"token_type": "Bearer", "expires_in": 3600, "scope": "user:inference"}
    return json.dumps({**kept, **values, "nested": [{"anything": values["access_token"]}]}).encode()


def form_body(values):
    return "&".join(f"{name}={value}" for name, value in values.items()).encode()


def credential_endpoints(wire):
    """JSON and form bodies, of every coding; then the tokens come back elsewhere."""
    for number, (host, target) in enumerate(CREDENTIAL_ENDPOINTS):
        issued = {name: secret(token=True).decode() for name in ("access_token", "refresh_token")}
        asked = {name: secret(token=True).decode() for name in ("code", "client_secret")}
        make = (form_body, json_body)[number % 2]
        body = make({**asked, "access_token": issued["access_token"]})
        for coding in CODINGS:
            case = Case(
                target,
                host=host,
                coding=coding,
                body=body,
                clean_body=_without(body, issued, asked),
                reply=json_body(issued),
                clean_reply=_without(json_body(issued), issued),
            )
            wire.run(case)
        known = [value.encode() for value in issued.values()]
        wire.run(Case(host=OTHER, body=Text(*known), reply=Text(known[0])))
    values = {name: secret(token=True).decode() for name in JSON_FIELDS}
    body = json.dumps(values).encode()
    wire.run(Case("/oauth/token", reply=body, clean_reply=_without(body, values)))
    half = Case("/oauth/token", reply=b'{"access_token": "' + secret(), is_cut_off=True)
    half.clean_reply = b"*" * len(half.reply)
    wire.run(half)


def _without(body, *tables):
    for value in (value for table in tables for value in table.values()):
        body = body.replace(value.encode(), b"*" * len(value))
    return body.replace(b"Bearer", b"Bearer")


def odd_places(wire):
    """Reason phrase, trailers, a proxy's own tag, a URL's userinfo, base-URL mode."""
    one = secret(token=True)
    wire.run(
        Case(headers=[("authorization", b"Bearer " + one)], trailers=[("x-key", one.decode())])
    )
    head = b"HTTP/1.1 200 " + one + b"\r\nx-note: " + one + b"\r\ncontent-length: 0\r\n\r\n"
    wire.run(Case(reply=b"", raw_reply=head))
    number = len(wire.cases)
    wire.cases += [Case(), Case()]
    word = secret(token=True).decode()
    with wire.stack.agent(f"{one.decode()}:{word}") as client:
        client.get(f"https://{HOST}/x", headers={"x-case": str(number)}).raise_for_status()
    tag = wire.stack.tag(wire.session)
    with socket.create_connection(("127.0.0.1", wire.stack.proxy_port)) as plain:
        key = secret(token=True)
        lines = [
            f"GET /@{tag}/http:{HOST}/x?key={key.decode()} HTTP/1.1",
            f"host: 127.0.0.1:{wire.stack.proxy_port}",
            f"x-case: {number + 1}",
            "connection: close",
        ]
        plain.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b" 200 " in plain.makefile("rb").read()
    with socket.create_connection(("127.0.0.1", wire.stack.proxy_port)) as plain:
        url = f"http://user:{secret(token=True).decode()}@{HOST}/x"
        plain.sendall(f"GET {url} HTTP/1.1\r\nhost: {HOST}\r\nx-case: 0\r\n\r\n".encode())
        plain.recv(1)


def websockets(wire):
    """Known values in messages both ways, of both kinds, and in the close reason."""
    key, other = secret(token=True), secret()
    wire.run(Case(headers=[("x-api-key", other)]))
    forms = [form.written(one) for one in (key, other) for form in FORMS]
    wire.messages, wire.clean_messages = [], []
    for number, (before, one, after) in enumerate(forms):
        text = b'{"text": "' + before + one + after + b'"}'
        clean = b'{"text": "' + before + b"*" * len(one) + after + b'"}'
        wire.messages.append(text if number % 3 == 0 else text.decode())
        wire.clean_messages.append(clean)

    async def echo(request, reply):
        listening = await reply.websocket([("x-token", secret(token=True).decode())])
        for _ in forms:
            await listening.send(await listening.receive(), fragments=3)
        await listening.close(1000, f"because of {key.decode()}")

    wire.provider.handle("/socket", echo)
    with connect(
        f"wss://{HOST}/socket?token={secret(token=True).decode()}",
        proxy=wire.stack.proxy_url(),
        ssl=guarded(wire.stack.trust()),
        subprotocols=["realtime", f"openai-insecure-api-key.{key.decode()}"],
    ) as client:
        wire.echoed = []
        for message in wire.messages:
            client.send(message)
            wire.echoed.append(client.recv())
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd.reason == f"because of {key.decode()}"


# --- on record -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    """All of it went through and is on record; while it passed there was no server."""
    folder = tmp_path_factory.mktemp("redaction")
    with running(Provider()) as provider:
        hosts = {HOST, OTHER, *(host for host, _ in CREDENTIAL_ENDPOINTS)}
        upstreams = dict.fromkeys(hosts, provider.url)
        with (
            Stack(folder, upstreams=upstreams, scope="all") as stack,
            Wire(provider, stack) as wire,
        ):
            wire.session = stack.session("redaction")
            stack.kill("server")
            for part in (head_slots, split_at_every_offset, credential_endpoints, websockets):
                part(wire)
            odd_places(wire)
            stack.end("proxy")
            wire.spooled = sum(path.stat().st_size for path in folder.rglob("*.spool"))
            wire.found_in_spool = traces.found(folder, needles())
            stack.start_server()
            stack.settle()
            wire.entries = {
                int(entry["requestHeaders"]["x-case"]): entry
                for entry in stack.entries(wire.session)
                if "x-case" in entry["requestHeaders"]
            }
            yield wire
            stack.stop()
            assert traces.found(folder, needles()) == []


def test_no_canary_is_in_any_file(wire):
    assert wire.spooled > 1_000_000
    assert wire.found_in_spool == []
    assert traces.found(wire.stack.datadir.root.parent, needles()) == []


def test_both_ends_had_everything(wire):
    for case in wire.cases:
        if case.received is None:
            continue
        theirs = wire.exchange(case)
        assert theirs.target == case.target
        assert theirs.body == case.sent
        assert case.received == case.answered
        for name, value in case.headers:
            assert (name, value.decode("latin-1").strip()) in theirs.headers
        for name, value in case.reply_headers:
            assert (name, value.decode("latin-1")) in case.received_headers


def test_bodies_are_whole_but_for_the_values(wire):
    checked = 0
    for case in wire.cases:
        if case.received is None:
            continue
        entry = wire.entries[case.number]
        cuts = wire.stack.api.get(f"/api/traffic/{entry['id']}/cuts").json()
        assert cuts["gaps"] == []
        for side, crossed, clean in (
            ("request", case.sent, case.clean_body),
            ("response", case.answered, case.clean_reply),
        ):
            plain = case.body if side == "request" else case.reply
            assert entry[f"{side}BodySize"] == len(crossed)
            stored = wire.stack.body(entry["id"], side)
            assert wire.stack.body(entry["id"], side, decoded=1) == clean
            own = [cut for cut in cuts["cuts"] if cut["part"].startswith(f"{side}-")]
            if case.coding is None:
                assert stored == clean
            else:
                _check_coded(crossed, stored, own, is_cut=clean != plain)
            _check_spans(plain, clean, own, f"{side}-{'decoded' if case.coding else 'body'}")
            checked += clean != plain
    assert checked > 500


def _check_coded(crossed, stored, cuts, *, is_cut):
    """Kept up to the first secret, `*` from there on, as long as it was."""
    start = len(crossed)
    if is_cut:
        (start,) = (cut["offset"] for cut in cuts if cut["kind"] == "coded")
    assert stored == crossed[:start] + b"*" * (len(crossed) - start)


def _check_spans(plain, clean, cuts, part):
    """The cuts of this part say where `clean` differs from what crossed."""
    told = bytearray(plain)
    for cut in cuts:
        if cut["part"] == part:
            end = cut["offset"] + cut["length"]
            told[cut["offset"] : end] = b"*" * cut["length"]
    assert bytes(told) == clean


def test_each_slot_of_a_head_is_cut_and_told(wire):
    seen = set()
    for case in wire.cases:
        slot = case.slot
        if slot is None:
            continue
        entry = wire.entries[case.number]
        cuts = wire.stack.api.get(f"/api/traffic/{entry['id']}/cuts").json()["cuts"]
        (cut,) = (one for one in cuts if one["part"] == slot.part)
        assert cut["kind"] == slot.kind
        start, end = cut["offset"], cut["offset"] + cut["length"]
        value = slot.value.removeprefix(b"http://api.test")  # of an absolute form the path is kept
        assert value[start:end].endswith(slot.written)
        masked = value[:start] + b"*" * (end - start) + value[end:]
        assert _stored(entry, slot) == masked.strip()
        values = {one["hmac"] for one in cuts if one["kind"] == "known-value"}
        assert len(values) == slot.learnt
        if slot.learnt and slot.kind != "url-userinfo" and slot.hashed is bytes:
            assert values == {cut["hmac"]}
        seen.add(slot)
    assert len(seen) > 120


def _stored(entry, slot):
    if slot.part == "request-target":
        return entry["path"].encode()
    headers = entry["requestHeaders" if slot.part == "request-header" else "responseHeaders"]
    (value,) = (value for name, value in headers.items() if name.lower() == slot.name.lower())
    return value.encode()


def test_messages_of_a_websocket(wire):
    assert wire.echoed == wire.messages
    theirs = next(one for one in wire.provider.requests if one.path == "/socket")
    assert [one.data for one in theirs.messages] == [m for m in wire.messages for _ in "12"]
    (entry,) = (e for e in wire.stack.entries(wire.session) if e["kind"] == "websocket")
    assert wire.stack.messages(entry["id"]) == [m for m in wire.clean_messages for _ in "12"]
    assert entry["closeReason"].startswith("because of ****")
    cuts = wire.stack.api.get(f"/api/traffic/{entry['id']}/cuts").json()["cuts"]
    of_messages = [cut["index"] for cut in cuts if cut["part"].endswith("-message")]
    assert of_messages == list(range(2 * len(wire.messages)))


def test_no_canary_leaves_by_har_or_command_line(wire):
    export = wire.stack.api.get(f"/api/har/export/{wire.session}").raise_for_status().content
    texts = [export, json.dumps(wire.stack.api.get("/api/health").json()).encode()]
    commands = [("har", "export", wire.session), ("traffic", "list")]
    slots = [case for case in wire.cases if case.slot and case.coding is None]
    for case in (slots[0], slots[-1]):
        shown = ("traffic", "show", wire.entries[case.number]["id"])
        commands += [shown, (*shown, "--json"), (*shown, "--response-body")]
    for command in commands:
        done = wire.stack.wirescribe(*command)
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout.encode())
    wanted = set(needles())
    assert [needle for text in texts for needle in wanted if needle in text] == []
    assert len(json.loads(export)["log"]["entries"]) == len(wire.stack.entries(wire.session))


# --- recorded after all --------------------------------------------------------------------------


def test_record_secrets_keeps_every_byte(tmp_path):
    with (
        running(Provider()) as provider,
        Stack(
            tmp_path,
            upstreams=dict.fromkeys((HOST, "auth.openai.com"), provider.url),
            config="record_secrets = true\n",
        ) as stack,
        Wire(provider, stack) as wire,
    ):
        session = stack.session()
        one = secret(token=True)
        text = Text(one).wire
        headers = [("authorization", b"Bearer " + one), ("cookie", b"sid=" + one)]
        target = f"/x?key={one.decode()}"
        for coding in CODINGS:
            wire.run(Case(target, headers=headers, coding=coding, body=text, reply=text))
        wire.run(Case("/oauth/token", host="auth.openai.com", body=text, reply=text))
        stack.settle()

        entries = stack.entries(session)
        assert len(entries) == len(wire.cases)
        for case, entry in zip(wire.cases, entries, strict=True):
            assert stack.body(entry["id"], "request") == case.sent
            assert stack.body(entry["id"]) == case.answered
            assert stack.api.get(f"/api/traffic/{entry['id']}/cuts").json()["cuts"] == []
            assert entry["path"] == case.target
            for name, value in case.headers:
                assert entry["requestHeaders"][name] == value.decode()
        # An export is another matter: it cuts unless it is told not to.
        export = stack.api.get(f"/api/har/export/{session}").raise_for_status().content
        assert [needle for needle in set(needles()) if needle in export] == []
        whole = stack.wirescribe("har", "export", session, "--secrets", "keep")
        assert one.decode() in whole.stdout
