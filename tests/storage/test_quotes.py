"""What messages hold is kept as quotes of bodies, and comes back whatever happens to the chunks."""

import json
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from storage import bodies, contents, database, quotes
from storage.chunks import packing, packs
from storage.contents import Contents
from storage.decoded import (
    CompactionPart,
    MediaPart,
    OtherPart,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from storage.projection import rows
from storage.quoting import Source
from storage.records import Entry
from storage.schema import migrations
from tests.storage import projected
from tests.storage.chunks.test_splitting import streamed


def noise(size, seed=1):
    """Text that nothing can compress much, with some escapes in it."""
    chance = random.Random(seed)
    return "".join(
        chance.choice('abcdefghijklmnopqrstuvwxyz0123456789 \n"\\/<é') for _ in range(size)
    )


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def go(value):
    """As Go's encoding/json writes it."""
    text = compact(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


CLIENTS = {
    "compact": compact,
    "ascii": json.dumps,
    "indented": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
    "go": go,
}


def body_of(parts, client=compact, before="", behind=""):
    """A request with a message of these parts, as a client sends it."""
    said = []
    for part in parts:
        match part:
            case ToolCallPart(is_custom=False):
                said.append({"type": "tool_use", "input": part.arguments})
            case ToolCallPart():
                said.append({"arguments": part.arguments})
            case OtherPart():
                said.append({"type": part.type, "json": part.json.decode()})
            case MediaPart():
                said.append({"type": "image", "url": part.url})
            case _:
                said.append({"type": "text", "text": part.text})
    return client({"messages": [before, said], "tools": behind}).encode()


def entry_with(body):
    return Entry(
        id="e", session_id="s", kind="http", way="proxy", started_ns=1, client="", method="POST",
        scheme="https", host="h", port=443, target=b"/", http_version="HTTP/1.1",
        request_headers=(), request_body=body,
    )  # fmt: skip


def source(db, data):
    return Source(db.conn, entry_with(bodies.put(db, data)), None, None)


def quoted(db, parts, data=None):
    """Content of the parts, which quotes a body."""
    content = rows.pack(parts, source(db, data or body_of(parts)))
    assert quotes.is_quoted(content)
    return content


def opened(db, content):
    packs.forget_all()
    return rows.unpack(content, quotes.Opener(db.conn))


def sweep(db):
    while bodies.sweep_released(db, lambda: False):
        pass


# --- round trips ---------------------------------------------------------------------------------

LONG = (
    ThinkingPart(text=noise(700, 1), extra_json=b'{"signature":"' + b"Ab3/" * 90 + b'"}'),
    TextPart(text=noise(500, 2)),
    ToolCallPart(
        call_id="toolu_01ABCDEFGHIJKLMN", name="Edit",
        arguments=compact({"file_path": "/a/b.py", "old_string": noise(400, 3)}),
    ),
)  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_a_message_is_a_few_bytes_however_its_client_writes_json(db, client):
    content = quoted(db, LONG, body_of(LONG, CLIENTS[client], noise(9000, 4), noise(9000, 5)))
    assert opened(db, content) == LONG
    # Of the signature only the name is in this body.
    assert len(content) < 200


def test_arguments_that_stand_in_the_body_as_they_came(db):
    call = LONG[2]
    data = b'{"messages":[{"type":"tool_use","input":%s}]}' % call.arguments.encode()
    content = quoted(db, (call,), data)
    assert opened(db, content) == (call,)
    assert len(content) < 120


def test_arguments_that_are_sent_again_with_other_space_between(db):
    lines = [f"def function_{number}(one, another):\n\tpass\n" for number in range(80)]
    random.Random(6).shuffle(lines)
    said = {"new": "".join(lines), "old": noise(30)}
    call = ToolCallPart(call_id="c", name="Edit", arguments=json.dumps(said, ensure_ascii=False))
    data = b'{"input":%s}' % compact(said).encode()
    content = quoted(db, (call,), data)
    assert opened(db, content) == (call,)
    assert len(content) < 120


def test_what_is_in_no_body_stays_in_the_row(db):
    content = rows.pack(LONG, source(db, b'{"messages":[]}'))
    assert not quotes.is_quoted(content)
    assert opened(db, content) == LONG


def test_what_is_short_stays_in_the_row(db):
    parts = (TextPart(text="please list the files"),)
    content = rows.pack(parts, source(db, body_of(parts)))
    assert not quotes.is_quoted(content)
    assert opened(db, content) == parts


def test_over_the_borders_of_chunks_and_packs(db):
    parts = (ToolResultPart(call_id="c", text=noise(400_000, 7)),)
    content = quoted(db, parts, body_of(parts, before=noise(3000, 8), behind=noise(90_000, 9)))
    assert db.execute("select count(*) from packs").fetchone()[0] > 1
    assert opened(db, content) == parts
    assert len(content) < 200


def test_a_body_that_came_coded_is_quoted_as_it_is_stored(db):
    data = zstandard.ZstdCompressor(level=3).compress(body_of(LONG, before=noise(9000, 4)))
    content = quoted(db, LONG, data)
    assert opened(db, content) == LONG
    assert len(content) < 200


def test_a_streamed_answer_is_quoted_as_it_is_stored(db):
    said = noise(900, 5)
    content = quoted(db, (TextPart(text=said),), streamed(compact(said)[1:-1].encode()))
    assert opened(db, content) == (TextPart(text=said),)
    assert len(content) < 100


def test_texts_far_apart_and_twice(db):
    one, two = noise(300, 1), noise(300, 2)
    parts = (TextPart(text=one), TextPart(text=two), TextPart(text=one))
    data = compact([one, noise(5000, 3), two, noise(5000, 4), one]).encode()
    content = quoted(db, parts, data)
    assert opened(db, content) == parts
    assert len(content) < 100


TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.text('\\"/\n\t\r\b\f\x00\x7fab<&é\U0001f600\u2028', max_size=300),
    st.integers(0, 99).map(lambda seed: noise(300, seed)),
)
JSON_TEXTS = TEXTS.map(compact)
PARTS = st.lists(
    st.one_of(
        st.builds(TextPart, text=TEXTS),
        st.builds(ThinkingPart, text=TEXTS, extra_json=JSON_TEXTS.map(str.encode)),
        st.builds(RefusalPart, text=TEXTS),
        st.builds(CompactionPart, text=TEXTS),
        st.builds(ToolResultPart, call_id=st.none(), text=TEXTS),
        st.builds(ToolCallPart, call_id=st.just("c"), name=st.just("n"), arguments=JSON_TEXTS,
                  is_custom=st.booleans()),
        st.builds(MediaPart, media=st.just("image"), url=TEXTS),
        st.builds(OtherPart, type=st.just("t"), json=JSON_TEXTS.map(str.encode)),
    ),
    max_size=5,
).map(tuple)  # fmt: skip


@pytest.fixture(scope="module")
def shared_db():
    db = Database(memory=True)
    migrations.apply(db)
    yield db
    db.close()


@settings(max_examples=40, deadline=None)
@given(parts=PARTS, client=st.sampled_from(list(CLIENTS.values())), cut=st.integers(0, 400))
def test_any_parts_come_back(shared_db, parts, client, cut):
    data = body_of(parts, client)[cut:]  # what is missing is not found
    content = rows.pack(parts, source(shared_db, data or b"0"))
    assert rows.unpack(content, quotes.Opener(shared_db.conn)) == parts


# --- what happens meanwhile ----------------------------------------------------------------------


def test_packed_anew(db):
    stored = []
    for seed in range(12):
        parts = (TextPart(text=noise(9000, seed)),)
        stored.append((parts, quoted(db, parts)))
    opener = quotes.Opener(db.conn)
    assert all(rows.unpack(content, opener) == parts for parts, content in stored)
    before = db.execute("select token from packs").fetchall()
    while packing.repack(db, is_resting=True):
        packs.forget_all()
        assert all(rows.unpack(content, opener) == parts for parts, content in stored)
    assert db.execute("select token from packs").fetchall() != before


def test_another_body_with_the_chunks_goes(db):
    parts = (TextPart(text=noise(5000)),)
    first = bodies.put(db, body_of(parts, behind=noise(4000, 2)))
    content = quoted(db, parts)
    bodies.release(db, first.digest)
    sweep(db)
    while packing.repack(db, is_resting=True):
        pass
    assert opened(db, content) == parts


def kept(db, parts):
    """A message that quotes a body; its id, and the body."""
    projected.tell(db, "s")
    body = bodies.put(db, body_of(parts))
    content = rows.pack(parts, Source(db.conn, entry_with(body), None, None))
    assert quotes.is_quoted(content)
    (one,) = db.execute("select id from messages limit 1").fetchone()
    db.execute("update messages set content = ?, preview = null where id = ?", [content, one])
    return one, content, body


def test_a_message_that_was_deleted_is_none(db):
    one, content, body = kept(db, LONG)
    found = Contents(db.conn)
    assert found.parts(one, content) == LONG
    db.execute("delete from messages where id = ?", [one])
    bodies.release(db, body.digest)
    sweep(db)
    packs.forget_all()
    assert Contents(db.conn).parts(one, content) is None
    assert Contents(db.conn).part(one, 0) is None


def test_a_message_that_was_put_down_again_is_read_anew(db):
    one, content, body = kept(db, LONG)
    again = (TextPart(text="made again"),)
    db.execute("update messages set content = ? where id = ?", [rows.pack(again), one])
    bodies.release(db, body.digest)
    sweep(db)
    packs.forget_all()
    assert Contents(db.conn).parts(one, content) == again


def test_a_part_that_is_gone_from_the_middle_gives_no_other_bytes(db):
    """A pack keeps the numbers of chunks that went, without their bytes."""
    parts = (TextPart(text=noise(30_000)),)
    _, content, _ = kept(db, parts)
    (first, count) = db.execute("select first, count from packs").fetchone()
    packing.count(db, [(first + count // 2, 1)], -1)
    sweep(db)
    with pytest.raises(packs.Missing):
        opened(db, content)


@pytest.mark.parametrize("at", [0, 5, 40, 200])
def test_damage_is_said_and_costs_nothing_else(db, at):
    one, content, _ = kept(db, LONG)
    db.execute(
        "update packed set data = cast(substr(data, 1, :at) || x'5a5a5a' || substr(data, :at + 4) "
        "as blob)",
        {"at": at},
    )
    packs.forget_all()
    (found,) = Contents(db.conn).parts(one, content)
    assert found.type == contents.DAMAGED
    assert b"damaged" in found.json or b"missing" in found.json
    assert Contents(db.conn).part(one, 2) == found


def test_chunks_that_stand_for_other_bytes_are_no_message(db):
    _, content, _ = kept(db, LONG)
    other = quoted(db, (TextPart(text=noise(3000, 77)),))
    size = content[1]
    forged = content[: 2 + size] + other[2 + other[1] :]
    with pytest.raises(database.StoreError):
        opened(db, forged)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:1] + b"\x01" + content[2:],
        lambda content: content[:2] + b"\x80" * content[1] + content[2 + content[1] :],
        lambda content: content[:1],
        lambda content: content[:1] + b"\xff",
    ],
    ids=["short list", "no end of a number", "nothing behind the form", "cut in a number"],
)
def test_a_damaged_row_is_a_damaged_message(db, change):
    one, content, _ = kept(db, LONG)
    db.execute("update messages set content = ? where id = ?", [change(content), one])
    (found,) = Contents(db.conn).parts(one, change(content))
    assert found.type == contents.DAMAGED
