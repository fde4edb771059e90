import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import clocks

MOMENTS = st.integers(0, 2**63 - 1)
CHUNKS = st.lists(st.tuples(MOMENTS, st.integers(0, 2**32)), max_size=40)


def encoded(chunks):
    run = clocks.Run(first=5, at_bytes=77)
    for offset_ns, size_bytes in chunks:
        run.append(offset_ns, size_bytes)
    return run


@given(chunks=CHUNKS)
def test_a_run_gives_back_its_chunks(chunks):
    run = encoded(chunks)
    assert clocks.decode(bytes(run.data)) == chunks
    assert run.count == len(chunks)


@given(chunks=CHUNKS, cut=st.integers(0, 40))
def test_a_stored_run_goes_on_as_if_it_had_never_stopped(chunks, cut):
    half = encoded(chunks[:cut])
    again = clocks.Run.resume(half.first, half.at_bytes, bytes(half.data))
    for offset_ns, size_bytes in chunks[cut:]:
        again.append(offset_ns, size_bytes)
    whole = encoded(chunks)
    assert again.data == whole.data
    assert (again.first, again.at_bytes, again.count) == (5, 77, whole.count)


def test_steady_chunks_take_few_bytes():
    run = encoded([(number * 20_000_000, 300) for number in range(clocks.RUN_CHUNKS)])
    assert run.is_full
    assert len(run.data) <= 6 * clocks.RUN_CHUNKS


@given(data=st.binary(max_size=50))
def test_any_bytes_are_chunks_or_a_value_error(data):
    try:
        clocks.decode(data)
    except ValueError as error:
        assert str(error) == "a chunk clock is cut short"  # noqa: PT017


def test_a_run_cut_short_is_told():
    run = encoded([(1000, 300)])
    for keep in range(1, len(run.data)):
        with pytest.raises(ValueError, match="cut short"):
            clocks.decode(bytes(run.data[:keep]))


@given(chunks=CHUNKS)
def test_the_table_gives_a_run_back(chunks):
    data = bytes(encoded(chunks).data)
    assert clocks.unsqueeze(clocks.squeeze(data)) == data


def test_steady_chunks_take_next_to_nothing_in_the_table():
    run = encoded([(number * 20_000_000, 300) for number in range(clocks.RUN_CHUNKS)])
    content = clocks.squeeze(bytes(run.data))
    assert len(content) < 40
    assert clocks.unsqueeze(content) == run.data


def test_a_run_as_it_was_stored_before_is_read():
    data = bytes(encoded([(1000, 300)] * 40).data)
    assert clocks.unsqueeze(data) == data


def test_a_damaged_frame_is_told():
    content = clocks.squeeze(bytes(encoded([(1000, 300)] * 40).data))
    with pytest.raises(ValueError, match="damaged chunk clock"):
        clocks.unsqueeze(content[:-1])
