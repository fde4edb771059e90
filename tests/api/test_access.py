"""Threads and streams beside the loop."""

import asyncio
import sqlite3
import threading

import pytest

from api.access import Access


@pytest.fixture
def access(store):
    made = Access(store)
    yield made
    made.close()


def test_a_stream_gives_every_piece_and_closes_its_connection(access):
    seen = []

    def pieces(conn):
        seen.append(conn)
        for number in range(5):
            yield str(conn.execute("select ?", [number]).fetchone()[0]).encode()

    async def run():
        return [piece async for piece in access.stream(pieces)]

    assert asyncio.run(run()) == [b"0", b"1", b"2", b"3", b"4"]
    access.close()
    with pytest.raises(sqlite3.ProgrammingError):
        seen[0].execute("select 1")


def test_who_leaves_in_the_middle_ends_the_stream(access):
    ended = threading.Event()

    def pieces(conn):
        try:
            while True:
                yield b"more"
        finally:
            ended.set()

    async def run():
        stream = access.stream(pieces)
        assert await anext(stream) == b"more"
        await stream.aclose()

    asyncio.run(run())
    assert ended.wait(60)


def test_a_fault_in_a_stream_is_raised_where_it_is_read(access):
    def pieces(conn):
        yield b"one"
        raise ValueError("broken")

    async def run():
        return [piece async for piece in access.stream(pieces)]

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run())


def test_a_mutation_outlives_the_caller_even_while_it_waits(access, store):
    go_on = threading.Event()
    before = store.call(lambda db: go_on.wait(60))

    async def run():
        waiting = store.call(lambda db: db.execute("create table made_anyway (x)") and None)
        task = asyncio.ensure_future(access.committed(waiting))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    go_on.set()
    assert before.result() is True
    assert store.call(lambda db: db["made_anyway"].exists()).result() is True
