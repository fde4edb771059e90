import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives import serialization

from certs import bundle, certificate


def root() -> bytes:
    _, made = certificate.issue(None, datetime(2030, 1, 1, tzinfo=UTC))
    return made.public_bytes(serialization.Encoding.DER)


def pem(*ders: bytes) -> bytes:
    return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode()


def held(path: Path) -> set[bytes]:
    return set(bundle.certificates(path.read_bytes()))


def test_the_bundle_is_ours_and_the_roots_of_the_system(tmp_path):
    ours = root()
    bundle.publish(tmp_path, [ours])
    assert held(tmp_path / "trusted.pem") == {ours}
    assert held(tmp_path / "bundle.pem") == {ours, *bundle.system_roots()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tmp_path / "bundle.pem")
    assert ours in context.get_ca_certs(binary_form=True)
    assert len(context.get_ca_certs()) == len(bundle.system_roots()) + 1


def test_the_system_roots_are_those_that_openssl_reads_itself():
    """A process without SSL_CERT_FILE and SSL_CERT_DIR says what they are."""
    paths = ssl.get_default_verify_paths()
    source = Path(paths.openssl_cafile)
    if not source.is_file():
        source = Path(paths.openssl_capath)
    known = {ssl.PEM_cert_to_DER_cert(block) for block in _blocks(source)}
    if not known:
        known = {ssl.PEM_cert_to_DER_cert(block) for block in _blocks(Path(certifi.where()))}
    assert known <= set(bundle.system_roots())
    assert len(bundle.system_roots()) > 20


def _blocks(source: Path) -> list[str]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    texts = [path.read_text("latin-1") for path in paths if path.is_file()]
    parts = [part.partition(end)[0] for text in texts for part in text.split(begin)[1:]]
    return [begin + part + end for part in parts]


def test_inside_a_child_of_ours_the_system_roots_are_the_same(tmp_path):
    """SSL_CERT_FILE moves Python's default paths: a bundle of a bundle would grow for ever."""
    (tmp_path / "ours.pem").write_bytes(pem(root()))
    script = "from certs import bundle; print(len(bundle.system_roots()))"
    environment = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ours.pem")}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    assert int(found.stdout) == len(bundle.system_roots())


def test_without_system_roots_certifis_are_taken(tmp_path, monkeypatch):
    nowhere = ssl.get_default_verify_paths()._replace(
        openssl_cafile=str(tmp_path / "none.pem"), openssl_capath=str(tmp_path / "none")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    assert set(bundle.system_roots()) == held(Path(certifi.where()))


def test_what_the_users_environment_names_gets_files_of_its_own(tmp_path):
    ours, company, other = root(), root(), root()
    company_file, folder = tmp_path / "company.crt", tmp_path / "roots"
    company_file.write_bytes(b"# our company\n" + pem(company))
    folder.mkdir()
    (folder / "other.pem").write_bytes(pem(other))
    ca = tmp_path / "ca"
    ca.mkdir()

    plain = bundle.for_child(ca, [ours], [])
    one = bundle.for_child(ca, [ours], [company_file])
    both = bundle.for_child(ca, [ours], [company_file, folder])
    assert (plain.trusted, plain.bundle) == (ca / "trusted.pem", ca / "bundle.pem")
    assert held(plain.bundle).isdisjoint({company, other})
    assert held(one.trusted) == {ours, company}
    assert held(one.bundle) == {ours, company, *bundle.system_roots()}
    assert held(both.trusted) == {ours, company, other}
    assert bundle.for_child(ca, [ours], [folder, company_file]) == both


def test_a_child_inside_a_child_gets_the_same_files(tmp_path):
    ours, company = root(), root()
    (tmp_path / "company.pem").write_bytes(pem(company))
    outer = bundle.for_child(tmp_path, [ours], [tmp_path / "company.pem"])
    inner = bundle.for_child(tmp_path, [ours], [outer.bundle, outer.trusted])
    assert inner == outer


def test_a_new_authority_reaches_the_files_of_running_children(tmp_path):
    former, ours, company = root(), root(), root()
    (tmp_path / "company.pem").write_bytes(pem(company))
    pair = bundle.for_child(tmp_path, [former], [tmp_path / "company.pem"])
    bundle.publish(tmp_path, [ours, former])
    assert held(pair.trusted) == {ours, former, company}
    bundle.publish(tmp_path, [ours])
    assert held(pair.trusted) == {ours, company}
    assert held(pair.bundle) == {ours, company, *bundle.system_roots()}


def test_a_stale_bundle_is_written_again(tmp_path):
    ours = root()
    bundle.publish(tmp_path, [ours])
    (tmp_path / "bundle.pem").write_bytes(pem(root()))
    bundle.for_child(tmp_path, [ours], [])
    assert held(tmp_path / "bundle.pem") == {ours, *bundle.system_roots()}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nAAAAAAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\n\xff\xfe\n-----END CERTIFICATE-----",
        b"-----BEGIN TRUSTED CERTIFICATE-----\nMIIB\n-----END TRUSTED CERTIFICATE-----",
    ],
)
def test_a_damaged_certificate_does_not_spoil_the_bundle(tmp_path, data):
    good = root()
    assert bundle.certificates(data + b"\n" + pem(good) + data) == (good,)


def test_what_cannot_be_read_is_passed_over(tmp_path):
    ours = root()
    os.mkfifo(tmp_path / "pipe")
    named = [tmp_path / "missing", tmp_path / "pipe", Path("/dev/zero"), Path("x" * 5000)]
    found = bundle.for_child(tmp_path, [ours], named)
    assert found.bundle == tmp_path / "bundle.pem"
