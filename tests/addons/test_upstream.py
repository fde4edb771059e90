"""`--upstream`: the traffic of a host goes somewhere else, and stays that host's."""

import concurrent.futures

import httpx
import pytest
import trustme
from websockets.sync.client import connect

from addons import upstream
from storage.errors import ConfigError
from tests.addons.running import running
from tests.addons.test_recorder import HOST, client, tunnelled
from tests.guarded_tls import guarded
from tests.provider import Provider, seeded, tls
from tests.provider import running as providing


def test_parse():
    rule = upstream.parse("api.anthropic.com=http://127.0.0.1:9000/prefix/")
    assert (rule.host, rule.scheme, rule.to_host, rule.to_port) == (
        "api.anthropic.com",
        "http",
        "127.0.0.1",
        9000,
    )
    assert rule.prefix == "/prefix"
    assert upstream.parse("A.Example.=https://gateway").to_port == 443
    assert upstream.parse("a=http://[::1]:1").to_host == "::1"


@pytest.mark.parametrize(
    "argument",
    ["", "host", "=http://x", "host=", "host=ftp://x", "host=http://", "host=http://x:99999",
     "host=http://x/?q=1", "host=http://user@x"],
)  # fmt: skip
def test_parse_refuses(argument):
    with pytest.raises(ConfigError):
        upstream.parse(argument)


@pytest.fixture(params=["http", "https"])
def setting(request, tmp_path):
    """A provider, plain or with TLS, in the place of HOST, and a proxy before it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
    context = tls.context(authority, HOST) if request.param == "https" else None
    with (
        providing(Provider(tls=context)) as provider,
        running(
            tmp_path, upstreams={HOST: provider.url}, upstream_ca=tmp_path / "upstream.pem"
        ) as proxy,
    ):
        yield proxy, provider


def test_20_requests_one_after_the_other_on_one_client(setting):
    proxy, provider = setting
    with client(proxy) as agent:
        for number in range(20):
            url = f"https://{HOST}/raw/bytes?size=1000&seed={number}"
            assert agent.get(url, timeout=20).content == seeded(1000, str(number))
    entries = proxy.wait(lambda found: len(found) == 20 and all(entry.closed for entry in found))
    assert {entry.opened.host for entry in entries} == {HOST}
    assert {entry.closed.server for entry in entries} == {f"127.0.0.1:{provider.port}"}
    assert {call.host for call in provider.requests} == {HOST}


def test_10_requests_at_once_on_one_client(setting):
    proxy, _ = setting
    with client(proxy) as agent, concurrent.futures.ThreadPoolExecutor(10) as pool:
        url = f"https://{HOST}/raw/bytes?size=1000&chunk=100&pause_ms=20&seed=x"
        answers = list(pool.map(lambda _: agent.get(url, timeout=20).content, range(10)))
    assert answers == [seeded(1000, "x")] * 10
    proxy.wait(lambda found: len(found) == 10 and all(entry.outcome for entry in found))


def test_websocket(setting):
    proxy, _ = setting
    url = f"wss://{HOST}/raw/websocket"
    with connect(url, sock=tunnelled(proxy, tls=False), ssl=guarded(proxy.trust)) as agent:
        agent.send("hello")
        assert agent.recv() == "hello"
    assert proxy.one().texts == [(True, "hello"), (False, "hello")]


def test_plain_requests_to_the_host(setting):
    proxy, _ = setting
    with httpx.Client(proxy=proxy.url(), trust_env=False) as agent:
        for _ in range(7):
            assert agent.get(f"http://{HOST}/raw/bytes?size=10").status_code == 200


def test_gateway_with_a_name_of_its_own_is_verified_by_it(tmp_path):
    """`localhost` is the only name that resolves everywhere."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
    with (
        providing(Provider(tls=tls.context(authority, "localhost"))) as provider,
        running(
            tmp_path,
            upstreams={HOST: f"https://localhost:{provider.port}/anthropic"},
            upstream_ca=tmp_path / "upstream.pem",
        ) as proxy,
        client(proxy) as agent,
    ):
        agent.get(f"https://{HOST}/raw/bytes?size=10")
        (call,) = provider.requests
        entry = proxy.one()
    assert call.header("host") == f"localhost:{provider.port}"
    assert call.target == "/anthropic/raw/bytes?size=10"
    assert entry.opened.target == b"/raw/bytes?size=10"
    assert dict(entry.opened.headers)[b"Host"] == HOST.encode()
