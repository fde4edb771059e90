"""The ready-made shapes of /raw/."""

import httpx
import pytest

from . import Provider, running, seeded


@pytest.fixture(scope="module")
def client():
    with running(Provider()) as provider, httpx.Client(base_url=provider.url) as client:
        yield client


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_bytes_in_every_framing_and_coding(client, coding, framing) -> None:
    query = f"size=200001&seed=7&chunk=30000&framing={framing}&coding={coding}"
    assert client.get(f"/raw/bytes?{query}").content == seeded(200001, 7)


def test_empty_body(client) -> None:
    assert client.get("/raw/bytes?size=0&framing=length").content == b""
    assert client.get("/raw/status?code=204").status_code == 204


def test_head_has_no_body(client) -> None:
    response = client.head("/raw/bytes?size=10&framing=length")
    assert (response.headers["content-length"], response.content) == ("10", b"")
    assert client.get("/raw/bytes?size=10").content == seeded(10)


@pytest.mark.parametrize("coding", ["", "br"])
def test_events(client, coding) -> None:
    text = client.get(f"/raw/sse?events=3&coding={coding}").text
    assert [line for line in text.splitlines() if line.startswith("id:")] == [
        "id: 0",
        "id: 1",
        "id: 2",
    ]


def test_odd_headers(client) -> None:
    headers = client.get("/raw/headers").headers
    assert headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert headers["x-empty"] == ""
    assert len(headers["x-long"]) == 6000


def test_interim_answer_is_followed_by_the_real_one(client) -> None:
    assert client.get("/raw/hints").text == "after the hints"


def test_half_a_body_is_an_error_for_the_client(client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/raw/half?framing=length")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        client.get("/raw/half?how=reset")


def test_unknown_case_names_those_there_are(client) -> None:
    response = client.get("/raw/nothing")
    assert response.status_code == 404
    assert "bytes" in response.json()["cases"]
