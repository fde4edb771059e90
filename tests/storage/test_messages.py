"""Messages by conversation, session and turn."""

import pytest

from storage import messages
from storage.messages import Query
from tests.storage import plans, projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def walk(conn, query, **options):
    found, after = [], None
    while True:
        page = messages.page(conn, query, after=after, limit=2, **options)
        found += [one.id for one in page.messages]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("by", ["conversation", "session", "all"])
def test_pages_cover_all_once_in_both_orders(db, session, story, by):
    query = {
        "conversation": Query(conversation_id=story.root),
        "session": Query(session_id=session.id),
        "all": Query(),
    }[by]
    main = story.messages[:6]
    expected = main if by == "conversation" else main[:4] + story.messages[6:] + main[4:]
    assert walk(db.conn, query, order="oldest") == expected
    assert walk(db.conn, query) == expected[::-1]


def test_tracks_and_kinds_are_apart(db, story):
    titles = messages.page(db.conn, Query(conversation_id=story.root, track="title")).messages
    assert [one.preview for one in titles] == ["Make a title"]
    assert len(messages.page(db.conn, Query(track=None)).messages) == 9
    prompts = messages.page(db.conn, Query(kind="prompt", role="user"), order="oldest").messages
    assert [one.preview for one in prompts] == ["Find the bug, please", "Look into main.py"]


def test_a_message_is_shown_whole(db, story):
    found = messages.get(db.conn, story.messages[3])
    assert [type(part).__name__ for part in found.parts] == [
        "TextPart",
        "ToolCallPart",
        "ToolCallPart",
    ]
    assert messages.spoken(found.parts) == "I look at it."
    assert messages.get(db.conn, story.messages[1]).hangs
    assert messages.get(db.conn, "unknown") is None
    brought = messages.of_turn(db.conn, story.turns[0])
    assert [one.id for one in brought] == story.messages[:4]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(conversation_id="c"), "turns_conversation"),
        (Query(session_id="s"), "turns_session"),
        (Query(track=None), "turns_1 (id"),
    ],
    ids=["conversation", "session", "all"],
)
@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_pages_are_read_off_an_index(db, session, query, index, order):
    with plans.of(db) as plan:
        messages.page(db.conn, query, after=("t", 1, 1), order=order)
    assert index in plan.text
    assert "TEMP B-TREE" not in plan.text  # not of a turn's messages either: it may have thousands
    if query.conversation_id is None:
        assert "messages_order (conversation_id=? AND turn=?)" in plan.text


def test_messages_whose_turn_is_gone_are_not_those_of_the_next_one(db, story):
    (last,) = db.execute("select id from turns order by number desc limit 1").fetchone()
    hidden = {one.id for one in messages.of_turn(db.conn, last)}
    assert hidden
    db.execute("delete from turns where id = ?", [last])
    projected.turn(db, story.session_id, story.root, began=20.0)
    page = messages.page(db.conn, Query(conversation_id=story.root, track=None))
    assert not hidden & {one.id for one in page.messages}


def test_messages_of_a_turn_are_looked_up(db, session):
    with plans.of(db) as plan:
        messages.of_turn(db.conn, "t")
    assert "messages_order (conversation_id=? AND turn=?)" in plan.text
