"""A data dir in which a story was understood, and a server on it in this process."""

import contextlib

from api.app import create_app
from api.settings import ApiSettings
from storage import sessions
from storage.decoded import Note
from storage.projection.rows import TurnDetail
from storage.store import Store
from tests.api import records
from tests.api.conftest import serving
from tests.storage import projected

EVIL = "\x1b]0;owned\x07\u202e"


def tell(store):
    """A story, a conversation of another agent whose cost nobody knows, and a task."""
    session = store.change_sessions(sessions.create, name="one").result()
    entry_id = records.entry(store, session.id, request=b"{}", response=b"{}")
    story = store.call(projected.tell, session.id).result()
    its_entry = story.turns[0].partition(".")[0]
    store.call(
        lambda db: db.execute("update entries set id = ? where id = ?", [its_entry, entry_id])
    ).result()
    store.call(_more, session.id, story).result()
    return story


def _more(db, session_id, story):
    failed = projected.turn(
        db, session_id, "codex-talk", began=60, agent="codex", model_asked="gpt-6", cost_usd=None,
        failure_type="overloaded_error", failure_text="Busy" + EVIL, status=529,
        detail=TurnDetail(notes=(Note(kind="unknown-block"),)),
    )  # fmt: skip
    projected.conversation(
        db, session_id, [failed], "codex-talk", agent="codex", model="gpt-6",
        cwd="/home/user/other", summary="Say it" + EVIL,
    )  # fmt: skip
    projected.message(db, "codex-talk", failed, "Say it" + EVIL)
    projected.task(db, story.root, "1", story.turns[0], subject="Look around")
    projected.note(db, failed, "unknown-block", detail="hologram")


@contextlib.contextmanager
def served(datadir):
    """The story in `datadir`, and the URL of a server on it."""
    with Store.open(datadir.prepare()) as store:
        story = tell(store)
        app = create_app(store, ApiSettings(version="0.1.0"))
        with serving(app) as url:
            yield story, url
