"""A real store in a folder of its own, the application over it, and both on a real port."""

import contextlib
import threading

import httpx
import pytest
from litestar.testing import TestClient

from api.app import create_app
from api.server import Server
from api.settings import ApiSettings
from storage.datadir import DataDir
from storage.store import Store
from tests.storage.empty import with_database

BASE = "http://127.0.0.1:8889"


@pytest.fixture
def store(tmp_path):
    with Store.open(with_database(DataDir(tmp_path / "data").prepare())) as opened:
        yield opened


@pytest.fixture
def settings():
    return ApiSettings(version="0.1.0")


@pytest.fixture
def client(store, settings):
    """In-process, for shapes and rules."""
    with TestClient(create_app(store, settings), base_url=BASE) as opened:
        yield opened


@contextlib.contextmanager
def serving(app, host="127.0.0.1"):
    """A real uvicorn on a free port; yields its base URL."""
    started, places = threading.Event(), []

    def on_started(*place):
        places.append(place)
        started.set()

    server = Server(app, host, 0, on_started)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(60)
        (bound, port) = places[0]
        yield f"http://[{bound}]:{port}" if ":" in bound else f"http://{bound}:{port}"
    finally:
        server.stop()
        thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def server(store, settings):
    """On a real socket, for what only a socket shows."""
    with serving(create_app(store, settings)) as url, httpx.Client(base_url=url) as opened:
        yield opened
