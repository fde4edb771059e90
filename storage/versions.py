"""Whether a database is of this version: which migrations it had."""

import functools
import sqlite3

import msgspec
from sqlite_utils import Database

from storage.schema import migrations


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Names of migrations, ascending."""

    newer: tuple[str, ...]  # that only a newer version knows: this one must not write
    missing: tuple[str, ...]  # that the next server does when it starts


def difference(conn: sqlite3.Connection) -> Difference:
    """Between the database and this version; reads only."""
    rows = conn.execute("select name from _sqlite_migrations where migration_set = 'wirescribe'")
    applied = {name for (name,) in rows}
    return Difference(
        newer=tuple(sorted(applied - _known())), missing=tuple(sorted(_known() - applied))
    )


@functools.cache
def _known() -> frozenset[str]:
    with Database(memory=True, execute_plugins=False) as empty:
        return frozenset(migration.name for migration in migrations.pending(empty))
