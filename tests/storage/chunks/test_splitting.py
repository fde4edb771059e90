"""Event streams are stored as text and framing where that gives the same bytes again."""

import contextlib
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import bodies
from storage.bodies import Growing
from storage.chunks import flaws, packs, proving, recoding, splitting
from storage.chunks.splitting import Split
from storage.errors import StoreError
from tests.storage.chunks.test_flaws import flip, named
from tests.storage.content import counts, noise, sweep

ANTHROPIC = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
)
RESPONSES = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":%d,"item_id":"msg_68c0",'
    b'"output_index":0,"content_index":0,"delta":"%b","logprobs":[],"obfuscation":"%b"}\n\n'
)
CHAT = (
    b'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795320320, '
    b'"choices": [{"index": 0, "delta": {"content": "%b"}, "finish_reason": null}]}\n\n'
)
GEMINI = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}],"role":"model"},"index":0}],'
    b'"usageMetadata":{"promptTokenCount":12546,"candidatesTokenCount":%d,'
    b'"totalTokenCount":%d},"modelVersion":"gemini-2.5-pro"}\r\n\r\n'
)


def pieces(text):
    """As a provider gives them: no escape is cut."""
    return re.findall(rb"(?:\\u[0-9a-f]{4}|\\.|[^\\]){1,9}", text)


def streamed(text):
    """An answer that says this, with other events before, between and behind."""
    start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01"}}\n\n'
    events = [ANTHROPIC % piece for piece in pieces(text)]
    # As Anthropic writes it.
    events.insert(1, b'event: ping\ndata: {"type": "ping"}\n\n')
    return start + b"".join(events) + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def coding(db, body):
    (found,) = db.execute("select coding from bodies where digest = ?", [body.digest]).fetchone()
    return found and recoding.unpack(found)


SAID = rb"What was \"said\" once\\\\ comes again\n with the next request, \u00e9 and all. " * 12
WIRES = {
    "anthropic": b"".join(ANTHROPIC % piece for piece in pieces(SAID)),
    "responses": b"".join(
        RESPONSES % (number, piece, b"%x" % (number * 7919))
        for number, piece in enumerate(pieces(SAID))
    ),
    "chat": b"".join(CHAT % piece for piece in pieces(SAID)),
    "gemini": b"".join(
        GEMINI % (piece, number, number + 12546) for number, piece in enumerate(pieces(SAID))
    ),
}


class TestSplit:
    @pytest.mark.parametrize("wire", WIRES)
    def test_what_was_said_stands_in_one_piece(self, wire):
        found, plain = splitting.split(WIRES[wire])
        assert SAID in plain
        assert len(plain) < len(WIRES[wire]) / 3
        assert found.frames <= 8
        assert splitting.joined(found, plain) == WIRES[wire]

    @pytest.mark.parametrize("wire", WIRES)
    def test_cut_off_anywhere(self, wire):
        """In an escape too."""
        whole = WIRES[wire]
        for stop in range(len(whole) // 2, len(whole) // 2 + 400):
            found, plain = splitting.split(whole[:stop])
            assert splitting.joined(found, plain) == whole[:stop]

    def test_the_form_is_for_ever(self):
        """These bytes lie in stores."""
        stream = (
            b'data: {"text":"Hel","n_number":1}\n\ndata: {"text":"lo.","n_number":2}\n\n'
            b'data: {"text":"' + b"!" * 300 + b'","n_number":10}\n\n'
        )
        plain = (
            b"Hello." + b"!" * 300 + b'1210data: {"text":"\0","n_number":\0}\n\ndata: {"text":"\0'
            b"}\n\n\0\1\0\0\1\2\1\2\1\3\3\x2c\1\1\2\0\0\1\0\0\0"
        )
        form = Split(1, len(plain), 6, 3, 2)
        assert splitting.joined(form, plain) == stream
        hints = splitting._hints(stream)
        assert splitting._formed(hints.pattern.split(stream), hints) == (form, plain)
        assert recoding.pack(form)[:-4] == bytes.fromhex("9501cd017f060302")
        assert recoding.unpack(recoding.pack(form)) == form

    @pytest.mark.parametrize(
        "came",
        [
            b"data: {}\n\n" * 200,
            b"data: [DONE]\n\n",
            WIRES["chat"][:500],
            b"event: " + noise(3000),
            b": " + SAID * 4,
            WIRES["chat"] + b"\0",
            WIRES["chat"] * 200,
            b"".join(b'data: {"n":%d,"text":"a"}\n\n' % number for number in range(300)),
            b'data: {"text":"' + SAID * 9 + b'"}\n\n',
            WIRES["gemini"] + b'data: {"text":"Count":1}\n\n',  # its form gives other bytes
        ],
        ids=["empty", "tiny", "short", "noise", "comment", "NUL", "long", "unlike", "one", "proof"],
    )
    def test_what_stays_as_it_is(self, came):
        assert recoding.undone(came) is None

    @given(st.binary(max_size=300))
    def test_any_bytes(self, tail):
        """Behind a stream."""
        data = WIRES["anthropic"][:2000] + tail
        found = splitting.split(data)
        assert (found is None) == (b"\0" in tail)
        assert found is None or splitting.joined(*found) == data

    texts = st.lists(
        st.binary(max_size=20).map(lambda text: text.replace(b"\0", b'\\"')), min_size=9
    )

    @given(st.sampled_from([ANTHROPIC, CHAT]), texts)
    def test_any_texts(self, event, texts):
        """Invalid ones, with quotation marks and halves of escapes."""
        data = b"".join(event % text for text in texts)
        found = splitting.split(data)
        assert found is None or splitting.joined(*found) == data

    @given(st.binary(max_size=60), *[st.integers(-2, 70)] * 3)
    def test_bytes_that_are_not_of_the_form(self, plain, holes, frames, planes):
        with contextlib.suppress(StoreError):
            splitting.joined(Split(1, len(plain), holes, frames, planes), plain)


class TestStored:
    @pytest.mark.parametrize("wire", WIRES)
    def test_what_came(self, db, wire):
        came = WIRES[wire]
        body = bodies.put(db, came)
        assert coding(db, body)
        view = bodies.view(db.conn, body.digest)
        assert view.size_bytes == body.size_bytes == len(came)
        assert view.read() == came
        assert view.read(1000, 1100) == came[1000:1100]
        assert b"".join(view.stream(7, 2000)) == came[7:2000]
        at = view.plain.read().index(SAID)
        stretch = view.plain.stretch(at, at + len(SAID))
        assert stretch.size_bytes == len(SAID)
        named(db, [body])
        assert list(proving.verify(db.conn)) == []
        assert flaws.repair(db) == []
        assert proving.foreign_codings(db.conn) == {}
        bodies.release(db, body.digest)
        sweep(db)
        assert not any(counts(db).values())

    def test_it_costs_its_text(self, db):
        """One with the same framing as another."""
        bodies.put(db, streamed(SAID))
        bodies.put(db, streamed(noise(500).hex().encode()))
        (size,) = db.execute("select sum(size_bytes) from packs").fetchone()
        assert size < len(streamed(SAID)) / 2

    @pytest.mark.parametrize("size", [9000, 400_000], ids=["short", "cut meanwhile"])
    def test_as_it_grew(self, db, size):
        came = streamed(noise(size // 30).hex().encode())
        growing = Growing("e", "response")
        for at in range(0, len(came), 100_000):
            growing.append(came[at : at + 100_000])
            growing.flush(db)
            view = bodies.growing(db.conn, "e", "response", bodies.nothing)
            assert view.read() == came[: at + 100_000]
        body = growing.finish(db)
        assert coding(db, body)
        assert bodies.view(db.conn, body.digest).read() == came
        sweep(db)
        bodies.release(db, body.digest)
        sweep(db)
        assert not any(counts(db).values())

    def test_a_flipped_bit_costs_nothing(self, db):
        came = streamed(SAID)
        body = bodies.put(db, came)
        named(db, [body])
        (frame,) = db.execute("select data from packed").fetchone()
        for bit in range(5, 8 * len(frame), 997):
            db.execute("update packed set data = ?", [flip(frame, bit)])
            packs.forget_all()
            assert bodies.view(db.conn, body.digest).read() == came
        db.execute("update packed set data = ?", [frame])
        (sealed,) = db.execute("select coding from bodies").fetchone()
        for bit in range(8 * len(sealed)):
            db.execute("update bodies set coding = ?", [flip(sealed, bit)])
            assert bodies.view(db.conn, body.digest).read() == came

    def test_damage_is_named(self, db):
        body = bodies.put(db, streamed(noise(9000).hex().encode()))
        named(db, [body])
        (frame,) = db.execute("select data from packed").fetchone()
        db.execute("update packed set data = ?", [flip(flip(frame, 33_000), 33_010)])
        packs.forget_all()
        (damage,) = proving.verify(db.conn)
        assert (damage.digest, damage.entry_ids) == (body.digest, ("entry-000",))
        with pytest.raises(StoreError, match=f"body {body.digest.hex()} is damaged"):
            bodies.view(db.conn, body.digest).read(10, 20)

    @pytest.mark.parametrize("more_bytes", [-64, 64])
    def test_a_size_that_is_not_its_own(self, db, more_bytes):
        came = streamed(SAID)
        body = bodies.put(db, came)
        named(db, [body])
        db.execute("update bodies set size_bytes = size_bytes + ?", [more_bytes])
        with pytest.raises(StoreError, match=f"{len(came)} bytes instead of"):
            bodies.view(db.conn, body.digest).read()
        flaws.repair(db)
        assert bodies.view(db.conn, body.digest).read() == came

    def test_a_form_that_is_not_known(self, db):
        body = bodies.put(db, streamed(SAID))
        known = msgspec.structs.replace(coding(db, body), form=2)
        db.execute("update bodies set coding = ?", [recoding.pack(known)])
        packs.forget_all()
        (damage,) = proving.verify(db.conn)
        assert "stored split, wrongly" in damage.reason
