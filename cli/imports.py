"""`wirescribe import`: files of other recorders, and our own exports, as sessions."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from cli import options, output, units
from cli.client import Client
from cli.errors import FAILED, say
from storage.errors import WirescribeError

if TYPE_CHECKING:
    from cli.client.shapes import ImportBody, Progress

_SAID = 5  # skipped entries, one by one

file_argument = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)


@click.command("import")
@file_argument
@options.as_json
@options.client
def import_files(client: Client, files: tuple[Path, ...], as_json: bool) -> None:
    """
    Import HAR files and mitmproxy's flow files, each into a session of its own.

    The same file again adds nothing. Credentials are cut as they are from live traffic.
    """
    run(client, files, as_json=as_json)


def run(client: Client, files: tuple[Path, ...], *, only_har: bool = False, as_json: bool) -> None:
    """Import what can be; ends with exit code 1 if a file is not, or not to its end."""
    found: list[tuple[Path, ImportBody]] = []
    failed = False
    for path in files:
        try:
            with _progress(path) as progress:
                one = client.import_file(path, progress, only_har=only_har)
        except WirescribeError as error:
            say(f"wirescribe: {path}: {error}")
            failed = True
            continue
        found.append((path, one))
        failed |= one.fault is not None
        _say_what_is_missing(path, one)
    if as_json:
        output.json([{"file": str(path), **_built(one)} for path, one in found])
    elif found:
        _table(found)
    if failed:
        raise Exit(FAILED)


def _say_what_is_missing(path: Path, one: "ImportBody") -> None:
    missing = one.total - one.imported
    if not one.is_repeated and missing:
        say(f"{path}: {units.count(missing, 'entry', 'entries')} cannot be imported:")
        for skipped in one.skipped[:_SAID]:
            say(f"  entry {skipped.number + 1}: {skipped.reason}")
        if missing > _SAID:
            say(f"  and {missing - _SAID:,} more")
    if one.fault:
        say(f"wirescribe: {path}: {one.fault}; what stands before it is imported")


def _table(found: "list[tuple[Path, ImportBody]]") -> None:
    output.table(
        ("SESSION", "NAME", "ENTRIES", "STATE"),
        [
            (
                one.session_id,
                one.session_name,
                one.total if one.is_repeated else one.imported,
                "imported before" if one.is_repeated else "imported",
            )
            for _, one in found
        ],
        right=("ENTRIES",),
        elastic="NAME",
    )


def _built(one: "ImportBody") -> dict[str, object]:
    import msgspec

    built: dict[str, object] = msgspec.to_builtins(one)
    return built


@contextmanager
def _progress(path: Path) -> "Iterator[Progress]":
    """A bar on stderr, if somebody looks there."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(output.line(path.name), total=None)

        def show(step: str, done: int, total: int) -> None:
            described = f"{output.line(path.name)}: {step}"
            bar.update(task, description=described, completed=done, total=total)

        yield show
