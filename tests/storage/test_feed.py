"""The live feed: order, continuing, filters, and consumers that do not keep up."""

import asyncio
import threading
import time

import msgspec
import pytest

from storage import feed as module
from storage.feed import Ended, Feed, Missed


class Body(msgspec.Struct):
    n: object


def data(events):
    return [msgspec.json.decode(event.data)["n"] for event in events]


async def waiting(subscription):
    return data(await subscription.next(0))


def test_events_come_in_order_with_growing_numbers():
    async def run():
        feed = Feed()
        subscription = feed.subscribe("hooks")
        for n in range(5):
            feed.publish("hooks", "x", Body(n))
            feed.publish("native", "x", Body("other"))
        events = await subscription.next(1)
        assert data(events) == [0, 1, 2, 3, 4]
        seqs = [event.seq for event in events]
        assert seqs == sorted(set(seqs))
        assert [msgspec.json.decode(event.data)["seq"] for event in events] == seqs
        assert await subscription.next(0) == []

    asyncio.run(run())


def test_numbers_grow_over_restarts():
    first = Feed()
    first.publish("hooks", "x", Body(1))
    time.sleep(0.002)
    assert Feed()._seq > first._seq


def test_a_filter_lets_through_what_is_about_it_and_what_concerns_all():
    async def run():
        feed = Feed()
        subscription = feed.subscribe("hooks", about="a")
        for n, about in enumerate((["a"], ["b"], ["b", "a"], [])):
            feed.publish("hooks", "x", Body(n), about)
        assert await waiting(subscription) == [0, 2, 3]
        assert await waiting(feed.subscribe("hooks", about="a", since=0)) == [0, 2, 3]

    asyncio.run(run())


def test_who_comes_back_continues_without_loss():
    async def run():
        feed = Feed()
        gone = feed.subscribe("hooks")
        for n in range(3):
            feed.publish("hooks", "x", Body(n))
        last = (await gone.next(0))[0].seq
        gone.close()
        feed.publish("hooks", "x", Body(3))
        back = feed.subscribe("hooks", since=last)
        feed.publish("hooks", "x", Body(4))
        assert back.missed is None
        assert await waiting(back) == [1, 2, 3, 4]

    asyncio.run(run())


def test_what_is_not_kept_any_more_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(module, "_RING_EVENTS", 3)

    async def run():
        feed = Feed()
        assert feed.subscribe("hooks", since=feed._seq).missed is None
        for n in range(5):
            feed.publish("hooks", "x", Body(n))
        kept = [event.seq for event in feed._rings["hooks"].events]
        before = feed.subscribe("hooks", since=kept[0] - 2)
        assert before.missed == Missed(since=kept[0] - 2, oldest_seq=kept[0])
        assert await waiting(before) == [2, 3, 4]
        assert feed.subscribe("hooks", since=kept[0] - 1).missed is None
        assert feed.subscribe("hooks", since=1).missed == Missed(since=1, oldest_seq=kept[0])
        # A number that was never given out: the clock went back over a restart.
        assert feed.subscribe("hooks", since=kept[-1] + 9).missed is not None
        assert feed.subscribe("native", since=1).missed.oldest_seq == kept[-1] + 1

    asyncio.run(run())


@pytest.mark.parametrize("limit", ["events", "bytes"])
def test_who_does_not_keep_up_is_let_go_and_the_others_are_not(monkeypatch, limit):
    monkeypatch.setattr(module, f"_WAITING_{limit.upper()}", 10 if limit == "events" else 300)

    async def run():
        feed = Feed()
        slow, quick = feed.subscribe("hooks"), feed.subscribe("hooks")
        seen = []
        for n in range(50):
            feed.publish("hooks", "x", Body(n))
            seen += await waiting(quick)
        assert seen == list(range(50))
        await slow.ended()
        with pytest.raises(Ended, match="too slow"):
            await slow.next(1)
        assert slow.reason == "too slow"
        assert not slow._waiting

    asyncio.run(run())


def test_one_event_may_be_larger_than_any_limit(monkeypatch):
    monkeypatch.setattr(module, "_WAITING_BYTES", 10)
    monkeypatch.setattr(module, "_RING_BYTES", 10)

    async def run():
        feed = Feed()
        subscription = feed.subscribe("hooks")
        feed.publish("hooks", "x", Body("x" * 100))
        assert await waiting(subscription) == ["x" * 100]
        assert len(feed._rings["hooks"].events) == 1

    asyncio.run(run())


def test_events_of_another_thread_wake_the_loop():
    feed = Feed()
    count = 2000

    def publish():
        for n in range(count):
            feed.publish("hooks", "x", Body(n))

    async def run():
        subscription = feed.subscribe("hooks")
        thread = threading.Thread(target=publish)
        thread.start()
        seen = []
        while len(seen) < count:
            seen += data(await subscription.next(10))
        thread.join()
        assert seen == list(range(count))

    asyncio.run(run())


def test_publishing_never_raises(caplog):
    feed = Feed()

    async def subscribe():
        feed.subscribe("hooks")  # never closed, and its loop ends

    asyncio.run(subscribe())
    feed.publish("hooks", "x", Body(1))
    feed.publish("hooks", "x", Body(object()))
    feed.publish("hooks", "x", Body(object()))
    assert not feed._subscriptions
    assert len(caplog.records) == 1


def test_a_server_that_stops_lets_all_of_its_consumers_go():
    async def run():
        feed = Feed()
        subscription = feed.subscribe("hooks")

        async def consume():
            with pytest.raises(Ended, match="server stops"):
                await subscription.next(10)
            subscription.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            await asyncio.sleep(0)
            await feed.release(10)
            assert not feed._subscriptions

    asyncio.run(run())


def test_nothing_is_kept_of_a_session_that_was_deleted():
    async def run():
        feed = Feed()
        for n, about in enumerate(("a", "b", "a")):
            feed.publish("hooks", "x", Body(n), [about])
        feed.forget("a")
        back = feed.subscribe("hooks", since=feed._rings["hooks"].lost_seq)
        assert await waiting(back) == [1]

    asyncio.run(run())
