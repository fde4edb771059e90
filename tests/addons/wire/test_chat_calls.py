"""Tool calls in a chat stream, in the ways of servers that do not number them as OpenAI does."""

import pytest

from addons.wire.chat import DECODER
from storage.decoded import Note, OtherPart, PartDone, ToolCallPart
from tests.addons.wire import feeding
from tests.addons.wire.chatting import call, chunk, events, exchange, streamed

ONE, TWO = '{"path":"a"}', '{"path":"b"}'

WAYS = {
    "numbered": [
        [call(0, "x", "read", "")],
        [call(0, arguments='{"path":')],
        [call(0, arguments='"a"}')],
        [call(1, "y", "read", "")],
        [call(1, arguments=TWO)],
    ],
    "numbered from one": [[call(1, "x", "read", ONE)], [call(2, "y", "read", TWO)]],
    "side by side": [
        [call(0, "x", "read", ""), call(1, "y", "read", "")],
        [call(1, arguments='{"path":'), call(0, arguments='{"path":')],
        [call(0, arguments='"a"}')],
        [call(1, arguments='"b"}')],
    ],
    "out of order": [[call(1, "y", "read", TWO)], [call(0, "x", "read", ONE)]],
    "id and name with each piece": [
        [call(0, "x", "read", '{"path":')],
        [call(0, "x", "read", '"a"}')],
        [call(1, "y", "read", '{"path":')],
        [call(1, "y", "read", '"b"}')],
    ],
    "empty id and name with each piece": [
        [call(0, "x", "read", '{"path":')],
        [call(0, "", "", '"a"}')],
        [call(1, "y", "read", TWO)],
    ],
    "whole in one chunk": [[call(0, "x", "read", ONE), call(1, "y", "read", TWO)]],
    "whole, all with index zero": [[call(0, "x", "read", ONE)], [call(0, "y", "read", TWO)]],
    "whole, without index": [[call(None, "x", "read", ONE), call(None, "y", "read", TWO)]],
    "in pieces, without index": [
        [call(None, "x", "read", "")],
        [call(None, None, None, '{"path":')],
        [call(None, None, None, '"a"}')],
        [call(None, "y", "read", '{"path":')],
        [call(None, "y", None, '"b"}')],
    ],
    "a new id with each piece": [
        [call(0, "x", "read", '{"path":')],
        [call(0, "x2", "read", '"a"}')],
        [call(1, "y", "read", '{"path":')],
        [call(1, "y2", "read", '"b"}')],
    ],
    "the name in pieces": [
        [call(0, "x", "re")],
        [call(0, None, "ad", "")],
        [call(0, None, None, ONE)],
        [call(1, "y", "read", TWO)],
    ],
    "arguments as an object": [
        [call(0, "x", "read", {"path": "a"})],
        [call(1, "y", "read", {"path": "b"})],
    ],
    "an index that is no number": [
        [call("0", "x", "read", ONE)],
        [call("1", "y", "read", TWO)],
    ],
}


@pytest.mark.parametrize("pieces", WAYS.values(), ids=WAYS)
def test_two_calls_in_every_way(pieces):
    chunks = [chunk({"tool_calls": each}) for each in pieces]
    turn = streamed(*chunks, chunk({}, "tool_calls"))

    (message,) = turn.answer.messages
    assert turn.notes == ()
    assert message.parts == (
        ToolCallPart(call_id="x", name="read", arguments=ONE),
        ToolCallPart(call_id="y", name="read", arguments=TWO),
    )
    stream = events(*chunks, chunk({}, "tool_calls"))
    changes = feeding.changes(DECODER, exchange(b""), stream)
    done = [each.part for each in changes if isinstance(each, PartDone)]
    assert sorted(done, key=lambda part: part.call_id) == list(message.parts)


def test_calls_without_id_or_index():
    pieces = [call(None, None, "read", ONE), call(None, None, "read", TWO)]
    turn = streamed(chunk({"tool_calls": pieces}), chunk({}, "tool_calls"))

    assert [(part.call_id, part.arguments) for part in turn.answer.messages[0].parts] == [
        (None, ONE),
        (None, TWO),
    ]


def test_two_calls_without_arguments_under_one_index():
    pieces = [call(0, "x", "now", ""), call(0, "y", "where", "")]
    turn = streamed(chunk({"tool_calls": pieces}), chunk({}, "tool_calls"))

    assert [part.name for part in turn.answer.messages[0].parts] == ["now", "where"]


def test_one_call_without_a_list():
    turn = streamed(chunk({"tool_calls": call(0, "x", "read", ONE)}), chunk({}, "tool_calls"))

    assert turn.answer.messages[0].parts == (ToolCallPart(call_id="x", name="read", arguments=ONE),)


def test_custom_tools_have_free_text():
    custom = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "patch", "input": "*** "}}
    turn = streamed(
        chunk({"tool_calls": [custom]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "Begin"}}]}),
        chunk({}, "tool_calls"),
    )

    assert turn.answer.messages[0].parts == (
        ToolCallPart(call_id="x", name="patch", arguments="*** Begin", is_custom=True),
    )


def test_what_gemini_and_litellm_put_beside_is_kept():
    signed = {"google": {"thought_signature": "c2ln"}}
    turn = streamed(
        chunk({"tool_calls": [call(0, "x", "read", ONE, extra_content=signed)]}),
        chunk({}, "tool_calls"),
    )

    (part,) = turn.answer.messages[0].parts
    assert part.extra_json == b'{"extra_content":{"google":{"thought_signature":"c2ln"}}}'


def test_what_is_no_call_is_kept_and_noted():
    turn = streamed(chunk({"tool_calls": [7]}), chunk({}, "tool_calls"))

    assert turn.answer.messages[0].parts == (OtherPart(type="tool_call", json=b"7"),)
    assert turn.notes == (Note(kind="malformed-tool-call", detail="number"),)


def test_looks_at_arguments_are_bounded():
    """A server that names the call with each piece, all ending as an object may, costs no time."""
    pieces = [chunk({"tool_calls": [call(0, "x" * (1 + at % 2), "f", "}")]}) for at in range(3_000)]
    turn = feeding.turn(DECODER, exchange(b"".join(events(*pieces))))

    assert turn.answer.messages[0].parts[0].arguments == "}" * 3_000
