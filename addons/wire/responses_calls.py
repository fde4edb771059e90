"""
Responses: items that are tool calls, and those that bring their results.

A tool that the provider runs itself brings call and result in one item: then the message has both
parts, joined by the item's id.
"""

from collections.abc import Callable, Iterable

import msgspec

from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_integer,
    read_object,
    read_text,
)
from addons.wire.responses_parts import json_text, media, read_output, read_part
from addons.wire.responses_read import Read
from storage.decoded import MediaPart, Part, ToolCallPart, ToolResultPart


def _text(fields: Object, name: str) -> str | None:
    return read_text(fields.get(name))


def _argument_text(raw: Raw | None) -> str:
    """Arguments are JSON in a text; some servers send the object itself."""
    text = read_text(raw)
    return json_text(raw) if text is None else text


def _has(fields: Object, name: str) -> bool:
    return kind_of(fields.get(name)) not in ("null", "nothing")


def _call_id(fields: Object) -> str | None:
    return _text(fields, "call_id") or _text(fields, "id")


def _object(fields: Object, names: Iterable[str]) -> str:
    """These fields as an object's text; "" if none is there."""
    found = {name: fields[name] for name in names if _has(fields, name)}
    return msgspec.json.encode(found).decode(errors="replace") if found else ""


# --- calls that the client answers ---------------------------------------------------------------


def _function_call(fields: Object, raw: bytes) -> Read:
    part = ToolCallPart(
        call_id=_text(fields, "call_id"),
        name=_text(fields, "name") or "",
        namespace=_text(fields, "namespace"),
        arguments=_argument_text(fields.get("arguments")),
    )
    return Read("assistant", (part,), ("call_id", "name", "namespace", "arguments"))


def _custom_call(fields: Object, raw: bytes) -> Read:
    part = ToolCallPart(
        call_id=_text(fields, "call_id"),
        name=_text(fields, "name") or "",
        namespace=_text(fields, "namespace"),
        arguments=_argument_text(fields.get("input")),
        is_custom=True,
    )
    return Read("assistant", (part,), ("call_id", "name", "namespace", "input"))


def _named_call(name: str, arguments: str) -> Callable[[Object, bytes], Read]:
    """A built-in tool whose arguments are the object in one field."""

    def read(fields: Object, raw: bytes) -> Read:
        place = read_object(fields.get("environment")) or {}
        part = ToolCallPart(
            call_id=_call_id(fields),
            name=name,
            arguments=json_text(fields.get(arguments)),
            on_server=_text(place, "type") == "container_reference",
        )
        return Read("assistant", (part,), ("call_id", arguments))

    return read


def _computer_call(fields: Object, raw: bytes) -> Read:
    actions = ("actions",) if _has(fields, "actions") else ()
    arguments = _object(fields, actions) or json_text(fields.get("action"))
    part = ToolCallPart(call_id=_call_id(fields), name="computer", arguments=arguments)
    return Read("assistant", (part,), ("call_id", "action", "actions"))


def _tool_search_call(fields: Object, raw: bytes) -> Read:
    part = ToolCallPart(
        call_id=_call_id(fields),
        name="tool_search",
        arguments=_argument_text(fields.get("arguments")),
        on_server=_text(fields, "execution") == "server",
    )
    return Read("assistant", (part,), ("call_id", "arguments"))


# --- their results -------------------------------------------------------------------------------


def _output(fields: Object, raw: bytes) -> Read:
    output = read_output(fields.get("output"))
    part = ToolResultPart(
        call_id=_call_id(fields),
        name=_text(fields, "name"),
        text=output.text,
        media=output.media,
        extra_json=output.extra_json,
    )
    return Read("tool", (part,), ("call_id", "output", "name"))


def _patch_output(fields: Object, raw: bytes) -> Read:
    status = _text(fields, "status")
    part = ToolResultPart(
        call_id=_call_id(fields),
        text=_argument_text(fields.get("output")) if _has(fields, "output") else "",
        is_error={"completed": False, "failed": True}.get(status or ""),
    )
    return Read("tool", (part,), ("call_id", "output"))


def _shell_output(fields: Object, raw: bytes) -> Read:
    """Its chunks, standard output before standard error, as a person would read them."""
    chunks = read_array(fields.get("output"))
    if chunks is None:
        return _output(fields, raw)
    texts: list[str] = []
    failures: list[bool | None] = []
    for chunk in chunks:
        opened = read_object(chunk) or {}
        texts += [text for name in ("stdout", "stderr") if (text := _text(opened, name))]
        failures.append(_failed(read_object(opened.get("outcome")) or {}))
    part = ToolResultPart(
        call_id=_call_id(fields),
        text="\n".join(texts),
        is_error=None if None in failures or not failures else True in failures,
        extra_json=msgspec.json.encode({"outputs": chunks}) if chunks else None,
    )
    return Read("tool", (part,), ("call_id", "output"))


def _failed(outcome: Object) -> bool | None:
    if _text(outcome, "type") == "timeout":
        return True
    code = read_integer(outcome.get("exit_code"))
    return None if code is None else code != 0


def _screenshot(fields: Object, raw: bytes) -> Read:
    output = fields.get("output")
    seen = read_part(output) if output is not None else None
    shown = (seen,) if isinstance(seen, MediaPart) else ()
    text = "" if shown else read_output(output).text
    part = ToolResultPart(call_id=_call_id(fields), text=text, media=shown)
    return Read("tool", (part,), ("call_id", "output"))


def _tool_search_output(fields: Object, raw: bytes) -> Read:
    """The tools that were found, as the text of their array."""
    part = ToolResultPart(
        call_id=_call_id(fields),
        text=json_text(fields.get("tools")),
        on_server=_text(fields, "execution") == "server",
    )
    return Read("tool", (part,), ("call_id", "tools"))


# --- calls that the provider answers -------------------------------------------------------------


def _web_search(fields: Object, raw: bytes) -> Read:
    call = ToolCallPart(
        call_id=_text(fields, "id"),
        name="web_search",
        arguments=json_text(fields.get("action")),
        on_server=True,
    )
    return Read("assistant", (call,), ("action",))


def _file_search(fields: Object, raw: bytes) -> Read:
    call_id = _text(fields, "id")
    call = ToolCallPart(
        call_id=call_id,
        name="file_search",
        arguments=_object(fields, ("queries",)),
        on_server=True,
    )
    parts: tuple[Part, ...] = (call,)
    if results := read_array(fields.get("results")):
        texts = [_text(read_object(result) or {}, "text") or "" for result in results]
        found = ToolResultPart(
            call_id=call_id,
            text="\n".join(texts),
            on_server=True,
            extra_json=msgspec.json.encode({"results": results}),
        )
        parts = (call, found)
    return Read("assistant", parts, ("queries", "results"))


def _code_interpreter(fields: Object, raw: bytes) -> Read:
    call_id = _text(fields, "id")
    call = ToolCallPart(
        call_id=call_id,
        name="code_interpreter",
        arguments=_text(fields, "code") or "",
        is_custom=True,
        on_server=True,
    )
    parts: tuple[Part, ...] = (call,)
    if outputs := read_array(fields.get("outputs")):
        opened = [read_object(output) or {} for output in outputs]
        images = [image for output in opened if (image := _text(output, "url"))]
        ran = ToolResultPart(
            call_id=call_id,
            text="\n".join(logs for output in opened if (logs := _text(output, "logs"))),
            media=tuple(media("image", image, {}, ()) for image in images),
            on_server=True,
        )
        parts = (call, ran)
    return Read("assistant", parts, ("code", "outputs"))


def _image_generation(fields: Object, raw: bytes) -> Read:
    call_id = _text(fields, "id")
    call = ToolCallPart(
        call_id=call_id,
        name="image_generation",
        arguments=_object(fields, ("revised_prompt",)),
        on_server=True,
    )
    parts: tuple[Part, ...] = (call,)
    if result := _text(fields, "result"):
        image = media("image", result, {}, ())
        form = _text(fields, "output_format")
        if form and image.media_type is None:
            image = msgspec.structs.replace(image, media_type=f"image/{form}")
        parts = (call, ToolResultPart(call_id=call_id, text="", media=(image,), on_server=True))
    elif _has(fields, "error"):
        parts = (call, _server_error(call_id, fields))
    return Read("assistant", parts, ("revised_prompt", "result", "error"))


def _mcp_call(fields: Object, raw: bytes) -> Read:
    call_id = _text(fields, "id")
    call = ToolCallPart(
        call_id=call_id,
        name=_text(fields, "name") or "",
        namespace=_text(fields, "server_label"),
        arguments=_argument_text(fields.get("arguments")),
        on_server=True,
    )
    parts: tuple[Part, ...] = (call,)
    if _has(fields, "error"):
        parts = (call, _server_error(call_id, fields))
    elif _has(fields, "output"):
        text = _argument_text(fields.get("output"))
        ran = ToolResultPart(call_id=call_id, text=text, is_error=False, on_server=True)
        parts = (call, ran)
    return Read("assistant", parts, ("name", "server_label", "arguments", "output", "error"))


def _server_error(call_id: str | None, fields: Object) -> ToolResultPart:
    error = fields["error"]
    opened = read_object(error) or {}
    text = _text(opened, "message") or _argument_text(error)
    return ToolResultPart(
        call_id=call_id,
        text=text,
        is_error=True,
        on_server=True,
        extra_json=msgspec.json.encode({"error": error}),
    )


def _program(fields: Object, raw: bytes) -> Read:
    """JavaScript that the provider runs and that calls tools (programmatic tool calling)."""
    call = ToolCallPart(
        call_id=_call_id(fields),
        name="program",
        arguments=_text(fields, "code") or "",
        is_custom=True,
        on_server=True,
    )
    return Read("assistant", (call,), ("call_id", "code"))


def _program_output(fields: Object, raw: bytes) -> Read:
    text = _argument_text(fields.get("result"))
    part = ToolResultPart(call_id=_call_id(fields), text=text, on_server=True)
    return Read("tool", (part,), ("call_id", "result"))


CALL_READERS: dict[str, Callable[[Object, bytes], Read]] = {
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _output,
    "local_shell_call": _named_call("local_shell", "action"),
    "local_shell_call_output": _output,
    "shell_call": _named_call("shell", "action"),
    "shell_call_output": _shell_output,
    "apply_patch_call": _named_call("apply_patch", "operation"),
    "apply_patch_call_output": _patch_output,
    "computer_call": _computer_call,
    "computer_call_output": _screenshot,
    "tool_search_call": _tool_search_call,
    "tool_search_output": _tool_search_output,
    "web_search_call": _web_search,
    "file_search_call": _file_search,
    "code_interpreter_call": _code_interpreter,
    "image_generation_call": _image_generation,
    "mcp_call": _mcp_call,
    "program": _program,
    "program_output": _program_output,
}
