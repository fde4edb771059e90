"""
The store of bodies as a state machine: any bytes, any order of writes, growth, deletes, repacks,
sweeps, flipped bits, rollbacks and kills; after each step every body is what it was.
"""

import contextlib
import hashlib
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage import bodies, database
from storage.chunks import flaws, packing, packs, proving
from storage.errors import NotFound
from tests.storage.chunks.test_flaws import flip
from tests.storage.chunks.test_recoding import coded, words
from tests.storage.chunks.test_splitting import streamed
from tests.storage.content import noise

PARTS = [
    random.Random(1).randbytes(3000),
    words(5000, 2),
    words(20_000, 3),
    b'{"role":"user"}' * 200,
    bytes(9000),
    random.Random(4).randbytes(120_000),
    b"x",
    streamed(words(3000, 6)),
]
TALK = words(40_000, 5)
# Parts by their numbers, so that what failed is told in few words.
contents = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.lists(st.integers(0, len(PARTS) - 1), min_size=1, max_size=6),
    st.tuples(st.sampled_from([8, 0, 9]), st.integers(0, 4), st.booleans()),
    st.tuples(st.sampled_from([8, 9]), st.integers(0, 4), st.just(False)),
)


def made(content):
    """Bytes as they are; a list: these parts; else a talk with marks, that grew, zstd-coded."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        return b"".join(PARTS[number] for number in content)
    marks, grown, is_coded = content
    whole = b"".join(
        TALK[at : at + 3000] + (noise(300, at) if at < marks * 3000 else b"")
        for at in range(0, 30_000 + grown * 2000, 3000)
    )
    return coded(whole) if is_coded else whole


class Undone(Exception):
    """A transaction that fails."""


class Bodies(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.copies = 0
        self.stored = {}  # by digest: bytes, uses
        self.growing = {}  # by entry: the object, what it was given, what of that is committed
        self.db = None

    @initialize()
    def begin(self):
        """With what makes other bodies have recipes of many runs, so that they have bases."""
        self.open()
        self.put([(0, 4, False), (8, 0, False)])

    def open(self):
        self.db = database.create(self._path())
        self.db.execute("pragma synchronous = off")

    def _path(self):
        return Path(self.folder.name) / f"{self.copies}.db"

    # --- writing ---------------------------------------------------------------------------------

    @rule(several=st.lists(contents, min_size=1, max_size=4))
    def put(self, several):
        for content in several:
            data = made(content)
            digest = bodies.put(self.db, data).digest
            assert digest == hashlib.sha256(data).digest()
            self._stored(digest, data)

    def _stored(self, digest, data):
        self.stored[digest] = (data, self.stored.get(digest, (b"", 0))[1] + 1)

    @rule(marks=st.integers(6, 9), kept=st.lists(st.booleans(), min_size=2, max_size=5))
    def talk(self, marks, kept):
        """Bodies that grew out of each other, whose bases go."""
        every = [made((marks, grown, False)) for grown in range(len(kept))]
        digests = [bodies.put(self.db, data).digest for data in every]
        for digest, data, is_kept in zip(digests, every, kept, strict=True):
            if is_kept:
                self._stored(digest, data)
            else:
                bodies.release(self.db, digest)

    @rule(content=contents, undo=st.booleans())
    def put_and_release(self, content, undo):
        """In one transaction, which may fail."""
        data = made(content)
        with contextlib.suppress(Undone), database.write(self.db):
            digest = bodies.put(self.db, data).digest
            bodies.release(self.db, digest)
            bodies.sweep_released(self.db, lambda: False)
            if undo:
                raise Undone

    @precondition(lambda self: self.stored)
    @rule(choice=st.integers(0, 1000))
    def release(self, choice):
        digest = sorted(self.stored)[choice % len(self.stored)]
        data, uses = self.stored.pop(digest)
        bodies.release(self.db, digest)
        if uses > 1:
            self.stored[digest] = (data, uses - 1)
        else:
            with pytest.raises(NotFound):
                bodies.view(self.db.conn, digest)

    # --- growing ---------------------------------------------------------------------------------

    @rule(entry=st.sampled_from("ab"), content=contents)
    def append(self, entry, content):
        data = made(content)
        growing, sent, committed = self.growing.get(entry) or (
            bodies.Growing(entry, "request"),
            b"",
            b"",
        )
        growing.append(data)
        self.growing[entry] = growing, sent + data, committed

    @rule(entry=st.sampled_from("ab"), undo=st.booleans())
    def flush(self, entry, undo):
        if entry not in self.growing:
            return
        growing, sent, committed = self.growing[entry]
        with contextlib.suppress(Undone), database.write(self.db):
            growing.flush(self.db)
            if undo:
                raise Undone
            committed = sent
        if undo:
            self._resume(entry, committed)
        else:
            self.growing[entry] = growing, sent, committed

    @rule(entry=st.sampled_from("ab"), undo=st.booleans())
    def finish(self, entry, undo):
        if entry not in self.growing:
            return
        growing, sent, committed = self.growing.pop(entry)
        with contextlib.suppress(Undone), database.write(self.db):
            body = growing.finish(self.db)
            if undo:
                raise Undone
        if undo:
            self._resume(entry, committed)
        elif sent:
            self._stored(body.digest, sent)
            assert hashlib.sha256(sent).digest() == body.digest

    @rule(entry=st.sampled_from("ab"))
    def discard(self, entry):
        if entry in self.growing:
            with database.write(self.db):
                self.growing.pop(entry)[0].discard(self.db)

    def _resume(self, entry, committed):
        self.growing[entry] = bodies.Growing.resume(self.db, entry, "request"), committed, committed

    # --- what happens between --------------------------------------------------------------------

    @rule()
    def repack(self):
        packing.repack(self.db, is_resting=True)

    @rule()
    def join_all(self):
        rows = self.db.execute("select first, is_dirty from packs order by first").fetchall()
        if rows and not any(is_dirty for _, is_dirty in rows):
            with database.write(self.db):
                packing._join(self.db, [first for first, _ in rows], 2)

    @rule(whole=st.booleans())
    def sweep(self, whole):
        with database.write(self.db):
            while bodies.sweep_released(self.db, lambda: not whole) and whole:
                pass

    @rule(choice=st.integers(0, 1000), bit=st.integers(0, 10**7), repair=st.booleans())
    def flip_a_bit(self, choice, bit, repair):
        """Of something stored; another one of the same only after a repair."""
        table, column = [("packed", "data"), ("packs", "sizes"), ("bodies", "recipe")][choice % 3]
        rows = self.db.execute(f"select rowid, {column} from {table}").fetchall()
        if rows:
            number, data = rows[choice % len(rows)]
            broken = flip(data, bit % (8 * len(data)))
            self.db.execute(f"update {table} set {column} = ? where rowid = ?", [broken, number])
            self.forget()
            self.check()
            if repair:
                self._repair()
            else:
                self.db.execute(f"update {table} set {column} = ? where rowid = ?", [data, number])

    def _repair(self):
        """As `doctor` does, but that no entries are there whose bodies these would be."""
        for flaw in [*flaws._recipe_flaws(self.db.conn), *flaws._pack_flaws(self.db.conn)]:
            for statement, values in flaw.mending:
                self.db.execute(statement, list(values))
        self.forget()

    @rule()
    def forget(self):
        """As in a new process."""
        bodies.matching._memories.clear()
        packs.forget_all()

    @rule()
    def forget_keys(self):
        """As if so much had come since that only landmarks are found."""
        memory = bodies.matching.memory(self.db)
        memory.clear()
        (memory.stamp,) = self.db.execute("select stamp from numbering").fetchone()

    @rule()
    def kill(self):
        """What is in the files at this moment goes on, and what was in memory is gone."""
        before = self._path()
        self.copies += 1
        for suffix in ("", "-wal"):
            source = before.with_name(before.name + suffix)
            if source.exists():
                shutil.copyfile(source, self._path().with_name(self._path().name + suffix))
        self.db.close()
        self.open()
        self.forget()
        for entry, (_, _, committed) in list(self.growing.items()):
            self._resume(entry, committed)

    # --- what is always so -----------------------------------------------------------------------

    @invariant()
    def check(self):
        if self.db is None:
            return
        for digest, (data, _) in self.stored.items():
            view = bodies.view(self.db.conn, digest)
            assert view.read() == data
            middle = len(data) // 2
            assert view.read(middle, middle + 9) == data[middle : middle + 9]
        for entry, (_, _, committed) in self.growing.items():
            view = bodies.growing(self.db.conn, entry, "request", bodies.nothing)
            assert view.read() == committed

    @invariant()
    def counts(self):
        if self.db is None:
            return
        assert flaws._chunk_uses(self.db.conn, 0)[0] == []
        uses = self.db.execute("select digest, uses from bodies where uses > 0").fetchall()
        assert dict(uses) == {digest: uses for digest, (_, uses) in self.stored.items()}

    def teardown(self):
        if self.db is not None:
            assert list(proving.verify(self.db.conn)) == []
            for entry in list(self.growing):
                self.discard(entry)
            while self.stored:
                self.release(0)
            self.sweep(True)
            for table in ("bodies", "packs", "packed", "chunks", "pieces", "released"):
                assert self.db.execute(f"select count(*) from {table}").fetchone() == (0,), table
            self.db.close()
        self.folder.cleanup()


class Some(Bodies):
    pass


TestSome = Some.TestCase
TestSome.settings = settings(
    max_examples=6,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TestMany = pytest.mark.fuzz(Bodies.TestCase)
TestMany.settings = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
