"""
Newline-delimited JSON: bytes in, JSON texts out.

Source: the ndjson specification 1.0 (LF ends a line, CRLF is accepted; empty lines are skipped).
The texts are not read here: whoever knows what they mean does.
"""


class Decoder:
    """Keeps only the unfinished line. `finish` hands it out and sets `truncated`."""

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self.truncated = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk."""
        first, *rest = chunk.split(b"\n")
        self._tail.append(first)
        if not rest:
            return []
        lines = [b"".join(self._tail), *rest[:-1]]
        self._tail = [rest[-1]]
        return [line for line in (line.strip() for line in lines) if line]

    def finish(self) -> list[bytes]:
        """The line that no newline ended; it may well be whole."""
        line = b"".join(self._tail).strip()
        self._tail = []
        self.truncated = bool(line)
        return [line] if line else []
