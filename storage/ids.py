"""
Identifiers: made by the client that writes, ordered by time, never a sequence.

A UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits.
Within one process ids never go backwards: the 12 bits after the version count up inside a
millisecond (method 1 of section 6.2), so that entries of one proxy
sort in the order of their heads.
"""

import hashlib
import os
import threading
import time

_lock = threading.Lock()
_last = 0


def new() -> str:
    """A fresh id in the usual text form, 36 characters of `[0-9a-f-]`."""
    return text(new_bytes())


def new_bytes() -> bytes:
    """A fresh id as 16 bytes, as the spool holds it."""
    global _last
    with _lock:
        # 60 bits: milliseconds and a 12-bit counter that may run over into the next millisecond.
        tick = max((time.time_ns() // 1_000_000) << 12, _last + 1)
        _last = tick
    head = (tick >> 12) << 16 | 0x7000 | (tick & 0xFFF)
    tail = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1) | 0x8000_0000_0000_0000
    return head.to_bytes(8) + tail.to_bytes(8)


def at(started_ns: int, number: int, salt: str) -> bytes:
    """
    The id of something that began at a Unix time, perhaps long ago; the same for the same facts.

    Such ids sort by their time to the nanosecond, then by `number`, among each other and, to the
    millisecond, among all others. `salt` keeps those of one source apart from another's.
    """
    ms, rest_ns = divmod(max(started_ns, 0), 1_000_000)
    head = min(ms, (1 << 48) - 1) << 16 | 0x7000 | rest_ns >> 8
    source = int.from_bytes(hashlib.sha256(f"{salt}:{number}".encode()).digest()[:4])
    tail = 1 << 63 | (rest_ns & 0xFF) << 54 | (number & 0x3F_FFFF) << 32 | source
    return head.to_bytes(8) + tail.to_bytes(8)


def text(raw: bytes) -> str:
    """The text form of 16 bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def raw(identifier: str) -> bytes:
    """
    The 16 bytes of a text form.

    Raises ValueError if it is none.
    """
    value = bytes.fromhex(identifier.replace("-", ""))
    if len(value) != 16 or text(value) != identifier:
        raise ValueError(f"not an id in its usual text form: {identifier!r}")
    return value
