"""
How a body is found by its digest: an index has the first bytes of it, the row has the rest.

A database that had bodies before the migration m005 keeps its index of whole digests, and SQLite
takes that.
"""


def equal(one: str, other: str) -> str:
    """SQL for: these two expressions are the same digest. `one` is a column of `bodies`."""
    return f"substr({one}, 1, 5) = substr({other}, 1, 5) and {one} = {other}"
