"""
Writes docs/reference.md from the code: `uv run python docs/reference.py`.

A test fails when the file is not what this makes, so the reference is true.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from addons import scope
from api.app import create_app
from api.settings import ApiSettings
from cli import settings
from cli.main import wirescribe
from storage.datadir import DataDir
from storage.store import Store

PATH = Path(__file__).with_name("reference.md")


def reference() -> str:
    """The whole text."""
    parts = [
        "# Reference",
        "Made from the code by `uv run python docs/reference.py`; do not edit by hand.",
        "## Commands",
        *_commands("wirescribe", wirescribe),
        "## Settings",
        "In `config.toml` of the data dir, or as a variable; a flag of the same name wins.",
        _table(("key", "variable", "default"), _settings()),
        "## Routes",
        "The whole contract, with every field, is at `/api/openapi.json`.",
        _table(("route", "answers", "query"), _routes()),
        "`/ws` is a WebSocket: live events in the words of Claude Code's hooks, one JSON object a "
        "message (`hook_event_name`, `session_id` of the root conversation, `seq` ...). "
        "`?session=` filters by a capture session or a conversation, `?since=` continues behind a "
        "`seq`. If events behind it are not kept any more, the first message is "
        '`{"type": "gap", "since", "oldest_seq"}`. Close codes: 1001 the server stops, 1013 the '
        "client is too slow (come back with `since`), 4400 and 4409 a query that means nothing, or "
        "several things. Permission prompts (`user.confirmation`) and a client's own log never "
        "show on the wire, so neither do they here.",
        "## Hosts that are decrypted",
        "A name that begins with a dot stands for all below it. `--host-extra` and `hosts` add to "
        "the list; `--scope all` decrypts everything.",
        ", ".join(f"`{host}`" for host in scope.HOSTS),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(name: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for word, inner in sorted(command.commands.items()):
            yield from _commands(f"{name} {word}", inner)
        return
    if command.hidden:
        return
    context = click.Context(command, info_name=name)
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join([name, "[OPTIONS]", *arguments])
    yield f"### `{usage}`"
    yield " ".join((command.help or "").split())
    rows = [
        (f"`{_spelling(option, context)}`", " ".join((option.help or "").split()))
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    if rows:
        yield _table(("option", "does"), rows)


def _spelling(option: click.Option, context: click.Context) -> str:
    names = "/".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + option.make_metavar(context)
    return names + value


def _settings() -> Iterator[tuple[str, ...]]:
    defaults = msgspec.to_builtins(settings.Settings())
    for key, value in defaults.items():
        inner = value.items() if isinstance(value, dict) and value else [("", value)]
        for name, default in inner:
            path = f"{key}.{name}" if name else key
            variable = settings.PREFIX + path.replace(".", "_").upper()
            text = msgspec.json.encode(default).decode()
            yield f"`{path}`", f"`{variable}`", f"`{text}`"


def _routes() -> Iterator[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(DataDir(Path(folder) / "data").prepare())
        try:
            app = create_app(store, ApiSettings(version="reference"))
            schema: dict[str, Any] = app.openapi_schema.to_schema()
        finally:
            store.close()
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            query = [
                f"`{parameter['name']}`"
                for parameter in operation.get("parameters", [])
                if parameter["in"] == "query"
            ]
            yield f"`{method.upper()} {path}`", operation.get("summary", ""), ", ".join(query)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    PATH.write_text(reference())
