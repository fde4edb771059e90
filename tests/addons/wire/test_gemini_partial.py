"""Function calls whose arguments come one by one (Vertex)."""

import msgspec
import pytest

from addons.wire.gemini import DECODER
from storage.decoded import Note, TextPart, ToolCallPart
from tests.addons.wire import feeding
from tests.addons.wire.geminidata import chunk, streamed


def piece(*arguments: dict[str, object], more: bool = True, **call: object) -> dict[str, object]:
    told = {"partialArgs": list(arguments)} if arguments else {}
    end = {"willContinue": True} if more else {}
    return {"functionCall": {**call, **told, **end}}


def argument(path: str, **value: object) -> dict[str, object]:
    return {"jsonPath": path, **value}


def test_the_pieces_make_one_call() -> None:
    turn = feeding.turn(
        DECODER,
        streamed(
            chunk({"text": "Now."}),
            chunk({**piece(name="edit", id="c1"), "thoughtSignature": "c2ln"}),
            chunk(piece(argument("$.path", stringValue="/tmp", willContinue=True))),
            chunk(piece(argument("$.path", stringValue="/a"), argument("$.n", numberValue=3))),
            chunk(
                piece(
                    argument("$.edits[0].old", stringValue="x"),
                    argument("$['edits'][0]['all']", boolValue=False),
                    argument("$.edits[1]", nullValue="NULL_VALUE"),
                    argument("$.ratio", numberValue=0.5),
                )
            ),
            chunk({"functionCall": {}}),
            chunk({"functionCall": {"name": "next", "id": "c2", "args": {}}}, finishReason="STOP"),
        ),
    )

    text, call, following = turn.answer.messages[0].parts
    assert text == TextPart(text="Now.")
    assert isinstance(call, ToolCallPart)
    assert (call.call_id, call.name) == ("c1", "edit")
    assert msgspec.json.decode(call.arguments) == {
        "path": "/tmp/a",
        "n": 3,
        "edits": [{"old": "x", "all": False}, None],
        "ratio": 0.5,
    }
    assert call.extra_json == b'{"thoughtSignature":"c2ln"}'
    assert following == ToolCallPart(call_id="c2", name="next", arguments="{}")
    assert turn.notes == ()


def test_a_call_that_is_cut_holds_what_came() -> None:
    turn = feeding.turn(
        DECODER,
        streamed(chunk(piece(argument("$.path", stringValue="/tm"), name="edit", id="c1"))),
        cut=True,
    )

    call = ToolCallPart(call_id="c1", name="edit", arguments='{"path":"/tm"}')
    assert turn.answer.messages[0].parts == (call,)
    assert not turn.is_complete


@pytest.mark.parametrize(
    "bad",
    [
        argument("path", stringValue="x"),
        argument("$.a[7]", stringValue="x"),
        argument("$.a.b", newValue="x"),
        argument("$" + ".a" * 101, stringValue="x"),
        {},
    ],
    ids=["no-path", "far", "value", "deep", "empty"],
)
def test_an_argument_that_cannot_be_placed_is_noted(bad: dict[str, object]) -> None:
    turn = feeding.turn(
        DECODER,
        streamed(
            chunk(piece(argument("$.ok", boolValue=True), bad, name="f", more=False)),
            chunk(finishReason="STOP"),
        ),
    )

    (call,) = turn.answer.messages[0].parts
    assert isinstance(call, ToolCallPart)
    assert msgspec.json.decode(call.arguments)["ok"] is True
    assert turn.notes == (Note(kind="malformed-arguments", detail="partialArgs"),)


def test_a_piece_with_another_id_is_another_call() -> None:
    turn = feeding.turn(
        DECODER,
        streamed(
            chunk(piece(argument("$.a", numberValue=1), name="f", id="c1")),
            chunk(piece(argument("$.a", numberValue=2), name="f", id="c2", more=False)),
            chunk(finishReason="STOP"),
        ),
    )

    assert turn.answer.messages[0].parts == (
        ToolCallPart(call_id="c1", name="f", arguments='{"a":1}'),
        ToolCallPart(call_id="c2", name="f", arguments='{"a":2}'),
    )
