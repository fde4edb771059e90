"""What is done when nothing is to be done."""

from storage import database
from storage.upkeep import Upkeep

WORDS = ("zebra", "heron", "otter", "lynx")


def found(db):
    return {
        word: db.execute("select rowid from search where search match ?", [word]).fetchall()
        for word in (*WORDS, '"zebra crossing"', "her*")
    }


def parts(db):
    return db.execute("select count(distinct segid) from search_idx").fetchone()[0]


def test_the_search_index_is_joined_when_it_rests(db):
    for number in range(1, 40):
        with database.write(db):
            db.execute(
                "insert into search (rowid, text) values (?, ?)",
                [number, f"{WORDS[number % 4]} crossing {number}"],
            )
    before, segments = found(db), parts(db)
    waking, resting = Upkeep(rest_s=1e9), Upkeep(rest_s=0)

    assert not waking.step(db)
    assert parts(db) == segments
    while resting.step(db):
        pass

    assert parts(db) < segments
    assert found(db) == before
    changes = db.conn.total_changes
    assert not resting.step(db)
    assert db.conn.total_changes == changes
