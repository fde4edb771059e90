"""A server's TLS context, for `Provider(tls=...)`."""

import ssl

import trustme


def context(ca: trustme.CA, *hosts: str) -> ssl.SSLContext:
    """A certificate of this test CA for these hosts (127.0.0.1 and localhost if none is named)."""
    certificate = ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["http/1.1"])
    certificate.configure_cert(made)
    return made


def from_files(certificate: str, key: str | None = None) -> ssl.SSLContext:
    """A certificate chain and its key from PEM files (one file may hold both)."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(certificate, key)
    return made
