"""Our own export, imported: the same entries come out of the next one."""

import json

from addons.importing import Importer
from addons.ingest import Ingest
from addons.redaction import Redactor
from api.exports import har
from storage import sessions
from storage.datadir import DataDir
from storage.store import Store
from tests.addons.importing.house import same


def exported_again(folder, document):
    """The export of the import of a HAR."""
    datadir = DataDir(folder / "imported").prepare()
    path = folder / "a.har"
    path.write_bytes(document)
    with Store.open(datadir, background=Ingest(datadir).step) as store:
        importer = Importer(store, lambda: Redactor(datadir.hmac_key()))
        found = importer.import_file(path, "a.har", only_har=True)
        assert (found.skipped, found.fault) == ((), None)
        conn = store.read()
        assert conn.execute("select reason from quarantine").fetchall() == []
        return b"".join(har.export(conn, sessions.get(conn, found.session_id)))


def check_same(before, after):
    before, after = (json.loads(one)["log"]["entries"] for one in (before, after))
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert same(other) == same(one), one["request"]["url"]
        assert other["_way"] == "import"
