"""
What can go wrong with the certificate authority.

    CertificateError        something about the authority; its text says what to do
    ├── FolderError         the folder cannot be trusted with a key (somebody else's, open, a link)
    ├── HostError           a host that no name constraint can express
    └── DamagedError        files are there, but they are not an authority
"""

from __future__ import annotations


class CertificateError(Exception):
    """An authority could not be made, read or removed."""


class FolderError(CertificateError):
    """The folder is not a private one of this user."""


class HostError(CertificateError):
    """A permitted host is neither a DNS name nor an IP address or network."""


class DamagedError(CertificateError):
    """The key file is there and unreadable as key and certificate."""
