import re
import subprocess

import pytest

from tests.cli.running import AGENT, ANSWER


def in_bash(place, script):
    return subprocess.run(
        ["bash", "-c", script], env=place.environ, capture_output=True, check=True, text=True
    ).stdout


def test_a_shell_that_takes_it_over_is_recorded(lived_in):
    lived_in.here("sessions", "create", "shell")
    lived_in.here("sessions", "record", "on", "shell")
    done = lived_in.here("env", "--shell", "bash", "--session", "shell")
    assert done.stderr == ""
    assert in_bash(lived_in, f"{done.stdout}\n{AGENT[0]} {AGENT[1]} call").encode() == ANSWER
    lived_in.wait_for(
        lambda: "Entries  1" in lived_in.here("sessions", "show", "shell").stdout, "the entry"
    )


def test_unset_takes_all_of_it_back(lived_in):
    for option in ([], ["--base-url"]):
        setting = lived_in.here("env", "--shell", "bash", *option).stdout
        unsetting = lived_in.here("env", "--shell", "bash", "--unset").stdout
        before = in_bash(lived_in, "env | sort")
        assert in_bash(lived_in, f"{setting}\n{unsetting}\nenv | sort") == before
        assert in_bash(lived_in, f"{setting}\nenv | sort") != before


def test_a_session_that_does_not_record_is_said(lived_in):
    created = lived_in.here("sessions", "create", "off").stdout
    said = lived_in.here("env", "--session", "off").stderr
    assert f"'off' is not recording: `wirescribe sessions record on {created[:18]}`" in said
    assert lived_in.here("env", "--session", "nowhere").returncode == 1


def test_base_urls_for_every_agent_and_what_has_none(lived_in):
    done = lived_in.here("env", "--shell", "bash", "--base-url")
    assert re.search(
        r"^export ANTHROPIC_BASE_URL=http://127\.0\.0\.1:\d+/@:\w+/api\.anthropic\.com$",
        done.stdout,
        re.MULTILINE,
    )
    assert "HTTPS_PROXY" not in done.stdout
    assert "codex -c 'openai_base_url=\"http://" in done.stderr
    assert "Copilot" in done.stderr
    script = f'{done.stdout}\n{AGENT[0]} {AGENT[1]} fetch_from "$ANTHROPIC_BASE_URL/v1/models"'
    assert in_bash(lived_in, script).encode() == ANSWER


def test_the_users_way_around_is_unset_where_it_is_set(lived_in):
    assert "unset ALL_PROXY" not in lived_in.here("env", "--shell", "bash").stdout
    done = lived_in.here("env", "--shell", "fish", more={"ALL_PROXY": "x"})
    assert done.stdout.startswith("set -e ALL_PROXY\n")


def test_without_a_proxy_it_says_how_to_get_one(place):
    done = place.here("env")
    assert (done.returncode, done.stdout) == (1, "")
    assert "start `wirescribe up`" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_unset_needs_no_proxy(place, shell):
    done = place.here("env", "--unset", "--shell", shell)
    assert done.returncode == 0
    for name in ("HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "ANTHROPIC_BASE_URL"):
        assert re.search(rf"[ :]{name}\b", done.stdout)
