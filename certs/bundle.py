"""
The files that a child process is told to trust.

    trusted.pem          our authority, and its predecessors until they expire
    bundle.pem           the same and the system's roots

Some clients add a file to their roots (NODE_EXTRA_CA_CERTS), others take a file instead of them
(SSL_CERT_FILE): hence two. Where the user's environment already names certificates, a company's
root say, those must go on being trusted, and only there. So each set of them gets a pair of its
own, with the set itself beside it:

    own-<digest>.pem     the certificates that the user's environment named
    trusted-<digest>.pem, bundle-<digest>.pem

Writing takes the caller's lock (`files.locked`).
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterable
from pathlib import Path

import certifi
import msgspec

from certs import files

TRUSTED_NAME = "trusted.pem"
BUNDLE_NAME = "bundle.pem"

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_FILE_SIZE_LIMIT_BYTES = 32 * 1024 * 1024


class TrustFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a child process trusts: a file to add to its roots, and one to take instead of them."""

    trusted: Path
    bundle: Path


def publish(folder: Path, ours: Iterable[bytes]) -> None:
    """Write `ours` (DER, newest first) into every file of `folder` that a child may trust."""
    authorities = _unique(ours)
    roots = system_roots()
    plain = TrustFiles(trusted=folder / TRUSTED_NAME, bundle=folder / BUNDLE_NAME)
    _write_pair(plain, authorities, (), roots)
    for path in sorted(folder.glob("own-*.pem")):
        own = certificates(files.read(path) or b"")
        _write_pair(_pair(folder, path.stem.removeprefix("own-")), authorities, own, roots)


def for_child(folder: Path, current: Iterable[bytes], named: Iterable[Path]) -> TrustFiles:
    """
    The files for a child whose environment named the certificate files or folders `named`.

    `current` is our authority (DER); predecessors that are trusted already stay so.

    What cannot be read there is passed over, as the clients themselves do with a missing file.
    """
    ours = _unique((*current, *certificates(files.read(folder / TRUSTED_NAME) or b"")))
    roots = system_roots()
    plain = TrustFiles(trusted=folder / TRUSTED_NAME, bundle=folder / BUNDLE_NAME)
    _write_pair(plain, ours, (), roots)
    known = {*ours, *roots}
    own = _unique(der for path in named for der in _read(path) if der not in known)
    if not own:
        return plain
    digest = hashlib.sha256(b"".join(sorted(hashlib.sha256(der).digest() for der in own)))
    name = digest.hexdigest()[:16]
    files.write(folder / f"own-{name}.pem", _pem(own))
    pair = _pair(folder, name)
    _write_pair(pair, ours, own, roots)
    return pair


def _pair(folder: Path, name: str) -> TrustFiles:
    return TrustFiles(trusted=folder / f"trusted-{name}.pem", bundle=folder / f"bundle-{name}.pem")


def _write_pair(
    pair: TrustFiles, ours: tuple[bytes, ...], own: tuple[bytes, ...], roots: tuple[bytes, ...]
) -> None:
    files.write(pair.trusted, _pem(_unique((*ours, *own))))
    files.write(pair.bundle, _pem(_unique((*ours, *own, *roots))))


def system_roots() -> tuple[bytes, ...]:
    """The roots (DER) that OpenSSL trusts on this system, certifi's where it knows none."""
    paths = ssl.get_default_verify_paths()
    # The compiled-in places, not `cafile` and `capath`: those follow SSL_CERT_FILE, which inside a
    # child of ours is our own bundle.
    places = (Path(paths.openssl_cafile), Path(paths.openssl_capath))
    found = _unique(der for place in places for der in _read(place))
    return found or _unique(_read(Path(certifi.where())))


def _read(path: Path) -> tuple[bytes, ...]:
    """The certificates (DER) in a file, or in the files of a folder; none if it is unreadable."""
    try:
        if path.is_dir():
            return tuple(der for file in sorted(path.iterdir()) for der in _read_file(file))
        return _read_file(path)
    except OSError:
        return ()


def _read_file(path: Path) -> tuple[bytes, ...]:
    try:
        # A pipe would wait for its writer for ever.
        if not path.is_file() or path.stat().st_size > _FILE_SIZE_LIMIT_BYTES:
            return ()
        return certificates(path.read_bytes())
    except OSError:
        return ()


def certificates(data: bytes) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM file; what is none, or damaged, is left out."""
    found = []
    for match in _PEM.finditer(data):
        try:
            der = ssl.PEM_cert_to_DER_cert(match.group().decode("ascii"))
        except ValueError:
            continue
        # Some verifiers refuse a whole bundle for one bad certificate in it.
        if _is_sequence(der):
            found.append(der)
    return tuple(found)


def _is_sequence(der: bytes) -> bool:
    """Whether this is one DER SEQUENCE from the first byte to the last."""
    if len(der) < 4 or der[0] != 0x30 or der[1] & 0x80 == 0:
        return False
    length_bytes = der[1] & 0x7F
    return int.from_bytes(der[2 : 2 + length_bytes]) == len(der) - 2 - length_bytes


def _unique(ders: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(ders))


def _pem(ders: Iterable[bytes]) -> bytes:
    return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode("ascii")
