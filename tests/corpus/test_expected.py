"""expected.json says what the raw bytes say, read by another reader than the decoders."""

import json

import pytest

from tests.corpus import cases
from tests.corpus.plainreading import Said, said

NAMES = cases.names()


@pytest.mark.parametrize("name", NAMES)
def test_expected_is_what_the_bytes_say(name: str) -> None:
    theirs = [_short(turn) for turn in said(cases.load(name))]

    assert [_short(_of_expected(turn)) for turn in cases.expected(name)] == theirs


def _of_expected(turn) -> Said:
    asked, answer = turn["asked"], turn["answer"]
    spoken = [message for message in asked.get("messages", ()) if message["role"] != "system"]
    answered = _parts(answer.get("messages", ()))
    asked_parts = _parts(spoken)
    usage = answer.get("usage") or {}
    return Said(
        model=asked["model"],
        tools=[tool["name"] for tool in asked.get("tools", ())],
        prompts=[_text(part) for part in asked_parts if "SCENARIO:" in _text(part)],
        history_calls=[_call(part) for part in asked_parts if part["kind"] == "tool-call"],
        results=[part["call_id"] for part in asked_parts if part["kind"] == "tool-result"],
        id=answer.get("id"),
        text="".join(part["text"] for part in answered if part["kind"] == "text"),
        thinking="".join(part["text"] for part in answered if part["kind"] == "thinking"),
        calls=[_call(part) for part in answered if part["kind"] == "tool-call"],
        stop_reason=answer.get("stop_reason"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        error=(answer.get("failure") or {}).get("message"),
    )


def _parts(messages):
    return [part for message in messages for part in message["parts"]]


def _text(part) -> str:
    return part["text"] if part["kind"] == "text" else ""


def _call(part):
    arguments = part["arguments"]
    if not part.get("is_custom") and " signs, sha256 " not in arguments:
        arguments = json.loads(arguments or "{}")
    return part["call_id"], part["name"], arguments


def _short(turn: Said) -> object:
    return cases.condensed_value(json.loads(json.dumps(turn, default=_fields)))


def _fields(turn: Said):
    return {name: getattr(turn, name) for name in turn.__struct_fields__}
