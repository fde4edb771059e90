"""Document 002's example, "Create, use, and clean up sessions", line by line on a real server."""

import json
from pathlib import Path

import httpx

from tests.api import records


def curl(*arguments):
    """What curl does with these arguments, for a machine without it; its own content type too."""
    options, headers, words = {}, {}, iter(arguments)
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            options[word] = next(words) if word.startswith("-") else None
    (url,) = (word for word in options if not word.startswith("-"))
    body = options.get("-d")
    if body is not None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    answer = httpx.request(options.get("-X", "GET"), url, headers=headers, content=body)
    answer.raise_for_status()
    if "-o" in options:
        Path(options["-o"]).write_bytes(answer.content)
    return answer.text


def test_create_use_and_clean_up(server, store, tmp_path):
    as_json = ("-H", "Content-Type: application/json")
    api = f"http://localhost:{server.base_url.port}/api"

    # 1. Create a new session for a specific task
    made = json.loads(
        curl("-X", "POST", f"{api}/sessions", *as_json, "-d", '{"name": "Checkout Flow Debug"}')
    )
    assert made["name"] == "Checkout Flow Debug"
    session_id = made["id"]

    # 2. Activate the session to start capturing traffic
    active = json.loads(curl("-X", "POST", f"{api}/sessions/{session_id}/activate"))
    assert (active["isActive"], active["isRecording"]) == (True, True)
    assert json.loads(curl(f"{api}/sessions/active")) == active

    # 3. ... perform your testing ...
    records.entry(store, session_id, request=b'{"a": 1}', response=b"abc")

    # 4. Stop recording
    stopped = json.loads(
        curl(
            "-X", "PATCH", f"{api}/sessions/{session_id}", *as_json, "-d", '{"isRecording": false}'
        )
    )
    assert (stopped["isActive"], stopped["isRecording"]) == (True, False)
    assert (stopped["trafficCount"], stopped["totalBytes"]) == (1, 11)

    # 5. Export traffic for later analysis
    har = tmp_path / "checkout-debug.har"
    curl(f"{api}/har/export/{session_id}", "-o", str(har))
    assert len(json.loads(har.read_text())["log"]["entries"]) == stopped["trafficCount"]

    # 6. Clean up when done
    assert json.loads(curl("-X", "DELETE", f"{api}/sessions/{session_id}")) == {"success": True}
    assert json.loads(curl(f"{api}/sessions")) == {"sessions": [], "total": 0}
