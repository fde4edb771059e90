"""Words are found; nothing that a user types is an error."""

import pytest

from storage import search
from storage.messages import Query
from tests.storage import projected, recording


@pytest.fixture
def story(db):
    projected.make(db)
    return projected.tell(db, recording.session(db).id)


def found(db, text, query=None, **options):
    return search.find(db.conn, text, query or Query(track=None), **options)


def ids(db, text, query=None):
    return [hit.message.id for hit in found(db, text, query).hits]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("line", [5, 4, 7]),
        ("LINE 7", [5, 4, 7]),
        ('"line 7" main', [5]),
        ("mai*", [5, 6, 3]),
        ("main.py", [5, 6, 3]),
        ("ma", []),
        ("bug -please", [0]),
        ("nowhere", []),
    ],
)
def test_words(db, story, text, places):
    assert ids(db, text) == [story.messages[place] for place in places]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "*", '"', '""', '"a', "a AND", "NOT", "(", "a:b", "text:", "^a", "a OR OR b",
        "NEAR(a b)", "\0", "a\0b", "-", "'; drop table turns; --", "\ud800", "é", "a" * 5000,
        "a " * 500,
    ],
    ids=range(22),
)  # fmt: skip
def test_nothing_is_an_error(db, story, text):
    found(db, text)


def test_the_place_is_shown(db, story):
    (hit, *_) = found(db, "bug line").hits
    assert hit.snippet == "The bug is in line 7 of `main.py`."
    assert [hit.snippet[start:stop] for start, stop in hit.marks] == ["bug", "line"]


def test_a_long_text_is_cut_around_the_word(db, story):
    made = projected.message(
        db, story.root, story.turns[1], "wörter " * 200 + "Needle " + "words " * 200
    )
    (hit,) = found(db, "needle").hits
    assert hit.message.id == made
    assert len(hit.snippet) < 170
    assert hit.snippet[0] == hit.snippet[-1] == "…"
    (mark,) = hit.marks
    assert hit.snippet[slice(*mark)] == "Needle"


def test_pages_and_filters(db, story):
    first = found(db, "line", limit=2)
    second = found(db, "line", limit=2, after=first.next)
    assert [hit.message.id for hit in second.hits] == [story.messages[7]]
    assert second.next is None
    assert ids(db, "line", Query(conversation_id=story.child)) == [story.messages[7]]
    assert ids(db, "line", Query(session_id="other")) == []
    assert ids(db, "line", Query(role="assistant", kind="answer")) == [
        story.messages[5],
        story.messages[7],
    ]
