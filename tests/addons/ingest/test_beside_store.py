"""Ingest where it lives: in the writer thread of a store, beside calls and readers."""

import subprocess
import sys
import time

import pytest

from addons.ingest import Ingest
from storage import sessions, traffic
from storage.store import Store
from tests.addons.ingest.spooling import Log


@pytest.fixture
def store(datadir):
    with Store.open(datadir, background=Ingest(datadir).step) as opened:
        yield opened


def wait_for(found):
    end = time.monotonic() + 60
    while not (result := found()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return result


def test_what_is_appended_shows_and_calls_come_between(datadir, store):
    log = Log(datadir)
    session = store.change_sessions(sessions.create, name="mine").result().id
    entry = log.entry(session).response()
    log.append()
    wait_for(lambda: traffic.page(store.read(), traffic.Query()).entries)
    for number in range(20):
        entry.chunk("response", b"%d," % number)
        log.append()
        size = sum(map(len, (b"%d," % n for n in range(number + 1))))
        wait_for(lambda size=size: traffic.get(store.read(), entry.id).response_bytes == size)
        renamed = store.call(sessions.update, session, name=f"name {number}").result()
        assert renamed.name == f"name {number}"
    entry.close()
    log.end()
    wait_for(lambda: traffic.get(store.read(), entry.id).outcome)
    wait_for(lambda: not log.folder.exists())
    assert store.degraded is None


SERVER = """
import sys
from pathlib import Path
from addons.ingest import Ingest
from storage.datadir import DataDir
from storage.store import Store

datadir = DataDir(Path(sys.argv[1]))
ingest = Ingest(datadir)
ingest._limit_bytes = 2000
with Store.open(datadir, background=ingest.step) as store:
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.long
def test_a_server_that_is_killed_again_and_again_doubles_and_loses_nothing(datadir):
    log = Log(datadir, segment_bytes=100_000)
    socket = log.entry(None, kind="websocket")
    stream = log.entry(None).response()
    sent = 0
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, datadir.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout.readline() == b"up\n"
            for _ in range(100):
                socket.message(b"%d" % sent)
                stream.chunk("response", b"%06d" % sent)
                sent += 1
                log.append()
            server.kill()
            server.wait()
    socket.close()
    stream.close()
    log.end()
    with Store.open(datadir, background=Ingest(datadir).step) as store:
        wait_for(lambda: not log.folder.exists())
        conn = store.read()
        frames = traffic.frames(conn, socket.id, limit=sent + 1)
        assert [traffic.bodies.view(conn, frame.body.digest).read() for frame in frames] == [
            b"%d" % number for number in range(sent)
        ]
        body = traffic.body(conn, traffic.get(conn, stream.id), "response").read()
        assert body == b"".join(b"%06d" % number for number in range(sent))
        assert len(traffic.frames(conn, stream.id, limit=sent + 1)) == sent
        assert {entry.outcome for entry in traffic.page(conn, traffic.Query()).entries} == {
            "complete"
        }
        for table in ("gaps", "quarantine"):
            assert conn.execute(f"select count(*) from {table}").fetchone() == (0,)
