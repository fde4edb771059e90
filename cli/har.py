"""`wirescribe har`: sessions as HAR files, and HAR files as sessions."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from cli import imports, options, output, units
from cli.client import Client
from cli.errors import say
from storage.errors import NotFound, StoreError

if TYPE_CHECKING:
    from cli.client.shapes import Session


@click.group()
def har() -> None:
    """HAR files: what browsers' developer tools read."""


@har.command()
@click.argument("session", required=False)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    help="Where to, `-` for stdout.  [default: stdout, on a terminal a file named by the session]",
)
@click.option(
    "--secrets",
    type=click.Choice(["cut", "keep"]),
    default="cut",
    show_default=True,
    help="Credentials that `record_secrets` kept: cut them here, or keep them.",
)
@options.client
def export(client: Client, session: str | None, target: str | None, secrets: str) -> None:
    """Export a session as HAR 1.2; the active one, else the newest, if none is named."""
    found = client.find_session(session) if session else _latest(client)
    if target is None and output.is_terminal():
        target = _file_name(found)
    pieces = client.har(found.id, keep_secrets=secrets == "keep")
    if target in (None, "-"):
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    size_bytes = _write(path, pieces)
    say(f"{found.name!r}: {units.size(size_bytes)} in {path}")


@har.command("import")
@imports.file_argument
@options.as_json
@options.client
def import_har(client: Client, files: tuple[Path, ...], as_json: bool) -> None:
    """Import HAR files, each into a session of its own."""
    imports.run(client, files, only_har=True, as_json=as_json)


def _latest(client: Client) -> "Session":
    known = client.list_sessions()
    found = next((one for one in known if one.is_active), known[0] if known else None)
    if found is None:
        raise NotFound("there is no session to export: `wirescribe run -- claude` makes one")
    say(f"exporting {found.name!r}")
    return found


def _file_name(session: "Session") -> str:
    """Letters and digits of the name alone, as the API's download has it."""
    return f"{re.sub('[^A-Za-z0-9]', '_', session.name[:100])}_{time.time_ns() // 1_000_000}.har"


def _write(path: Path, pieces: Iterator[bytes]) -> int:
    """Whole or not at all, and 0600: it holds prompts and code. Raises StoreError."""
    is_special = path.exists() and not path.is_file()  # a pipe, /dev/stdout
    fresh = path if is_special else path.with_name(f".{path.name}.{os.getpid()}.new")
    size_bytes = 0
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            for piece in pieces:
                size_bytes += stream.write(piece)
        if not is_special:
            fresh.replace(path)
    except OSError as error:
        raise StoreError(f"{path} could not be written: {error.strerror}") from error
    finally:
        if not is_special:
            with suppress(OSError):
                fresh.unlink()
    return size_bytes
