"""`wirescribe ca`: the certificate authority of the data dir."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import rich_click as click

from addons.scope import Scope
from cli import options, output, running
from cli.errors import say
from cli.settings import Settings, load
from storage.datadir import DataDir
from storage.errors import ConfigError, Conflict

if TYPE_CHECKING:
    from certs.authority import Authority


@click.group()
def ca() -> None:
    """The certificate authority that agents are told to trust, and nobody else."""


@ca.command()
@options.as_json
@options.data_dir
def show(datadir: DataDir, as_json: bool) -> None:
    """Show what it is, how long it is valid and which hosts it may vouch for."""
    found = _present(datadir)
    facts = {
        "subject": found.subject,
        "fingerprintSha256": found.fingerprint_sha256,
        "notBefore": found.not_before,
        "notAfter": found.not_after,
        "expired": datetime.now(UTC) >= found.not_after,
        "certificate": str(found.certificate_path),
        "bundle": str(found.bundle_path),
        "permitted": found.permitted,
    }
    if as_json:
        output.json(facts)
        return
    hosts = "any host" if found.permitted is None else ", ".join(found.permitted)
    output.facts(
        {
            "Subject": found.subject,
            "SHA-256": found.fingerprint_sha256,
            "Valid": f"{found.not_before:%Y-%m-%d} to {found.not_after:%Y-%m-%d}",
            "Certificate": found.certificate_path,
            "Bundle": found.bundle_path,
            "Vouches for": hosts,
        }
    )


@ca.command()
@options.data_dir
def path(datadir: DataDir) -> None:
    """Print the path of the certificate, for clients that add one to their roots."""
    click.echo(_present(datadir).certificate_path)


@ca.command()
@options.data_dir
def bundle(datadir: DataDir) -> None:
    """Print the path of the bundle: the system's roots and ours, for clients that take one file."""
    click.echo(_present(datadir).bundle_path)


@ca.command()
@options.data_dir
def renew(datadir: DataDir) -> None:
    """Make a new one; the former is trusted no longer. For a key that somebody may know."""
    from certs import authority

    settings = load(datadir.prepare(), {}, os.environ)
    made = authority.renew(datadir.ca, permitted=permitted(settings))
    say(f"new certificate authority, valid to {made.not_after:%Y-%m-%d}: {made.certificate_path}")
    if running.look(datadir).proxy:
        say("the proxy that runs has the former one: start it again, and then its agents")


@ca.command()
@options.yes
@options.data_dir
def remove(datadir: DataDir, yes: bool) -> None:
    """Delete its key and certificates."""
    from certs import authority

    if (proxy := running.look(datadir).proxy) is not None:
        raise Conflict(f"a proxy runs with it (process {proxy.pid}): end that first")
    options.confirm(f"Delete the certificate authority in {datadir.ca}?", yes=yes)
    deleted = authority.remove(datadir.ca)
    say(f"deleted {len(deleted)} files of {datadir.ca}" if deleted else "there was none")


def permitted(settings: Settings) -> tuple[str, ...] | None:
    """The hosts that the authority of a proxy with these settings must vouch for; None: any."""
    hosts = (*settings.hosts, *settings.upstream)
    return Scope(hosts, everything=settings.scope == "all").certificate_names()


def _present(datadir: DataDir) -> "Authority":
    from certs import authority

    found = authority.load(datadir.ca)
    if found is None:
        raise ConfigError(
            f"there is no certificate authority in {datadir.ca} yet: the first `wirescribe up` "
            "makes one, or `wirescribe ca renew`"
        )
    return found
