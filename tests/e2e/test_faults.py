"""
What goes wrong inside Wirescribe stays inside: the agent's traffic is whole, and nothing is lost.

A full disk is made with a limit on file sizes (`prlimit`), which needs no right that a user lacks.
"""

import resource
import sqlite3
import subprocess
import sys
import time

from tests.e2e.conftest import HOST
from tests.e2e.stack import PATIENCE_S
from tests.provider import seeded

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def ask(client, number, size=200_000):
    """One request with a body each way; raises if a byte of the answer is not the provider's."""
    answer = client.post(
        f"https://{HOST}/raw/bytes?size={size}&seed=down-{number}&n={number}",
        content=seeded(size, f"up-{number}"),
    )
    assert answer.content == seeded(size, f"down-{number}")


def check_all(stack, session, count, size=200_000):
    """Every one of `count` requests is on record, complete, once, with its bytes."""
    entries = stack.entries(session)
    assert sorted(int(e["path"].rpartition("=")[2]) for e in entries) == list(range(count))
    for entry in entries:
        number = int(entry["path"].rpartition("=")[2])
        assert entry["outcome"] == "complete"
        assert stack.body(entry["id"], "request") == seeded(size, f"up-{number}")
        assert stack.body(entry["id"]) == seeded(size, f"down-{number}")


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def health(stack):
    return stack.api.get("/api/health").raise_for_status().json()


def test_the_spools_disk_is_full_for_a_while(stack, provider):
    session = stack.session()
    with stack.agent() as client:
        ask(client, 0)
        # A fuller segment would be followed by a fresh one: too little for what one request needs.
        resource.prlimit(stack.proxy.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for number in range(1, 12):
            ask(client, number)
        degraded = wait_for(lambda: health(stack)["status"] == "degraded")
        assert degraded
        resource.prlimit(stack.proxy.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        ask(client, 12)
        wait_for(lambda: health(stack)["status"] == "ok")

    stack.settle()
    check_all(stack, session, 13)


def test_the_databases_disk_is_full_for_a_while(stack, provider):
    session = stack.session()
    size = stack.datadir.database.stat().st_size
    limit = size + (1 << 20)
    resource.prlimit(stack.server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with stack.agent() as client:
        for number in range(20):
            ask(client, number)
        wait_for(lambda: health(stack)["status"] == "degraded")
        resource.prlimit(stack.server.pid, resource.RLIMIT_FSIZE, UNLIMITED)

    stack.settle()
    check_all(stack, session, 20)
    assert health(stack)["status"] == "ok"


# Until it is told that the traffic is through, and then for a while yet: ten seconds at least.
LOCKER = """
import sqlite3, sys, time
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("begin exclusive")
until = time.monotonic() + 10
print("locked", flush=True)
sys.stdin.read()
time.sleep(max(2, until - time.monotonic()))
conn.execute("rollback")
"""


def test_another_process_holds_the_database_for_ten_seconds(stack, provider):
    session = stack.session()
    locker = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(stack.datadir.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert locker.stdout.readline() == b"locked\n"
        with stack.agent() as client:
            for number in range(20):
                ask(client, number)
        locker.stdin.close()  # had the traffic waited for the lock, it would still do
        # A change waits for the lock, and is not refused.
        renamed = stack.api.patch(f"/api/sessions/{session}", json={"name": "after the lock"})
        assert renamed.status_code == 200
    finally:
        locker.stdin.close()
        locker.wait(PATIENCE_S)
        locker.stdout.close()

    stack.settle()
    check_all(stack, session, 20)
    with sqlite3.connect(f"file:{stack.datadir.database}?mode=ro", uri=True) as conn:
        assert conn.execute("pragma quick_check").fetchone() == ("ok",)
    conn.close()


def test_the_server_is_away(stack, provider):
    """What was spooled meanwhile is read by the next server."""
    session = stack.session()
    stack.end("server")
    with stack.agent() as client:
        for number in range(20):
            ask(client, number)
    stack.start_server()

    stack.settle()
    check_all(stack, session, 20)
