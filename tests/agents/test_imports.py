"""
Flow files of real CLIs, imported: the entries are those that mitmproxy itself reads from them.

The files lie beside the checkout and are not published, for they hold the vendors' prompts.
"""

import warnings
from pathlib import Path

import pytest

from tests.addons.importing.house import House

with warnings.catch_warnings():
    # mitmproxy uses names that pyparsing has deprecated; nothing of ours does.
    warnings.simplefilter("ignore", DeprecationWarning)
    from mitmproxy.io import FlowReader

pytestmark = pytest.mark.agents

FLOWS = Path(__file__).parents[3] / "shared" / "wire" / "flows"
_ROUNDED_NS = 100_000  # the chunk times in these files are rounded to a tenth of a millisecond


@pytest.mark.parametrize(
    "name",
    [
        "claude-code",
        "claude-code-sync-subagent",
        "codex-classic-tools",
        "codex-sse-zstd-login",
        "codex-websocket",
        "copilot-cli",
        "gemini-cli",
        "opencode",
        "qwen-code",
    ],
)
def test_entries_are_what_mitmproxy_reads(tmp_path, name):
    path = FLOWS / f"{name}.mitm"
    with path.open("rb") as file:
        flows = sorted(FlowReader(file).stream(), key=lambda flow: flow.request.timestamp_start)
    with House(tmp_path) as house:
        found = house.importer.import_file(path, path.name)
        entries = house.entries(found)
        assert (found.imported, found.skipped, found.fault) == (len(flows), (), None)
        assert len(entries) == len(flows)
        for flow, entry in zip(flows, entries, strict=True):
            check(house, flow, entry)


def check(house, flow, entry):
    request, response = flow.request, flow.response
    assert (entry.method, entry.scheme, entry.host, entry.port) == (
        request.method, request.scheme, request.host, request.port,
    )  # fmt: skip
    cuts = house.cuts(entry)
    assert is_same(entry.target, request.data.path, cuts, "request-target")
    assert [name for name, _ in entry.request_headers] == [
        name for name, _ in request.headers.fields
    ]
    for at, ((_, stored), (_, sent)) in enumerate(
        zip(entry.request_headers, request.headers.fields, strict=True)
    ):
        assert is_same(stored, sent, cuts, "request-header", at)
    assert is_same(house.body(entry, "request"), request.raw_content, cuts, "request-body")
    assert (entry.status, entry.reason) == (response.status_code, response.data.reason)
    assert abs(entry.started_ns - request.timestamp_start * 1e9) < 1000
    if flow.websocket is None:
        assert is_same(house.body(entry), response.raw_content, cuts, "response-body")
        check_clock(house, flow, entry)
        return
    messages = house.messages(entry)
    assert len(messages) == len(flow.websocket.messages)
    for stored, sent in zip(messages, flow.websocket.messages, strict=True):
        offset_ns, from_client, opcode, data = stored
        assert (from_client, opcode) == (sent.from_client, int(sent.type))
        assert abs(entry.started_ns + offset_ns - sent.timestamp * 1e9) < 1000
        assert len(data) == len(sent.content)
        assert data == sent.content or b"***" in data


def check_clock(house, flow, entry):
    ticks = [(at, size) for at, size in flow.metadata["chunk_times"] if size]
    chunks = house.chunks(entry)
    assert [size for _, size in chunks] == [size for _, size in ticks]
    for (offset_ns, _), (at, _) in zip(chunks, ticks, strict=True):
        assert abs(entry.started_ns + offset_ns - at * 1e9) < _ROUNDED_NS


def is_same(stored, sent, cuts, part, index=None):
    """Byte for byte, but for the spans that were cut."""
    expected = bytearray(sent or b"")
    for cut in cuts:
        if cut.part == part and cut.index == index:
            end = cut.offset_bytes + cut.length_bytes
            expected[cut.offset_bytes : end] = b"*" * cut.length_bytes
    return stored == bytes(expected)
