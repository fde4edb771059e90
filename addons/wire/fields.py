"""
Reading foreign JSON: nothing here raises, what has another type than expected is None or empty.

Objects are opened one level at a time into `Raw` values, so that what nobody asks for costs no more
than being skipped, and can be kept as it came.
"""

import re
from collections.abc import Collection
from typing import Annotated

import msgspec

Raw = msgspec.Raw
Object = dict[str, Raw]

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_INTEGER = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)])
_NUMBER = msgspec.json.Decoder(float)
_BOOLEAN = msgspec.json.Decoder(bool)
_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError)

type Json = bytes | str | Raw | None


def _decode[T](decoder: msgspec.json.Decoder[T], value: Json) -> T | None:
    if value is None:
        return None
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        return None
    except _ERRORS:
        mended = _mended(value)
    try:
        return None if mended is None else decoder.decode(mended)
    except _ERRORS:
        return None


# JavaScript cuts texts between the halves of a sign and sends what is left as an escape; one of
# them makes a whole request unreadable for a strict reader. An escaped backslash begins none.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _mended(value: bytes | str | Raw) -> bytes | None:
    """With U+FFFD for lone surrogates and for bytes that are no UTF-8; None if there are none."""
    before = value.encode(errors="replace") if isinstance(value, str) else bytes(value)
    text = before.decode(errors="replace").encode()
    after = _ESCAPE.sub(lambda found: rb"\ufffd" if found["lone"] else found[0], text)
    return None if after == before else after


def read_object(value: Json) -> Object | None:
    """The object's fields; None if it is none (or is broken)."""
    return _decode(_OBJECT, value)


def read_array(value: Json) -> list[Raw] | None:
    return _decode(_ARRAY, value)


def read_text(value: Json) -> str | None:
    return _decode(_TEXT, value)


def read_integer(value: Json) -> int | None:
    """None also for what does not fit into 64 bits: no store and no MessagePack takes it."""
    return _decode(_INTEGER, value)


def read_number(value: Json) -> float | None:
    return _decode(_NUMBER, value)


def read_boolean(value: Json) -> bool | None:
    return _decode(_BOOLEAN, value)


def kind_of(value: Json) -> str:
    """`object`, `array`, `string`, `number`, `boolean`, `null`, by the first sign; or `nothing`."""
    text = memoryview(
        value if isinstance(value, bytes | Raw) else (value or "").encode(errors="replace")
    )
    # Mostly the first sign is the one: a long text is not copied to see it.
    first = bytes(text[:1]).strip() or bytes(text).lstrip()[:1]
    return _KINDS.get(first, "number" if first else "nothing")


def rest(fields: Object, known: Collection[str]) -> bytes | None:
    """The fields that are not in `known`, as a JSON object; None if there are none."""
    left = {name: value for name, value in fields.items() if name not in known}
    return msgspec.json.encode(left) if left else None


_KINDS = {
    b"{": "object",
    b"[": "array",
    b'"': "string",
    b"t": "boolean",
    b"f": "boolean",
    b"n": "null",
}
