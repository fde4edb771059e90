"""Responses: what the reader of one kind of item hands over."""

from typing import NamedTuple

from storage.decoded import Part, Role


class Read(NamedTuple):
    """`used` names the item's fields that the parts hold; the others are kept beside them."""

    role: Role
    parts: tuple[Part, ...]
    used: tuple[str, ...]
    name: str | None = None
