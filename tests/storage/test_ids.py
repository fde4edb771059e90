import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import ids


def test_an_id_is_a_uuid_of_version_7_of_this_moment():
    before = time.time_ns() // 1_000_000
    found = uuid.UUID(ids.new())
    after = time.time_ns() // 1_000_000
    assert found.version == 7
    assert found.variant == uuid.RFC_4122
    assert before <= found.int >> 80 <= after + 1


def test_ids_of_one_process_go_up_however_fast_and_from_whatever_thread():
    found = []

    def make():
        mine = [ids.new() for _ in range(5000)]
        assert mine == sorted(mine)
        found.extend(mine)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 20_000


def test_ids_go_up_when_the_clock_goes_back(monkeypatch):
    first = ids.new_bytes()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    assert ids.new_bytes() > first


@given(value=st.binary(min_size=16, max_size=16))
def test_bytes_and_text_are_one_and_the_same(value):
    assert ids.raw(ids.text(value)) == value
    assert ids.text(value) == str(uuid.UUID(bytes=value))


@pytest.mark.parametrize(
    "wrong",
    [
        "", "x" * 36, "0199aaaa", "0199AAAA-0000-7000-8000-000000000001",
        "0199aaaa00007000800000000000000001", "0199aaaa-0000-7000-8000-0000000000 01",
        "0199aaaa-0000-7000-8000-00000000000102",
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused(wrong):
    with pytest.raises(ValueError):
        ids.raw(wrong)


NS = st.integers(0, (1 << 62) - 1)


@given(first=NS, second=NS, numbers=st.tuples(st.integers(0, 9999), st.integers(0, 9999)))
def test_ids_of_the_past_sort_by_their_time_and_then_by_their_number(first, second, numbers):
    one, other = (ids.at(*facts, "a") for facts in zip((first, second), numbers, strict=True))
    facts = ((first, numbers[0]), (second, numbers[1]))
    assert (one < other) == (facts[0] < facts[1])
    assert (one == other) == (facts[0] == facts[1])


def test_an_id_of_the_past_is_a_uuid_of_version_7_of_that_moment():
    found = uuid.UUID(bytes=ids.at(1_795_000_000_123_456_789, 7, "a"))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == 1_795_000_000_123
    assert ids.at(1, 2, "a") == ids.at(1, 2, "a") != ids.at(1, 2, "b")
