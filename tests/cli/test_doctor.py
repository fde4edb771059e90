import contextlib
import random
import sqlite3

import msgspec
import pytest
from sqlite_utils import Database

from storage import database, retention
from storage.retention import Limits
from storage.schema import migrations
from tests.cli.running import AGENT
from tests.storage import damage
from tests.storage.empty import with_database


def findings(place, *options):
    done = place.here("doctor", "--json", *options)
    answer = msgspec.json.decode(done.stdout)
    assert answer["ok"] == (done.returncode == 0)
    assert answer["dataDir"] == str(place.datadir.root)
    return answer["ok"], {one["subject"]: one for one in answer["findings"]}


def wrong(found):
    return {subject for subject, one in found.items() if one["level"] == "wrong"}


@pytest.fixture
def kept(place):
    """A data dir with a database, where nothing runs."""
    with_database(place.datadir.prepare())
    return place


def test_all_is_well_while_it_runs(lived_in):
    lived_in.wirescribe("run", "--", *AGENT, "call")
    is_sound, found = findings(lived_in, "--verify")
    assert is_sound, found
    assert found["versions"]["text"].startswith("wirescribe 0.")
    assert str(lived_in.running.proxy.port) in found["proxy"]["text"]
    assert "is as it was recorded" in found["bodies"]["text"]
    assert "1 session, 1 entry" in found["database"]["text"]


def test_it_is_readable_without_json(lived_in):
    done = lived_in.here("doctor")
    assert done.returncode == 0
    assert "\nok     permissions  only you can read " in done.stdout
    assert "\x1b" not in done.stdout


def test_before_anything_was_recorded(place):
    is_sound, found = findings(place)
    assert is_sound
    assert found["data dir"]["advice"] == "wirescribe run -- claude"
    place.datadir.prepare()
    is_sound, found = findings(place)
    assert is_sound
    assert found["database"]["advice"] == "wirescribe run -- claude"
    assert not place.datadir.database.exists()


def test_every_wrong_thing_has_an_advice(kept):
    (kept.datadir.root / "open").write_text("")
    (kept.datadir.root / "open").chmod(0o644)
    is_sound, found = findings(kept)
    assert not is_sound
    assert wrong(found) == {"permissions"}
    assert "open" in found["permissions"]["text"]
    assert found["permissions"]["advice"] == f"chmod -R go= '{kept.datadir.root}'"


def test_config_toml_may_be_as_an_editor_made_it(kept):
    kept.datadir.config.touch()
    kept.datadir.config.chmod(0o644)
    assert wrong(findings(kept)[1]) == set()
    kept.datadir.config.chmod(0o664)
    assert wrong(findings(kept)[1]) == {"permissions"}


def test_settings_that_cannot_be_read(kept):
    kept.datadir.config.write_text("nonsense = 1")
    _, found = findings(kept)
    assert wrong(found) == {"settings"}
    assert "config.toml" in found["settings"]["text"]


def test_ports_that_something_else_has(kept, model):
    kept.environ["WIRESCRIBE_PORT"] = str(model.server_port)
    _, found = findings(kept)
    assert wrong(found) == {"server"}
    assert str(model.server_port) in found["server"]["text"]


def test_an_authority_that_is_damaged_or_old(kept):
    kept.here("ca", "renew")
    assert findings(kept)[1]["ca"]["level"] == "ok"
    kept.environ["WIRESCRIBE_HOSTS"] = "new.example"
    _, found = findings(kept)
    assert found["ca"]["level"] == "note"
    (kept.datadir.ca / "mitmproxy-ca.pem").write_text("no key")
    _, found = findings(kept)
    assert wrong(found) == {"ca"}
    assert "wirescribe ca renew" in found["ca"]["advice"]


def insert(place, table, **values):
    with contextlib.closing(sqlite3.connect(place.datadir.database)) as conn, conn:
        names = ", ".join(values)
        places = ", ".join("?" for _ in values)
        conn.execute(f"insert into {table} ({names}) values ({places})", list(values.values()))


def test_gaps_and_quarantine_are_wrong(kept):
    insert(kept, "gaps", id="g", reason="queue_full", size_bytes=1234, writer="w")
    insert(
        kept,
        "quarantine",
        id="q",
        reason="odd",
        writer="w",
        segment=1,
        position=0,
        payload=b"x",
    )
    _, found = findings(kept)
    assert wrong(found) == {"gaps", "quarantine"}
    assert found["gaps"]["text"] == "1 gap, 1.2 kB: queue full"


def test_what_is_kept_and_what_was_dropped(kept):
    assert findings(kept)[1]["retention"]["text"] == "all is kept; nothing was dropped"
    kept.environ["WIRESCRIBE_RETENTION_DAYS"] = "30"
    kept.environ["WIRESCRIBE_RETENTION_MAX_GB"] = "1.5"
    insert(
        kept,
        "drops",
        session_id="s",
        name="n",
        origin="run",
        created_ms=1,
        updated_ms=2,
        traffic_count=3,
        total_bytes=4,
        reason="retention.days",
        dropped_ms=5,
    )
    _, found = findings(kept)
    assert found["retention"] == {
        "level": "note",
        "subject": "retention",
        "text": "at most 30 days and 1.5 GB are kept; 1 session dropped so far",
        "advice": "wirescribe sessions dropped",
    }


def test_a_limit_that_cannot_be_kept(kept):
    kept.environ["WIRESCRIBE_RETENTION_MAX_GB"] = "0.000001"
    with database.create(kept.datadir.database) as db, database.write(db):
        retention.set_limits(db, Limits(max_bytes=1073))
    _, found = findings(kept)
    assert wrong(found) == {"retention"}
    assert "more than retention.max_gb = 1e-06 allows" in found["retention"]["text"]


def test_a_disk_that_is_nearly_full(kept):
    kept.environ["WIRESCRIBE_DISK_MIN_FREE_MB"] = str(10**9)
    _, found = findings(kept)
    assert wrong(found) == {"disk"}


def test_a_database_that_cannot_be_opened_is_not_called_damaged(kept):
    """As on a disk that is read-only, where nobody is kept out who is root."""
    kept.datadir.database.with_name("wirescribe.db-wal").mkdir(mode=0o700)
    for options in ([], ["--repair"]):
        _, found = findings(kept, *options)
        assert wrong(found) == {"database", *(["repair"] if options else [])}
        for subject in wrong(found):
            assert "cannot be used (unable to open database file)" in found[subject]["text"]
            assert "doctor" not in found[subject]["text"]
            assert found[subject]["advice"] == database.ACCESS


def test_a_proxy_without_a_server_is_a_note(kept):
    proxy = kept.start("proxy")
    kept.wait_for(lambda: "proxy" in kept.processes(), "the proxy")
    is_sound, found = findings(kept)
    assert is_sound
    assert found["server"]["level"] == "note"
    assert "wirescribe serve" in found["server"]["advice"]
    proxy.terminate()
    proxy.wait()


def change_frames(place, change):
    with contextlib.closing(sqlite3.connect(place.datadir.database)) as conn, conn:
        packed = conn.execute("select first, data from packed").fetchall()
        assert packed
        for first, data in packed:
            conn.execute("update packed set data = ? where first = ?", [change(data), first])


def test_what_changed_is_found_by_verify_alone_and_mended_by_repair(place):
    with place.up():
        place.wirescribe("run", "--", *AGENT, "call")
    entry = msgspec.json.decode(place.here("traffic", "list", "--json").stdout)["entries"][0]["id"]

    change_frames(place, lambda data: data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    assert findings(place)[0]
    is_sound, found = findings(place, "--verify")
    assert not is_sound
    assert wrong(found) == {"flaws"}
    assert "is as it was recorded" in found["bodies"]["text"]
    assert "of its frame changed by 00000100" in found["flaws"]["text"]
    assert entry in found["flaws"]["text"]
    assert found["flaws"]["advice"] == "wirescribe doctor --repair, while no server runs"
    is_sound, found = findings(place, "--repair")
    assert is_sound, found
    assert "mended: the pack of" in found["repair"]["text"]
    is_sound, found = findings(place, "--repair")
    assert is_sound
    assert found["repair"]["text"] == "there was nothing to mend"

    # More than a byte: the last 4 are the frame's checksum, of which nothing depends.
    change_frames(place, lambda data: data[:-10] + bytes([data[-10] ^ 7, data[-9] ^ 7]) + data[-8:])
    assert findings(place)[0]
    for option in ("--verify", "--repair"):
        is_sound, found = findings(place, option)
        assert not is_sound
        assert wrong(found) == {"bodies"}
        assert entry in found["bodies"]["text"]


def test_no_repair_beside_a_server(lived_in):
    is_sound, found = findings(lived_in, "--repair")
    assert not is_sound
    assert wrong(found) == {"repair"}


def test_no_repair_of_nothing(place):
    place.datadir.prepare()
    assert findings(place, "--repair")[0]
    assert not place.datadir.database.exists()


def test_a_database_that_is_none(kept):
    kept.datadir.database.write_bytes(b"not a database" * 1000)
    _, found = findings(kept)
    assert wrong(found) == {"database"}
    done = kept.here("sessions", "list")
    assert done.returncode == 1
    assert database.REMEDY in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b"TEXT", "column 'type' with text"),
        (b"messages_order", "malformed database schema"),
        (b"upkeep", "malformed database schema"),
        (b"is_building", "no such column: is_building"),
        (b"m001_raw2", "column 'applied_at' with text"),
    ],
)
def test_a_schema_that_is_no_text_any_more(kept, name, said):
    path = kept.datadir.database
    damage.flip(path, path.read_bytes().index(name) + len(name) - 1, 0x80)
    for options in ([], ["--verify"], ["--repair"]):
        _, found = findings(kept, *options)
        for subject in wrong(found):
            assert said in found[subject]["text"]
            assert found[subject]["advice"] == database.REMEDY
            assert database.REMEDY not in found[subject]["text"]
        assert wrong(found) == {"database", *(["repair"] if "--repair" in options else [])}
    done = kept.here("serve")
    assert done.returncode == 1
    assert f"{path} is no sound database" in done.stderr
    assert database.REMEDY in done.stderr


def test_a_column_with_another_name(kept):
    path, name = kept.datadir.database, b"longest_silence_ns"
    damage.flip(path, path.read_bytes().index(name) + len(name) - 1, 1)
    _, found = findings(kept)
    assert wrong(found) == {"database"}
    assert found["database"]["text"].endswith("(no such column: turns.longest_silence_ns)")


def flipped(kept, seed):
    """Every command ends with words: `here` and `findings` fail on any other end."""
    random_ = random.Random(seed)
    damage.flip(
        kept.datadir.database,
        random_.choice(damage.text_places(kept.datadir.database)),
        random_.choice([1, 8, 0x80, 0xFF]),
    )
    kept.here("sessions", "list")
    for options in ([], ["--verify"], ["--repair"]):
        findings(kept, *options)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_byte_of_the_schema_changed(kept, seed):
    flipped(kept, seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(8, 300))
def test_whatever_byte_of_the_schema_changed_often(kept, seed):
    flipped(kept, seed)


def test_a_database_of_an_earlier_version_is_sound_and_read_later(place):
    with Database(place.datadir.prepare().database) as db:
        migrations.apply(db, stop_before="m003_chunks")
    place.datadir.database.chmod(0o600)
    done = place.here("doctor", "--verify")
    assert done.returncode == 0, done.stdout
    assert "note   database     an earlier version made it" in done.stdout
    assert "`wirescribe serve`, which brings it up to date" in done.stdout


def test_a_database_of_a_newer_version_is_wrong(kept):
    insert(kept, "_sqlite_migrations", migration_set="wirescribe", name="m999", applied_at="x")
    done = kept.here("doctor")
    assert done.returncode == 1
    assert "wrong  database     a newer Wirescribe made it (m999)" in done.stdout
