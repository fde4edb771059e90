"""Pages of conversations, one by the beginning of its id, the tree below it."""

import pytest

from storage import conversations, sessions
from storage.conversations import Query
from storage.errors import Conflict, NotFound
from tests.storage import plans, projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def many(db, session, count=5):
    made = []
    for number in range(count):
        turn = projected.turn(db, session.id, f"talk-{number}", began=number)
        made.append(projected.conversation(db, session.id, [turn], f"talk-{number}"))
    return made


def ids_of(page):
    return [one.id for one in page.conversations]


def test_pages_cover_all_once_newest_first(db, session):
    made = many(db, session)
    found, after = [], None
    while True:
        page = conversations.page(db.conn, Query(), after=after, limit=2)
        found += ids_of(page)
        after = page.next
        if after is None:
            break
    assert found == made[::-1]


def test_a_conversation_is_shown_with_its_figures(db, story):
    found = conversations.get(db.conn, story.root)
    assert (found.summary, found.cwd, found.model) == (
        "Find the bug, please",
        "/home/user/work.dir",
        "claude-opus-5",
    )
    assert (found.figures.turns, found.figures.tool_calls) == (3, 2)
    assert (found.figures.input_tokens, found.figures.cost_usd) == (3000, 0.02)
    assert (found.figures.unpriced_turns, found.figures.unmetered_turns) == (1, 0)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(cwd="/elsewhere"), ["other"]),
        (Query(agent="codex"), ["other"]),
        (Query(model="gpt-6"), ["other"]),
        (Query(text="FIND THE"), ["root-conversation"]),
        (Query(text="%"), []),
        (Query(roots=True), ["other", "root-conversation"]),
        (Query(), ["other", "root-conversation", "root-child"]),
    ],
    ids=["cwd", "agent", "model", "text", "no-pattern", "roots", "all"],
)
def test_filters(db, session, story, query, found):
    turn = projected.turn(db, session.id, "other", began=60)
    projected.conversation(
        db,
        session.id,
        [turn],
        "other",
        cwd="/elsewhere",
        agent="codex",
        model="gpt-6",
        summary=None,
    )  # fmt: skip
    assert ids_of(conversations.page(db.conn, query)) == found


def test_a_session_has_all_conversations_with_a_turn_in_it(db, session, story):
    later = recording.session(db, "later")
    projected.turn(db, later.id, story.root, began=90)
    assert ids_of(conversations.page(db.conn, Query(session_id=later.id))) == [story.root]
    assert conversations.page(db.conn, Query(session_id="none")).conversations == []


def test_an_id_may_be_shortened_as_long_as_it_is_unique(db, story):
    assert conversations.find(db.conn, "root-ch").id == story.child
    assert conversations.find(db.conn, " root-conversation ").id == story.root
    assert conversations.find(db.conn, "root-").id == story.root  # the only one that is a root
    db.execute("update conversations set parent_id = null")
    with pytest.raises(Conflict, match="root-child, root-conversation"):
        conversations.find(db.conn, "root-")
    for unknown in ("roo", "elsewhere", ""):
        with pytest.raises(NotFound):
            conversations.find(db.conn, unknown)


def test_the_tree_has_all_below(db, session, story):
    turn = projected.turn(db, session.id, "grandchild", began=3)
    projected.conversation(db, session.id, [turn], "grandchild", parent_id=story.child)
    assert [one.id for one in conversations.tree(db.conn, story.root)] == [
        story.root,
        story.child,
        "grandchild",
    ]
    assert [one.id for one in conversations.children(db.conn, story.root)] == [story.child]


def test_a_tree_that_bites_its_tail_ends(db, session, story):
    db.execute("update conversations set parent_id = ? where id = ?", [story.child, story.root])
    assert len(conversations.tree(db.conn, story.root)) == 2


def test_a_deleted_session_is_out_of_sight_at_once(db, session, story):
    sessions.delete(db, session.id)
    assert conversations.page(db.conn, Query()).conversations == []
    assert conversations.tree(db.conn, story.root) == []
    with pytest.raises(NotFound):
        conversations.find(db.conn, story.root)


def test_sums_of_nothing_known_are_unknown(db, session):
    turn = projected.turn(
        db, session.id, "blind", input_tokens=None, output_tokens=None, cache_read_tokens=None,
        cache_write_tokens=None, cost_usd=None,
    )  # fmt: skip
    projected.conversation(db, session.id, [turn], "blind")
    figures = conversations.get(db.conn, "blind").figures
    assert (figures.input_tokens, figures.output_tokens, figures.cost_usd) == (None, None, None)
    assert figures.unmetered_turns == 1


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "conversations_newest"),
        (Query(roots=True), "conversations_newest"),
        (Query(cwd="/w"), "conversations_cwd"),
    ],
    ids=["all", "roots", "cwd"],
)
def test_pages_are_read_off_an_index(db, session, query, index):
    with plans.of(db) as plan:
        conversations.page(db.conn, query, after="x", limit=10)
    assert index in plan.text
    assert "TEMP B-TREE" not in plan.text
