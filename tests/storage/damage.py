"""A body whose bytes on the disk are not what they were."""

from storage import chains, database, packed, packs


def first_chunk(db, digest):
    """One bit of the first chunk of a body, and nothing of the others in its pack."""
    (number, _), *_ = chains.runs_of(db.conn, digest)[1]
    reader = packs.Reader(db.conn, packs.Cache())
    pack, index = reader.sound(number)
    plain = bytearray(pack.plain)
    plain[pack.offsets[index]] ^= 1
    frame = bytearray(packed.compress(bytes(plain), 3))
    frame[-1] ^= 1  # a sound checksum would vouch for the bit
    with database.write(db):
        db.execute("update packed set data = ? where first = ?", [bytes(frame), pack.first])
