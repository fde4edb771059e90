"""
Where bytes are cut into chunks: by their content, so that a change moves only the cuts beside it.

A cut comes where a rolling hash of the last bytes is zero. The hash of all places at once is
arithmetic on one long integer, which runs at the speed of memory: each byte through a random table,
then `h ^= h << 9`, `<< 19`, `<< 37`, so that every byte of `h` mixes the eight or nine before it.
This needs no compiled code of ours (350 MB/s; bench/bodies.py measures it).
"""

import hashlib

MIN_BYTES = 256
MAX_BYTES = 4096

# Of the hash's zeros, one in 256 bytes, those count whose neighbour is below this: one in 512.
_NEIGHBOUR = 128
# Looked at together: little at first, for most often what follows soon is known again.
_LEAST_BYTES = 2 << 10
_MOST_BYTES = 64 << 10
_CONTEXT_BYTES = 16

# Fixed for ever: with another table nothing would be cut as before. With this one no run of zeros,
# of 255 or of one sign of ASCII text is cut but at the most bytes.
_GEAR = bytes(sorted(range(256), key=lambda byte: hashlib.sha256(bytes([0, byte])).digest()))


class Cutter:
    """The cuts of `data`, one by one; it looks only at the parts that it is asked about."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._hashes = b""
        self._first = 0  # from where on cuts are known; the hashes begin by the context earlier
        self._until = 0
        self._window_bytes = _LEAST_BYTES

    def end(self, start: int) -> int:
        """Where the chunk ends that begins at `start`. It depends on no byte before that."""
        stop = min(start + MAX_BYTES, len(self._data))
        at = start + MIN_BYTES
        if at >= stop:
            return stop
        if at < self._first or start >= self._until:
            self._window_bytes = _LEAST_BYTES
            self._look_at(at)
        while True:
            hashes, base = self._hashes, self._first - _CONTEXT_BYTES
            end = min(stop, self._until) - base
            found = hashes.find(0, at - base, end)
            while found >= 0:
                if hashes[found - 1] < _NEIGHBOUR:
                    return base + found + 1
                found = hashes.find(0, found + 1, end)
            if stop <= self._until:
                return stop
            at = max(at, self._until)
            self._window_bytes = min(self._window_bytes * 2, _MOST_BYTES)
            self._look_at(at)

    def _look_at(self, start: int) -> None:
        self._first = start
        self._until = min(start + self._window_bytes, len(self._data))
        window = self._data[start - _CONTEXT_BYTES : self._until].translate(_GEAR)
        mixed = int.from_bytes(window, "little")
        mixed ^= mixed << 9
        mixed ^= mixed << 19
        mixed ^= mixed << 37
        self._hashes = mixed.to_bytes(len(window) + 9, "little")
