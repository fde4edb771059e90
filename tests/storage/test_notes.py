"""Notes are counted."""

import pytest

from storage import notes
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_they_are_counted(db, story):
    projected.note(db, story.turns[0], "unknown-block", detail="hologram", count=3)
    projected.note(db, story.turns[1], "unknown-block")
    projected.note(db, story.turns[1], "truncated-stream", decoder="gemini")
    found = notes.counted(db.conn)
    assert [(one.decoder, one.kind, one.count, one.turns) for one in found] == [
        ("anthropic.messages", "unknown-block", 4, 2),
        ("gemini", "truncated-stream", 1, 1),
    ]
    assert found[0].example == "hologram"
