import msgspec

from cli import ca
from cli.settings import Settings


def test_what_the_authority_vouches_for_follows_the_settings():
    hosts = ca.permitted(Settings(hosts=("llm.example",), upstream={"gw.example": "http://x"}))
    assert {"llm.example", "gw.example", "api.anthropic.com"} <= set(hosts)
    assert ca.permitted(Settings(scope="all")) is None


def test_before_the_first_proxy_there_is_none(place):
    for command in ("show", "path", "bundle"):
        done = place.here("ca", command)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the first `wirescribe up` makes one" in done.stderr
    assert not place.datadir.root.exists()


def test_renew_show_and_remove(place):
    done = place.here("ca", "renew")
    assert done.returncode == 0
    assert "new certificate authority" in done.stderr
    shown = msgspec.json.decode(place.here("ca", "show", "--json").stdout)
    assert shown["certificate"] == place.here("ca", "path").stdout.strip()
    assert shown["bundle"] == place.here("ca", "bundle").stdout.strip()
    assert not shown["expired"]
    assert "api.anthropic.com" in shown["permitted"]
    assert shown["fingerprintSha256"] in place.here("ca", "show").stdout

    place.here("ca", "renew")
    again = msgspec.json.decode(place.here("ca", "show", "--json").stdout)
    assert again["fingerprintSha256"] != shown["fingerprintSha256"]

    done = place.here("ca", "remove")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert place.here("ca", "remove", "--yes").returncode == 0
    assert not place.datadir.ca.exists()
    assert place.here("ca", "remove", "--yes").stderr == "there was none\n"


def test_one_in_use_is_not_removed(lived_in):
    done = lived_in.here("ca", "remove", "--yes")
    assert done.returncode == 1
    assert f"process {lived_in.running.proxy.pid}" in done.stderr
    assert "start it again" in lived_in.here("ca", "renew").stderr
