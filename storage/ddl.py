"""SQL that makes tables, as it is executed: SQLite keeps its text in the file, word for word."""

import re

from sqlite_utils import Database

_COMMENT = re.compile(r"--[^\n]*")
_AROUND = re.compile(r"\s*([(),=])\s*")


def execute(db: Database, statement: str) -> None:
    """
    Run a statement without its comments and its layout: they are for those who read the source.

    It may hold neither `--` nor layout inside quotes.
    """
    plain = _COMMENT.sub("", statement)
    db.execute(_AROUND.sub(r"\1", " ".join(plain.split())))
