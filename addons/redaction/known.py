"""
The values that were seen in secret places, and the search for them in any bytes.

A value is looked for as it is, in base64 (three alignments, both alphabets), URL-encoded and
JSON-escaped; each form is a needle. Of a base64 form the needle is what depends on the value
alone: up to five bits at either end share a character with the neighbours and stay.

Few needles are found fastest one by one (`bytes.find` skips: 10 us per 200 KB for a needle of 100
bytes). Many are first sieved: an occurrence of a needle of at least stride + 7 bytes covers one of
the 8-byte words that begin at multiples of the stride, so it is enough to look at those.

`learn` may be called from any thread; everything else belongs to the one thread that searches.
"""

import base64
import math
import re
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

# Shorter values occur by chance ("sk-fake", "default"), and cutting them would eat ordinary text.
MIN_BYTES: Final = 8
# So do longer ones that are a word, a number or a date: `undefined`, `anonymous`, `1700000000`.
MIN_PLAIN_BYTES: Final = 16
# Servers take header lines of some 8 KB; longer values are cut in their own place only.
MAX_BYTES: Final = 16 << 10
# A longer form is searched in pieces, so that a tail held back is always shorter than this.
MAX_NEEDLE_BYTES: Final = 4096
MAX_VALUES: Final = 128

# What URL writers leave as it is: nothing, paths, encodeURIComponent, a lenient query.
_URL_SAFE: Final = ("", "/", "!'()*", "/:@+=,;!$&'()*")
# What JSON writers escape beyond need: what is not ASCII, what is unsafe in HTML (Go), both (PHP).
_JSON_UNSAFE: Final = ("[^\\x00-\\x7f]", "[<>&]", "[^\\x00-\\x7f]|[<>&']")
_PLAIN = re.compile(rb"[A-Za-z]*|[0-9.:TZ/+-]*")
# Stride of the sieve, and from how many needles on it costs less than finding each.
_STRIDES: Final = {64: 9, 24: 17, 8: 33}
_WORD: Final = 8
# Each is looked at without a break for other threads: the event loop must not wait for megabytes.
_SLICE_BYTES: Final = 192 << 10  # a multiple of every stride


def is_searchable(value: bytes) -> bool:
    """Is it safe to cut `value` wherever it shows up?"""
    if not MIN_BYTES <= len(value) <= MAX_BYTES:
        return False
    return len(value) >= MIN_PLAIN_BYTES or _PLAIN.fullmatch(value) is None


def needles(value: bytes) -> list[bytes]:
    """All forms of `value`, each at most MAX_NEEDLE_BYTES long."""
    forms = dict.fromkeys((value, *_base64_forms(value), *_url_forms(value), *_json_forms(value)))
    return [piece for form in forms for piece in _pieces(form)]


def _pieces(form: bytes) -> Iterator[bytes]:
    count = math.ceil(len(form) / MAX_NEEDLE_BYTES)
    size = math.ceil(len(form) / count)
    for at in range(0, len(form), size):
        yield form[at : at + size]


def _base64_forms(value: bytes) -> Iterator[bytes]:
    for before in range(3):
        coded = base64.b64encode(bytes(before) + value)
        core = coded[math.ceil(before * 8 / 6) : (before + len(value)) * 8 // 6]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _url_forms(value: bytes) -> Iterator[bytes]:
    for form in (*(quote(value, safe=safe) for safe in _URL_SAFE), quote_plus(value)):
        yield form.encode()
        yield re.sub("%..", lambda match: match[0].lower(), form).encode()


def _json_forms(value: bytes) -> Iterator[bytes]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    once = msgspec.json.encode(text)[1:-1]
    for form in (once, once.replace(b"/", b"\\/"), *_ascii_forms(once.decode())):
        yield form
        # Tool calls carry JSON inside a JSON string.
        yield msgspec.json.encode(form.decode())[1:-1]


def _ascii_forms(escaped: str) -> Iterator[bytes]:
    """`escaped` with \\uXXXX for more than JSON asks."""
    for unsafe in _JSON_UNSAFE:
        lower = re.sub(unsafe, _escape, escaped)
        yield lower.encode()
        yield re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), lower).encode()


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class _Group:
    """Needles of at least stride + 7 bytes, with the sieve once there are many."""

    __slots__ = ("_sieve", "_stride", "needles")

    def __init__(self, stride: int) -> None:
        self._stride = stride
        self.needles: dict[bytes, None] = {}
        self._sieve: dict[int, list[bytes]] | None = None

    def add(self, needle: bytes) -> None:
        self.needles[needle] = None
        if self._sieve is not None:
            self._sift(needle)
        elif self._stride and len(self.needles) >= _STRIDES[self._stride]:
            self._sieve = {}
            for each in self.needles:
                self._sift(each)

    def remove(self, needle: bytes) -> None:
        del self.needles[needle]
        if self._sieve is not None:
            for word in self._words(needle):
                self._sieve[word].remove(needle)
                if not self._sieve[word]:
                    del self._sieve[word]

    def candidates(self, data: bytes) -> Iterable[bytes]:
        """The needles that may be in `data`."""
        if self._sieve is None:
            return self.needles
        hits: set[int] = set()
        for at in range(0, len(data) // _WORD * _WORD, _SLICE_BYTES):
            part = memoryview(data)[at : at + _SLICE_BYTES]
            words = part[: len(part) // _WORD * _WORD].cast("Q")[:: self._stride // _WORD]
            if not self._sieve.keys().isdisjoint(words):
                hits |= self._sieve.keys() & set(words)
        return dict.fromkeys(needle for word in hits for needle in self._sieve[word])

    def _sift(self, needle: bytes) -> None:
        assert self._sieve is not None
        for word in self._words(needle):
            self._sieve.setdefault(word, []).append(needle)

    def _words(self, needle: bytes) -> set[int]:
        return {
            int.from_bytes(needle[at : at + _WORD], sys.byteorder) for at in range(self._stride)
        }


class Index:
    """All needles, each with the values that it is a form of."""

    __slots__ = ("_alphabet", "_groups", "_longest", "_owners", "_starts")

    def __init__(self) -> None:
        self._owners: dict[bytes, list[bytes]] = {}
        self._groups = [_Group(stride) for stride in (*_STRIDES, 0)]
        # Needles by their first byte, first two, three and four bytes.
        self._starts: list[dict[bytes, list[bytes]]] = [{}, {}, {}, {}]
        self._alphabet = b""  # every byte that occurs in a needle
        self._longest = 0

    def add(self, value: bytes) -> None:
        for needle in needles(value):
            owners = self._owners.setdefault(needle, [])
            owners.append(value)
            if len(owners) == 1:
                self._group(needle).add(needle)
                for size, starts in enumerate(self._starts, 1):
                    starts.setdefault(needle[:size], []).append(needle)
                # These two never shrink: too large a guess only makes `hold` look a little longer.
                self._alphabet = bytes({*self._alphabet, *needle})
                self._longest = max(self._longest, len(needle))

    def remove(self, value: bytes) -> None:
        for needle in needles(value):
            owners = self._owners[needle]
            owners.remove(value)
            if not owners:
                del self._owners[needle]
                self._group(needle).remove(needle)
                for size, starts in enumerate(self._starts, 1):
                    starts[needle[:size]].remove(needle)
                    if not starts[needle[:size]]:
                        del starts[needle[:size]]

    def present(self, data: bytes) -> list[bytes]:
        """The needles that occur in `data`."""
        return [
            needle for group in self._groups for needle in group.candidates(data) if needle in data
        ]

    def value(self, needle: bytes) -> bytes:
        return self._owners[needle][0]

    def hold(self, data: bytes) -> int:
        """Where the longest tail of `data` begins that may be the beginning of a needle."""
        if not data or data[-1] not in self._alphabet:
            return len(data)
        tail = data[max(0, len(data) - self._longest + 1) :]
        tail = tail[len(tail.rstrip(self._alphabet)) :]
        *short, fours = self._starts
        best = len(tail)
        for size, starts in enumerate(short, 1):
            if tail[-size:] in starts:
                best = len(tail) - size
        for first, begun in fours.items():
            at = tail.find(first)
            while 0 <= at < best:
                rest = tail[at:]
                if any(len(n) > len(rest) and n.startswith(rest) for n in begun):
                    best = at
                at = tail.find(first, at + 1)
        return len(data) - len(tail) + best

    def _group(self, needle: bytes) -> _Group:
        for group, stride in zip(self._groups, _STRIDES, strict=False):
            if len(needle) >= stride + _WORD - 1:
                return group
        return self._groups[-1]


class Known:
    """The latest MAX_VALUES known values; the one unused for longest makes room for a new one."""

    __slots__ = ("_inbox", "_index", "_values")

    def __init__(self) -> None:
        self._inbox: deque[bytes] = deque()
        self._values: OrderedDict[bytes, None] = OrderedDict()
        self._index = Index()

    def learn(self, value: bytes) -> None:
        """Search for `value` from now on, if it can be told from ordinary text. Any thread."""
        if is_searchable(value):
            self._inbox.append(value)

    def index(self) -> Index:
        """The search as of now."""
        while self._inbox:
            self._admit(self._inbox.popleft())
        return self._index

    def _admit(self, value: bytes) -> None:
        if value in self._values:
            self._values.move_to_end(value)
            return
        self._values[value] = None
        self._index.add(value)
        if len(self._values) > MAX_VALUES:
            oldest, _ = self._values.popitem(last=False)
            self._index.remove(oldest)
