"""
The user's own certificate authority: made at first use, renewed by itself, kept in one folder.

    mitmproxy-ca.pem       key and certificate, the truth; what mitmproxy reads from its confdir
    mitmproxy-ca-cert.pem  the certificate alone
    mitmproxy-dhparam.pem  mitmproxy would make it itself, readable by all
    trusted.pem ...        what a child trusts: see bundle.py

A proxy holds its authority in memory and a child what it read at its start, so a renewal is for
those that start later: `ensure` belongs to the start of a proxy, never into its run. Predecessors
stay in the trusted files, without their keys, for children that reach a proxy started before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from certs import bundle, certificate, files, names
from certs.errors import DamagedError

KEY_NAME = "mitmproxy-ca.pem"
CERTIFICATE_NAME = "mitmproxy-ca-cert.pem"
DHPARAM_NAME = "mitmproxy-dhparam.pem"
RENEW_BEFORE = timedelta(days=30)
# Of a user who changes between scopes at every start; each is a kilobyte in each trusted file.
FORMER_LIMIT = 8

_OURS = ("mitmproxy-*", "trusted*.pem", "bundle*.pem", "own-*.pem", files.TEMPORARY_PREFIX + "*")


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """The authority that stands in `folder`. Times are in UTC."""

    folder: Path
    subject: str  # RFC 4514
    fingerprint_sha256: str  # of the certificate; lower-case hex
    not_before: datetime
    not_after: datetime
    permitted: tuple[str, ...] | None  # hosts it may vouch for, and what is below; None: any

    @property
    def certificate_path(self) -> Path:
        return self.folder / CERTIFICATE_NAME

    @property
    def key_path(self) -> Path:
        """Key and certificate in one file."""
        return self.folder / KEY_NAME

    @property
    def trusted_path(self) -> Path:
        """For clients that add a file to their roots."""
        return self.folder / bundle.TRUSTED_NAME

    @property
    def bundle_path(self) -> Path:
        """For clients that take a file instead of their roots."""
        return self.folder / bundle.BUNDLE_NAME


def ensure(
    folder: Path, *, permitted: Iterable[str] | None, now: datetime | None = None
) -> Authority:
    """
    The authority of `folder` for `permitted` hosts (None: any), made or renewed where needed.

    For the start of a proxy. Safe against another process that does the same. FolderError if the
    folder is not a private one, DamagedError if the key file is no key, HostError for a bad host.
    """
    wanted = None if permitted is None else names.normal(permitted)
    moment = now or datetime.now(UTC)
    with files.locked(folder, create=True):
        present = _read(folder)
        if present is None or renewal_reason(_authority(folder, present), wanted, moment):
            former = [] if present is None else [present, *_former(folder)]
            return _issue(folder, wanted, moment, former)
        _publish(folder, present, _former(folder), moment)
        return _authority(folder, present)


def renewal_reason(
    authority: Authority, permitted: Iterable[str] | None, now: datetime
) -> str | None:
    """Why the next start of a proxy will make a new authority, for people; None if it will not."""
    wanted = None if permitted is None else names.normal(permitted)
    if now >= authority.not_after:
        return "it has expired"
    if now < authority.not_before:
        return "it is not valid yet"
    if authority.not_after - now < RENEW_BEFORE:
        return "it expires within 30 days"
    if authority.permitted is None:
        # Hosts are all covered, but a stolen key would then be good for all the others too.
        return None if wanted is None else "it may vouch for any host"
    if wanted is None or not names.covers(authority.permitted, wanted):
        return "it may not vouch for every host that is decrypted"
    return None


def load(folder: Path) -> Authority | None:
    """The authority that stands in `folder`, expired or not; None when there is none."""
    try:
        files.check_folder(folder)
    except FileNotFoundError:
        return None
    present = _read(folder)
    return None if present is None else _authority(folder, present)


def renew(
    folder: Path, *, permitted: Iterable[str] | None, now: datetime | None = None
) -> Authority:
    """
    A new authority in place of whatever stands in `folder`, which is trusted no longer.

    For a user who asks for it, because the key may be known to somebody: a proxy that runs with
    the former authority has to be started again before new children trust it.
    """
    wanted = None if permitted is None else names.normal(permitted)
    with files.locked(folder, create=True):
        return _issue(folder, wanted, now or datetime.now(UTC), [])


def remove(folder: Path) -> tuple[Path, ...]:
    """
    Delete keys, certificates and bundles; returns what was deleted.

    Files that are not ours stay, and so does the folder then.
    """
    try:
        with files.locked(folder, create=False):
            deleted = sorted({path for pattern in _OURS for path in folder.glob(pattern)})
            for path in deleted:
                path.unlink()
            (folder / files.LOCK_NAME).unlink()
    except FileNotFoundError:
        return ()
    with contextlib.suppress(OSError):
        folder.rmdir()
    return tuple(deleted)


def _issue(
    folder: Path,
    permitted: tuple[str, ...] | None,
    now: datetime,
    former: Iterable[x509.Certificate],
) -> Authority:
    key_pem, made = certificate.issue(permitted, now)
    # Trust first, the key last: whatever a proxy can sign with is trusted already.
    _publish(folder, made, former, now)
    files.write(folder / KEY_NAME, key_pem + _pem(made))
    return _authority(folder, made)


def _publish(
    folder: Path, current: x509.Certificate, former: Iterable[x509.Certificate], now: datetime
) -> None:
    """Bring all files beside the key file up to date."""
    living = [
        known
        for known in dict.fromkeys(former)
        if known != current and known.not_valid_after_utc > now
    ]
    ours = (current, *living[:FORMER_LIMIT])
    bundle.publish(folder, (known.public_bytes(serialization.Encoding.DER) for known in ours))
    files.write(folder / CERTIFICATE_NAME, _pem(current))
    files.write(folder / DHPARAM_NAME, _DHPARAM)


def _former(folder: Path) -> list[x509.Certificate]:
    trusted = files.read(folder / bundle.TRUSTED_NAME) or b""
    known = []
    for der in bundle.certificates(trusted):
        # A derived file: what is damaged in it is lost, and no reason not to start.
        with contextlib.suppress(ValueError):
            known.append(x509.load_der_x509_certificate(der))
    return known


def _read(folder: Path) -> x509.Certificate | None:
    data = files.read(folder / KEY_NAME)
    if data is None:
        return None
    try:
        return certificate.read(data)
    except DamagedError as error:
        raise DamagedError(
            f"{folder / KEY_NAME}: {error}; `wirescribe ca renew` makes a new authority"
        ) from error


def _authority(folder: Path, present: x509.Certificate) -> Authority:
    return Authority(
        folder=folder,
        subject=present.subject.rfc4514_string(),
        fingerprint_sha256=present.fingerprint(hashes.SHA256()).hex(),
        not_before=present.not_valid_before_utc,
        not_after=present.not_valid_after_utc,
        permitted=names.permitted_by(present),
    )


def _pem(known: x509.Certificate) -> bytes:
    return known.public_bytes(serialization.Encoding.PEM)


# mitmproxy's own (mitmproxy.certs.DEFAULT_DHPARAM; parameters are no secret). Left to itself it
# writes this file with the mode of the umask, 0644.
_DHPARAM = b"""
-----BEGIN DH PARAMETERS-----
MIICCAKCAgEAyT6LzpwVFS3gryIo29J5icvgxCnCebcdSe/NHMkD8dKJf8suFCg3
O2+dguLakSVif/t6dhImxInJk230HmfC8q93hdcg/j8rLGJYDKu3ik6H//BAHKIv
j5O9yjU3rXCfmVJQic2Nne39sg3CreAepEts2TvYHhVv3TEAzEqCtOuTjgDv0ntJ
Gwpj+BJBRQGG9NvprX1YGJ7WOFBP/hWU7d6tgvE6Xa7T/u9QIKpYHMIkcN/l3ZFB
chZEqVlyrcngtSXCROTPcDOQ6Q8QzhaBJS+Z6rcsd7X+haiQqvoFcmaJ08Ks6LQC
ZIL2EtYJw8V8z7C0igVEBIADZBI6OTbuuhDwRw//zU1uq52Oc48CIZlGxTYG/Evq
o9EWAXUYVzWkDSTeBH1r4z/qLPE2cnhtMxbFxuvK53jGB0emy2y1Ei6IhKshJ5qX
IB/aE7SSHyQ3MDHHkCmQJCsOd4Mo26YX61NZ+n501XjqpCBQ2+DfZCBh8Va2wDyv
A2Ryg9SUz8j0AXViRNMJgJrr446yro/FuJZwnQcO3WQnXeqSBnURqKjmqkeFP+d8
6mk2tqJaY507lRNqtGlLnj7f5RNoBFJDCLBNurVgfvq9TCVWKDIFD4vZRjCrnl6I
rD693XKIHUCWOjMh1if6omGXKHH40QuME2gNa50+YPn1iYDl88uDbbMCAQI=
-----END DH PARAMETERS-----
"""
