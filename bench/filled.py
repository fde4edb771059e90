"""
A store of any size, built once and kept in the user's cache folder.

A day of sessions goes through ingest and projection as recorded ones do. All other days are copies
of its rows under new ids, in bulk, so every row has the form that the product gives it. Copies have
rows of their own for their bodies, but the bytes behind those are shared.
"""

import argparse
import asyncio
import hashlib
import inspect
import os
import random
import shutil
import sqlite3
import time
import typing
from collections.abc import Iterator
from typing import Any

import platformdirs
from sqlite_utils import Database

from storage import database, ids, schema, sessions
from storage.datadir import DataDir
from storage.decoded import Part, TextPart
from storage.projection import rows as packing
from storage.projection import tables
from storage.quotes import Opener
from tests.addons.project.house import AGENT, House, assistant, text, tool_result, tool_use, user

TURNS = 100  # of a session; entries too
SESSIONS_A_DAY = 10
MESSAGES_A_TURN = 5
RARE = "zanzibarite"
_RARE_HITS = 30
_KEYS_A_TURN = 3  # rows that a turn of a long session adds (bench bodies: 524 in 200 turns)

_FORM = 3  # raised when what is built changes
_DAY_NS = 86_400 * 10**9
_SHIFTED = ("started_ns", "ended_ns", "at_ns", "called_ns", "result_ns")
_COPIED = ("sessions", "entries", "bodies", "conversations", "turns", "messages", "tool_calls",
           "shares", "quarters")  # fmt: skip


def cached(entries: int) -> DataDir:
    """The data dir of a store with so many entries, made if it is missing."""
    folder = platformdirs.user_cache_path("wirescribe") / "bench" / f"{_form()}-{entries}"
    if not folder.exists():
        started = time.monotonic()
        fresh = folder.with_suffix(".building")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        _build(DataDir(fresh).prepare(), entries)
        fresh.rename(folder)
        print(f"built a store of {entries:,} entries in {time.monotonic() - started:.0f} s")
    return DataDir(folder)


def _form() -> str:
    """What tells stores of another form apart: this module's number, and the tables."""
    with Database(memory=True, execute_plugins=False) as db:
        schema.migrations.apply(db)
        tables.create(db, "", 1)
        made = db.execute("select sql from sqlite_master order by name").fetchall()
    told = f"{_FORM} {tables.VERSION} {made}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def rare_hits(entries: int) -> int:
    """In how many messages of such a store the rare word stands."""
    return sum(number >= SESSIONS_A_DAY for number in _rare(max(1, entries // TURNS)))


def _rare(wanted: int) -> set[int]:
    """Numbers of the sessions in whose copies the rare word stands."""
    return {wanted * number // _RARE_HITS for number in range(_RARE_HITS)}


def _build(datadir: DataDir, entries: int) -> None:
    os.umask(0o077)
    house = House(datadir)
    house.db.execute("pragma synchronous = off")
    house.db.execute("pragma cache_size = -1000000")
    wanted = max(1, entries // TURNS)
    for number in range(min(wanted, SESSIONS_A_DAY)):
        _record(house, number)
    house.project()
    copier = _Copier(house.db, wanted)
    for number in range(SESSIONS_A_DAY, wanted):
        copier.copy(number)
    copier.finish()
    house.log.end()
    database.truncate_log(house.db)
    house.db.close()
    shutil.rmtree(datadir.spool)


def _record(house: House, number: int) -> None:
    """One session of an agent that calls a tool in each turn, two hours behind the one before."""
    chance = random.Random(number)
    house.session = sessions.create(
        house.db, name=f"session {number}", origin="run", is_recording=True
    ).id
    conversation = ids.text(ids.at(number, number, "conversation"))
    headers = (AGENT, (b"X-Claude-Code-Session-Id", conversation.encode()))
    messages = [user(f"please see to this: {_words(chance)}")]
    for turn in range(TURNS):
        call = tool_use(f"toolu_{number}_{turn}", command=_words(chance))
        said = text(_words(chance))
        house.call(list(messages), [said, call], headers=headers, after_s=number * 7200 + turn * 20)
        messages += [
            assistant(said, call),
            user(tool_result(f"toolu_{number}_{turn}", _words(chance))),
            user(text(_words(chance))),
            assistant(text(_words(chance))),
            user(text(_words(chance))),
        ]
        house.log.append()


_SOURCE = "".join(inspect.getsource(module) for module in (argparse, typing, inspect, random))
_SOURCE += inspect.getsource(asyncio.base_events)


def _words(chance: random.Random) -> str:
    """Real text, 170 bytes on average."""
    at = chance.randrange(len(_SOURCE) - 1000)
    return _SOURCE[at : at + min(40 + int(chance.expovariate(1 / 130)), 1000)]


class _Copier:
    """Writes copies of the sessions of the first day, each with ids and times of its own."""

    def __init__(self, db: Database, wanted: int) -> None:
        self._conn = db.conn
        self._rare = _rare(wanted)
        found = self._conn.execute("select id from sessions order by id").fetchall()
        self._days = [_Template(self._conn, session_id) for (session_id,) in found]
        (self._number,) = self._conn.execute("select max(number) from messages").fetchone()
        (self._turns,) = self._conn.execute("select max(number) from turns").fetchone()
        self._conn.execute("begin")

    def copy(self, number: int) -> None:
        template = self._days[number % SESSIONS_A_DAY]
        copied = template.moved(number, self._number, self._turns, number in self._rare)
        for name, columns, found in copied:
            self._conn.executemany(
                f"insert into {name} ({', '.join(columns)}) "
                f"values ({', '.join('?' * len(columns))})",
                found,
            )
            if name == "search":
                self._number += len(found)
            if name == "messages":
                self._turns += TURNS  # one for each entry
        self._conn.executemany(
            "insert or ignore into chunks (key, number) values (?, 1)", _keys(number)
        )
        if number % 50 == 0:
            self._conn.execute("commit")
            self._conn.execute("begin")

    def finish(self) -> None:
        self._conn.execute("commit")


def _keys(number: int) -> Iterator[tuple[int]]:
    """As many as the chunks of a real session would have; the copies share the bodies' chunks."""
    chance = random.Random(number)
    return ((chance.getrandbits(40),) for _ in range(TURNS * _KEYS_A_TURN))


class _Template:
    """All rows of one session, and which ids stand in them."""

    def __init__(self, conn: sqlite3.Connection, session_id: str) -> None:
        self._rows: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {}
        for name in _COPIED:
            cursor = conn.execute(f"select * from {name} where {_OF_SESSION[name]}", [session_id])
            columns = tuple(column[0] for column in cursor.description)
            self._rows[name] = (columns, cursor.fetchall())
        entry_ids = sorted(self._column("entries", "id"))
        self._entries = entry_ids
        self._named = [
            *self._column("messages", "id"),
            *self._column("tool_calls", "id"),
        ]
        numbers = self._column("turns", "number")
        self._turns = {one: place for place, one in enumerate(numbers, 1)}
        self._digests = self._column("bodies", "digest")
        self._conversations = self._column("conversations", "id")
        self._session = session_id
        columns, found = self._rows["messages"]
        at = columns.index("content")
        opener = Opener(conn)
        self._parts = [packing.unpack(row[at], opener) for row in found]
        self._texts = [packing.words(parts) for parts in self._parts]

    def moved(
        self, number: int, rowid: int, turns: int, is_rare: bool
    ) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
        """
        Table, columns and rows of a copy.

        Its messages are numbered from behind `rowid`, its turns from behind `turns`.
        """
        days = number // SESSIONS_A_DAY
        named = self._names(number, days)
        for name, (columns, found) in self._rows.items():
            steps = [self._step(name, column, days, rowid, turns) for column in columns]
            rows = [
                tuple(
                    step(value, place) if step else named.get(value, value)
                    for step, value in zip(steps, row, strict=True)
                )
                for place, row in enumerate(found, 1)
            ]
            texts = self._texts
            if name == "messages":
                if is_rare:
                    rows, texts = _with_rare(columns, rows, texts, self._parts[0])
                yield name, columns, rows
                indexed = list(enumerate(texts, rowid + 1))
                yield "search", ("rowid", "text"), indexed
            else:
                yield name, columns, rows

    def _step(self, name: str, column: str, days: int, rowid: int, turns: int) -> Any:
        """What becomes of a column that holds no id; None: ids are looked up."""
        if (name, column) in (("turns", "number"), ("messages", "turn")):
            return lambda value, _: turns + self._turns[value]
        return _step(name, column, days, rowid)

    def _names(self, number: int, days: int) -> dict[Any, Any]:
        named: dict[Any, Any] = {
            old: old[0] + hashlib.blake2b(f"{number}{old}".encode(), digest_size=12).hexdigest()
            for old in self._named
        }
        for place, old in enumerate(self._entries):
            started_ns = int.from_bytes(ids.raw(old)[:6]) * 1_000_000 + days * _DAY_NS
            new = ids.text(ids.at(started_ns, place, f"copy {number}"))
            named |= {old: new, f"{old}.00000": f"{new}.00000"}
        for old in (self._session, *self._conversations):
            named[old] = ids.text(ids.at(number, number, f"copy {old}"))
        for old in self._digests:
            named[old] = hashlib.sha256(old + b"%d" % number).digest()
        return named

    def _column(self, name: str, column: str) -> list[Any]:
        columns, found = self._rows[name]
        at = columns.index(column)
        return [row[at] for row in found]


_CONVERSATIONS = "conversation_id in (select id from conversations where session_id = ?)"
_OF_SESSION = {
    "sessions": "id = ?",
    "entries": "session_id = ?",
    "bodies": """digest in (
        select e.request_digest from entries e where e.session_id = ?1
        union select e.response_digest from entries e where e.session_id = ?1
    )""",
    "conversations": "session_id = ?",
    "turns": "session_id = ?",
    "messages": f"{_CONVERSATIONS} order by number",
    "tool_calls": _CONVERSATIONS,
    "shares": "session_id = ?",
    "quarters": _CONVERSATIONS,
}


def _step(name: str, column: str, days: int, rowid: int) -> Any:
    """What becomes of a column that holds no id; None: ids are looked up."""
    if column in _SHIFTED:
        return lambda value, _: None if value is None else value + days * _DAY_NS
    if name == "bodies" and column == "id":
        return lambda value, _: None  # the next one
    if name == "sessions" and column in ("created_ms", "updated_ms"):
        return lambda value, _: value + days * _DAY_NS // 1_000_000
    if column == "quarter":
        return lambda value, _: value + days * 96
    if name == "bodies" and column == "id":
        return lambda *_: None  # the table gives it
    if column == "number" and name == "messages":
        return lambda _, place: rowid + place
    return None


def _with_rare(
    columns: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    texts: list[str],
    first_parts: tuple[Part, ...],
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The first message says the rare word too."""
    at = columns.index("content")
    first = list(rows[0])
    parts = (*first_parts, TextPart(text=RARE))
    first[at] = packing.pack(parts)
    return [tuple(first), *rows[1:]], [packing.words(parts), *texts[1:]]
