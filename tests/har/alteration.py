"""One byte of an exported HAR changed, to see whether a reader's test would notice."""

import base64
import json
from typing import Any, Literal

from tests.har.served import Served

Part = Literal["request", "response", "frame"]


def altered(served: Served, url_part: str, part: Part) -> bytes:
    """The document with one byte changed in a body, or in the data of the last frame."""
    har = json.loads(served.document)
    entry = har["log"]["entries"][served.index(url_part)]
    if part == "request":
        _change(entry["request"]["postData"], "text")
    elif part == "response":
        _change(entry["response"]["content"], "text")
    else:
        frame = (entry.get("_webSocketMessages") or entry["_eventSourceMessages"])[-1]
        _change(frame, "data", is_base64=frame.get("opcode") == 2)
    return json.dumps(har).encode()


def _change(holder: dict[str, Any], key: str, *, is_base64: bool = False) -> None:
    text = holder[key]
    if is_base64 or holder.get("encoding") == "base64":
        data = bytearray(base64.b64decode(text))
        data[len(data) // 2] ^= 1
        holder[key] = base64.b64encode(data).decode()
    else:
        at = len(text) // 2
        holder[key] = text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :]
