import msgspec
import pytest

from cli import settings
from cli.settings import Settings
from storage.datadir import DataDir
from storage.errors import ConfigError


@pytest.fixture
def datadir(tmp_path):
    return DataDir(tmp_path)


def config(datadir, text):
    datadir.config.write_text(text)


def test_without_anything_the_defaults(datadir):
    assert settings.load(datadir, {}, {}) == Settings()
    assert (Settings().host, Settings().proxy_port, Settings().port) == ("127.0.0.1", 8888, 8889)


def test_flags_win_over_variables_and_those_over_the_file(datadir):
    config(datadir, 'port = 1\nproxy_port = 2\nscope = "all"\nhttp2 = true')
    found = settings.load(
        datadir,
        {"port": 11, "proxy_port": None},
        {"WIRESCRIBE_PORT": "21", "WIRESCRIBE_PROXY_PORT": "22"},
    )
    assert (found.port, found.proxy_port, found.scope, found.http2) == (11, 22, "all", True)


def test_every_key_of_the_file_has_a_variable(datadir):
    variables = {
        "WIRESCRIBE_HOST": "::1",
        "WIRESCRIBE_PROXY_PORT": "1",
        "WIRESCRIBE_PORT": "2",
        "WIRESCRIBE_SCOPE": "all",
        "WIRESCRIBE_HOSTS": "a.example,b.example",
        "WIRESCRIBE_UPSTREAM": "a.example=http://127.0.0.1:1,b.example=https://c.example/x",
        "WIRESCRIBE_UPSTREAM_CA": "/ca.pem",
        "WIRESCRIBE_HTTP2": "true",
        "WIRESCRIBE_RECORD_SECRETS": "1",
        "WIRESCRIBE_SECRET_HEADERS": "x-one x-two",
        "WIRESCRIBE_CREDENTIAL_ENDPOINTS": "a.example/token",
        "WIRESCRIBE_AUTH": "token",
        "WIRESCRIBE_ALLOWED_HOSTS": "box.example",
        "WIRESCRIBE_CAPTURE_AUTOMATIC": "false",
        "WIRESCRIBE_DISK_MIN_FREE_MB": "3",
        "WIRESCRIBE_SPOOL_MAX_GB": "0.5",
        "WIRESCRIBE_RETENTION_DAYS": "30",
        "WIRESCRIBE_RETENTION_MAX_GB": "2.5",
        "WIRESCRIBE_LIVE_IDLE_MINUTES": "1.5",
    }
    changed = msgspec.to_builtins(settings.load(datadir, {}, variables))
    defaults = msgspec.to_builtins(Settings())
    assert changed.keys() == defaults.keys()
    assert all(changed[key] != defaults[key] for key in defaults)


def test_a_table_of_the_file_keeps_what_a_variable_does_not_name(datadir):
    config(datadir, '[upstream]\n"a.example" = "http://127.0.0.1:1"\n[disk]\nmin_free_mb = 7')
    found = settings.load(
        datadir, {"upstream": {"b.example": "http://127.0.0.1:2"}}, {"WIRESCRIBE_SPOOL_MAX_GB": "1"}
    )
    assert found.upstream == {"a.example": "http://127.0.0.1:1", "b.example": "http://127.0.0.1:2"}
    assert (found.disk.min_free_mb, found.spool.max_gb) == (7, 1)


def test_lists_of_flags_come_to_those_of_the_file(datadir):
    config(datadir, 'hosts = ["a.example"]')
    found = settings.load(datadir, {"hosts": ("b.example",), "allowed_hosts": ()}, {})
    assert found.hosts == ("a.example", "b.example")
    assert found.allowed_hosts == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('port = "x"', "Expected `int`, got `str` - at `$.port`"),
        ("[retention]\ndays = 0", "Expected `float` > 0.0 - at `$.retention.days`"),
        ("[retention]\ndays = -1", "Expected `float` > 0.0 - at `$.retention.days`"),
        ("[retention]\ndays = nan", "at `$.retention.days`"),
        ("[retention]\nmax_gb = inf", "Expected `float` <= 1000000.0 - at `$.retention.max_gb`"),
        ('[retention]\nmax_gb = "5 GB"', "got `str` - at `$.retention.max_gb`"),
        ("[retention]\nmonths = 1", "unknown field `months` - at `$.retention`"),
        ("prot = 1", "Object contains unknown field `prot`"),
        ("[disk]\nmin_free = 1", "unknown field `min_free` - at `$.disk`"),
        ("[disk]\nmin_free_mb = -1", "`int` >= 0 - at `$.disk.min_free_mb`"),
        ("port = 70000", "<= 65535 - at `$.port`"),
        ('scope = "some"', "Invalid enum value 'some' - at `$.scope`"),
        ("port =", "Invalid value"),
    ],
)
def test_a_mistake_in_the_file_names_its_place(datadir, text, said):
    config(datadir, text)
    with pytest.raises(ConfigError) as caught:
        settings.load(datadir, {}, {})
    assert "config.toml: " in str(caught.value)
    assert said in str(caught.value)
    assert str(datadir.config) in str(caught.value)


def test_a_file_that_is_no_text_is_the_users_mistake(datadir):
    datadir.config.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.toml"):
        settings.load(datadir, {}, {})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("WIRESCRIBE_PORT", "many", "WIRESCRIBE_PORT=many: Expected `int`"),
        ("WIRESCRIBE_HTTP2", "maybe", "WIRESCRIBE_HTTP2=maybe"),
        ("WIRESCRIBE_DISK_MIN_FREE_MB", "-1", "WIRESCRIBE_DISK_MIN_FREE_MB=-1"),
        ("WIRESCRIBE_UPSTREAM", "a.example", "HOST=URL"),
        ("WIRESCRIBE_UPSTREAM", "a.example=ftp://b", "http"),
    ],
)
def test_a_mistake_in_a_variable_names_it(datadir, name, text, said):
    with pytest.raises(ConfigError) as caught:
        settings.load(datadir, {}, {name: text})
    assert said in str(caught.value)


def test_an_empty_variable_counts_as_unset(datadir):
    assert settings.load(datadir, {}, {"WIRESCRIBE_PORT": ""}) == Settings()


def test_one_port_cannot_serve_both(datadir):
    with pytest.raises(ConfigError, match="port 9000"):
        settings.load(datadir, {"port": 9000, "proxy_port": 9000}, {})
    settings.load(datadir, {"port": 0, "proxy_port": 0}, {})


def test_nothing_is_read_from_the_current_directory(datadir, tmp_path, monkeypatch):
    elsewhere = tmp_path / "project"
    elsewhere.mkdir()
    (elsewhere / "config.toml").write_text("port = 1")
    monkeypatch.chdir(elsewhere)
    assert settings.load(datadir, {}, {}) == Settings()
