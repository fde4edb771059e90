"""What became of an imported file, as the API answers it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from storage.imports import Imported


class SkippedBody(msgspec.Struct, frozen=True, kw_only=True):
    number: Annotated[int, Meta(description="Of the entry in the file, from 0")]
    reason: str


class ImportBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of a file."""

    success: bool = True
    imported: Annotated[int, Meta(description="Entries that this import added")]
    total: Annotated[int, Meta(description="Entries in the file, as far as it can be read")]
    session_id: str
    session_name: str
    skipped: Annotated[list[SkippedBody], Meta(description="The first 100 that are not imported")]
    fault: Annotated[str | None, Meta(description="Where and why the file breaks off")]
    is_repeated: Annotated[bool, Meta(description="Imported before: nothing was added")]


def body_of(found: Imported) -> ImportBody:
    return ImportBody(
        imported=found.imported,
        total=found.total,
        session_id=found.session_id,
        session_name=found.session_name,
        skipped=[SkippedBody(number=one.number, reason=one.reason) for one in found.skipped],
        fault=found.fault,
        is_repeated=found.is_repeated,
    )
