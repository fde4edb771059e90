"""A database says which version made it."""

from sqlite_utils import Database

from storage import versions
from storage.schema import migrations
from storage.versions import Difference


def test_a_new_one_is_of_this_version(db):
    assert versions.difference(db.conn) == Difference(newer=(), missing=())


def test_what_is_still_to_come_and_what_only_others_know():
    with Database(memory=True, execute_plugins=False) as db:
        migrations.apply(db, stop_before="m004_retention")
        table = "_sqlite_migrations"
        db[table].insert({"migration_set": "wirescribe", "name": "m999", "applied_at": "later"})
        db[table].insert({"migration_set": "others", "name": "m1", "applied_at": "later"})
        assert versions.difference(db.conn) == Difference(
            newer=("m999",), missing=("m004_retention", "m005_fewer_trees")
        )
