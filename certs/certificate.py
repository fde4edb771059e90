"""
One root: an EC P-256 key and the certificate that signs itself with it.

Seen with mitmproxy 12.2.3: it reads key and certificate from one file, signs its leaf certificates
with this key and *uses the same key in them*, so the key is in the process that speaks TLS. Its
leafs carry the EKU serverAuth, no key usage, and begin two days ago.
"""

from __future__ import annotations

import getpass
import socket
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import names
from certs.errors import DamagedError

VALIDITY = timedelta(days=365)
# As long as mitmproxy backdates its leafs, so that none is older than its issuer.
BACKDATE = timedelta(days=2)

_COMMON_NAME_CHARACTERS = 64  # RFC 5280, ub-common-name


def issue(permitted: tuple[str, ...] | None, now: datetime) -> tuple[bytes, x509.Certificate]:
    """A new root: PKCS8 key in PEM and its certificate, for (normal) `permitted` hosts or all."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _subject(subject_key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + VALIDITY)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
    )
    if permitted is not None:
        # RFC 5280: critical. A client that does not know them must refuse, not ignore.
        builder = builder.add_extension(names.constraints(permitted), critical=True)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, builder.sign(key, hashes.SHA256())


_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,  # mitmproxy signs an (empty) revocation list at start
    encipher_only=False,
    decipher_only=False,
)


def _subject(subject_key: x509.SubjectKeyIdentifier) -> x509.Name:
    # Two roots with one name and two keys confuse some verifiers (they try the wrong one and
    # stop): the unit tells them apart.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Wirescribe"),
            x509.NameAttribute(
                NameOID.ORGANIZATIONAL_UNIT_NAME, f"key {subject_key.digest.hex()[:12]}"
            ),
            x509.NameAttribute(NameOID.COMMON_NAME, _common_name()),
        ]
    )


def _common_name() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's uid without a passwd entry
        user = "user"
    text = f"Wirescribe CA for {user}@{socket.gethostname()}"
    return "".join(sign for sign in text if sign.isprintable())[:_COMMON_NAME_CHARACTERS]


def read(data: bytes) -> x509.Certificate:
    """The certificate of a key-and-certificate file; DamagedError unless its key belongs to it."""
    try:
        certificate = x509.load_pem_x509_certificate(data)
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise DamagedError(f"not a key and a certificate: {error}") from error
    if key.public_key() != certificate.public_key():
        raise DamagedError("the key is not that of the certificate")
    return certificate
