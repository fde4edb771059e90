"""Projects: sums over what ran in a directory."""

import pytest

from storage import projects
from storage.errors import Conflict, NotFound
from tests.storage import projected, recording


@pytest.fixture
def session(db):
    projected.make(db)
    return recording.session(db)


@pytest.fixture
def story(db, session):
    return projected.tell(db, session.id)


def test_a_project_has_the_sums_of_what_ran_there(db, story):
    (found,) = projects.page(db.conn).projects
    assert (found.id, found.path, found.name) == (
        "-home-user-work-dir",
        "/home/user/work.dir",
        "work.dir",
    )
    assert (found.conversations, found.subagents, found.sessions) == (1, 1, 1)
    assert found.agents == ("claude-code",)
    assert (found.figures.turns, found.figures.cost_usd) == (4, 0.03)
    assert projects.find(db.conn, "-home-user-work-dir") == found
    assert projects.find(db.conn, "/home/user/work.dir") == found


def test_pages_cover_all_once(db, session):
    for number in range(3):
        turn = projected.turn(db, session.id, str(number), began=number)
        projected.conversation(db, session.id, [turn], str(number), cwd=f"/p{number}")
    turn = projected.turn(db, session.id, "nowhere", began=9)
    projected.conversation(db, session.id, [turn], "nowhere", cwd=None)
    first = projects.page(db.conn, limit=2)
    second = projects.page(db.conn, limit=2, after=first.next)
    assert [one.path for one in first.projects + second.projects] == ["/p2", "/p1", "/p0"]
    assert second.next is None


def test_an_id_that_fits_two_paths_is_no_answer(db, session, story):
    turn = projected.turn(db, session.id, "twin")
    projected.conversation(db, session.id, [turn], "twin", cwd="/home/user/work-dir")
    with pytest.raises(Conflict, match="say which by its path"):
        projects.find(db.conn, "-home-user-work-dir")
    with pytest.raises(NotFound):
        projects.find(db.conn, "elsewhere")
