"""What the recorder says of itself."""

import os
import time

from litestar.testing import TestClient

from api.app import create_app
from storage.processes import Announcement, Process
from storage.records import Gap
from storage.store import Store
from tests.api import records
from tests.api.conftest import BASE


def test_all_is_well(client, store):
    session = records.session(store)
    records.entry(store, session.id)
    records.entry(store, session.id, outcome=None)
    before = time.time_ns() // 1_000_000

    shown = client.get("/api/health").json()

    assert (shown["status"], shown["degraded"]) == ("ok", [])
    assert shown["timestamp"] >= before
    assert shown["connectedClients"] == 0
    assert (shown["sessions"], shown["entries"], shown["openEntries"]) == (1, 2, 1)
    assert shown["version"] == "0.1.0"
    assert shown["databaseBytes"] > 0
    assert shown["freeBytes"] > 0
    assert (shown["gaps"], shown["quarantined"], shown["spoolLagBytes"]) == ([], 0, {})


def test_bodies_that_are_still_to_be_moved_are_counted(client, store):
    assert client.get("/api/health").json()["unmovedBodies"] is None

    def put_first(db):
        db.execute("create table first_bodies (digest blob)")
        db.execute("insert into first_bodies values (x'00'), (x'01')")
        db.execute("update numbering set is_moving = 1")

    store.call(put_first).result()
    assert client.get("/api/health").json()["unmovedBodies"] == 2


def test_gaps_are_counted_and_not_held_against_it(client, store):
    session = records.session(store)
    for size_bytes in (5, 7):
        gap = Gap(reason="disk_low", size_bytes=size_bytes)
        records.entry(store, session.id, gaps=[gap])

    shown = client.get("/api/health").json()

    assert shown["gaps"] == [{"reason": "disk_low", "count": 2, "size": 12}]
    assert shown["status"] == "ok"


def test_a_proxy_that_is_degraded_shows(client, store):
    process = Process(
        role="proxy",
        pid=os.getpid(),
        started_ms=1,
        version="0.1.0",
        port=8888,
        degraded=("the disk is full",),
    )
    announcement = Announcement(store.datadir, process)

    shown = client.get("/api/health").json()
    announcement.withdraw()

    assert shown["status"] == "degraded"
    assert shown["degraded"] == [f"proxy {os.getpid()}: the disk is full"]
    assert shown["processes"][0]["port"] == 8888
    assert client.get("/api/health").json()["status"] == "ok"


def test_an_ingest_that_fails_shows(store, settings, tmp_path):
    def fails(db):
        raise ValueError("no sense in it")

    with Store.open(type(store.datadir)(tmp_path / "other").prepare(), background=fails) as other:
        with TestClient(create_app(other, settings), base_url=BASE) as client:
            records.session(other)  # the writer's first step is over
            deadline = time.monotonic() + 60
            while client.get("/api/health").json()["status"] == "ok":
                assert time.monotonic() < deadline
        assert "no sense in it" in other.degraded
