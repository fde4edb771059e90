"""
The parts of a Gemini content, in requests and answers alike.

A part has one field with data (a oneof) and fields that say something of it beside. Requests may be
in camelCase or snake_case: the API reads both (protobuf's JSON mapping).
"""

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from addons.wire.fields import (
    Object,
    Raw,
    kind_of,
    read_array,
    read_boolean,
    read_object,
    read_text,
    rest,
)
from addons.wire.running import Notes
from storage.decoded import (
    CompactionPart,
    Media,
    MediaPart,
    OtherPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

CODE_TOOL = "code_execution"  # the API's own name for the tool that runs executableCode

# What may stand in an `extra_json` without a note: it was read, or it is known to say no more.
KNOWN_EXTRA = frozenset(
    {
        "thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution",
        "partialArgs", "willContinue", "scheduling", "language", "outcome",
    }
)  # fmt: skip


def camel(fields: Object) -> Object:
    """The same fields, names in camelCase."""
    if not any("_" in name for name in fields):
        return fields
    return {_camel_name(name): value for name, value in fields.items()}


def read_fields(value: Raw | bytes | str | None) -> Object | None:
    """An object's fields, names in camelCase; None if it is none."""
    fields = read_object(value)
    return None if fields is None else camel(fields)


def read_part(raw: Raw) -> Part:
    """Any part; what is not known, or not as it should be, is an OtherPart."""
    fields = read_fields(raw)
    if fields is None:
        return OtherPart(type="malformed", json=bytes(raw))
    for name, read in _READERS.items():
        if name in fields and kind_of(fields[name]) != "null":
            data = fields.pop(name)
            part = read(data, fields)
            return part or OtherPart(type=f"malformed-{name}", json=bytes(raw))
    if _METADATA.issuperset(fields) and "thoughtSignature" in fields:
        return ThinkingPart(text="", is_redacted=True, extra_json=_extra(fields, _NOTHING))
    return OtherPart(type=_first_unknown(fields), json=bytes(raw))


def note_parts(parts: tuple[Part, ...], notes: Notes) -> None:
    """Say what of these parts is not known. (Their reading is remembered, so it cannot say it.)"""
    for part in parts:
        match part:
            case OtherPart(type=kind):
                is_malformed = kind.startswith("malformed")
                notes.add("malformed-block" if is_malformed else "unknown-block", kind)
            case CompactionPart() | RefusalPart():
                pass  # no part of Gemini's is one
            case _:
                note_extra(part.extra_json, notes)


def note_extra(extra_json: bytes | None, notes: Notes) -> None:
    for name in read_object(extra_json) or ():
        if name not in KNOWN_EXTRA:
            notes.add("unknown-field", name)


def merged(extras: Iterable[bytes | None]) -> bytes | None:
    """One object of the fields of several; of a name that more than one has, the last."""
    fields: Object = {}
    for extra_json in extras:
        fields.update(read_object(extra_json) or {})
    return msgspec.json.encode(fields) if fields else None


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others) if first else name


def _first_unknown(fields: Object) -> str:
    return next((name for name in fields if name not in _METADATA), "empty")


def _extra(fields: Object, known: frozenset[str], inner: Object | None = None) -> bytes | None:
    """What is left of a part's fields, and of those of its data."""
    return rest({**(inner or {}), **fields}, known)


def _text(data: Raw, fields: Object) -> Part | None:
    text = read_text(data)
    if text is None:
        return None
    if read_boolean(fields.get("thought")):
        return ThinkingPart(text=text, extra_json=_extra(fields, _THOUGHT))
    return TextPart(text=text, extra_json=rest(fields, _NOTHING) if fields else None)


def _function_call(data: Raw, fields: Object) -> Part | None:
    call = read_fields(data)
    if call is None:
        return None
    return ToolCallPart(
        call_id=read_text(call.get("id")),
        name=read_text(call.get("name")) or "",
        arguments=_json_text(call.get("args")) or "{}",
        extra_json=_extra(fields, _CALL, call),
    )


def _function_response(data: Raw, fields: Object) -> Part | None:
    result = read_fields(data)
    if result is None:
        return None
    text, is_error = _result_text(result.get("response"))
    beside = [read_part(part) for part in read_array(result.get("parts")) or ()]
    media = tuple(part for part in beside if isinstance(part, MediaPart))
    known = _RESULT | {"parts"} if len(media) == len(beside) else _RESULT
    return ToolResultPart(
        call_id=read_text(result.get("id")),
        name=read_text(result.get("name")),
        text=text,
        is_error=is_error,
        media=media,
        extra_json=_extra(fields, known, result),
    )


def _result_text(response: Raw | None) -> tuple[str, bool | None]:
    """
    The text of `output` or `error` where the response has just that, else its JSON.

    These two names are the API's own convention ("use `output` key ... and `error` key").
    """
    said = read_object(response)
    if said is None:
        return read_text(response) or _json_text(response), None
    is_error = True if "error" in said and kind_of(said["error"]) != "null" else None
    if len(said) == 1:
        text = read_text(said.get("output", said.get("error")))
        if text is not None:
            return text, is_error
    return _json_text(response), is_error


def _inline_data(data: Raw, fields: Object) -> Part | None:
    blob = read_fields(data)
    if blob is None:
        return None
    encoded = (read_text(blob.get("data")) or "").encode()
    media_type = read_text(blob.get("mimeType"))
    return MediaPart(
        media=_media(media_type),
        media_type=media_type,
        size_bytes=_decoded_size(encoded),
        digest=hashlib.sha256(encoded).digest(),
        name=read_text(blob.get("displayName")),
        extra_json=_extra(fields, _BLOB, blob),
    )


def _file_data(data: Raw, fields: Object) -> Part | None:
    file = read_fields(data)
    if file is None:
        return None
    media_type = read_text(file.get("mimeType"))
    url = read_text(file.get("fileUri"))
    return MediaPart(
        media=_media(media_type),
        media_type=media_type,
        digest=hashlib.sha256(url.encode()).digest() if url is not None else None,
        url=url,
        name=read_text(file.get("displayName")),
        extra_json=_extra(fields, _FILE, file),
    )


def _executable_code(data: Raw, fields: Object) -> Part | None:
    code = read_fields(data)
    if code is None:
        return None
    return ToolCallPart(
        call_id=read_text(code.get("id")),
        name=CODE_TOOL,
        arguments=read_text(code.get("code")) or "",
        is_custom=True,
        on_server=True,
        extra_json=_extra(fields, _CODE, code),
    )


def _code_result(data: Raw, fields: Object) -> Part | None:
    result = read_fields(data)
    if result is None:
        return None
    outcome = read_text(result.get("outcome"))
    return ToolResultPart(
        call_id=read_text(result.get("id")),
        name=CODE_TOOL,
        text=read_text(result.get("output")) or "",
        is_error=_FAILED.get(outcome or ""),
        on_server=True,
        extra_json=_extra(fields, _CODE_RESULT, result),
    )


def _server_call(data: Raw, fields: Object) -> Part | None:
    call = read_fields(data)
    if call is None:
        return None
    return ToolCallPart(
        call_id=read_text(call.get("id")),
        name=read_text(call.get("toolType")) or "",
        arguments=_json_text(call.get("args")) or "{}",
        on_server=True,
        extra_json=_extra(fields, _SERVER_CALL, call),
    )


def _server_result(data: Raw, fields: Object) -> Part | None:
    result = read_fields(data)
    if result is None:
        return None
    text, is_error = _result_text(result.get("response"))
    return ToolResultPart(
        call_id=read_text(result.get("id")),
        name=read_text(result.get("toolType")),
        text=text,
        is_error=is_error,
        on_server=True,
        extra_json=_extra(fields, _SERVER_RESULT, result),
    )


def _json_text(raw: Raw | None) -> str:
    """The JSON as it came; "" for null and for nothing."""
    if raw is None or kind_of(raw) == "null":
        return ""
    return bytes(raw).decode(errors="replace")


def _media(media_type: str | None) -> Media:
    return _MEDIA.get((media_type or "").partition("/")[0].lower(), "document")


def _decoded_size(encoded: bytes) -> int:
    return len(encoded.rstrip(b"=")) * 3 // 4


_NOTHING: frozenset[str] = frozenset()
_METADATA = frozenset(
    {"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"}
)
_THOUGHT = frozenset({"thought"})
_CALL = frozenset({"id", "name", "args"})
_RESULT = frozenset({"id", "name", "response"})
_BLOB = frozenset({"mimeType", "data", "displayName"})
_FILE = frozenset({"mimeType", "fileUri", "displayName"})
_CODE = frozenset({"id", "code"})
_CODE_RESULT = frozenset({"id", "output"})
_SERVER_CALL = frozenset({"id", "toolType", "args"})
_SERVER_RESULT = frozenset({"id", "toolType", "response"})
_FAILED = {
    "OUTCOME_OK": False,
    "OUTCOME_FAILED": True,
    "OUTCOME_DEADLINE_EXCEEDED": True,
}
_MEDIA: dict[str, Media] = {"image": "image", "audio": "audio", "video": "video"}
_READERS: dict[str, Callable[[Raw, Object], Part | None]] = {
    "text": _text,
    "functionCall": _function_call,
    "functionResponse": _function_response,
    "inlineData": _inline_data,
    "fileData": _file_data,
    "executableCode": _executable_code,
    "codeExecutionResult": _code_result,
    "toolCall": _server_call,
    "toolResponse": _server_result,
}
