"""Rows in one step are the rows that SQLite gives one by one."""

import sqlite3

import pytest

from storage import at_once

ROWS = [
    (1, "plain", 0.125, None),
    (2, 'a "quote", a \\ and a \n line', 1e-9, None),
    (3, "nothing \0 behind it is lost, nor \x7f or ü or 🜚", -123456.789012345, 1 << 62),
    (4, "", 0.0, -1),
]


@pytest.fixture
def conn():
    conn = sqlite3.connect(":memory:")
    conn.execute("create table t (a integer, b text, c real, d integer)")
    conn.executemany("insert into t values (?, ?, ?, ?)", ROWS)
    yield conn
    conn.close()


def test_values_and_their_order(conn):
    for direction, expected in (("asc", ROWS), ("desc", ROWS[::-1])):
        source = f"select * from t order by a {direction}"
        assert at_once.rows(conn, "abcd", source, {}) == [list(row) for row in expected]


def test_no_rows(conn):
    assert at_once.rows(conn, "ab", "select * from t where a = :a", {"a": 9}) == []
