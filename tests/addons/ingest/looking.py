"""What ingest left in the tables."""

from storage import traffic


def rows(db, statement, *values):
    return db.conn.execute(statement, values).fetchall()


def body(db, entry_id, side):
    return traffic.body(db.conn, traffic.get(db.conn, entry_id), side).read()


def gaps(db):
    return rows(
        db, "select entry_id, reason, records, size_bytes, session_id from gaps order by id"
    )


def quarantine(db):
    return rows(db, "select entry_id, reason, session_id from quarantine order by id")
