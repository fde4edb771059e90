"""
HAR 1.2 files as entries: our own exports, DevTools' and mitmproxy's.

Source: http://www.softwareishard.com/blog/har-12-spec/ (read 2026-11), and what api.exports.har
writes beyond it. Lenient: what an entry does not have is unknown; an entry that cannot be one is
passed over, with its reason. Bodies get their content coding again (addons.importing.recoding).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from addons.importing import harentry
from addons.importing.document import BrokenJson, Reader, Texts, decoded
from addons.importing.exchange import Broken, Item, Passed
from storage.errors import Unreadable
from storage.imports import HarFacts

NOT_JSON = "Invalid HAR file format"
NOT_HAR = "Invalid HAR structure"


class _Creator(msgspec.Struct, frozen=True, kw_only=True):
    name: Any = ""
    version: Any = ""


class HarFile:
    """
    A HAR file on disk; see `addons.importing.exchange.Source`.

    What it says of itself is known once its items have been read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = ""
        self._creator = ""

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader, number = Reader(mapped), 0
        try:
            for _ in self._entries(reader):
                yield _item(reader, number)
                number += 1
            reader.finish()
        except BrokenJson as error:
            reason = f"entry {number + 1}: {error}" if number else str(error)
            if not number:
                place = f"{reason}, at byte {error.at_bytes:,}"
                raise Unreadable(NOT_JSON, place) from error
            yield Broken(at_bytes=error.at_bytes, reason=reason)

    def facts(self) -> HarFacts:
        """Goes through all of it. Raises Unreadable where it is no HAR to its end."""
        count = 0
        for item in self.items():
            if isinstance(item, Broken):
                raise Unreadable(NOT_JSON, f"{item.reason}, at byte {item.at_bytes:,}")
            if isinstance(item, Passed) and item.reason.startswith(harentry.NO_ENTRY):
                raise Unreadable(NOT_HAR, f"entry {item.number + 1}: {item.reason}")
            count += 1
        return HarFacts(version=self._version, creator=self._creator, entry_count=count)

    def _entries(self, reader: Reader) -> Iterator[None]:
        """Stops at each entry; reads what stands around them. Raises Unreadable."""
        found = False
        if not reader.opens(b"{"):
            raise Unreadable(NOT_HAR, "it is no JSON object")
        for name in reader.members():
            if name != "log" or not reader.opens(b"{"):
                reader.skip()
                continue
            for part in reader.members():
                if part == "entries" and reader.opens(b"["):
                    found = True
                    yield from reader.items()
                else:
                    self._note(part, reader.value(Texts(reader.document)))
        if not found:
            raise Unreadable(NOT_HAR, "there is no list log.entries")

    def _note(self, part: str, value: bytes | None) -> None:
        try:
            if part == "version":
                self._version = str(decoded(value or b'""', object))
            elif part == "creator":
                creator = decoded(value or b"{}", _Creator)
                self._creator = f"{creator.name} {creator.version}".strip()
        except (msgspec.DecodeError, RecursionError):
            return


def _item(reader: Reader, number: int) -> Item:
    texts = Texts(reader.document)
    value = reader.value(texts)
    if value is None:
        return Passed(number=number, at_bytes=reader.at, reason="it is too long")
    try:
        found = decoded(value, harentry.Entry)
        return harentry.exchange(found, texts, number, reader.at)
    except harentry.Unfit as error:
        reason = str(error)
    except (msgspec.DecodeError, RecursionError) as error:
        reason = f"{harentry.NO_ENTRY}: {error}"
    return Passed(number=number, at_bytes=reader.at, reason=reason)
