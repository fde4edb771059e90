"""What a request to Responses asks."""

import msgspec
import pytest
import zstandard

from addons.wire.responses import DECODER
from storage.decoded import Asked, Note, TextPart, Tool
from tests.addons.wire import feeding
from tests.addons.wire.feeding import Exchange
from tests.addons.wire.responsesdata import asking, encoded, plain, response, said

SCHEMA = {"type": "object", "properties": {"cmd": {"type": "string"}}}
EXEC = {"type": "function", "name": "exec", "description": "Runs.", "parameters": SCHEMA}
PATCH = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}


def asked_and_notes(body: object) -> tuple[Asked, tuple[Note, ...]]:
    exchange = plain(response("completed"))
    exchange = msgspec.structs.replace(
        exchange, request=body if isinstance(body, bytes) else encoded(body)
    )
    turn = feeding.turn(DECODER, exchange)
    return turn.asked, turn.notes


def asked(body: object) -> Asked:
    found, notes = asked_and_notes(body)
    assert notes == ()
    return found


def test_what_is_asked_for() -> None:
    body = asking(
        said("developer", "Be brief."),
        said("user", "Hello"),
        instructions="You are an agent.",
        max_output_tokens=99,
        temperature=0.5,
        reasoning={"effort": "low", "summary": "auto"},
        previous_response_id="resp_0",
        prompt_cache_key="key",
        client_metadata={"turn_id": "t"},
    )
    found = asked(body)

    assert found.model == "gpt-6.1-sol"
    assert found.system == (TextPart(text="You are an agent."),)
    assert [message.role for message in found.messages] == ["developer", "user"]
    assert found.is_stream is True
    assert found.max_tokens == 99
    assert found.temperature == 0.5
    assert found.effort == "low"
    assert found.previous_id == "resp_0"
    assert found.generates
    assert found.operation == "generate"
    fields = msgspec.json.decode(found.fields_json)
    assert fields["prompt_cache_key"] == "key"
    assert fields["client_metadata"] == {"turn_id": "t"}
    assert not fields.keys() & {"model", "instructions", "input", "tools"}


def test_what_is_not_said_is_not_known() -> None:
    assert asked({}) == Asked(model=None)


def test_a_text_is_a_message() -> None:
    found = asked({"input": "Hello"})

    assert [message.parts for message in found.messages] == [(TextPart(text="Hello"),)]


def test_instructions_may_be_items() -> None:
    found = asked({"instructions": [said("developer", "One.", "Two.")]})

    assert found.system == (TextPart(text="One."), TextPart(text="Two."))


@pytest.mark.parametrize(
    "fields", [{"generate": False}, {"prompt_cache_options": {"prewarm": True}}]
)
def test_warming_up_asks_for_no_answer(fields: dict[str, object]) -> None:
    assert not asked(asking(**fields)).generates


def test_tools_are_read_with_their_namespaces() -> None:
    tools = [
        EXEC,
        {"type": "namespace", "name": "clock", "description": "", "tools": [PATCH]},
        {"type": "web_search", "filters": None},
        {"type": "mcp", "server_label": "demo", "server_description": "Demo.", "headers": {}},
    ]
    found = asked(asking(tools=tools))

    assert found.tools == (
        Tool(
            name="exec",
            description="Runs.",
            schema_json=encoded(SCHEMA),
            type="function",
            size_bytes=len(encoded(EXEC)),
        ),
        Tool(
            name="apply_patch",
            namespace="clock",
            schema_json=b'{"type":"text"}',
            type="custom",
            size_bytes=len(encoded(PATCH)),
        ),
        Tool(name="web_search", type="web_search", size_bytes=len(encoded(tools[2]))),
        Tool(name="demo", description="Demo.", type="mcp", size_bytes=len(encoded(tools[3]))),
    )


def test_tools_that_come_as_an_item_are_no_message() -> None:
    carried = {"type": "additional_tools", "role": "developer", "tools": [PATCH]}
    found = asked(asking(carried, said("user", "Hello"), tools=[EXEC]))

    assert [tool.name for tool in found.tools] == ["exec", "apply_patch"]
    assert [message.role for message in found.messages] == ["user"]


def test_what_is_not_known_is_noted_each_time_that_it_is_sent() -> None:
    body = asking(
        {"type": "dream", "id": "1"},
        {
            "type": "message",
            "role": "narrator",
            "content": [{"type": "input_text"}, {"type": "input_scent"}, {"type": "input_scent"}],
        },
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_scent"}, 7],
        },
        tools=[5, EXEC],
        weather="fine",
    )
    expected = {
        Note(kind="unknown-block", detail="dream"),
        Note(kind="unknown-field", detail="role"),
        Note(kind="malformed-block", detail="input_text"),
        Note(kind="unknown-block", detail="input_scent", count=3),
        Note(kind="unknown-block", detail="number"),
        Note(kind="malformed-tool", detail="number"),
        Note(kind="unknown-field", detail="weather"),
    }
    for _ in range(2):
        found, notes = asked_and_notes(body)

        assert set(notes) == expected
        assert len(found.tools) == 1
        assert b'"weather":"fine"' in found.fields_json
        assert b'"role":"narrator"' in (found.messages[1].extra_json or b"")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'"x"', b"[" * 100_000],
    ids=["empty", "cut", "array", "no text", "text", "deep"],
)
def test_what_is_no_request_is_noted(body: bytes) -> None:
    found, notes = asked_and_notes(body)

    assert found == Asked(model=None)
    assert Note(kind="malformed-request") in notes


@pytest.mark.parametrize(
    "value", [7, None, True, "x", [], {}, [[]], [{"type": 1}], [{"role": []}]], ids=str
)
def test_fields_of_another_type_are_not_read(value: object) -> None:
    names = "model instructions input tools stream reasoning temperature max_output_tokens"
    found, _ = asked_and_notes(dict.fromkeys(names.split(), value))

    assert found.effort is None


def test_a_coded_request_is_read() -> None:
    """Codex with a ChatGPT login."""
    exchange = Exchange(
        path="/backend-api/codex/responses",
        request=zstandard.ZstdCompressor().compress(encoded(asking(said("user", "Hello")))),
        request_headers=((b"content-encoding", b"zstd"),),
        response=encoded(response("completed")),
        content_type="application/json",
    )

    turn = feeding.turn(DECODER, exchange)

    assert turn.asked.messages[0].parts == (TextPart(text="Hello"),)
    assert turn.notes == ()
