"""`wirescribe doctor`: what is wrong here, and what to do about it."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import rich_click as click

from cli import options, output
from cli.settings import load
from storage.datadir import DataDir
from storage.errors import ConfigError

if TYPE_CHECKING:
    from cli.findings import Finding

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command()
@click.option("--verify", is_flag=True, help="Read every body and compare it with its hash.")
@click.option("--repair", is_flag=True, help="Verify, and mend what can be; not beside a server.")
@options.as_json
@options.data_dir
@click.pass_context
def doctor(ctx: click.Context, datadir: DataDir, verify: bool, repair: bool, as_json: bool) -> None:
    """
    Look for what is wrong, and say what to do.

    The exit code is 1 if something is.
    """
    found = []
    for finding in _findings(datadir, verify=verify or repair, repair=repair):
        found.append(finding)
        if not as_json:
            _show(finding)
    is_sound = all(finding.level != "wrong" for finding in found)
    if as_json:
        output.json({"ok": is_sound, "dataDir": str(datadir.root), "findings": found})
    ctx.exit(0 if is_sound else 1)


def _findings(datadir: DataDir, *, verify: bool, repair: bool) -> "Iterator[Finding]":
    from cli import findings, record, running

    yield from findings.versions()
    try:
        settings = load(datadir, {}, os.environ)
    except ConfigError as error:
        yield findings.wrong("settings", str(error), "then ask the doctor again")
        return
    if not datadir.root.exists():
        yield findings.note("data dir", f"{datadir.root} is not there", "wirescribe run -- claude")
        return
    found = running.look(datadir)
    yield from findings.permissions(datadir)
    yield from findings.certificate(datadir, settings, found)
    yield from findings.processes(datadir, settings, found)
    if repair:
        yield from record.mended(datadir)
    yield from record.findings(datadir, settings, found, verifies=verify)


def _show(finding: "Finding") -> None:
    level = click.style(f"{finding.level:<5}", fg=_STYLES[finding.level])
    output.styled(f"{level}  {finding.subject:<11}  {output.line(finding.text)}")
    if finding.advice:
        output.styled(f"{'':<20}-> {output.line(finding.advice)}")
