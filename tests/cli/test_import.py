import json

from storage import sessions
from storage.store import Store
from tests.addons.importing.samples import flow_file, har, har_entry
from tests.e2e.stack import Stack


def hars(folder, *names):
    for name in names:
        (folder / name).write_bytes(har(har_entry(url=f"https://a.example/{name}")))
    return [str(folder / name) for name in names]


def recorded(place):
    store = Store.reading(place.datadir)
    found = {one.name: one for one in sessions.list_all(store.read())}
    store.close()
    return found


def test_files_become_sessions_without_a_server(place, tmp_path):
    done = place.here("import", *hars(tmp_path, "a.har", "b.har"))
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = (line.split("\t") for line in done.stdout.splitlines())
    assert head == ["SESSION", "NAME", "ENTRIES", "STATE"]
    assert [row[1:] for row in rows] == [["a.har", "1", "imported"], ["b.har", "1", "imported"]]
    found = recorded(place)
    assert {row[1]: row[0] for row in rows} == {name: one.id for name, one in found.items()}
    assert {(one.origin, one.traffic_count) for one in found.values()} == {("import", 1)}


def test_again_says_so_and_adds_nothing(place, tmp_path):
    (path,) = hars(tmp_path, "a.har")
    first = json.loads(place.here("import", path, "--json").stdout)
    again = json.loads(place.here("har", "import", path, "--json").stdout)
    assert first[0] | {"imported": 0, "isRepeated": True} == again[0]
    assert (first[0]["file"], first[0]["fault"], first[0]["skipped"]) == (path, None, [])
    assert len(recorded(place)) == 1


def test_one_bad_file_does_not_keep_the_others_out(place, tmp_path):
    (good,) = hars(tmp_path, "good.har")
    bad = tmp_path / "bad.txt"
    bad.write_text("hello")
    done = place.here("import", str(bad), good)
    assert done.returncode == 1
    assert done.stderr == (
        f"wirescribe: {bad}: this is neither a HAR file nor a flow file of mitmproxy\n"
    )
    assert list(recorded(place)) == ["good.har"]


def test_what_is_missing_is_said(place, tmp_path):
    path = tmp_path / "a.har"
    odd = [har_entry(url=f"data:{number}") for number in range(7)]
    path.write_bytes(har(har_entry(), *odd)[:-5])
    done = place.here("import", str(path))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == f"{path}: 6 entries cannot be imported:"
    assert lines[1] == "  entry 2: its URL is not of HTTP or WebSocket (data:)"
    assert lines[6] == "  and 1 more"
    assert lines[7].startswith(f"wirescribe: {path}: entry 8: the file ends, at byte ")
    assert lines[7].endswith("; what stands before it is imported")
    assert done.stdout.splitlines()[1].split("\t")[1:] == ["a.har", "1", "imported"]


def test_a_file_that_is_not_there_is_misuse(place):
    done = place.here("import", "nowhere.har")
    assert done.returncode == 2
    assert "nowhere.har" in done.stderr


def test_har_import_takes_no_flow_file(place, tmp_path):
    path = tmp_path / "a.mitm"
    path.write_bytes(b"2:{}}")
    done = place.here("har", "import", str(path))
    assert (done.returncode, done.stderr) == (
        1,
        f"wirescribe: {path}: Invalid HAR structure: it is a flow file of mitmproxy\n",
    )


def test_settings_say_what_is_cut(place, tmp_path):
    path = tmp_path / "a.har"
    path.write_bytes(har(har_entry(headers=[("x-mine", "a-secret-of-my-own-0123456789")])))
    place.here("import", str(path), more={"WIRESCRIBE_SECRET_HEADERS": "x-mine"})
    (session,) = recorded(place).values()
    exported = place.here("har", "export", session.id).stdout
    assert '"name":"x-mine","value":"*****************************"' in exported


def test_through_a_server_that_runs(tmp_path):
    """Real processes, and a flow file, which the server reads with mitmproxy."""
    path = tmp_path / 'odd "name".mitm'
    path.write_bytes(flow_file(b"/"))
    stack = Stack(tmp_path)
    stack.start_server()
    try:
        done = stack.wirescribe("import", str(path), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        (one,) = json.loads(done.stdout)
        assert (one["imported"], one["total"]) == (1, 1)
        assert one["sessionName"] == "odd _name_.mitm"
        query = {"sessionId": one["sessionId"]}
        listed = stack.api.get("/api/traffic", params=query).json()["entries"]
        assert [(entry["host"], entry["kind"]) for entry in listed] == [("address", "http")]
    finally:
        stack.stop()
