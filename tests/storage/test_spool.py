import contextlib
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import envelope, files, spool
from storage.errors import Busy, StoreError
from storage.records import Gap
from storage.spool import Damage, Position, SpoolReader, SpoolRecord, SpoolWriter

ENTRY = bytes(range(16))
CHUNK = msgspec.msgpack.Decoder(tuple[int, bytes])


def chunk(number: int, data: bytes) -> spool.Buffers:
    return spool.pack_chunk(ENTRY, number, "request-chunk", number * 1000, len(data), data)


def flat(buffers: spool.Buffers) -> bytes:
    return b"".join(buffers)


def drain(
    reader: SpoolReader, limit_bytes: int = 4 << 20, limit_records: int = 1 << 20
) -> list[SpoolRecord | Damage]:
    found = []
    while got := reader.read(limit_bytes, limit_records):
        assert len(got) <= limit_records + 1  # segments that are missing come beside
        found += got
    return found


def contents(found) -> list[bytes]:
    return [CHUNK.decode(one.content)[1] for one in found if isinstance(one, SpoolRecord)]


def damages(found) -> list[Damage]:
    return [one for one in found if isinstance(one, Damage)]


def dead(root, datas, segment_bytes=spool.SEGMENT_BYTES):
    """The folder of a writer that wrote `datas` as chunks and ended."""
    writer = SpoolWriter(root, name=uuid.uuid4().hex, segment_bytes=segment_bytes)
    for number, data in enumerate(datas):
        writer.append(chunk(number, data))
    writer.close()
    return writer.folder


def spoil(folder, change, number=1):
    path = spool.segment_path(folder, number)
    data = bytearray(path.read_bytes())
    changed = change(data)
    path.write_bytes(data if changed is None else changed)


# --- round trips ---------------------------------------------------------------------------------


@given(
    datas=st.lists(st.binary(max_size=300), max_size=30),
    segment_bytes=st.integers(1, 2000),
    limit_bytes=st.integers(1, 3000),
    limit_records=st.integers(1, 40),
)
@settings(deadline=None)
def test_what_is_appended_is_read_whatever_the_sizes(
    tmp_path_factory, datas, segment_bytes, limit_bytes, limit_records
):
    folder = dead(tmp_path_factory.mktemp("spool"), datas, segment_bytes)
    reader = SpoolReader(folder)
    found = drain(reader, limit_bytes, limit_records)
    assert contents(found) == datas
    assert [one.number for one in found] == list(range(len(datas)))
    assert reader.lag_bytes() == 0
    assert reader.finished()


@given(
    entry=st.binary(min_size=16, max_size=16),
    number=st.integers(0, 2**32 - 1),
    offset_ns=st.integers(0, 2**63 - 1),
    data=st.binary(max_size=500),
    from_client=st.booleans(),
    final=st.booleans(),
)
def test_each_kind_of_record_keeps_its_fields(entry, number, offset_ns, data, from_client, final):
    message = spool.pack_message(
        entry, number, offset_ns, data, from_client=from_client, opcode=2, final=final
    )
    cases = {
        "message": (message, (from_client, 2, final, data)),
        "request-decoded": (
            spool.pack_decoded(entry, number, "request-decoded", offset_ns, data),
            data,
        ),
        "gap": (
            spool.pack(entry, number, "gap", offset_ns, Gap(reason="x", size_bytes=3)),
            {"reason": "x", "size_bytes": 3},
        ),
    }
    for kind, (buffers, content) in cases.items():
        raw = flat(buffers)
        head = envelope.head_at(raw, 0)
        record = envelope.open_payload(envelope.payload_at(raw, 0, head))
        assert (record.entry, record.number, record.offset_ns) == (entry, number, offset_ns)
        assert record.kind == kind
        value = msgspec.msgpack.decode(record.content)
        assert value == (list(content) if isinstance(content, tuple) else content)


def test_a_record_above_the_limit_is_refused():
    with pytest.raises(StoreError, match="longer than the spool takes"):
        chunk(0, bytes(spool.MAX_RECORD))


def test_a_long_list_of_buffers_is_one_append(tmp_path):
    datas = [b"%d" % number for number in range(2000)]
    writer = SpoolWriter(tmp_path)
    writer.append([part for number, data in enumerate(datas) for part in chunk(number, data)])
    writer.append([])
    assert contents(drain(SpoolReader(writer.folder))) == datas
    assert writer.appended_bytes == spool.segment_path(writer.folder, 1).stat().st_size
    writer.close()


# --- damage --------------------------------------------------------------------------------------


@given(
    datas=st.lists(st.binary(max_size=60), min_size=1, max_size=8),
    place=st.integers(0, 10**6),
    bit=st.integers(0, 7),
)
@settings(deadline=None)
def test_a_flipped_bit_costs_the_record_it_is_in_and_no_other(tmp_path_factory, datas, place, bit):
    folder = dead(tmp_path_factory.mktemp("spool"), datas)
    sizes = [len(flat(chunk(number, data))) for number, data in enumerate(datas)]
    place %= sum(sizes)
    hit = next(n for n in range(len(sizes)) if place < sum(sizes[: n + 1]))

    def flip(data):
        data[place] ^= 1 << bit

    spoil(folder, flip)
    found = drain(SpoolReader(folder))
    assert contents(found) == datas[:hit] + datas[hit + 1 :]
    (damage,) = damages(found)
    assert (damage.segment, damage.offset) == (1, sum(sizes[:hit]))
    assert damage.size_bytes == sizes[hit]


@given(datas=st.lists(st.binary(max_size=60), min_size=1, max_size=8), keep=st.integers(0, 10**6))
@settings(deadline=None)
def test_a_torn_end_of_a_dead_writer_is_damage(tmp_path_factory, datas, keep):
    folder = dead(tmp_path_factory.mktemp("spool"), datas)
    sizes = [len(flat(chunk(number, data))) for number, data in enumerate(datas)]
    keep %= sum(sizes)
    whole = next(n for n in range(len(sizes)) if keep < sum(sizes[: n + 1]))
    spoil(folder, lambda data: data[:keep])
    reader = SpoolReader(folder)
    found = drain(reader)
    assert contents(found) == datas[:whole]
    rest = keep - sum(sizes[:whole])
    assert [one.size_bytes for one in damages(found)] == ([rest] if rest else [])
    assert reader.finished()


@given(garbage=st.binary(max_size=400), limit_bytes=st.integers(1, 500))
@settings(deadline=None)
def test_garbage_is_damage_and_never_raises(tmp_path_factory, garbage, limit_bytes):
    folder = dead(tmp_path_factory.mktemp("spool"), [])
    spoil(folder, lambda data: garbage)
    found = drain(SpoolReader(folder), limit_bytes)
    assert contents(found) == []
    assert sum(one.size_bytes for one in damages(found)) == len(garbage)


@given(cut=st.integers(0, 10**6), length=st.integers(1, 80), filler=st.binary(max_size=100))
@settings(deadline=None)
def test_bytes_lost_or_put_in_the_middle_leave_the_rest_readable(
    tmp_path_factory, cut, length, filler
):
    datas = [bytes([number]) * 50 for number in range(8)]
    folder = dead(tmp_path_factory.mktemp("spool"), datas)
    size = len(flat(chunk(0, datas[0])))
    cut %= 5 * size  # the last records lie whole behind it

    def change(data):
        return data[:cut] + filler + data[cut + length :]

    spoil(folder, change)
    found = contents(drain(SpoolReader(folder)))
    assert found[: cut // size] == datas[: cut // size]
    assert found[-1:] == datas[-1:]


@given(payload=st.binary(max_size=100))
def test_a_payload_of_any_bytes_is_a_record_or_a_value_error(payload):
    with contextlib.suppress(ValueError):
        envelope.open_payload(payload)


@pytest.mark.parametrize(
    "payload",
    [
        msgspec.msgpack.encode([2, ENTRY, 0, "open", 0, None]),
        msgspec.msgpack.encode([1, ENTRY[:15], 0, "open", 0, None]),
        msgspec.msgpack.encode([1, ENTRY, -1, "open", 0, None]),
        msgspec.msgpack.encode([1, ENTRY, 0, "open", 1 << 63, None]),
        msgspec.msgpack.encode([1, ENTRY, 0, "open", 0]),
        b"\x96\x01\xc4\x10" + ENTRY + b"\x00\xa1\xff\x00\xc0",  # a kind that is no UTF-8
        b"\x91" * 100_000,
        b"",
    ],
)
def test_an_unknown_payload_is_damage_that_carries_it(tmp_path, payload):
    writer = SpoolWriter(tmp_path)
    writer.append(envelope._framed(payload, b""))
    writer.append(chunk(1, b"after"))
    found = drain(SpoolReader(writer.folder))
    writer.close()
    assert contents(found) == [b"after"]
    (damage,) = damages(found)
    assert damage.payload == payload
    assert damage.offset == 0


def test_a_spool_inside_a_body_is_not_taken_for_records(tmp_path):
    inner = flat(chunk(7, b"forged"))
    folder = dead(tmp_path, [b"first", inner * 3, b"last"])
    start = len(flat(chunk(0, b"first")))

    def break_payload(data):
        data[start + 40] ^= 1

    spoil(folder, break_payload)
    assert contents(drain(SpoolReader(folder))) == [b"first", b"last"]

    folder = dead(tmp_path, [b"first", inner * 3])
    spoil(folder, lambda data: data[:-1])
    assert contents(drain(SpoolReader(folder))) == [b"first"]


def test_missing_segments_are_damage(tmp_path):
    folder = dead(tmp_path, [b"0", b"1", b"2", b"3"], segment_bytes=1)
    spool.segment_path(folder, 2).unlink()
    spool.segment_path(folder, 3).unlink()
    found = drain(SpoolReader(folder))
    assert contents(found) == [b"0", b"3"]
    assert [(one.size_bytes, one.reason) for one in damages(found)] == [
        (None, "segments 2 to 3 are missing")
    ]


def test_a_damaged_stretch_longer_than_the_limit_is_one_damage(tmp_path):
    folder = dead(tmp_path, [b"a" * 50_000, b"b"])

    def break_head(data):
        data[:16] = bytes(16)

    spoil(folder, break_head)
    found = drain(SpoolReader(folder), limit_bytes=100)
    assert [type(one) for one in found] == [Damage, SpoolRecord]
    assert contents(found) == [b"b"]


def test_magics_in_a_damaged_stretch_are_looked_at_and_passed_over(tmp_path):
    folder = dead(tmp_path, [b"WSP1" * 20 + flat(chunk(5, b"x"))[:-1], b"last"])

    def break_head(data):
        data[6] ^= 1

    spoil(folder, break_head)
    assert contents(drain(SpoolReader(folder))) == [b"last"]


def test_a_segment_that_vanishes_is_nothing(tmp_path):
    folder = dead(tmp_path, [b"0"])
    spool.segment_path(folder, 1).unlink()
    spool.segment_path(folder, 1).symlink_to(tmp_path / "none")
    assert SpoolReader(folder).read() == []


def test_a_dead_writer_whose_log_is_not_read_is_not_removed(tmp_path):
    folder = dead(tmp_path, [b"0"])
    assert not SpoolReader(folder).remove()
    assert contents(drain(SpoolReader(folder))) == [b"0"]


# --- a living writer -----------------------------------------------------------------------------


@given(keep=st.integers(0, 10**6), published=st.booleans())
@settings(deadline=None)
def test_a_torn_end_of_a_living_writer_is_waited_for(tmp_path_factory, keep, published):
    writer = SpoolWriter(tmp_path_factory.mktemp("spool"))
    writer.append(chunk(0, b"whole"))
    reader = SpoolReader(writer.folder)
    path = spool.segment_path(writer.folder, 1)
    end = path.stat().st_size
    batch = flat(chunk(1, b"x" * 40)) + flat(chunk(2, b"y" * 40))
    first = batch[:1] if published else b"\0"
    # Published means that the rest was there before.
    shown = first + batch[1:] if published else (first + batch[1:])[: keep % (len(batch) + 1)]
    with path.open("r+b") as file:
        file.seek(end)
        file.write(shown)
    expected = [b"whole", b"x" * 40, b"y" * 40] if published else [b"whole"]
    assert contents(drain(reader)) == expected
    assert reader.lag_bytes() == (0 if published else len(shown))
    with path.open("r+b") as file:
        file.seek(end)
        file.write(batch)
    assert contents(drain(SpoolReader(writer.folder))) == [b"whole", b"x" * 40, b"y" * 40]
    writer.close()


def test_what_a_killed_writer_had_not_published_is_still_read(tmp_path):
    folder = dead(tmp_path, [b"0", b"1", b"2"])

    def unpublish(data):
        data[0] = 0

    spoil(folder, unpublish)
    assert contents(drain(SpoolReader(folder))) == [b"0", b"1", b"2"]


def test_damage_in_a_living_writers_newest_segment_is_passed_over(tmp_path):
    writer = SpoolWriter(tmp_path)
    reader = SpoolReader(writer.folder)
    for number in range(2):
        writer.append(chunk(number, b"%d" % number))

    def break_head(data):
        data[5] ^= 1

    spoil(writer.folder, break_head)
    assert contents(drain(reader)) == [b"1"]
    size = len(flat(chunk(1, b"1")))

    def break_second_head(data):
        data[size + 5] ^= 1

    reader = SpoolReader(writer.folder, Position(1, size))
    spoil(writer.folder, break_second_head)
    assert drain(reader) == []  # may still be torn
    path = spool.segment_path(writer.folder, 1)
    batch = flat(chunk(2, b"2")) + flat(chunk(3, b"3"))
    with path.open("ab") as file:
        file.write(b"\0" + batch[1:])
    assert drain(reader) == []  # what follows is being written
    with path.open("r+b") as file:
        file.seek(2 * size)
        file.write(batch)
    assert contents(drain(reader)) == [b"2", b"3"]
    writer.close()


def test_a_tailing_reader_sees_all_of_a_busy_writer_in_order(tmp_path):
    writer = SpoolWriter(tmp_path, segment_bytes=20_000)
    rng = random.Random(2)
    datas = [rng.randbytes(rng.randrange(2000)) for _ in range(1500)]

    def write():
        for start in range(0, len(datas), 5):
            batch = [
                part for number in range(start, start + 5) for part in chunk(number, datas[number])
            ]
            writer.append(batch)
            writer.sync()
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    reader = SpoolReader(writer.folder)
    found = []
    while not reader.finished():
        got = reader.read(10_000)
        found += got
        reader.acknowledge(reader.position)
        if not got:
            time.sleep(0.001)  # the writer needs the interpreter as well
    thread.join()
    found += drain(reader)
    assert damages(found) == []
    assert contents(found) == datas
    assert spool.segments(writer.folder) == [reader.position.segment]


def test_a_segment_is_full_before_the_next_begins_and_acknowledged_ones_go(tmp_path):
    writer = SpoolWriter(tmp_path, segment_bytes=150)
    for number in range(6):
        writer.append(chunk(number, b"x" * 40))
    assert spool.segments(writer.folder) == [1, 2, 3]
    reader = SpoolReader(writer.folder)
    reader.read()
    assert reader.position.segment == 1
    before = reader.lag_bytes()
    reader.acknowledge(reader.position)
    assert spool.segments(writer.folder) == [1, 2, 3]
    drain(reader)
    assert reader.lag_bytes() == 0 < before
    reader.acknowledge(reader.position)
    assert spool.segments(writer.folder) == [3]
    assert not reader.finished()
    assert not reader.remove()
    writer.close()
    assert reader.finished()
    assert reader.remove()
    assert not writer.folder.exists()
    assert reader.read() == []
    assert reader.remove()


def test_a_segment_that_is_parted_with_goes_as_soon_as_it_was_read(tmp_path):
    writer = SpoolWriter(tmp_path)
    writer.begin_segment()  # nothing to part with
    assert spool.segments(writer.folder) == [1]
    writer.append(chunk(0, b"before"))
    writer.begin_segment()
    writer.begin_segment()
    assert spool.segments(writer.folder) == [1, 2]
    reader = SpoolReader(writer.folder)
    assert contents(drain(reader)) == [b"before"]
    reader.acknowledge(reader.position)
    assert spool.segments(writer.folder) == [2]
    writer.append(chunk(1, b"after"))
    assert contents(drain(reader)) == [b"after"]
    writer.close()


def test_a_segment_that_cannot_be_begun_leaves_the_log_as_it_is(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path)
    writer.append(chunk(0, b"one"))

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(StoreError, match="no segment in"):
            writer.begin_segment()
    writer.append(chunk(1, b"two"))
    writer.begin_segment()
    assert contents(drain(SpoolReader(writer.folder))) == [b"one", b"two"]
    assert spool.segments(writer.folder) == [1, 2]
    writer.close()


def test_a_reader_goes_on_from_any_position(tmp_path):
    datas = [b"%d" % number for number in range(20)]
    folder = dead(tmp_path, datas, segment_bytes=100)
    found, position = [], Position()
    while True:
        reader = SpoolReader(folder, position)
        got = reader.read(1)
        if not got:
            break
        assert len(got) == 1
        found += got
        position = reader.position
    assert contents(found) == datas


def test_catching_up_reads_no_more_than_the_limit_and_one_record(tmp_path):
    folder = dead(tmp_path, [bytes(100_000)] * 50)
    reader = SpoolReader(folder)
    before = _read_bytes()
    found = drain(reader, limit_bytes=150_000)
    assert len(found) == 50
    assert _read_bytes() - before < 2.5 * 5_000_000


def _read_bytes():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])


# --- who writes ----------------------------------------------------------------------------------


def test_one_writer_at_a_time_and_never_into_an_old_segment(tmp_path):
    first = SpoolWriter(tmp_path, name="w")
    with pytest.raises(Busy):
        SpoolWriter(tmp_path, name="w")
    first.append(chunk(0, b"0"))
    first.close()
    second = SpoolWriter(tmp_path, name="w")
    second.append(chunk(1, b"1"))
    assert spool.segments(second.folder) == [1, 2]
    reader = SpoolReader(second.folder)
    assert contents(drain(reader)) == [b"0", b"1"]
    assert reader.is_live()
    second.close()
    assert not reader.is_live()


def test_a_writer_whose_folder_is_being_removed_makes_it_anew(tmp_path):
    for _ in range(15):
        SpoolWriter(tmp_path, name="w").close()
        reader = SpoolReader(tmp_path / "w")
        thread = threading.Thread(target=reader.remove)
        thread.start()
        writer = SpoolWriter(tmp_path, name="w")
        thread.join()
        writer.append(chunk(0, b"kept"))
        reader = SpoolReader(writer.folder)
        assert contents(drain(reader)) == [b"kept"]
        assert not reader.remove()
        writer.close()
        assert reader.remove()


def test_a_reader_of_a_former_writer_of_that_name_begins_anew(tmp_path):
    folder = dead(tmp_path, [b"new"])
    assert contents(drain(SpoolReader(folder, Position(9, 77)))) == [b"new"]


def test_strangers_in_the_spool_are_passed_over(tmp_path):
    folder = dead(tmp_path, [b"0"])
    (folder / "x.spool").touch()
    (folder / "notes").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "file").touch()
    assert list(spool.writers(tmp_path)) == [folder]
    assert list(spool.writers(tmp_path / "none")) == []
    assert spool.segments(folder) == [1]
    assert spool.segments(tmp_path / "file") == []
    reader = SpoolReader(folder)
    drain(reader)
    assert reader.remove()
    assert sorted(path.name for path in folder.iterdir()) == ["notes", "x.spool"]


def test_folder_and_segments_are_private(tmp_path):
    writer = SpoolWriter(tmp_path)
    assert writer.folder.stat().st_mode & 0o777 == 0o700
    for path in writer.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    writer.close()


# --- a disk that refuses -------------------------------------------------------------------------


def run(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL = """
    import errno, os, sys
    from pathlib import Path
    from storage import spool
    from storage.errors import StoreError

    room = [{room}]
    real = os.writev

    def full(handle, buffers):
        # As a disk with `room` bytes left: short first, then refusing.
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = memoryview(b"".join(buffers))[: room[0]]
        room[0] -= len(taken)
        return os.write(handle, taken)

    os.writev = full
    writer = spool.SpoolWriter(Path(sys.argv[1]), name="w")
    reader = spool.SpoolReader(writer.folder)
    kept, refused = [], []
    number = 0
    while len(refused) < 3:
        batch = []
        for number in (number, number + 1, number + 2):
            batch += spool.pack_chunk(bytes(16), number, "request-chunk", 0, 90, b"x" * 90)
        try:
            writer.append(batch)
            kept += [number - 2, number - 1, number]
            number += 1
        except StoreError:
            refused.append(number)
            number -= 2
        found = []
        while got := reader.read():
            found += got
        print(*[record.number for record in found])
    room[0] = 10**9
    writer.append(batch)
    while got := reader.read():
        print(*[record.number for record in got])
    writer.close()
    sys.stderr.write(f"{{kept}} {{refused}}")
    """


@pytest.mark.parametrize("room", [0, 1, 15, 150, 1000, 1003, 2500])
def test_on_a_full_disk_an_append_is_all_or_nothing_and_works_again_later(tmp_path, room):
    out = run(FULL.format(room=room), tmp_path)
    numbers = [int(word) for word in out.split()]
    assert numbers == list(range(len(numbers)))
    found = drain(SpoolReader(tmp_path / "w"))
    assert [one.number for one in found] == numbers
    assert len(numbers) % 3 == 0


LIMITED = """
    import resource, sys
    from pathlib import Path
    from storage import spool
    from storage.errors import StoreError

    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
    writer = spool.SpoolWriter(Path(sys.argv[1]), name="w")
    for number in range(40):
        size = 90 if number % 10 else {limit}
        try:
            writer.append(spool.pack_chunk(bytes(16), number, "request-chunk", 0, 1, b"x" * size))
            print(number)
        except StoreError:
            pass
    writer.close()
    """


@pytest.mark.parametrize("limit", [200, 1000, 4096, 5001])
def test_below_a_limit_on_file_sizes_the_spool_goes_on_in_more_segments(tmp_path, limit):
    out = run(LIMITED.format(limit=limit), tmp_path)
    numbers = [int(word) for word in out.split()]
    assert numbers == [number for number in range(40) if number % 10]
    found = drain(SpoolReader(tmp_path / "w"))
    assert [one.number for one in found] == numbers


def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *rest):
        if str(path).endswith(".spool"):
            raise OSError(28, "No space left on device")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match="No space left"):
        SpoolWriter(tmp_path, name="w")
    assert not files.is_locked(tmp_path / "w" / "lock")


def test_a_refused_sync_is_a_store_error_and_can_be_repeated(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path, segment_bytes=1)
    for number in range(3):
        writer.append(chunk(number, b"x"))
    real, calls = os.fsync, []

    def refuse_second(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", refuse_second)
    with pytest.raises(StoreError, match="could not be synced"):
        writer.sync()
    writer.sync()
    assert len(calls) == 1 + len(spool.segments(writer.folder)) + 1  # and the folder
    writer.close()


def test_a_segment_that_begins_during_a_sync_is_synced_by_the_next(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path, segment_bytes=1)
    for number in range(2):
        writer.append(chunk(number, b"x"))
    real, calls = os.fsync, []

    def append_meanwhile(handle):
        calls.append(handle)
        if len(calls) == 1:
            writer.append(chunk(2, b"x"))
        real(handle)

    monkeypatch.setattr(os, "fsync", append_meanwhile)
    writer.sync()
    first = len(calls)
    writer.sync()
    assert (first, len(calls) > first) == (3, True)
    writer.close()
    assert len(drain(SpoolReader(writer.folder))) == 3


def test_a_cut_that_fails_is_made_up_for_before_the_next_append(tmp_path, monkeypatch):
    writer = SpoolWriter(tmp_path)
    writer.append(chunk(0, b"first"))
    end = spool.segment_path(writer.folder, 1).stat().st_size
    real_writev, real_truncate = os.writev, os.ftruncate

    def short(handle, buffers):
        real_writev(handle, buffers)
        raise OSError(5, "Input/output error")

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "writev", short)
    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(StoreError):
        writer.append(chunk(1, b"y" * 100))
    monkeypatch.setattr(os, "writev", real_writev)
    with pytest.raises(StoreError):
        writer.append(chunk(1, b"z"))
    monkeypatch.setattr(os, "ftruncate", real_truncate)
    writer.append(chunk(1, b"z"))
    assert contents(drain(SpoolReader(writer.folder))) == [b"first", b"z"]
    assert spool.segment_path(writer.folder, 1).stat().st_size == end + len(flat(chunk(1, b"z")))
    writer.close()
