"""Whose socket it is, read from the kernel's own lists."""

import os
import socket

import pytest

from api import peers


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=str)
def pair(request):
    host, family = request.param
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        accepted, _ = listener.accept()
        with client, accepted:
            yield client, accepted


def ends(accepted):
    return accepted.getpeername()[:2], accepted.getsockname()[:2]


def test_the_owner_of_a_connection(pair):
    _, accepted = pair

    assert peers.owner(*ends(accepted)) == os.getuid()
    assert not peers.is_stranger(*ends(accepted))


def test_a_socket_that_nobody_owns_any_more_is_a_strangers(pair):
    client, accepted = pair
    client.close()

    assert peers.owner(*ends(accepted)) is None
    assert peers.is_stranger(*ends(accepted))


def test_an_ipv4_peer_on_an_ipv6_socket():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.socket(socket.AF_INET6) as client:
            client.connect(("::ffff:127.0.0.1", port))
            accepted, _ = listener.accept()
            with accepted:
                assert peers.owner(*ends(accepted)) == os.getuid()


def test_beyond_loopback_nothing_is_known():
    assert not peers.is_stranger(("192.0.2.1", 1), ("192.0.2.2", 2))
    assert not peers.is_stranger(("testclient", 1), ("testserver", 2))
