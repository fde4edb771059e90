"""Which hosts are decrypted."""

import pytest

from addons.scope import HOSTS, Scope
from certs import names


@pytest.mark.parametrize(
    "host",
    [
        "api.anthropic.com",
        "API.Anthropic.COM",
        "api.anthropic.com.",
        "api.openai.com",
        "chatgpt.com",
        "generativelanguage.googleapis.com",
        "cloudcode-pa.googleapis.com",
        "api.githubcopilot.com",
        "api.individual.githubcopilot.com",
        "my-resource.openai.azure.com",
        "bedrock-runtime.eu-central-1.amazonaws.com",
        "us-central1-aiplatform.googleapis.com",
        "dashscope-intl.aliyuncs.com",
        "models.opencode.ai",
    ],
)
def test_model_providers_and_first_parties_are_in_scope(host):
    assert Scope().matches(host)


@pytest.mark.parametrize(
    "host",
    [
        "registry.npmjs.org",
        "github.com",
        "api.github.com",
        "oauth2.googleapis.com",
        "s3.us-east-1.amazonaws.com",
        "evil-api.anthropic.com.example",
        "xapi.anthropic.com",
        "sub.api.anthropic.com",
        "notgithubcopilot.com",
        "127.0.0.1",
        "",
    ],
)
def test_everything_else_is_not(host):
    assert not Scope().matches(host)
    assert Scope(everything=True).matches(host)


def test_extra_hosts():
    scope = Scope(["gateway.example", "*.corp.example", "10.1.2.3"])
    assert scope.matches("gateway.example")
    assert not scope.matches("sub.gateway.example")
    assert scope.matches("a.b.corp.example")
    assert scope.matches("10.1.2.3")
    assert not scope.matches("10.1.2.4")


@pytest.mark.parametrize(
    ("host", "target", "recorded"),
    [
        ("localhost", b"/v1/chat/completions", True),
        ("127.0.0.1", b"/api/chat", True),
        ("192.168.1.7", b"/v1/messages?beta=true", True),
        ("ollama", b"/api/generate", True),
        ("[::1]", b"/v1beta/models/gemini-pro:streamGenerateContent?alt=sse", True),
        ("localhost", b"/index.html", False),
        ("localhost", b"/v1/messages-archive", False),
        ("example.com", b"/v1/messages", False),
        ("api.anthropic.com", b"/anything", True),
    ],
)
def test_plain_http_of_local_model_servers_is_recorded(host, target, recorded):
    assert Scope().matches_plain(host, target) is recorded


def test_certificates_can_be_made_for_all_of_it_and_for_no_more():
    wanted = Scope(["gateway.example"]).certificate_names()
    assert names.normal(wanted) == wanted
    assert "gateway.example" in wanted
    for host in HOSTS:
        assert names.covers(wanted, names.normal([f"x{host}" if host[0] == "." else host]))
    assert not names.covers(wanted, ("api.github.com",))
    assert Scope(everything=True).certificate_names() is None
