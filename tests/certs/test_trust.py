import os
import stat
from pathlib import Path

import pytest

from certs import authority, bundle, trust
from certs.errors import CertificateError

PERMITTED = ("anthropic.com",)


def held(path: str) -> set[bytes]:
    return set(bundle.certificates(Path(path).read_bytes()))


def test_every_variable_names_a_file_that_holds_the_authority(tmp_path):
    made = authority.ensure(tmp_path, permitted=PERMITTED)
    ours = held(str(made.certificate_path))
    environment = trust.child_environment(made)
    assert set(environment) == {variable.name for variable in trust.VARIABLES}
    for variable in trust.VARIABLES:
        path = environment[variable.name]
        assert Path(path).is_absolute()
        if variable.adds:
            assert held(path) == ours, variable.name
        else:
            assert held(path) == ours | set(bundle.system_roots()), variable.name


def test_the_variables_that_the_agents_were_seen_to_need_are_among_them(tmp_path):
    environment = trust.child_environment(authority.ensure(tmp_path, permitted=PERMITTED))
    assert {
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "CODEX_CA_CERTIFICATE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "DENO_CERT",
        "AWS_CA_BUNDLE",
    } <= set(environment)


@pytest.mark.parametrize("variable", [variable.name for variable in trust.VARIABLES])
def test_a_companys_own_root_goes_on_being_trusted(tmp_path, variable):
    company = authority.ensure(tmp_path / "company", permitted=None)
    made = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    before = {variable: str(company.certificate_path), "HOME": "/nowhere"}
    environment = trust.child_environment(made, before)
    theirs = held(str(company.certificate_path))
    for path in set(environment.values()):
        assert theirs < held(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    # The next child, started elsewhere, does not get it.
    assert all(held(path).isdisjoint(theirs) for path in trust.child_environment(made).values())


def test_a_child_of_a_child_is_told_the_same(tmp_path):
    company = authority.ensure(tmp_path / "company", permitted=None)
    made = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    outer = trust.child_environment(made, {"SSL_CERT_FILE": str(company.certificate_path)})
    assert trust.child_environment(made, outer) == outer


def test_removing_takes_the_files_of_children_along(tmp_path):
    company = authority.ensure(tmp_path / "company", permitted=None)
    made = authority.ensure(tmp_path / "ca", permitted=PERMITTED)
    trust.child_environment(made, {"SSL_CERT_FILE": str(company.certificate_path)})
    deleted = authority.remove(made.folder)
    assert len(deleted) == 8
    assert not made.folder.exists()
    with pytest.raises(CertificateError, match="start the proxy again"):
        trust.child_environment(made)
    assert not made.folder.exists()


def test_the_readme_names_every_variable_its_file_and_its_readers():
    text = Path(trust.__file__).with_name("README.md").read_text()
    for variable in trust.VARIABLES:
        file = "trusted.pem" if variable.adds else "bundle.pem"
        assert f"| `{variable.name}` | `{file}` | {variable.clients} |" in text
