import json
import tomllib

import pytest

from addons import baseurl
from addons.assignment import Tag
from cli import agents
from storage.errors import ConfigError


def through(url):
    return baseurl.url("http://127.0.0.1:8888", Tag("s", "w"), agents.provider(url))


@pytest.mark.parametrize(
    ("command", "name", "behind"),
    [
        ("claude", "ANTHROPIC_BASE_URL", "api.anthropic.com"),
        ("/opt/bin/gemini", "GOOGLE_GEMINI_BASE_URL", "generativelanguage.googleapis.com"),
        ("qwen", "OPENAI_BASE_URL", "api.openai.com/v1"),
    ],
)
def test_agents_with_a_variable_get_that_alone(command, name, behind):
    found = agents.base_urls(command, through, {})
    assert found.variables == {name: f"http://127.0.0.1:8888/@s:w/{behind}"}
    assert (found.arguments, found.known) == ((), True)


def test_codex_gets_an_argument_that_is_toml():
    found = agents.base_urls("codex", through, {"OPENAI_BASE_URL": "https://ignored.example"})
    assert found.variables == {}
    option, value = found.arguments
    assert option == "-c"
    assert tomllib.loads(value) == {
        "openai_base_url": "http://127.0.0.1:8888/@s:w/api.openai.com/v1"
    }


def test_opencode_keeps_the_users_own_configuration():
    own = {"theme": "x", "provider": {"anthropic": {"options": {"timeout": 1}, "models": {}}}}
    found = agents.base_urls("opencode", through, {"OPENCODE_CONFIG_CONTENT": json.dumps(own)})
    config = json.loads(found.variables["OPENCODE_CONFIG_CONTENT"])
    assert config["theme"] == "x"
    assert config["provider"]["anthropic"] == {
        "models": {},
        "options": {"timeout": 1, "baseURL": "http://127.0.0.1:8888/@s:w/api.anthropic.com/v1"},
    }
    assert config["provider"]["openai"]["options"]["baseURL"].endswith("/api.openai.com/v1")


def test_opencodes_configuration_must_be_one():
    with pytest.raises(ConfigError, match="OPENCODE_CONFIG_CONTENT"):
        agents.base_urls("opencode", through, {"OPENCODE_CONFIG_CONTENT": "[1"})


def test_copilot_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match="forward proxy"):
        agents.base_urls("/usr/bin/copilot", through, {})


def test_a_provider_that_the_user_chose_is_kept():
    found = agents.base_urls("claude", through, {"ANTHROPIC_BASE_URL": "http://gw.corp:8080/a/"})
    assert found.variables["ANTHROPIC_BASE_URL"] == (
        "http://127.0.0.1:8888/@s:w/http:gw.corp:8080/a"
    )


def test_the_addresses_are_those_that_the_proxy_understands():
    for url, expected in (
        ("https://api.openai.com/v1", ("https", "api.openai.com", 443, "/v1/responses")),
        ("http://127.0.0.1:11434", ("http", "127.0.0.1", 11434, "/responses")),
        ("https://gw.corp:8443/x", ("https", "gw.corp", 8443, "/x/responses")),
    ):
        path = through(url).removeprefix("http://127.0.0.1:8888") + "/responses"
        found = baseurl.parse(path)
        assert (found.scheme, found.host, found.port, found.path) == expected
        assert found.tag == Tag("s", "w")


@pytest.mark.parametrize("url", ["gw.corp", "ftp://gw.corp", "https://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError):
        agents.provider(url)


def test_an_unknown_command_gets_every_variable():
    found = agents.base_urls("my-agent", through, {})
    assert found.variables.keys() == {
        "ANTHROPIC_BASE_URL",
        "OPENAI_BASE_URL",
        "GOOGLE_GEMINI_BASE_URL",
    }
    assert not found.known
    assert agents.every(through, {}).keys() == set(agents.NAMES)
