"""The real server: ports, streams, stopping."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from api.app import create_app
from api.server import Server
from storage.errors import ConfigError
from tests.api import records
from tests.api.conftest import serving

BLOCK = random.Random(2).randbytes(1 << 20)


def test_a_port_that_is_taken_is_said_before_anything_runs(store, settings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(create_app(store, settings), *listener.getsockname())
        with pytest.raises(ConfigError, match="cannot be listened on"):
            server.run()


def test_a_long_body_streams_with_its_length(store, server):
    session = records.session(store)
    data = BLOCK * 24
    made = records.entry(store, session.id, response=data)

    with server.stream("GET", f"/api/traffic/{made}/response-body") as answer:
        assert answer.headers["content-length"] == str(len(data))
        digest = hashlib.sha256()
        for piece in answer.iter_raw():
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()

    part = server.get(
        f"/api/traffic/{made}/response-body", headers={"Range": f"bytes={1 << 20}-{20 << 20}"}
    )
    assert part.content == data[1 << 20 : (20 << 20) + 1]


def test_clients_that_do_not_read_hold_nobody_up(store, server):
    session = records.session(store)
    made = records.entry(store, session.id, response=BLOCK * 16)
    path = f"/api/traffic/{made}/response-body"

    with contextlib.ExitStack() as slow:
        for _ in range(12):
            client = slow.enter_context(httpx.Client(base_url=server.base_url))
            slow.enter_context(client.stream("GET", path))
        assert len(server.get(path).content) == len(BLOCK) * 16
        assert server.get("/api/health").json()["status"] == "ok"
    # They went away in the middle: nothing of them stays in the way.
    assert len(server.get(path).content) == len(BLOCK) * 16


def test_many_requests_on_one_connection_and_on_many(server):
    made = [server.post("/api/sessions").json()["id"] for _ in range(30)]

    assert [s["id"] for s in server.get("/api/sessions").json()["sessions"]] == made[::-1]


def test_a_stop_lets_go_of_the_port(store, settings):
    with serving(create_app(store, settings)) as url:
        port = httpx.URL(url).port
        assert httpx.get(f"{url}/api/sessions").status_code == 200
    with socket.create_server(("127.0.0.1", port)):
        pass


PROGRAM = """
import sys
from pathlib import Path
from api.app import create_app
from api.server import serve
from api.settings import ApiSettings
from storage.datadir import DataDir
from storage.store import Store

with Store.open(DataDir(Path(sys.argv[1])).prepare()) as store:
    app = create_app(store, ApiSettings(version="0.1.0"))
    serve(app, "127.0.0.1", 0, lambda host, port: print(port, flush=True))
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_not_the_process(tmp_path, number):
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        assert httpx.get(f"http://127.0.0.1:{port}/api/sessions").status_code == 200
        os.kill(process.pid, number)
        assert process.stdout.read() == "ended\n"
    assert process.returncode == 0
