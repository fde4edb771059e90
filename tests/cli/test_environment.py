import pytest

from addons.scope import Scope
from cli import environment

SCOPE = Scope(("llm.example", ".corp.example"))
PROXY = "http://id:word@127.0.0.1:8888"


def no_proxy(users):
    changed = environment.through_proxy(PROXY, {}, SCOPE, {"NO_PROXY": users}).variables
    assert changed["NO_PROXY"] == changed["no_proxy"]
    return changed["NO_PROXY"].split(",")


def test_the_proxy_is_set_in_either_case_and_trust_beside_it():
    changed = environment.through_proxy(PROXY, {"SSL_CERT_FILE": "/b.pem"}, SCOPE, {})
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        assert changed.variables[name] == PROXY
    assert changed.variables["SSL_CERT_FILE"] == "/b.pem"


def test_a_childs_calls_to_itself_go_direct():
    assert no_proxy("") == ["localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "api.anthropic.com",
        "API.Anthropic.com:443",
        ".anthropic.com",
        "*.anthropic.com",
        "com",
        "llm.example",
        "x.corp.example",
        ".corp.example",
        "example",
    ],
)
def test_what_would_exempt_a_recorded_host_goes(entry):
    assert no_proxy(f"git.local,{entry}") == ["localhost", "127.0.0.1", "::1", "git.local"]


@pytest.mark.parametrize(
    "entry",
    ["10.0.0.0/8", "internal.lan", ".internal.lan", "fd00::1", "notanthropic.com", "192.168"],
)
def test_what_else_the_user_exempts_stays(entry):
    assert entry in no_proxy(f"{entry} 127.0.0.1")


def test_both_spellings_of_the_users_list_count():
    users = {"NO_PROXY": "one.lan", "no_proxy": "two.lan,one.lan"}
    changed = environment.direct(SCOPE, users)
    assert changed["NO_PROXY"] == "localhost,127.0.0.1,::1,one.lan,two.lan"


def test_other_ways_around_and_the_apis_token_are_taken_away():
    before = {
        "ALL_PROXY": "socks5://x",
        "all_proxy": "x",
        "WIRESCRIBE_TOKEN": "secret",
        "KEPT": "1",
        "HTTPS_PROXY": "http://company",
    }
    after = environment.through_proxy(PROXY, {}, SCOPE, before).applied(before)
    assert not after.keys() & {"ALL_PROXY", "all_proxy", "WIRESCRIBE_TOKEN"}
    assert (after["KEPT"], after["HTTPS_PROXY"]) == ("1", PROXY)
    assert before["HTTPS_PROXY"] == "http://company"
