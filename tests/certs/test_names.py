from datetime import UTC, datetime

import pytest
from cryptography import x509

from certs import certificate, names
from certs.errors import HostError


def test_hosts_are_brought_into_one_form():
    hosts = ["*.OpenAI.com", ".anthropic.com", "api.anthropic.com.", "anthropic.com", "bücher.de"]
    assert names.normal(hosts) == (
        "anthropic.com",
        "api.anthropic.com",
        "openai.com",
        "xn--bcher-kva.de",
    )
    assert names.normal(["[::1]", "127.0.0.1", "10.0.0.0/8", "localhost"]) == (
        "10.0.0.0/8",
        "127.0.0.1",
        "::1",
        "localhost",
    )


@pytest.mark.parametrize(
    "host",
    ["", "*", "a..b", "https://x.com", "x.com:443", "api.*.com", "-x.com", "a b", "a" * 64, "."],
)
def test_what_is_no_host_is_named(host):
    with pytest.raises(HostError) as caught:
        names.normal(["example.com", host])
    assert repr(host) in str(caught.value)


def test_no_host_at_all_is_refused():
    with pytest.raises(HostError):
        names.normal([])


@pytest.mark.parametrize(
    ("permitted", "wanted", "covered"),
    [
        (["openai.com"], ["openai.com", "api.openai.com", "a.b.openai.com"], True),
        (["openai.com"], ["notopenai.com"], False),
        (["api.openai.com"], ["openai.com"], False),
        (["openai.com", "x.ai"], ["x.ai", "anthropic.com"], False),
        (["127.0.0.0/8"], ["127.0.0.1"], True),
        (["127.0.0.1"], ["127.0.0.2"], False),
        (["127.0.0.1"], ["::1"], False),
        (["::/0"], ["127.0.0.1", "::1"], False),
        (["::/0"], ["::1"], True),
        (["1"], ["127.0.0.1"], False),
    ],
)
def test_which_names_are_covered(permitted, wanted, covered):
    assert names.covers(names.normal(permitted), names.normal(wanted)) is covered


@pytest.mark.parametrize(
    "hosts", [["openai.com", "x.ai"], ["127.0.0.1", "::1"], ["localhost", "10.0.0.0/8"]]
)
def test_names_survive_the_way_into_a_certificate(hosts):
    permitted = names.normal(hosts)
    _, made = certificate.issue(permitted, datetime(2030, 1, 1, tzinfo=UTC))
    assert names.permitted_by(made) == permitted


def test_a_kind_of_name_with_nothing_permitted_is_excluded():
    def excluded(*hosts: str) -> list[str] | None:
        found = names.constraints(names.normal(hosts)).excluded_subtrees
        return None if found is None else [str(name.value) for name in found]

    assert excluded("openai.com") == ["0.0.0.0/0", "::/0"]
    assert excluded("127.0.0.1", "::1") == [""]
    assert excluded("openai.com", "127.0.0.1") is None


def test_an_address_is_never_written_as_a_dns_name():
    """rustls takes an authority with such a constraint for malformed and refuses all its leafs."""
    subtrees = names.constraints(names.normal(["openai.com", "127.0.0.1"])).permitted_subtrees
    assert subtrees is not None
    assert [type(name).__name__ for name in subtrees] == ["DNSName", "IPAddress"]


def test_a_certificate_without_constraints_has_no_limit():
    _, made = certificate.issue(None, datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.NameConstraints)
    assert names.permitted_by(made) is None
