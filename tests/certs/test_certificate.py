from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import certificate
from certs.errors import DamagedError

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


def pem(made: x509.Certificate) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)


def test_the_root_is_what_a_strict_verifier_asks_for():
    key_pem, made = certificate.issue(("example.com",), NOW)
    assert key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    made.verify_directly_issued_by(made)
    assert (made.not_valid_after_utc - NOW).days == 365
    assert made.not_valid_before_utc < NOW

    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert (basic.value.ca, basic.value.path_length) == (True, 0)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extended.value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    subject_key = made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority_key = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority_key.key_identifier == subject_key.digest
    assert made.extensions.get_extension_for_class(x509.NameConstraints).critical


def test_no_two_roots_share_a_name():
    (_, one), (_, other) = certificate.issue(None, NOW), certificate.issue(None, NOW)
    assert one.subject != other.subject
    assert one.serial_number != other.serial_number


def test_a_long_user_or_host_name_is_cut_to_what_x509_allows(monkeypatch):
    monkeypatch.setenv("LOGNAME", "u" * 40)
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 200 + "\x1b[2J")
    _, made = certificate.issue(None, NOW)
    assert f"Wirescribe CA for {'u' * 40}@hhhhh" in made.subject.rfc4514_string()


def test_a_uid_without_a_name_gets_a_root_too(monkeypatch):
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    _, made = certificate.issue(None, NOW)
    assert "Wirescribe CA for user@" in made.subject.rfc4514_string()


def test_reading_asks_for_key_and_certificate_that_belong_together():
    key_pem, made = certificate.issue(None, NOW)
    other_key, _ = certificate.issue(None, NOW)
    assert certificate.read(key_pem + pem(made)) == made
    for damaged in (b"", key_pem, pem(made), (key_pem + pem(made))[:-80], other_key + pem(made)):
        with pytest.raises(DamagedError):
            certificate.read(damaged)
