"""All that the tables hold, in a form in which two runs can be compared."""

_TABLES = {
    "sessions": "name, is_recording, origin, key, created_ms, updated_ms, traffic_count, "
    "total_bytes",
    "tombstones": "session_id, swept",
    "removed_entries": "entry_id, writer, is_open, swept",
    "bodies": "digest, size_bytes, uses",
    "released": "body, runs",
    "pieces": "entry_id, part, number, data, runs, size_bytes",
    "folds": "entry_id, state",
    "clocks": "entry_id, side, first, count, at_bytes, run",
    "frames": "entry_id, number, side, opcode, offset_ns, size_bytes, digest",
    "cuts": "entry_id, number, part, name, position, offset_bytes, length_bytes, kind, hmac",
    "gaps": "writer, entry_id, reason, records, size_bytes, started_ns, ended_ns, detail",
    "quarantine": "writer, entry_id, segment, position, reason, payload",
    "spool_positions": "writer, segment, position",
}


def dump(db):
    found = {
        table: sorted(db.conn.execute(f"select {columns} from {table}").fetchall(), key=repr)
        for table, columns in _TABLES.items()
    }
    cursor = db.conn.execute("select * from entries order by id")
    names = [name for name, *_ in cursor.description]
    found["entries"] = [dict(zip(names, row, strict=True)) for row in cursor]
    keys = dict(db.conn.execute("select id, coalesce(key, id) from sessions").fetchall())
    for entry in found["entries"]:
        entry["session_id"] = keys.get(entry["session_id"])  # automatic ones have ids of chance
    return found
