"""
Messages that were read before.

Agents send their whole history again with every turn; reading each message once makes a turn cost
what is new in it. A memo only saves time: it holds pure values by the bytes that they come from.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

_MAX_BYTES = 32 << 20  # of the JSON that the kept messages came from
_MAX_ONE_BYTES = 1 << 20


def digest(raw: bytes) -> bytes:
    """BLAKE2b-16: what stands for a message's JSON in `Message.raw_digest`."""
    return hashlib.blake2b(raw, digest_size=16).digest()


class Memo[T]:
    """
    Remembers what `read` made of JSON texts, the latest ones; may be used by several threads.

    A `T` is a Message, or one with the notes that reading it made: who asks later notes the same.
    """

    def __init__(self, read: Callable[[bytes, bytes], T]) -> None:
        """`read` gets the JSON and its digest."""
        self._read = read
        self._known: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def message(self, raw: bytes) -> T:
        key = digest(raw)
        with self._lock:
            known = self._known.get(key)
            if known:
                self._known.move_to_end(key)
                return known[0]
        message = self._read(raw, key)
        if len(raw) <= _MAX_ONE_BYTES:
            self._keep(key, message, len(raw))
        return message

    def _keep(self, key: bytes, message: T, size: int) -> None:
        with self._lock:
            if key not in self._known:
                self._known[key] = (message, size)
                self._size += size
            while self._size > _MAX_BYTES:
                _, (_, gone) = self._known.popitem(last=False)
                self._size -= gone
