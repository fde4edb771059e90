"""
A data dir with a running ingest, and an importer over it.

    with House(tmp_path) as house:
        found = house.bring(har(har_entry()), "a.har")
        (entry,) = house.entries(found)
"""

import contextlib
import json

from addons.importing import Importer
from addons.ingest import Ingest
from addons.redaction import Redactor
from api.exports import har
from storage import bodies, sessions, traffic
from storage.datadir import DataDir
from storage.store import Store
from tests.storage.empty import with_database


class House:
    def __init__(self, folder, limits=None):
        self.folder = folder
        self.datadir = DataDir(folder / "data").prepare()
        self._limits = limits
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        ingest = Ingest(self.datadir)
        datadir = with_database(self.datadir)
        self.store = self._stack.enter_context(Store.open(datadir, background=ingest.step))
        key = self.datadir.hmac_key()
        self.importer = Importer(self.store, lambda: Redactor(key), self._limits)
        return self

    def __exit__(self, *_):
        self._stack.close()

    def put(self, data, name="a.har"):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def bring(self, data, name="a.har", **more):
        return self.importer.import_file(self.put(data, name), name, **more)

    def entries(self, found):
        return list(traffic.each(self.store.read(), found.session_id))

    def one(self, data, name="a.har"):
        """The only entry of a file."""
        (entry,) = self.entries(self.bring(data, name))
        return entry

    def body(self, entry, side="response"):
        return traffic.body(self.store.read(), entry, side).read()

    def chunks(self, entry, side="response"):
        frames = traffic.frames(self.store.read(), entry.id, side=side, after=None, limit=1000)
        return [(frame.offset_ns, frame.size_bytes) for frame in frames]

    def messages(self, entry):
        conn = self.store.read()
        frames = traffic.frames(conn, entry.id, side=None, after=None, limit=1000)
        return [
            (
                frame.offset_ns,
                frame.side == "request",
                frame.opcode,
                bodies.view(conn, frame.body.digest).read() if frame.body else b"",
            )
            for frame in frames
        ]

    def gaps(self, entry):
        return traffic.gaps(self.store.read(), entry.id)

    def cuts(self, entry):
        return traffic.cuts(self.store.read(), entry.id)

    def sessions(self):
        return sessions.list_all(self.store.read())

    def exported(self, session_id):
        """The session as bytes of HAR."""
        conn = self.store.read()
        return b"".join(har.export(conn, sessions.get(conn, session_id)))


def same(entry):
    """
    An entry of an export without what an import makes new: its id, that it was imported, that its
    coding was put on again, and so how well it compresses.
    """
    plain = json.loads(json.dumps(entry))
    for key in ("_id", "_way", "_continues"):
        plain.pop(key, None)
    marks = [mark for mark in plain.pop("_marks", []) if mark != "recoded"]
    plain["response"]["content"].pop("compression", None)
    return {**plain, "_marks": marks}
