"""Bytes on the disk that are not what they were."""

from storage import database
from storage.chunks import chains, packed, packs


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


def flip(path, place, change):
    """One byte of a file that nothing has open."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ change]))


def text_places(path):
    """Where the database says in text what tables it has, and which migrations it has seen."""
    data = path.read_bytes()
    pages = [data[start : start + 2048] for start in range(0, len(data), 2048)]
    return [
        number * 2048 + place
        for number, page in enumerate(pages)
        if b"create" in page.lower() or b"m001_raw" in page
        for place, byte in enumerate(page)
        if byte
    ]
