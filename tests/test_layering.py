"""The arrows of the architecture, read from the imports: addons -> storage <- api."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("addons", "api", "storage", "certs", "cli", "tests", "bench")

# What a package may import of ours; the longest prefix that fits a module decides.
ALLOWED = {
    "storage": ("storage",),
    "certs": ("certs",),
    "addons": ("addons", "storage"),
    "addons.launch": ("addons", "storage", "certs"),
    "addons.framing": ("addons.framing",),
    # What they make of bytes is a domain type, pure as they are.
    "addons.wire": ("addons.wire", "addons.framing", "storage.decoded"),
    "addons.agents": ("addons.agents", "addons.wire", "storage.decoded"),
    "addons.redaction": ("addons.redaction", "storage.records"),
    "api": ("api", "storage", "addons.framing", "addons.wire"),
    # Exports cut credentials that the store was told to keep; redaction is as pure as framing.
    "api.exports": ("api", "storage", "addons.framing", "addons.wire", "addons.redaction"),
    "cli": ("cli", "addons", "api", "storage", "certs"),
}
# The recorder and its private neighbours, what starts them, and what reads mitmproxy's files.
MITMPROXY = (
    "addons.recorder",
    "addons.admission",
    "addons.connections",
    "addons.mending",
    "addons.tunnel",
    "addons.launch",
    "addons.flowfile",
)


def sources():
    for package in ("addons", "api", "storage", "certs", "cli"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize(("module", "path"), list(sources()), ids=lambda value: str(value)[-40:])
def test_imports_follow_the_arrows(module, path):
    rule = max((key for key in ALLOWED if within(module, (key,))), key=len)
    for name in imports(path):
        if within(name, OURS):
            assert within(name, ALLOWED[rule]), f"{module} may not import {name}"
        if within(name, ("mitmproxy",)):
            assert within(module, MITMPROXY), f"{module} may not import mitmproxy"


@pytest.mark.parametrize(("module", "path"), list(sources()), ids=lambda value: str(value)[-40:])
def test_sql_stands_in_storage_alone(module, path):
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    if not within(module, ("storage",)):
        assert calls.isdisjoint({"execute", "executemany", "executescript"})


def test_addons_package_itself_is_empty():
    assert (ROOT / "addons/__init__.py").read_text() == ""
