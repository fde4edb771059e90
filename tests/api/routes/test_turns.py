"""One turn over the API: its contract, and what crossed, read again from the bytes."""

import msgspec
import pytest

from storage.decoded import Note
from storage.projection import rows
from storage.projection.rows import RateLimit, TurnDetail
from storage.records import ResponseHead
from tests.api import records
from tests.storage import projected

REQUEST = {
    "model": "claude-opus-5",
    "max_tokens": 100,
    "stream": True,
    "system": [{"type": "text", "text": "You are an agent."}],
    "tools": [{"name": "Bash", "description": "A shell", "input_schema": {"type": "object"}}],
    "messages": [{"role": "user", "content": "Find the bug, please"}],
    "metadata": {"user_id": "x"},
}
_EVENTS = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5",
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Line 7"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
]  # fmt: skip
RESPONSE = b"".join(
    b"event: " + event["type"].encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
    for event in _EVENTS
)


@pytest.fixture
def session(store):
    return records.session(store, name="one")


@pytest.fixture
def story(store, session):
    entry_id = records.entry(
        store,
        session.id,
        host="api.anthropic.com",
        headers=((b"content-type", b"application/json"),),
        request=msgspec.json.encode(REQUEST),
        response=RESPONSE,
        answer=ResponseHead(status=200, headers=((b"content-type", b"text/event-stream"),)),
        chunks=[(2_000_000, len(RESPONSE))],
    )
    return store.call(projected.tell, session.id, entry_id=entry_id).result()


def test_a_turn_is_read_again_from_its_bytes(client, story):
    found = client.get(f"/api/turns/{story.turns[0]}").json()
    content = found["content"]
    assert content["system"][0]["text"] == "You are an agent."
    (tool,) = content["tools"]
    assert (tool["name"], tool["schema"]) == ("Bash", {"type": "object"})
    assert tool["size"] > 20
    assert content["messages"][0]["parts"][0]["text"] == "Find the bug, please"
    assert content["answer"][0]["parts"][0]["text"] == "Line 7"
    assert content["fields"]["metadata"] == {"user_id": "x"}
    assert [call["name"] for call in found["toolCalls"]] == ["Bash", "Task"]
    assert found["toolCalls"][1]["childConversationId"] == story.child
    assert [one["id"] for one in found["newMessages"]] == story.messages[:4]


def test_without_what_was_sent(client, story):
    found = client.get(f"/api/turns/{story.turns[0]}?content=false").json()
    assert found["content"] is None
    assert found["turn"]["prompt"] == "Find the bug, please"


def test_a_turn_whose_entry_is_gone_still_answers(client, story):
    found = client.get(f"/api/turns/{story.turns[1]}")
    assert (found.status_code, found.json()["content"]) == (200, None)


def test_the_contract_and_the_limits(client, store, session):
    detail = TurnDetail(
        effort="high",
        max_tokens=32000,
        betas=("a", "b"),
        tools_digest=b"\x01\x02",
        usage_json=b'{"input_tokens": 5}',
        rate_limits=(RateLimit(name="unified-5h", used_ratio=0.5, status="allowed"),),
        cache_miss_reason="tools_changed",
        tool_durations=(("Bash", 742),),
        inferred=("cwd",),
        notes=(Note(kind="unknown-block", detail="hologram", count=2),),
        silence_side="provider",
    )
    made = store.call(
        lambda db: projected.turn(
            db, session.id, "talk", detail=detail, failure_type="overloaded_error"
        )
    ).result()
    assert rows.unpack_detail(rows.pack_detail(detail)) == detail

    found = client.get(f"/api/turns/{made}").json()

    assert found["contract"]["effort"] == "high"
    assert found["contract"]["betas"] == ["a", "b"]
    assert found["contract"]["toolsDigest"] == "0102"
    assert found["rawUsage"] == {"input_tokens": 5}
    assert found["rateLimits"][0]["usedRatio"] == 0.5
    assert found["cacheMissReason"] == "tools_changed"
    assert found["toolDurations"] == [["Bash", 742]]
    assert found["notes"] == [{"kind": "unknown-block", "detail": "hologram", "count": 2}]
    assert found["turn"]["failure"] == {"type": "overloaded_error", "message": None}
    assert found["turn"]["clock"]["silenceSide"] == "provider"


def test_an_unknown_turn(client):
    assert client.get("/api/turns/01a0ffff").json() == {
        "error": "Turn not found",
        "code": "TURN_NOT_FOUND",
    }
